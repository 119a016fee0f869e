# SPDX-License-Identifier: GPL-2.0
"""Whether a takeover takes longer when the dead owner's log is full: from its death to the survivor's first read.

A lab of its own, with one link whose window is large enough for the largest log. The owner's path to the disk fails what it
writes of its log (dm-flakey), so that the log stays as full as it was made; the survivor's path is sound.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterator

from yoke_demo.probe import Probe
from yoke_lab.appliance import MIRROR_SECONDS, Appliance, Node
from yoke_lab.brittle import Brittle
from yoke_lab.default import default_config
from yoke_lab.errors import LabError
from yoke_lab.lab import Lab

from .targets import Target

NAME = "logs"
BRITTLE = "own-path"
# The last one: as many as a window holds, which is counted up to 64 MiB (docs/bridges.md).
SLOTS = (512, 4096, 16000)
# Of the slots, as many are filled: some are on their way to be free.
FULL = 0.98
FULL_OVER_EMPTY = 1.2
# What is compared of what was written: the emulated processor takes its time.
COMPARED_MIB = 16

Progress = Callable[[str], None]


class Logs:
    """A volume, and its owner's deaths."""

    def __init__(self, lab: Lab, progress: Progress) -> None:
        self.lab = lab
        self.progress = progress
        self.appliance = Appliance(lab)
        self.a, self.b = self.appliance.a, self.appliance.b
        self.brittle: Brittle | None = None

    def up(self) -> None:
        self.appliance.up()

    def create(self, slots: int) -> None:
        """A volume with a log of this size, in the place of the last one."""
        for node in self.appliance:
            if node.has_volume(NAME):
                node.yokectl("volume", "close", NAME)
        self.b.yokectl("volume", "create", NAME, "--device", self.lab.disk_device(), "--force")
        self._ready(slots)

    def _open(self, node: Node, slots: int) -> None:
        device = self.lab.disk_device()
        if node is self.a:
            if node.run(f"[ -e /dev/mapper/{BRITTLE} ]").code != 0:
                self.brittle = Brittle(node, BRITTLE, device)
            device = f"/dev/mapper/{BRITTLE}"
        node.open_volume(NAME, device, "--home", "0", slots=slots, handover_ms=0)

    def _ready(self, slots: int) -> None:
        """a owns the volume, mirrored, with nothing in its log."""
        self.appliance.restore_volume(NAME, lambda node: self._open(node, slots))
        self.appliance.give(NAME, self.a)
        place = f"/sys/block/{self.a.disk_of(NAME)}/yoke"
        self.a.wait("an empty log", f"grep -qx 0 {place}/dirty_blocks", MIRROR_SECONDS, say=f"cat {place}/dirty_blocks")

    def _fill(self, slots: int) -> None:
        """The log is full of blocks that cannot be written down."""
        if self.brittle is None:
            raise LabError("the owner's path is not made to fail")
        self.brittle.fail_writes()
        # A part of a block at the end would go through the cache, and be flushed: that fails.
        count = int(slots * FULL) // 4
        disk = f"/dev/{self.a.disk_of(NAME)}"
        self.a.sh(
            f"dd if=/dev/urandom of={disk} bs=16k count={count} oflag=direct iflag=fullblock status=none", timeout=300
        )
        dirty = int(self.a.volume(NAME)["dirty_blocks"])
        if dirty < slots * FULL * 0.99:
            raise LabError(f"only {dirty} of {slots} slots are dirty")

    def _content(self, node: Node) -> str:
        disk = f"/dev/{node.disk_of(NAME)}"
        return node.sh(f"dd if={disk} bs=1M count={COMPARED_MIB} iflag=direct status=none | sha256sum", timeout=120)

    def death(self, slots: int, full: bool) -> float:
        """Milliseconds from the owner's death to the survivor's first read."""
        if full:
            self._fill(slots)
        before = self._content(self.a)
        probe = Probe(self.b, {NAME: f"/dev/{self.b.disk_of(NAME)}"}, 60)
        try:
            begun = time.monotonic()
            self.lab.kill("a")
            probe.wait(60)
        finally:
            probe.close()
        (read,) = probe.first("read")
        adopted = int(self.b.volume(NAME)["adopted_blocks"])
        if self._content(self.b) != before:
            raise LabError("data was lost while takeovers were measured", "lab logs b")
        if adopted < slots * FULL * 0.99 if full else adopted > 0:
            raise LabError(f"the survivor adopted {adopted} of {slots} slots: not what was to be measured")
        waited = (read.arrived - begun) * 1000
        self.progress(f"owner killed, {adopted} of {slots} slots in use: first read after {waited:.0f} ms")
        self._ready(slots)
        return waited


@contextlib.contextmanager
def _lab(name: str, progress: Progress) -> Iterator[Lab]:
    """A lab that is taken down whatever happens."""
    config = default_config(name)
    config.links, config.link_bytes = ["ntb0"], 256 << 20
    config.disk_bytes = [512 << 20]
    config.tied_to = os.getpid()
    lab = Lab(name)
    lab.up(config, progress)
    try:
        yield lab
    finally:
        lab.down()


def run(rounds: int, name: str, progress: Progress) -> list[Target]:
    """All sizes, empty and full in turn; a row for each size."""
    if rounds == 0:
        return []
    progress("full logs: booting two controllers")
    rows = []
    with _lab(name, progress) as lab:
        logs = Logs(lab, progress)
        logs.up()
        for slots in SLOTS:
            logs.create(slots)
            pairs = [(logs.death(slots, False), logs.death(slots, True)) for _ in range(rounds)]
            usual = statistics.median(empty for empty, _ in pairs)
            ratios = [full / usual for _, full in pairs]
            rows.append(Target.of(f"first_read_full_over_empty_log_{slots}", ratios, FULL_OVER_EMPTY))
    return rows
