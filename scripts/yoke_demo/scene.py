# SPDX-License-Identifier: GPL-2.0
"""What all parts of a run share: the plan, what is left to chance, the appliance with its volumes, and the report."""

from __future__ import annotations

import dataclasses
import random
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yoke_lab.appliance import MIRROR_SECONDS, Appliance, Beats, Node
from yoke_lab.initiator import Initiator
from yoke_lab.shelf import Shelf
from yoke_lab.timing import factor

from .preflight import Needs
from .story import Story

FILE_VOLUME, TORTURE_VOLUME = "vol0", "vol1"
# Sparse, and written to as far as the run gets.
DISKS = {FILE_VOLUME: 2 << 30, TORTURE_VOLUME: 128 << 20}
MOUNT = "/mnt/vol0"
# The torture writer's range, in blocks; the probe's write goes to the block behind it.
TORTURE_BLOCKS = 4096
# What is left to chance: the cut comes within so many acknowledged writes, the kill within so many seconds, once
# enough was written before each.
CUT_WITHIN_WRITES = 1000
KILL_WITHIN_S = 3.0
# Of disks that stand in the host, where a machine's commands end with it. On a shelf it is yoke's own, which no disk there needs.
T_IO_MS = 200
# The right to answer without another look at the partner; a takeover waits for it.
LINK_LEASE_MS = 50
LINK_LEASE_EMULATED_MS = 300
# The right of an owner without a partner. No takeover from a mirrored one waits for it.
DISK_LEASE_MS = 1000
DISK_LEASE_EMULATED_MS = 4000


@dataclass(frozen=True)
class Plan:
    """What a run is made of; the seed decides the rest."""

    seed: int
    # Torture writes in flight at once.
    depth: int
    # The disks stand in a machine of their own, and have reservations.
    shelf: bool
    # The machines boot as virtme-ng boots them.
    vng: bool
    needs: Needs
    # Where its report, records and logs go.
    output: Path


