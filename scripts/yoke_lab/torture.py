# SPDX-License-Identifier: GPL-2.0
"""The torture writer in a controller: its record is outside, so it survives the controller."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import LabError
from .lab import Lab
from .timing import scaled, wait_for


class Stream:
    """A write in a controller whose record comes out as it is made."""

    def __init__(self, lab: Lab, node: str, argv: list[str], record: Path) -> None:
        self.record = record
        self.errors = bytearray()
        self.code: int | None = None
        self.command = lab.command(node, argv)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with open(self.record, "wb", buffering=0) as out, contextlib.suppress(LabError):
            self.command.end_input()
            self.code = self.command.run(out.write, self.errors.extend)

    def acknowledged(self) -> int:
        return self.record.read_bytes().count(b"\na ") if self.record.exists() else 0

    def wait_for(self, writes: int) -> None:
        def enough() -> bool:
            if not self.thread.is_alive():
                raise LabError(f"the writer ended: {self.errors.decode(errors='replace')}")
            return self.acknowledged() >= writes

        wait_for(f"{writes} acknowledged writes", enough, 60, 0.05)

    def ended(self, code: int = 0, seconds: float = 120) -> None:
        """Waits until the writer has ended by itself, with this exit status."""
        wait_for("the end of the writer", lambda: not self.thread.is_alive(), seconds)
        assert self.code == code, self.errors.decode(errors="replace")

    def close(self) -> None:
        self.command.close()
        self.thread.join(scaled(30))
        assert not self.thread.is_alive()


@contextlib.contextmanager
def writing(lab: Lab, node: str, argv: list[str], record: Path) -> Iterator[Stream]:
    stream = Stream(lab, node, argv, record)
    try:
        yield stream
    finally:
        stream.close()


def verify(lab: Lab, node: str, torture: str, device: str, record: Path) -> tuple[int, dict[str, Any]]:
    """The record is carried in on standard input."""
    script = f"cat > /tmp/record && exec {torture} verify --device {device} --record /tmp/record --json"
    done = lab.exec(node, ["sh", "-c", script], stdin=record.read_bytes())
    return done.code, json.loads(done.text or "{}") or {"stderr": done.stderr.decode()}


__all__ = ["Stream", "verify", "writing"]
