# SPDX-License-Identifier: GPL-2.0
"""yoke on the controllers of a lab: modules, identity, links, volumes, and what sysfs says of them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .config import modules_dir, wants_debug
from .errors import LabError
from .host_tools import build
from .lab import Finished, Lab
from .timing import factor, scaled

APPLIANCE = "6a3e5f0e-52b1-4a7e-9c1d-be5c00000002"
# In the order in which they are loaded.
MODULES = ("ntb_hw_ivshmem", "yoke", "yoke_ntb")
CONFIG = "/sys/kernel/config/yoke"
LINK_CLASS = "/sys/class/yoke_link"
PEER_CLASS = "/sys/class/yoke_peer"
# What yokectl exits with when all was done and something is degraded.
DEGRADED_STATUS = 3
SESSION_SECONDS = 30.0
MIRROR_SECONDS = 60.0


@dataclass(frozen=True)
class Beats:
    """How soon a dead link is noticed."""

    interval_us: int
    missed: int

    @classmethod
    def of(cls, lab: Lab) -> Beats:
        """For a lab's accelerator: an emulated controller stands still for longer, on a busy host much longer."""
        interval, missed = (10_000, 5) if lab.config().accelerator == "kvm" else (20_000, 20)
        return cls(interval, min(1000, max(5, round(missed * factor()))))

    @property
    def silence_ms(self) -> float:
        """Silence of this length is taken for a death."""
        return self.interval_us * self.missed / 1000


@dataclass(frozen=True)
class Parts:
    """The files that yoke consists of. YOKE_MODULES names another directory of modules (docs/testing.md)."""

    modules: tuple[Path, ...]
    yokectl: Path

    @classmethod
    def find(cls) -> Parts:
        """LabError that names what is not built."""
        directory = modules_dir()
        modules = tuple(directory / f"{name}.ko" for name in MODULES)
        missing = [str(path) for path in modules if not path.is_file()]
        if missing:
            debug = " DEBUG=1" if wants_debug() else ""
            raise LabError(f"not built: {', '.join(missing)}", f"make modules{debug}")
        return cls(modules, build("yokectl")[0])