class Choices:
    """What is left to chance, all of it by the seed."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.cut_after_writes = chance.randrange(CUT_WITHIN_WRITES)
        self.kill_after_s = chance.uniform(0, KILL_WITHIN_S)
        self.torture_seed = chance.getrandbits(60)


class Scene:
    """A run while it goes on; `report` and `problems` fill up on the way."""

    def __init__(self, plan: Plan, appliance: Appliance, story: Story) -> None:
        self.plan, self.story = plan, story
        self.appliance, self.lab = appliance, appliance.lab
        self.a, self.b = appliance.a, appliance.b
        self.choices = Choices(plan.seed)
        self.beats = self._beats()
        self.report: dict[str, Any] = {}
        self.problems: list[str] = []
        # The chain of records of the torture volume, oldest first.
        self.records: list[Path] = []
        self._disks: dict[tuple[str, str], str] = {}

    def _beats(self) -> Beats:
        """How soon a dead partner is noticed."""
        usual = Beats.of(self.lab)
        return dataclasses.replace(usual, missed=min(1000, round(usual.missed * self.stretch)))

    @property
    def stretch(self) -> float:
        """By how much an emulated controller's times are longer than on an idle host."""
        return 1.0 if self.lab.config().accelerator == "kvm" else self.plan.needs.busy

    def attach(self, node: Node) -> None:
        """Connects a controller that has booted to its disks."""
        if self.plan.shelf:
            Initiator(self.lab, node.name).attach(Shelf(self.lab))

    def disk(self, index: int) -> str:
        """A shared disk, as a controller sees it."""
        return f"/dev/shelf/shelf0-{index}" if self.plan.shelf else self.lab.disk_device(index)

    def set_up(self) -> None:
        """Modules, links, volumes on both controllers, owned by a and mirrored."""
        if self.plan.shelf:
            with self.story.step("shelf", "offering the disks to both, with reservations"):
                Shelf(self.lab).serve()
                for node in self.appliance:
                    self.attach(node)
        with self.story.step("links", "loading yoke on both, joining them by two links"):
            for node in self.appliance:
                node.load()
                node.configure(self.beats)
            for node in self.appliance:
                node.wait_session()
        doing = f"making {FILE_VOLUME} and {TORTURE_VOLUME} on the shared disks, home: controller a"
        with self.story.step("volumes", doing):
            for index, name in enumerate(DISKS):
                self.a.yokectl("volume", "create", name, "--device", self.disk(index))
            for node in self.appliance:
                self.open_volumes(node)
            self.wait_all(self.a, "mirrored")
            if self.plan.shelf:
                self.wait_reserved()
        self.story.tell("a owns both volumes; every acknowledged write is in two memories")

    def open_volumes(self, node: Node) -> None:
        """Opens both on a controller. An emulated one stands still now and then, so its leases are longer."""
        kvm = self.lab.config().accelerator == "kvm"
        lease, alone = (LINK_LEASE_MS, DISK_LEASE_MS) if kvm else (LINK_LEASE_EMULATED_MS, DISK_LEASE_EMULATED_MS)
        self.report["link_lease_ms"] = lease = round(lease * max(1.0, factor()) * self.stretch)
        words = ["--home", "0", "--link-lease-ms", str(lease), "--disk-lease-ms", str(alone)]
        words += [] if self.plan.shelf else ["--t-io-ms", str(T_IO_MS)]
        ctl = str(self.plan.needs.parts.yokectl)
        opens = [
            shlex.join([ctl, "volume", "open", name, "--device", self.disk(index), *words])
            for index, name in enumerate(DISKS)
        ]
        node.sh("; ".join(opens))
        for name in DISKS:
            self._disks[node.name, name] = node.disk_of(name)

    def wait_reserved(self) -> None:
        """Waits until a survivor of a's death would write as soon as the disks have ended what a had under way."""
        places = [f"{self.sysfs(self.b, name)}/takeover_writes" for name in DISKS]
        all_so = " && ".join(f"grep -q '^at once' {place}" for place in places)
        self.b.wait("the reservations", f"{{ {all_so}; }}", MIRROR_SECONDS, say=f"cat {' '.join(places)}")

    def wait_all(self, node: Node, state: str) -> None:
        """Waits until all volumes are in a state on a controller."""
        places = [f"{self.sysfs(node, name)}/state" for name in DISKS]
        all_so = " && ".join(f'[ "$(cat {place})" = {state} ]' for place in places)
        node.wait(f"all volumes {state}", f"{{ {all_so}; }}", MIRROR_SECONDS, say=f"cat {' '.join(places)}")

    def wait_unused(self, node: Node, volume: str) -> None:
        """Waits until no process has a volume open any more: what was killed ends when its I/O does."""
        users = f"ls -l /proc/[0-9]*/fd 2>/dev/null | grep -E '^/proc|{self.device(node, volume)}$' | grep -B1 -e '->'"
        free = f'[ -z "$({users})" ]'
        node.wait(
            f"the end of all users of {volume}", free, say=f"{users}; cat /proc/[0-9]*/task/*/stack | grep -A3 yoke"
        )

    def device(self, node: Node, volume: str) -> str:
        """/dev/yokeN of an open volume."""
        return f"/dev/{self._disks[node.name, volume]}"

    def sysfs(self, node: Node, volume: str) -> str:
        """/sys/block/yokeN/yoke of an open volume."""
        return f"/sys/block/{self._disks[node.name, volume]}/yoke"

    def torture_words(self, node: Node, *more: str) -> list[str]:
        """The torture writer's command, its record to standard output. Its threads leave the one CPU to others."""
        return [
            "nice", "-n", "10", str(self.plan.needs.torture), "write", "--device", self.device(node, TORTURE_VOLUME), "--record", "-",
            "--blocks", str(TORTURE_BLOCKS), "--depth", str(self.plan.depth), "--flush-every", "500",
            "--read-check", "0.02", "--seed", str(self.choices.torture_seed), *more,
        ]  # fmt: skip

    def look_for_errors(self, node: Node) -> None:
        """Adds the I/O errors that a controller's kernel complained of, or that its yoke counted, to the report."""
        log = node.run("dmesg | grep -E 'I/O error|EXT4-fs (error|warning)|Remounting filesystem read-only'").text
        counts = [self.stat(node, name, "io_errors") for name in DISKS]
        self.report["io_errors"] = self.report.get("io_errors", 0) + sum(counts) + len(log.splitlines())
        if log:
            self.problems.append(f"controller {node.name}: {log.splitlines()[0]}")

    def stat(self, node: Node, volume: str, counter: str) -> int:
        """A counter of yoke's for an open volume, since it was opened."""
        return int(node.sh(f"sed -n 's/^{counter} //p' {self.sysfs(node, volume)}/stats"))

    def blocks(self, node: Node, volume: str) -> int:
        """The size of an open volume, in blocks of 4 KiB."""
        return int(node.sh(f"cat /sys/block/{self._disks[node.name, volume]}/size")) // 8
