# SPDX-License-Identifier: GPL-2.0
"""Runs in the controller that will take over: tells when each volume serves its first read, and its first write.

usage: probe.py SECONDS NAME=DISK[:WRITE_BLOCK] ...

First, one line from the standard input for each question about this machine's clock, answered by its boot time in
microseconds; the line `go` ends that. Then each disk is read with O_DIRECT, a block at a time, until a read succeeds
(a controller that does not own a volume refuses at once), and then, where a block is given, that block is written.
One JSON line for each event: {"name", "what": "read" or "write", "tries", "boot_us"}.
"""

import json
import mmap
import os
import sys
import threading
import time

# Between two refusals: short beside any takeover, long enough to leave the CPU to the takeover.
PAUSE_S = 0.001
BLOCK = 4096
LOCK = threading.Lock()


def boot_us() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def say(words: dict) -> None:
    with LOCK:
        print(json.dumps(words), flush=True)


def until_done(operation, deadline: float) -> int:
    """Repeats an operation until it succeeds; how many times it was tried."""
    tries = 0
    while True:
        tries += 1
        try:
            operation()
        except OSError as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"nothing was served in time: {error}") from error
            time.sleep(PAUSE_S)
        else:
            return tries


def watch(name: str, disk: str, block: int | None, deadline: float) -> None:
    buffer = mmap.mmap(-1, BLOCK)
    fd = os.open(disk, os.O_RDWR | os.O_DIRECT)
    tries = until_done(lambda: os.preadv(fd, [buffer], 0), deadline)
    say({"name": name, "what": "read", "tries": tries, "boot_us": boot_us()})
    if block is not None:
        tries = until_done(lambda: os.pwritev(fd, [buffer], block * BLOCK), deadline)
        say({"name": name, "what": "write", "tries": tries, "boot_us": boot_us()})
    os.close(fd)


def main() -> None:
    deadline = time.monotonic() + float(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "go":
            break
        print(boot_us(), flush=True)
    threads = []
    for word in sys.argv[2:]:
        name, _, place = word.partition("=")
        disk, _, block = place.partition(":")
        thread = threading.Thread(target=watch, args=(name, disk, int(block) if block else None, deadline), daemon=True)
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
