# SPDX-License-Identifier: GPL-2.0
"""Stores in a private mapping of a disk's page that is dirty, and tells what stands there when it is told to.

usage: own_copy.py DISK FIFO
"""

import mmap
import os
import sys

disk, fifo = sys.argv[1:]
fd = os.open(disk, os.O_RDWR)
os.pwrite(fd, b"disk" * 1024, 0)
private = mmap.mmap(fd, 4096, flags=mmap.MAP_PRIVATE)
private[:4] = b"mine"
# Dirty once more, whatever was written back meanwhile.
os.pwrite(fd, b"disk" * 1024, 0)
print("ready", flush=True)
with open(fifo, "rb") as go:
    go.read()
print(private[:4].decode(), flush=True)
