# SPDX-License-Identifier: GPL-2.0
"""One link: its ivshmem server process, and the words that its control socket knows."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

from . import children
from .config import VECTORS, LabConfig, Paths
from .errors import LabError
from .timing import scaled, wait_for


def request(path: Path, **words: object) -> dict[str, Any]:
    """Sends one request to a server's control socket and returns the status in its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(scaled(10))
        connection.connect(str(path))
        connection.sendall(json.dumps(words).encode() + b"\n")
        with connection.makefile("r", encoding="utf-8") as lines:
            line = lines.readline()
    if not line:
        raise LabError("the link's server closed the connection without an answer")
    answer = json.loads(line)
    if not answer["ok"]:
        raise LabError(f"the link's server refused: {answer['error']}")
    status: dict[str, Any] = answer["status"]
    return status


class Link:
    """A link as the supervisor sees it."""

    def __init__(self, config: LabConfig, paths: Paths, name: str) -> None:
        self.name = name
        self._control = paths.control(name)
        paths.link(name).mkdir(parents=True)
        self._log = paths.logs(config) / f"{name}.server.log"
        words = [config.server, "--control", str(self._control), "--vectors", str(VECTORS)]
        words += ["--size", str(config.link_bytes), "--min-down-ms", str(config.min_down_ms)]
        for number in range(len(config.nodes)):
            words += ["--side", f"{number}={paths.side(name, number)}"]
        self.process: subprocess.Popen[bytes] = children.spawn(words, self._log)
        wait_for(f"the server of link {name}", self._answers, 20, 0.01)

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            text = self._log.read_text(encoding="utf-8", errors="replace").strip()
            raise LabError(f"the server of link {self.name} ended: {text or 'no message'}", f"read {self._log}")
        try:
            request(self._control, cmd="status")
        except OSError:
            return False
        return True

    def command(self, **words: object) -> dict[str, object]:
        """A request to the server; the answer is the link's status."""
        if self.process.poll() is not None:
            return {"name": self.name, "state": "server dead", "exit_status": self.process.returncode}
        try:
            status = request(self._control, **words)
        except OSError as error:
            raise LabError(f"the server of link {self.name} does not answer: {error}", f"read {self._log}") from error
        state = "cut" if status["cut"] else "whole"
        return {"name": self.name, "state": state, "server_pid": self.process.pid, **status}

    def end(self) -> None:
        children.end(self.process, kill=False, seconds=5)
