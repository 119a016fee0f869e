# SPDX-License-Identifier: GPL-2.0
"""The virtual appliance: controllers that are QEMU machines, joined by emulated NTB links, sharing disks.

One supervisor process owns every other process of a lab. `lab.Lab` is the face for programs, `cli` the one
for people. Only the standard library.
"""
