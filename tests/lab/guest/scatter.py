#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes and reads a disk past the page cache, from and into memory in pieces that are no blocks. Needs root.

scatter.py DISK: every way of cutting works, or is refused as invalid; none gives an error of the disk, or wrong data.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys

BLOCK = 4096
SIZE = 4 * BLOCK
# Lengths of the pieces, and where in its page each begins.
CUTS = [
    [(SIZE, 0)],
    [(SIZE, 512)],
    [(512, 0), (SIZE - 512, 512)],
    [(512, 512), (3584, 0), (BLOCK, 1024), (2 * BLOCK, 0)],
    [(1024, 3072)] * (SIZE // 1024),
    [(512, 512)] * (SIZE // 512),
    [(BLOCK, 0), (2048, 512), (2048, 512), (2 * BLOCK, 3584)],
]


def pieces(cut: list[tuple[int, int]]) -> list[memoryview]:
    """Memory of its own for each piece, so that no two are neighbours."""
    return [memoryview(mmap.mmap(-1, length + 2 * BLOCK))[at : at + length] for length, at in cut]


def fill(memory: list[memoryview], data: bytes) -> None:
    for piece in memory:
        piece[:], data = data[: len(piece)], data[len(piece) :]


def main(disk: str) -> None:
    file = os.open(disk, os.O_RDWR | os.O_DIRECT)
    worked = refused = 0
    for number, cut in enumerate(CUTS):
        data = bytes((number * 37 + i // 512) % 251 for i in range(SIZE))
        for way in ("write", "read"):
            # The other one is done in a way that always works.
            plain = pieces(CUTS[0])
            odd = pieces(cut)
            out, back = (odd, plain) if way == "write" else (plain, odd)
            try:
                fill(out, data)
                assert os.pwritev(file, out, number * SIZE) == SIZE, (way, cut)
                assert os.preadv(file, back, number * SIZE) == SIZE, (way, cut)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise SystemExit(f"{way} in pieces of {cut}: {error}") from error
                refused += 1
                continue
            if b"".join(back) != data:
                raise SystemExit(f"{way} in pieces of {cut}: other data")
            worked += 1
    print(f"{worked} worked, {refused} refused")
    if worked < 4:
        raise SystemExit("hardly anything worked")


main(sys.argv[1])
