# SPDX-License-Identifier: GPL-2.0
"""What a person reads while the demo runs: a timeline, and signs of life where something takes its time."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator


class Story:
    """Events on one clock, that of the host, in seconds since the run began."""

    def __init__(self, prefix: str = "") -> None:
        self.begin = time.monotonic()
        self.prefix = prefix
        self.steps: list[dict[str, object]] = []
        self.events: list[dict[str, object]] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        return time.monotonic() - self.begin

    def tell(self, text: str) -> None:
        """An event of the timeline, also for the report."""
        self.events.append({"at_s": round(self.now(), 1), "text": text})
        self._say(text)

    def _say(self, text: str) -> None:
        with self._lock:
            print(f"{self.prefix}[{self.now():6.1f} s] {text}", flush=True)

    @contextlib.contextmanager
    def step(self, name: str, doing: str, sign: Callable[[], str] = lambda: "") -> Iterator[None]:
        """Something that takes its time: told when it begins, every few seconds, and timed for the report."""
        self.tell(doing)
        begun, over = self.now(), threading.Event()

        def live() -> None:
            interval = 2.0 if sys.stdout.isatty() else 5.0
            while not over.wait(interval):
                more = sign()
                self._say(f"  ... {self.now() - begun:.0f} s{': ' if more else ''}{more}")

        thread = threading.Thread(target=live, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.steps.append({"step": name, "at_s": round(begun, 2), "took_s": round(self.now() - begun, 2)})
