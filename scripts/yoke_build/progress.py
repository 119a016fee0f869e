# SPDX-License-Identifier: GPL-2.0
"""Runs long commands into a log and shows a line of progress."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import cache
from .errors import BuildError

TAIL_LINES = 25


class Line:
    """One status line: redrawn on a terminal, printed at intervals elsewhere."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._start = time.monotonic()
        self._tty = sys.stderr.isatty()
        self._interval = 0.2 if self._tty else 30.0
        self._shown = 0.0

    def elapsed(self) -> str:
        seconds = int(time.monotonic() - self._start)
        return f"{seconds // 60}:{seconds % 60:02d}"

    def show(self, state: str) -> None:
        """Shows `state` if the last one is old enough."""
        now = time.monotonic()
        if self._shown and now - self._shown < self._interval:
            return
        self._shown = now
        self._write(f"{self._title}: {state}, {self.elapsed()}", last=False)

    def done(self, state: str) -> None:
        self._write(f"{self._title}: {state} ({self.elapsed()})", last=True)

    def _write(self, text: str, *, last: bool) -> None:
        if self._tty:
            print(f"\r\033[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


def run(
    command: Sequence[str | Path],
    *,
    title: str,
    log: Path,
    total: int = 0,
    step: str = r"^  [A-Z]+ .*",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    tail: int = TAIL_LINES,
) -> None:
    """Runs `command`, its output into `log`; counts the lines that match `step`, of about `total`.

    If it fails, shows the last `tail` lines and raises BuildError. On any way out the command is gone.
    """
    line = Line(title)
    pattern = re.compile(step)
    count = 0
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8", buffering=1) as sink:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=dict(os.environ, **(env or {})),
            cwd=cwd,
            pass_fds=cache.held,
        )
        assert process.stdout is not None
        try:
            line.show("started")
            for text in process.stdout:
                sink.write(text)
                if pattern.match(text):
                    count += 1
                    line.show(_state(count, total))
            status = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if status != 0:
        line.done("FAILED")
        print("\n".join(log.read_text(encoding="utf-8").splitlines()[-tail:]), file=sys.stderr)
        raise BuildError(f"{title} failed (status {status})", f"read the whole log: {log}")
    line.done("done")


def _state(count: int, total: int) -> str:
    if not total:
        return f"{count} steps"
    return f"{count} of about {total} steps ({min(99, 100 * count // total)}%)"
