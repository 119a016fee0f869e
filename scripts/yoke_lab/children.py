# SPDX-License-Identifier: GPL-2.0
"""Child processes that cannot outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with(parent: int) -> None:
    """Runs in the child between fork and exec: ask for SIGKILL when the parent dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(127)


def spawn(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Starts a process of its own session, output into `log`, that the kernel kills when we die.

    Only from the main thread of a process with one thread: the kernel ties the child to the
    *thread* that made it, and the code between fork and exec is not safe among threads.
    """
    parent = os.getpid()
    with open(log, "ab") as sink:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: _die_with(parent),
        )


def end(process: subprocess.Popen[bytes], *, kill: bool, seconds: float) -> None:
    """Ends a child and reaps it: asks first, unless `kill`; a child that does not listen is killed."""
    if process.poll() is None and not kill:
        process.terminate()
        # A stopped process does not take the signal before it is continued.
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            pass
    if process.poll() is None:
        process.kill()
    process.wait()


def is_stopped(pid: int) -> bool:
    """Whether every thread of a process is stopped by a signal."""
    try:
        stats = [
            path.read_text(encoding="ascii", errors="replace") for path in Path(f"/proc/{pid}/task").glob("*/stat")
        ]
    except OSError:
        return False
    return bool(stats) and all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)
