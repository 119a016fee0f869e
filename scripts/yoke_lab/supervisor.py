# SPDX-License-Identifier: GPL-2.0
"""The one process that owns a lab: every machine and every server is its child and dies with it.

Started by `Lab.up`. It ends when it is told `down`, gets SIGTERM or SIGINT, or the process that the lab is
tied to ends; if it is killed itself, the kernel kills its children (PR_SET_PDEATHSIG). One thread: requests
are served one at a time, each is one JSON line and is answered by one.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from typing import IO, Any

from . import qemu
from .config import LabConfig, Paths
from .errors import LabError
from .link import Link
from .machine import Machine
from .timing import scaled
from .wires import Wires

REQUEST_MAX = 1 << 16


class Supervisor:
    """The lab while it lives."""

    def __init__(self, config: LabConfig, paths: Paths) -> None:
        self.config = config
        self.paths = paths
        self.links: dict[str, Link] = {}
        self.machines: dict[str, Machine] = {}
        self.wires = Wires(config, self.machines)
        self.ending = False
        self._verbs: dict[str, Callable[..., object]] = {
            "status": self.status,
            "start": self.start,
            "kill": lambda node: self.machine(node).kill(),
            "pause": lambda node: self.machine(node).pause(),
            "resume": lambda node: self.machine(node).resume(),
            "link": self.link,
            "down": self.end,
        }

    def machine(self, node: str) -> Machine:
        self.config.machine_number(node)
        return self.machines[node]

    def start(self, node: str) -> None:
        self.machine(node).start()
        self.wires.pull_at(node)

    def link(self, link: str, cmd: str, **words: object) -> dict[str, object]:
        """Asks something of a link or a wire."""
        if link in self.wires:
            return self.wires.command(link, cmd)
        return self.links[self.config.check_link(link)].command(cmd=cmd, **words)

    def bring_up(self) -> None:
        """Starts the servers, then all machines, shelves first: the controllers may want their disks."""
        for name in self.config.links:
            self.links[name] = Link(self.config, self.paths, name)
        for name in self.config.machines():
            self.machines[name] = Machine(self.config, self.paths, name)
        for name in [*self.config.shelf_names(), *self.config.nodes]:
            self.machines[name].start()

    def tear_down(self) -> None:
        """Ends everything that was started; the files go with the state directory."""
        for machine in self.machines.values():
            machine.kill()
        for link in self.links.values():
            link.end()

    def end(self) -> None:
        self.ending = True

    def status(self) -> dict[str, object]:
        disks = []
        for disk in qemu.disks(self.config, self.paths):
            disks.append(
                {
                    "name": disk.serial,
                    "bytes": disk.size,
                    "path": str(disk.path),
                    "device": f"/dev/disk/by-id/virtio-{disk.serial}",
                    "direct": qemu.supports_direct(disk.path),
                }
            )
        return {
            "name": self.config.name,
            "supervisor_pid": os.getpid(),
            "accelerator": self.config.accelerator,
            "nodes": [machine.status() for machine in self.machines.values()],
            "links": [link.command(cmd="status") for link in self.links.values()],
            "wires": self.wires.status(),
            "disks": disks,
            "logs": str(self.paths.logs(self.config)),
        }

    def answer(self, line: bytes) -> dict[str, object]:
        """Carries one request out."""
        try:
            words: dict[str, Any] = json.loads(line)
            verb = self._verbs.get(words.pop("verb", ""))
            if verb is None:
                raise LabError("no such request")
            return {"ok": True, "result": verb(**words)}
        except LabError as error:
            return {"ok": False, "error": str(error), "hint": error.hint}
        except (ValueError, TypeError, AttributeError, OSError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}", "hint": ""}


class Loop:
    """Waits for requests, signals, and the end of the process that the lab is tied to."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(supervisor.paths.supervisor_socket))
        self._listener.listen(64)
        self._selector.register(self._listener, selectors.EVENT_READ)
        # Signals arrive as bytes on a pipe: they end the loop, and never a request in the middle.
        self._signals, sender = socket.socketpair()
        sender.setblocking(False)
        self._sender = sender
        signal.set_wakeup_fd(sender.fileno())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: None)
        self._selector.register(self._signals, selectors.EVENT_READ)
        self._owner = -1

    def tie_to(self, pid: int) -> None:
        """Ends the lab when that process ends."""
        try:
            self._owner = os.pidfd_open(pid)
        except ProcessLookupError:
            raise LabError(f"process {pid}, which the lab is tied to, is not there") from None
        self._selector.register(self._owner, selectors.EVENT_READ)

    def run(self) -> None:
        while not self._supervisor.ending:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._serve()
                elif key.fileobj is self._signals or key.fd == self._owner:
                    return

    def _serve(self) -> None:
        """One connection, one request: nobody can hold the supervisor up for long."""
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(scaled(5))
            try:
                with connection.makefile("rb") as lines:
                    line = lines.readline(REQUEST_MAX)
                if line:
                    answer = self._supervisor.answer(line)
                    connection.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                # The client has gone; what it asked for has been done.
                pass


def make_disks(config: LabConfig, paths: Paths) -> None:
    """Makes the disks, sparse; one that is there in a directory of the user's own stays as it is."""
    disks = qemu.disks(config, paths)
    for shelf in config.shelf_names():
        disks += qemu.shelf_disks(config, paths, shelf)
    for disk in disks:
        path, size = disk.path, disk.size
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            with open(path, "wb") as file:
                file.truncate(size)
        elif path.stat().st_size != size:
            raise LabError(f"{path} has {path.stat().st_size} bytes, not {size}", "give its size, or remove it")


def remove_files(paths: Paths) -> None:
    """Removes all that a lab leaves on the file system, but for what was kept elsewhere on purpose."""
    shutil.rmtree(paths.disks, ignore_errors=True)
    shutil.rmtree(paths.root, ignore_errors=True)


def supervise(paths: Paths, ready: IO[str]) -> int:
    """The life of a lab; says on `ready` that it is up, or why not. The lab's lock came with us (`Lab.up`)."""
    config = LabConfig.from_json(paths.config.read_text(encoding="utf-8"))
    supervisor = Supervisor(config, paths)
    try:
        loop = Loop(supervisor)
        if config.tied_to is not None:
            loop.tie_to(config.tied_to)
        paths.logs(config).mkdir(parents=True, exist_ok=True)
        make_disks(config, paths)
        supervisor.bring_up()
        print(json.dumps({"ok": True}), file=ready, flush=True)
        ready.close()
        loop.run()
    except BrokenPipeError:
        # Who asked for the lab has gone before it was up.
        return 1
    except LabError as error:
        print(json.dumps({"ok": False, "error": str(error), "hint": error.hint}), file=ready, flush=True)
        return 1
    finally:
        supervisor.tear_down()
        remove_files(paths)
    return 0


if __name__ == "__main__":
    name, ready_fd = sys.argv[1], int(sys.argv[2])
    with os.fdopen(ready_fd, "w", encoding="utf-8") as pipe:
        sys.exit(supervise(Paths(name), pipe))
