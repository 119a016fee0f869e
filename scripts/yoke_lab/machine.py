# SPDX-License-Identifier: GPL-2.0
"""One machine, a controller or a shelf: its QEMU process, boot after boot."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
from pathlib import Path

from . import children, qemu, qmp, splats, vng
from .config import TREE, LabConfig, Paths
from .errors import LabError
from .qmp import AGENT_PORT
from .timing import wait_for

# Written by rust/tools/lab-agent to the kernel log when it listens.
READY_MARK = b"yoke-lab: agent ready"
PANIC_MARK = b"Kernel panic - not syncing"
# How many complaints are told, of all boots together.
SPLATS_MAX = 200


class Machine:
    """A machine as the supervisor sees it. Every boot has a number, a console log and a new token."""

    def __init__(self, config: LabConfig, paths: Paths, node: str) -> None:
        self.config = config
        self.paths = paths
        self.node = node
        self.boot = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.killed = False
        # Of the boots that are over, by their numbers: their consoles do not change any more.
        self._past_splats: dict[int, list[str]] = {}
        paths.share(node).mkdir(parents=True)

    @property
    def _called(self) -> str:
        return self.config.called(self.node)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Starts the next boot; returns when QEMU has taken its devices, not when Linux is up."""
        if PANIC_MARK in self.console_text():
            # Its kernel has told QEMU to end, which takes a moment.
            wait_for(f"the end of {self._called} after its panic", lambda: not self.running, 20, 0.01)
        if self.running:
            raise LabError(f"{self._called} is running already", f"kill {self.node} first")
        self.boot += 1
        self.killed = False
        self.paths.port(self.node).unlink(missing_ok=True)
        self.paths.qmp(self.node).unlink(missing_ok=True)
        self._write_share()
        boots = vng if self.config.vng else qemu
        words = boots.command(self.config, self.paths, self.node, self.boot)
        self.process = children.spawn(words, self._qemu_log())
        try:
            self._publish_port()
        except LabError:
            self.kill()
            raise

    def _write_share(self) -> None:
        """What the machine finds at /run/lab."""
        number = self.config.machine_number(self.node)
        token = self.paths.share(self.node) / "token"
        token.unlink(missing_ok=True)
        with open(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        about = {
            "lab": self.config.name,
            "node": number,
            "name": self.node,
            "boot": self.boot,
            "peer": self.config.nodes[1 - number] if self.node in self.config.nodes else "",
            "cards": [{"mac": mac, "address": address} for mac, address in qemu.cards(self.config, self.node)],
            "hosts": [{"address": address, "name": name} for address, name in qemu.hosts(self.config, self.node)],
            "agent_port": AGENT_PORT,
            "tree": str(TREE),
        }
        (self.paths.share(self.node) / "node.json").write_text(json.dumps(about, indent=1), encoding="utf-8")

    def monitor(self) -> qmp.Monitor:
        """QEMU's monitor, of a machine that is running; to be closed soon."""

        def connect() -> qmp.Monitor | None:
            if not self.running:
                log = self._qemu_log()
                text = log.read_text(encoding="utf-8", errors="replace").strip()
                raise LabError(f"QEMU of {self._called} ended: {text or 'no message'}", f"read {log}")
            return qmp.Monitor.connect(self.paths.qmp(self.node))

        return wait_for(f"the monitor of {self._called}", connect, 30, 0.01)

    def _qemu_log(self) -> Path:
        return self.paths.logs(self.config) / f"{self.node}.boot{self.boot}.qemu.log"

    def _publish_port(self) -> None:
        """Learns which port QEMU forwards to the agent, and writes it where clients look."""
        with self.monitor() as monitor:
            port = monitor.forwarded_port()
        temporary = self.paths.port(self.node).with_suffix(".new")
        temporary.write_text(f"{port}\n", encoding="ascii")
        temporary.rename(self.paths.port(self.node))

    def kill(self) -> None:
        """SIGKILL, and wait until nothing of the machine is left."""
        if self.process is not None and self.process.poll() is None:
            self.killed = True
            children.end(self.process, kill=True, seconds=0)
        self.paths.port(self.node).unlink(missing_ok=True)

    def pause(self) -> None:
        """SIGSTOP: every CPU of the machine and every thread of its QEMU stand still."""
        self._signal(signal.SIGSTOP)
        pid = self.process.pid if self.process else 0
        wait_for(f"the pause of {self._called}", lambda: children.is_stopped(pid), 5, 0.001)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is None or self.process.poll() is not None:
            raise LabError(f"{self._called} is not running", f"start {self.node} first")
        self.process.send_signal(number)

    def status(self) -> dict[str, object]:
        """For `lab status`; the state is derived, never remembered."""
        console = self.console_text()
        running = self.running
        pid = self.process.pid if self.process is not None and running else None
        if PANIC_MARK in console:
            state = "panicked"
        elif pid is None:
            state = "killed" if self.killed else "dead"
        elif children.is_stopped(pid):
            state = "paused"
        else:
            state = "alive" if READY_MARK in console else "booting"
        return {
            "name": self.node,
            "node": self.config.machine_number(self.node),
            "is_controller": self.node in self.config.nodes,
            "state": state,
            "pid": pid,
            "boot": self.boot,
            "exit_status": self.process.returncode if self.process is not None and not running else None,
            "splats": self.splats()[:SPLATS_MAX],
            "console": str(self.paths.console(self.config, self.node, self.boot)),
            # The first is that of the agent's channel, the same everywhere.
            "addresses": [address for _, address in qemu.cards(self.config, self.node)[1:]],
        }

    def splats(self) -> list[str]:
        """What its kernels have complained of, in all boots. A console that is gone proves nothing, and is told too."""
        told = []
        for boot in range(1, self.boot + 1):
            found = self._past_splats.get(boot)
            if found is None:
                found = self._splats_of(boot)
                if boot < self.boot:
                    self._past_splats[boot] = found
            told += [f"boot {boot}: {line}" for line in found]
        return told

    def _splats_of(self, boot: int) -> list[str]:
        try:
            text = self.paths.console(self.config, self.node, boot).read_bytes()
        except FileNotFoundError:
            # That of the present boot may not be there yet.
            return [] if boot == self.boot else ["its console log is gone"]
        found = splats.find(text.decode(errors="replace"))
        is_shelf = self.node in self.config.shelf_names()
        return [line for line in found if not is_shelf or line not in splats.OF_TARGETS]

    def console_text(self) -> bytes:
        """Of the present boot."""
        try:
            return self.paths.console(self.config, self.node, self.boot).read_bytes()
        except FileNotFoundError:
            return b""
