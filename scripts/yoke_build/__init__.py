# SPDX-License-Identifier: GPL-2.0
"""What the build scripts share. Only the standard library: it runs before anything is installed."""