class Node:
    """One controller with yoke on it."""

    def __init__(self, lab: Lab, name: str, parts: Parts) -> None:
        self.lab = lab
        self.name = name
        self.number = lab.config().node_number(name)
        self.parts = parts

    # ---- commands ----

    def run(self, script: str, *, timeout: float = 60, stdin: bytes = b"") -> Finished:
        """A line of shell to its end, whatever its status."""
        return self.lab.exec(self.name, ["bash", "-c", script], timeout=timeout, stdin=stdin)

    def sh(self, script: str, *, timeout: float = 60, stdin: bytes = b"") -> str:
        """A line of shell that has to succeed; its output."""
        done = self.run(f"set -eu; {script}", timeout=timeout, stdin=stdin)
        if done.code != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise LabError(f"controller {self.name}: `{script}` exits {done.code}: {said}", f"lab logs {self.name}")
        return done.text

    def wait(self, what: str, condition: str, seconds: float = 30, *, say: str = "") -> None:
        """Waits until a shell condition holds; `say` is a line of shell whose output tells why it does not."""
        limit = round(scaled(seconds))
        script = f"end=$((SECONDS + {limit})); until {condition}; do ((SECONDS < end)) || exit 1; sleep 0.02; done"
        if self.run(script, timeout=seconds + 15).code != 0:
            why = self.run(say).text if say else ""
            hint = f"lab logs {self.name}"
            raise LabError(
                f"controller {self.name}: {what} did not happen in {limit} s{': ' if why else ''}{why}", hint
            )

    def yokectl(self, *words: str, timeout: float = 60) -> str:
        """yokectl that has to succeed; its output."""
        return self.sh(shlex.join([str(self.parts.yokectl), *words]), timeout=timeout)

    def ask(self, *words: str) -> Any:
        """What yokectl says as JSON, degraded or not."""
        command = [str(self.parts.yokectl), "--json", *words]
        done = self.lab.exec(self.name, command, timeout=30)
        if done.code not in (0, DEGRADED_STATUS):
            said = (done.stdout + done.stderr).decode(errors="replace").strip()
            raise LabError(f"controller {self.name}: {shlex.join(words)} exits {done.code}: {said}")
        return json.loads(done.stdout)

    def dmesg(self, mark: str = "") -> str:
        """The kernel's log, from the last line with `mark` on."""
        return self.run("dmesg").text.rpartition(mark)[2] if mark else self.run("dmesg").text

    # ---- modules and links ----

    def load(self) -> None:
        """Loads the modules that are not loaded."""
        steps = ["modprobe ntb"]
        steps += [f"[ -d /sys/module/{path.stem} ] || insmod {shlex.quote(str(path))}" for path in self.parts.modules]
        self.sh("; ".join(steps))

    def leaks(self) -> str:
        """What the kernel has allocated since its boot and nothing refers to any more.

        LabError where kmemleak cannot tell: only the debug kernel has it, and it ends for good when it runs out of room.
        """
        leak, mount = "/sys/kernel/debug/kmemleak", "mount -t debugfs none /sys/kernel/debug"
        self.sh(f"[ -e {leak} ] || {mount}; [ -e {leak} ]")
        # It looks at nothing that is younger than 5 s, by the kernel's clock, and a first look is often mistaken. A write
        # fails when it has ended.
        return self.sh(f"for look in 1 2; do sleep 6; echo scan > {leak}; done; cat {leak}", timeout=120)

    def has_link(self, name: str) -> bool:
        """Whether a link of this name is enabled."""
        return self.run(f"[ -e {LINK_CLASS}/{name} ]").code == 0

    def unload(self) -> None:
        """Removes the links and all modules, last loaded first."""
        names = " ".join(reversed(MODULES))
        self.sh(f"for l in {CONFIG}/links/*/; do [ ! -d $l ] || rmdir $l; done; for m in {names}; do rmmod $m; done")

    def device(self, link: str) -> str:
        """A link's name in /sys/bus/ntb/devices: the lab puts link N at this place on the bus."""
        return f"0000:00:{0x10 + self.lab.config().links.index(link):02x}.0"

    def configure(self, beats: Beats | None = None, links: Sequence[str] | None = None) -> None:
        """Says who this controller is and adds links, by default all of the lab."""
        ctl, beats = shlex.quote(str(self.parts.yokectl)), beats or Beats.of(self.lab)
        who = f"{ctl} node --appliance {APPLIANCE} --node {self.number}"
        steps = [f"{who} --beat-interval-us {beats.interval_us} --beats-missed {beats.missed}"]
        for link in self.lab.config().links if links is None else links:
            steps.append(f"{ctl} link add {link} --device {self.device(link)}")
        self.sh(" && ".join(steps))

    def complete(self, beats: Beats | None = None) -> None:
        """Boots it, loads what is not loaded, and adds the links that are missing, whatever there is of all that."""
        status = self.lab.node_status(self.name)
        if status["state"] == "paused":
            self.lab.resume(self.name)
        elif status["state"] == "panicked" and status["pid"] is not None:
            self.lab.kill(self.name)
        if self.lab.node_status(self.name)["pid"] is None:
            self.lab.start(self.name)
        self.load()
        missing = [link for link in self.lab.config().links if not self.has_link(link)]
        if missing == self.lab.config().links:
            self.configure(beats)
        else:
            for link in missing:
                self.yokectl("link", "add", link, "--device", self.device(link))

    def link(self, name: str, file: str) -> str:
        """A value of /sys/class/yoke_link/NAME/."""
        return self.sh(f"cat {LINK_CLASS}/{name}/{file}")

    def wait_link(self, name: str, state: str, seconds: float = SESSION_SECONDS) -> None:
        place = f"{LINK_CLASS}/{name}"
        condition = f'[ "$(cat {place}/state)" = {state} ]'
        self.wait(f"link {name} {state}", condition, seconds, say=f"cat {place}/state {place}/reason")

    def peer(self, file: str) -> str:
        """A value of the peer's directory in sysfs; empty before the first session."""
        return self.run(f"cat {PEER_CLASS}/{1 - self.number}/{file}").text

    def wait_session(self, links: int | None = None, seconds: float = SESSION_SECONDS) -> None:
        """Waits until the session is ready over so many links, by default all."""
        count = len(self.lab.config().links) if links is None else links
        place = f"{PEER_CLASS}/{1 - self.number}"
        condition = f'[ "$(cat {place}/state {place}/links_up 2>&1 | tr "\\n" " ")" = "ready {count} " ]'
        self.wait(f"a session over {count} links", condition, seconds, say=f"cat {place}/* {LINK_CLASS}/*/reason 2>&1")

    # ---- volumes ----

    def open_volume(
        self,
        name: str,
        device: str | None = None,
        *words: str,
        slots: int = 512,
        lease_ms: float | None = None,
        t_io_ms: int = 200,
        handover_ms: int | None = None,
    ) -> None:
        """Opens a volume, by default on the lab's first disk; `words` go to yokectl as they are.

        Unless it is said, the link lease is longer than on hardware: an emulated controller stands still for longer. So is
        the time after which an owner gives its disk up.
        """
        lease = round(Beats.of(self.lab).silence_ms * 2 if lease_ms is None else lease_ms)
        place = ["--device", device or self.lab.disk_device()]
        handover = round(scaled(3) * 1000) if handover_ms is None else handover_ms
        times = ["--t-io-ms", str(t_io_ms), "--link-lease-ms", str(lease), "--handover-ms", str(handover)]
        self.yokectl("volume", "open", name, *place, "--slots", str(slots), *times, *words)

    def disk_of(self, volume: str) -> str:
        """`yokeN` of an open volume, which has none for a moment when it dies under somebody (docs/openers.md)."""
        find = f"f=$(grep -lx {volume} /sys/block/yoke*/yoke/name 2> /dev/null)"
        wait = f"end=$((SECONDS + {round(scaled(5))})); until {find}; do ((SECONDS < end)) || exit 1; sleep 0.02; done"
        return self.sh(f"{wait}; dirname $(dirname $f)").rsplit("/", 1)[-1]

    def has_volume(self, name: str) -> bool:
        """Whether a volume of this name is open here."""
        return self.run(f"grep -qsx {name} /sys/block/yoke*/yoke/name").code == 0

    def volume(self, name: str) -> dict[str, Any]:
        """An open volume as yokectl shows it."""
        for volume in self.ask("volume", "list"):
            if volume["name"] == name:
                return dict(volume)
        raise LabError(f"controller {self.name}: volume {name} is not open")

    def wait_volume(self, name: str, states: str, seconds: float = MIRROR_SECONDS) -> None:
        """Waits until the state of an open volume is one of those (blank-separated)."""
        place = f"/sys/block/{self.disk_of(name)}/yoke"
        condition = f'[[ " {states} " == *" $(cat {place}/state) "* ]]'
        self.wait(f"volume {name} {states}", condition, seconds, say=f"cat {place}/state {place}/reason")


