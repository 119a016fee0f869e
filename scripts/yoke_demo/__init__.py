# SPDX-License-Identifier: GPL-2.0
"""The demo: a mirrored file system whose controller is killed in mid-write (docs/demo.md)."""
