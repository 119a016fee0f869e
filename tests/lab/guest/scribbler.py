# SPDX-License-Identifier: GPL-2.0
"""Runs in a controller: writes a disk through the page cache for as long as it is let, whatever errors it gets.

usage: scribbler.py DISK MIB [sync]

It writes the four MiB from MIB on over and over, with `sync` each piece to the disk. It says `ready` after the first time.
"""

import contextlib
import os
import sys

PIECE, ROUND = 1 << 20, 4 << 20


def main() -> None:
    disk, at, *how = sys.argv[1:]
    file = os.open(disk, os.O_RDWR | (os.O_SYNC if how else 0))
    first = int(at) << 20
    number = 0
    while True:
        data = bytes([number % 256]) * PIECE
        for place in range(first, first + ROUND, PIECE):
            with contextlib.suppress(OSError):
                os.pwrite(file, data, place)
        if number == 0:
            print("ready", flush=True)
        number += 1


if __name__ == "__main__":
    main()
