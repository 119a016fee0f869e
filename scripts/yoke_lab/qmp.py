# SPDX-License-Identifier: GPL-2.0
"""QEMU's monitor: the little of it that the lab needs."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from types import TracebackType
from typing import Any

from .errors import LabError
from .timing import scaled

AGENT_PORT = 7077


class Monitor:
    """One connection. QEMU answers only one at a time, so it is closed again at once."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lines = connection.makefile("r", encoding="utf-8")
        json.loads(self._lines.readline())
        self.execute("qmp_capabilities")

    @classmethod
    def connect(cls, path: Path) -> Monitor | None:
        """None while QEMU does not listen yet, or when it ends meanwhile."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(scaled(30))
        try:
            connection.connect(str(path))
            return cls(connection)
        except (OSError, ValueError, LabError):
            connection.close()
            return None

    def execute(self, command: str, **arguments: object) -> Any:
        """Runs a command and returns its answer; events in between are skipped."""
        request = {"execute": command, "arguments": arguments}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        for line in self._lines:
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise LabError(f"QEMU refused {command}: {answer['error'].get('desc')}")
        raise LabError(f"QEMU ended while it was asked for {command}")

    def forwarded_port(self) -> int:
        """The loopback port that QEMU chose for the agent."""
        text = self.execute("human-monitor-command", **{"command-line": "info usernet"})
        for line in text.splitlines():
            match = re.match(r"\s*TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+\S+\s+(\d+)", line)
            if match and int(match[2]) == AGENT_PORT:
                return int(match[1])
        raise LabError(f"QEMU shows no port that it forwards to the agent:\n{text}")

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self._socket.close()
