# SPDX-License-Identifier: GPL-2.0
"""Runs in a controller: unpacks a tar file again and again, and prints each path once its file is durable.

usage: unpack.py TAR DESTINATION COPIES BATCH

A line is a path below DESTINATION, such as `copy1/include/linux/kernel.h`. It leaves the machine after the call that
made the file durable has returned: an fsync() for each of the first files of a batch, one syncfs() for the others.
"""

import ctypes
import os
import sys
import tarfile

# Files of a batch that are made durable one by one.
SINGLE = 4
LIBC = ctypes.CDLL(None, use_errno=True)


def syncfs(fd: int) -> None:
    if LIBC.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"syncfs: {os.strerror(number)}")


class Batch:
    """Files that are written and not durable yet."""

    def __init__(self, destination: str, size: int) -> None:
        self.root = destination
        self.fd = os.open(destination, os.O_RDONLY | os.O_DIRECTORY)
        self.size = size
        self.paths: list[str] = []

    def add(self, path: str, data: bytes) -> None:
        whole = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "xb", buffering=0) as file:
            while data:
                data = data[file.write(data) :]
        self.paths.append(path)
        if len(self.paths) >= self.size:
            self.commit()

    def commit(self) -> None:
        """Makes the files durable and says so."""
        for path in self.paths[:SINGLE]:
            self.fsync(path)
            say(path)
        syncfs(self.fd)
        say("\n".join(self.paths[SINGLE:]))
        self.paths = []

    def fsync(self, path: str) -> None:
        """The file, and the directory that names it."""
        whole = os.path.join(self.root, path)
        for place in (whole, os.path.dirname(whole)):
            fd = os.open(place, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def say(lines: str) -> None:
    data = (lines + "\n").encode() if lines else b""
    while data:
        data = data[os.write(1, data) :]


def main() -> None:
    source, destination, copies, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    batch = Batch(destination, size)
    for number in range(1, copies + 1):
        with tarfile.open(source, "r:") as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                batch.add(f"copy{number}/{member.name}", content.read())
                # The list of members would grow with every copy.
                tar.members = []
        batch.commit()


if __name__ == "__main__":
    main()
