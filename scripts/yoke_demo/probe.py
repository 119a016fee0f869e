# SPDX-License-Identifier: GPL-2.0
"""The host's end of guest/probe.py: when the partner served, told on the host's clock."""

from __future__ import annotations

import json
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from yoke_lab.appliance import Node
from yoke_lab.errors import LabError
from yoke_lab.timing import scaled

GUEST = Path(__file__).resolve().parent / "guest" / "probe.py"
QUESTIONS = 25


@dataclass(frozen=True)
class Served:
    """A first read or write. `arrived` is the host's time at which word of it was here, so never too early."""

    name: str
    what: str
    arrived: float
    boot_us: int
    tries: int


class Probe:
    """Asks the partner's volumes for I/O until they give it."""

    def __init__(self, node: Node, disks: dict[str, str], seconds: float) -> None:
        """`disks`: for each volume its device, `:BLOCK` behind it if that block may be written."""
        self.events: list[Served] = []
        self._answers: queue.Queue[tuple[float, str]] = queue.Queue()
        self._errors = bytearray()
        words = [f"{name}={disk}" for name, disk in disks.items()]
        self._wanted = len(disks) + sum(":" in disk for disk in disks.values())
        argv = ["python3", "-I", "-S", str(GUEST), str(scaled(seconds)), *words]
        self._command = node.lab.command(node.name, argv)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._next("its start")
        self.offset, self.error = self._compare_clocks()
        self._command.write(b"go\n")

    def _run(self) -> None:
        tail = b""

        def take(data: bytes) -> None:
            nonlocal tail
            now = time.monotonic()
            *lines, tail = (tail + data).split(b"\n")
            for line in lines:
                self._answers.put((now, line.decode()))

        try:
            self._command.run(take, self._errors.extend)
        except LabError as error:
            self._errors.extend(str(error).encode())

    def _next(self, what: str, seconds: float = 30) -> tuple[float, str]:
        try:
            return self._answers.get(timeout=scaled(seconds))
        except queue.Empty:
            said = self._errors.decode(errors="replace").strip()
            raise LabError(f"the probe of the partner does not tell {what}: {said or 'no message'}") from None

    def _compare_clocks(self) -> tuple[float, float]:
        """(host's time minus the machine's boot time, bound of its error), in seconds: the quickest answer counts."""
        best = (0.0, float("inf"))
        for _ in range(QUESTIONS):
            asked = time.monotonic()
            self._command.write(b"?\n")
            answered, text = self._next("its time")
            half = (answered - asked) / 2
            if half < best[1]:
                best = (asked + half - int(text) / 1e6, half)
        return best

    def host_time(self, boot_us: int) -> float:
        """A boot time of the machine's on the host's clock."""
        return boot_us / 1e6 + self.offset

    def wait(self, seconds: float) -> list[Served]:
        """Waits until every volume has served what it was asked for."""
        while len(self.events) < self._wanted:
            arrived, line = self._next("the first I/O", seconds)
            words = json.loads(line)
            self.events.append(Served(words["name"], words["what"], arrived, words["boot_us"], words["tries"]))
        return self.events

    def first(self, what: str) -> list[Served]:
        return [event for event in self.events if event.what == what]

    def close(self) -> None:
        self._command.close()
        self._thread.join(scaled(30))