class Appliance:
    """Both controllers."""

    def __init__(self, lab: Lab, parts: Parts | None = None) -> None:
        self.lab = lab
        self.parts = parts or Parts.find()
        self.a, self.b = (Node(lab, name, self.parts) for name in lab.config().nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter((self.a, self.b))

    def partner(self, node: Node) -> Node:
        return self.b if node is self.a else self.a

    def up(self) -> None:
        """Modules, links and a session."""
        for node in self:
            node.load()
            node.configure()
        for node in self:
            node.wait_session()

    def restore(self, beats: Beats | None = None) -> None:
        """Whatever happened before: links whole, both controllers alive with yoke, and a session over all links."""
        for link in self.lab.status()["links"]:
            if link["state"] != "whole":
                self.lab.mend(link["name"])
        for node in self:
            node.complete(beats)
        for node in self:
            node.wait_session()

    def restore_volume(self, name: str, open_at: Callable[[Node], None], beats: Beats | None = None) -> Node:
        """As `restore`, and the volume is open at both (`open_at` opens it) and mirrored; its owner."""
        self.restore(beats)
        for node in self:
            if not node.has_volume(name):
                open_at(node)
        for node in self:
            node.wait_volume(name, "mirrored standby")
        owner = self.b if self.b.volume(name)["role"] == "owner" else self.a
        owner.wait_volume(name, "mirrored")
        return owner

    def give(self, name: str, owner: Node) -> None:
        """Makes this controller the owner of a mirrored volume that is open at both, if it is not."""
        if owner.volume(name)["role"] != "owner":
            self.partner(owner).yokectl("giveback", name)
        owner.wait_volume(name, "mirrored")

    def splats(self) -> list[str]:
        """What the kernels complained of, in every boot of the lab."""
        return self.lab.splats()


__all__ = ["APPLIANCE", "CONFIG", "Appliance", "Beats", "Node", "Parts"]
