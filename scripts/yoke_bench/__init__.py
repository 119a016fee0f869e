# SPDX-License-Identifier: GPL-2.0
"""The benchmark: yoke, a plain RAM disk, DRBD protocol C and the raw window, in the same two machines."""
