# SPDX-License-Identifier: GPL-2.0
"""Runs in a controller: holds a disk open in several ways, and tells what each of them still gives.

usage: holder.py DISK DIRECTORY

Each line that is written to the pipe DIRECTORY/ask is answered by one line of JSON in the pipe DIRECTORY/answer:
`reads` or `writes`. A value is the beginning of what was read in hex, `done`, `end` (end of file) or the name of an errno
or signal.
"""

import errno
import json
import mmap
import os
import signal
import sys

BLOCK = 4096


def outcome(operation) -> str:
    try:
        return operation()
    except OSError as error:
        return errno.errorcode[error.errno]


def main() -> None:
    disk, directory = sys.argv[1:]
    buffered = os.open(disk, os.O_RDWR)
    direct = os.open(disk, os.O_RDWR | os.O_DIRECT)
    memory = mmap.mmap(-1, BLOCK)
    mapped = mmap.mmap(buffered, BLOCK, prot=mmap.PROT_READ)

    def read() -> str:
        return os.pread(buffered, BLOCK, 0)[:8].hex() or "end"

    def read_direct() -> str:
        return memory[:8].hex() if os.preadv(direct, [memory], 0) else "end"

    def read_mapped() -> str:
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(into, mapped[:8])
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return signal.Signals(os.WTERMSIG(status)).name
        return os.read(out, 8).hex()

    def write() -> str:
        os.pwrite(buffered, b"\xee" * BLOCK, 8 * BLOCK)
        os.fsync(buffered)
        return "done"

    def write_direct() -> str:
        memory[:] = b"\xdd" * BLOCK
        os.pwritev(direct, [memory], 9 * BLOCK)
        return "done"

    def sync() -> str:
        os.fsync(direct)
        return "done"

    ways = {
        "reads": {"buffered": read, "direct": read_direct, "mapped": read_mapped},
        "writes": {"buffered": write, "direct": write_direct, "sync": sync},
    }
    for pipe in ("ask", "answer"):
        os.mkfifo(f"{directory}/{pipe}")
    while True:
        with open(f"{directory}/ask") as ask:
            question = ask.readline().strip()
        answer = {name: outcome(operation) for name, operation in ways[question].items()}
        with open(f"{directory}/answer", "w") as out:
            out.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
