# SPDX-License-Identifier: GPL-2.0
"""A lab as programs see it: pytest's fixture and the command line both use this."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import qemu
from .channel import Command
from .config import LabConfig, Paths
from .errors import ControllerGone, LabError
from .supervisor import remove_files
from .timing import scaled, wait_for

BOOT_SECONDS = 120.0
# Of the console of a controller that did not boot.
LAST_LINES = 20
# The threads in uninterruptible sleep: which one, since when it has been in this very sleep (by how often it has left a
# CPU), and its name. Those that are only idle are in another state.
SLEEPERS = """
cd /proc
for stat in [0-9]*/task/[0-9]*/stat; do
    { read -r line < $stat; } 2> /dev/null || continue
    after=${line##*) }
    [ ${after:0:1} = D ] || continue
    switches=$(sed -n 's/.*ctxt_switches:[^0-9]*//p' ${stat%/stat}/status 2> /dev/null) || continue
    name=${line#*(}
    echo ${stat%/stat} ${switches//[^0-9]/-} ${name%)*}
done
"""
PACKAGE_PARENT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Finished:
    """How a command in a controller ended."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output without the last newline."""
        return self.stdout.decode(errors="replace").rstrip("\n")


def _locked(directory: int) -> bool:
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Lab:
    """A lab of one name, whether it is up or not. Usable from several processes and threads at once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.paths = Paths(name)
        # The supervisor, where this object has started it: it is ours to reap.
        self._supervisor: subprocess.Popen[bytes] | None = None

    # ---- life ----

    def up(self, config: LabConfig, progress: Callable[[str], None] = lambda _text: None) -> None:
        """Brings the lab up and waits until both controllers answer. On any failure nothing is left."""
        config.check()
        progress("starting the links' servers and the machines")
        self._start_supervisor(config)
        try:
            for machine in [*config.shelf_names(), *config.nodes]:
                progress(f"waiting for {config.called(machine)} to boot")
                self.wait_ready(machine)
        except BaseException:
            self.down()
            raise

    def _start_supervisor(self, config: LabConfig) -> None:
        lock = self._claim()
        try:
            self.paths.config.write_text(config.to_json(), encoding="utf-8")
            reader, writer = os.pipe()
            # Read through this descriptor if need be: the supervisor removes its files when it ends.
            log = open(self.paths.root / "supervisor.log", "w+b")
            process = self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "yoke_lab.supervisor", self.name, str(writer)],
                cwd=PACKAGE_PARENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(lock, writer),
                start_new_session=True,
            )
            os.close(writer)
        finally:
            os.close(lock)
        with log, open(reader, encoding="utf-8") as ready:
            try:
                line = ready.readline()
            except BaseException:
                # Interrupted (Ctrl-C) before it was up.
                process.terminate()
                self.down()
                raise
            if not line:
                process.wait()
                log.seek(0)
                said = log.read().decode(errors="replace").strip()
                raise LabError(f"the lab's supervisor ended at once, status {process.returncode}: {said}")
        answer = json.loads(line)
        if not answer["ok"]:
            process.wait()
            raise LabError(answer["error"], answer["hint"])

    def _claim(self) -> int:
        """Takes the state directory; a descriptor that holds its lock, for the supervisor to inherit."""
        root = self.paths.root
        while True:
            root.mkdir(mode=0o700, exist_ok=True)
            held = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            about = os.fstat(held)
            if about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077:
                os.close(held)
                raise LabError(f"{root} belongs to somebody else", "remove it, or use another --name")
            if not _locked(held):
                os.close(held)
                raise LabError(f"lab {self.name!r} is up already", f"lab --name {self.name} down")
            if root.exists() and os.stat(root).st_ino == about.st_ino:
                break
            os.close(held)
        # What is there was left by a supervisor that was killed; its children died with it.
        for entry in root.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        shutil.rmtree(self.paths.disks, ignore_errors=True)
        return held

    def down(self) -> None:
        """Ends everything and removes the files; also clears what a killed supervisor left.

        Never fails for a lab that is not up.
        """
        try:
            held = os.open(self.paths.root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        try:
            with contextlib.suppress(LabError):
                self._ask("down")
            # Its lock is the last thing that a supervisor lets go, by ending; then the files are nobody's.
            wait_for(f"the end of lab {self.name}", lambda: _locked(held), 30, 0.02)
            if self.paths.root.exists() and os.path.samestat(os.stat(self.paths.root), os.fstat(held)):
                remove_files(self.paths)
        finally:
            os.close(held)
        if self._supervisor is not None:
            self._supervisor.wait()
            self._supervisor = None

    # ---- controllers ----

    def start(self, node: str) -> None:
        """Boots a controller that is not running, and waits until it answers."""
        self._ask("start", node=node)
        self.wait_ready(node)

    def kill(self, node: str) -> None:
        """SIGKILL to its QEMU; nothing of the machine is left when this returns."""
        self._ask("kill", node=node)

    def pause(self, node: str) -> None:
        """Stops the whole machine where it stands."""
        self._ask("pause", node=node)

    def resume(self, node: str) -> None:
        """Lets a paused machine go on."""
        self._ask("resume", node=node)

    def wait_ready(self, node: str) -> None:
        """Waits until the agent answers and the modules that were asked for are loaded."""

        def answers() -> bool:
            state = self.node_status(node)
            if state["pid"] is None:
                raise LabError(f"{self.config().called(node)} {state['state']} while it booted", f"lab logs {node}")
            return bool(state["state"] == "alive")

        try:
            wait_for(f"the boot of {self.config().called(node)}", answers, BOOT_SECONDS, 0.1)
        except LabError as error:
            # A lab that did not come up is taken down, and its console may go with it.
            raise LabError(f"{error}; {self._last_words(node)}", error.hint) from None
        for module in self.config().insmod if node in self.config().nodes else []:
            done = self.exec(node, ["insmod", module])
            if done.code != 0:
                raise LabError(
                    f"controller {node} cannot load {module}: {done.stderr.decode(errors='replace').strip()}",
                    f"lab logs {node}",
                )

    def command(
        self,
        node: str,
        argv: Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        terminal: tuple[int, int] | None = None,
        timeout: float | None = None,
    ) -> Command:
        """Starts a command; the caller streams it (see `channel.Command`) and closes it.

        After `timeout` seconds (scaled) a wait for its output raises LabError.
        With `terminal` (rows, columns) it runs on a terminal of its own: one stream, job control.
        """
        self.config().machine_number(node)
        limit = None if timeout is None else scaled(timeout)
        return Command(self.paths, node, argv, cwd=cwd, env=env or {}, terminal=terminal, timeout=limit)

    def exec(
        self,
        node: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        check: bool = False,
        timeout: float = 600,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Finished:
        """Runs a command to its end. LabError if it takes longer than `timeout` (scaled), or fails and `check` is set."""
        out, err = bytearray(), bytearray()
        command = self.command(node, argv, cwd=cwd, env=env, timeout=timeout)
        try:
            command.feed_bytes(stdin)
            code = command.run(out.extend, err.extend)
        finally:
            command.close()
        finished = Finished(code, bytes(out), bytes(err))
        if check and code != 0:
            raise LabError(
                f"{self.config().called(node)}: {' '.join(argv)} exits {code}: {finished.stderr.decode(errors='replace').strip()}"
            )
        return finished

    # ---- links ----

    def cut(self, link: str) -> dict[str, Any]:
        """Cuts a link; it is cut for both sides when this returns."""
        return self._link(link, cmd="cut")

    def mend(self, link: str) -> dict[str, Any]:
        """Mends a link; the mend shows when this returns. The drivers' own handshake comes after it."""
        return self._link(link, cmd="mend")

    def drop_doorbells(self, link: str, count: int | str) -> dict[str, Any]:
        """Loses the next `count` doorbells of a link; also "all" and "none"."""
        return self._link(link, cmd="drop-doorbells", count=count)

    def delay_doorbells(self, link: str, milliseconds: int) -> dict[str, Any]:
        """Holds every doorbell of a link back; 0 ends it."""
        return self._link(link, cmd="delay-doorbells", ms=milliseconds)

    def _link(self, link: str, **words: object) -> dict[str, Any]:
        status: dict[str, Any] = self._ask("link", link=link, **words)
        return status

    # ---- what is ----

    def config(self) -> LabConfig:
        try:
            return LabConfig.from_json(self.paths.config.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise LabError(f"lab {self.name!r} is not up", "lab up") from None

    def status(self) -> dict[str, Any]:
        """Controllers, links, disks; the same as `lab status --json`."""
        status: dict[str, Any] = self._ask("status")
        return status

    def node_status(self, node: str) -> dict[str, Any]:
        number = self.config().machine_number(node)
        found: dict[str, Any] = self.status()["nodes"][number]
        return found

    def console(self, node: str, boot: int | None = None) -> Path:
        """The console log of a boot, by default the present one."""
        return self.paths.console(self.config(), node, boot or int(self.node_status(node)["boot"]))

    def splats(self) -> list[str]:
        """What the kernels have complained of, in every boot of every controller of this lab.

        A console lags behind its kernel: those that run are waited for.
        """
        for node in self.status()["nodes"]:
            if node["state"] == "alive":
                self._settle_console(node["name"])
        return [f"{node['name']}: {line}" for node in self.status()["nodes"] for line in node["splats"]]

    def hung_tasks(self, node: str, seconds: float = 10) -> list[str]:
        """The threads of a controller that sleep uninterruptibly, and do not wake in so many seconds (scaled): a line each,
        with where they wait. Returns at once when there are none."""
        since = self._sleepers(node)
        deadline = time.monotonic() + scaled(seconds)
        while since and time.monotonic() < deadline:
            time.sleep(0.2)
            since &= self._sleepers(node)
        where = "cat /proc/{}/stack 2> /dev/null | tr '\\n' ' '"
        return [
            f"{line}: {self.exec(node, ['sh', '-c', where.format(line.split()[0])]).text}" for line in sorted(since)
        ]

    def _sleepers(self, node: str) -> set[str]:
        return set(self.exec(node, ["bash", "-c", SLEEPERS], check=True, timeout=60).text.splitlines())

    def _settle_console(self, node: str) -> None:
        """Waits until the console of a controller has all that its kernel's log has."""
        mark = f"yoke-lab: settled {secrets.token_hex(8)}"
        console = self.console(node)
        with contextlib.suppress(ControllerGone):
            self.exec(node, ["sh", "-c", f"echo '{mark}' > /dev/kmsg"], check=True, timeout=60)
            wait_for(f"the console of {self.config().called(node)}", lambda: mark.encode() in console.read_bytes(), 60)

    def _last_words(self, node: str) -> str:
        """What the console of a controller said last."""
        try:
            text = self.console(node).read_text(encoding="utf-8", errors="replace")
        except (OSError, LabError) as error:
            return f"its console cannot be read: {error}"
        lines = [line for line in text.splitlines() if line.strip()]
        return "\n  ".join(["its console said last:", *lines[-LAST_LINES:]]) if lines else "its console is empty"

    def disk_device(self, index: int = 0) -> str:
        """The shared disk's device in every controller."""
        return f"/dev/disk/by-id/virtio-{qemu.disk_serial(index)}"

    def _ask(self, verb: str, **words: object) -> Any:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(scaled(60))
            try:
                connection.connect(str(self.paths.supervisor_socket))
                connection.sendall(json.dumps({"verb": verb, **words}).encode() + b"\n")
                with connection.makefile("rb") as lines:
                    line = lines.readline()
            except (FileNotFoundError, ConnectionRefusedError):
                raise LabError(f"lab {self.name!r} is not up", "lab up") from None
            except (ConnectionResetError, BrokenPipeError):
                raise LabError(f"lab {self.name!r} ended while it was asked") from None
            except TimeoutError:
                raise LabError(
                    f"the supervisor of lab {self.name!r} does not answer", f"read {self.paths.root}/supervisor.log"
                ) from None
        if not line:
            raise LabError(f"lab {self.name!r} ended while it was asked")
        answer = json.loads(line)
        if not answer["ok"]:
            raise LabError(answer["error"], answer["hint"])
        return answer["result"]


__all__ = ["ControllerGone", "Finished", "Lab", "LabConfig", "LabError"]
