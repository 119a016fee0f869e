# SPDX-License-Identifier: GPL-2.0
"""Runs in a controller: writes a disk through the page cache, and tells what it gets.

usage: patient.py DISK DATA [sync]

It writes the file DATA to the beginning of the disk, where it stays in the cache; then it writes one block behind that, and
waits until this one is on the disk; then with `sync` it waits for all of it. Each step is one line: `done`, or an errno.
"""

import errno
import os
import sys


def outcome(operation) -> str:
    try:
        operation()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"


def main() -> None:
    disk, source, *how = sys.argv[1:]
    with open(source, "rb") as file:
        data = file.read()
    cached = os.open(disk, os.O_RDWR)
    through = os.open(disk, os.O_RDWR | os.O_SYNC)
    print(outcome(lambda: os.pwrite(cached, data, 0)), flush=True)
    print(outcome(lambda: os.pwrite(through, b"\xaa" * 4096, 2 * len(data))), flush=True)
    if how:
        print(outcome(lambda: os.fsync(cached)), flush=True)


if __name__ == "__main__":
    main()
