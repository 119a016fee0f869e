# SPDX-License-Identifier: GPL-2.0
"""What a takeover costs where the disks have reservations, beside what it cannot be shorter than.

A lab of its own: the controllers reach the disk in a third machine by NVMe over TCP. All settings are yoke's own, but for
heartbeats and link lease, which emulated machines need longer.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from yoke_demo.probe import Probe
from yoke_lab.appliance import MIRROR_SECONDS, Appliance, Beats, Node
from yoke_lab.default import default_config
from yoke_lab.errors import LabError
from yoke_lab.host_tools import build
from yoke_lab.initiator import Initiator
from yoke_lab.lab import Lab
from yoke_lab.shelf import Shelf
from yoke_lab.torture import verify, writing

from .targets import Target

NAME = "bench"
BLOCKS = 4096
# Acknowledged before a controller dies, or loses its disk.
ACKED_MIN = 1000
# The target hears of the death of a controller by its silence alone, and ends what it has begun to receive only then.
KEEP_ALIVE_S = 1
# The targets, in their units.
FIRST_WRITE_RATIO, AFTER_LEASE_MS, HANDOVER_MS = 1.25, 150.0, 2000.0

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Death:
    """Times of one takeover, from the kill of the owner, in milliseconds on the host's clock."""

    detected: float
    first_read: float
    first_write: float


class Takeovers:
    """A volume on a shelf, and what becomes of its owner."""

    def __init__(self, lab: Lab, progress: Progress) -> None:
        self.lab = lab
        self.progress = progress
        self.shelf = Shelf(lab)
        self.appliance = Appliance(lab)
        self.a, self.b = self.appliance.a, self.appliance.b
        self.device = f"/dev/shelf/{self.shelf.name}-0"
        self.lease_ms = round(Beats.of(lab).silence_ms * 0.75)
        self.torture = str(build("yoke-torture")[0])
        self.records = Path(tempfile.mkdtemp(prefix="yoke-bench-"))

    def up(self) -> None:
        """The shelf, both controllers on it, and a volume."""
        self.shelf.serve()
        for node in self.appliance:
            self._attach(node)
        self.appliance.up()
        self.a.yokectl("volume", "create", NAME, "--device", self.device)
        self._ready()

    def _attach(self, node: Node) -> None:
        Initiator(self.lab, node.name, keep_alive_s=KEEP_ALIVE_S).attach(self.shelf)

    def _open(self, node: Node) -> None:
        lease = ["--link-lease-ms", str(self.lease_ms)]
        node.yokectl("volume", "open", NAME, "--device", self.device, "--home", "0", *lease)

    def _ready(self) -> None:
        """a owns the volume, mirrored, and b would write as soon as the disk has ended what a had under way."""
        owner = self.appliance.restore_volume(NAME, self._open)
        # One that was started again registers when nothing of its last life can land any more.
        self._wait_able(self.appliance.partner(owner), "takeover_possible", "yes")
        self.appliance.give(NAME, self.a)
        self._wait_able(self.b, "takeover_possible", "yes")
        self._wait_able(self.b, "takeover_writes", "at once")

    def _wait_able(self, node: Node, file: str, words: str) -> None:
        place = f"/sys/block/{node.disk_of(NAME)}/yoke"
        node.wait(
            f"{file}: {words}", f"grep -q '^{words}' {place}/{file}", 2 * MIRROR_SECONDS, say=f"cat {place}/{file}"
        )

    @contextlib.contextmanager
    def _under_load(self) -> Iterator[Probe]:
        """a writes, and somebody has been asking b for a read and a write since before; what was acknowledged is there."""
        record = self.records / "record"
        words = [self.torture, "write", "--device", f"/dev/{self.a.disk_of(NAME)}", "--record", "-"]
        words += ["--blocks", str(BLOCKS), "--depth", "8"]
        disk = f"/dev/{self.b.disk_of(NAME)}"
        with writing(self.lab, "a", words, record) as stream:
            stream.wait_for(ACKED_MIN)
            probe = Probe(self.b, {NAME: f"{disk}:{BLOCKS}"}, 60)
            try:
                yield probe
                probe.wait(60)
            finally:
                probe.close()
        code, report = verify(self.lab, "b", self.torture, f"/dev/{self.b.disk_of(NAME)}", record)
        if code != 0:
            raise LabError(f"data was lost while takeovers were measured: {report}", "lab logs b")

    def _times(self, probe: Probe, begun: float) -> Death:
        detected_us = int(self.b.sh(f"cat /sys/block/{self.b.disk_of(NAME)}/yoke/last_takeover").split()[0])
        (read,), (write,) = probe.first("read"), probe.first("write")
        moments = (probe.host_time(detected_us), read.arrived, write.arrived)
        return Death(*(round((moment - begun) * 1000, 1) for moment in moments))

    def death(self) -> Death:
        """The owner's machine dies in mid-write. It is back, and the owner, afterwards."""
        with self._under_load() as probe:
            begun = time.monotonic()
            self.lab.kill("a")
        times = self._times(probe, begun)
        self.progress(
            f"owner killed: noticed after {times.detected:.0f} ms, first read after {times.first_read:.0f} ms, first write "
            f"after {times.first_write:.0f} ms"
        )
        self.lab.start("a")
        self._attach(self.a)
        self._ready()
        return times

    def pathless(self) -> float:
        """The owner's wires to its disk are cut in mid-write, its links are whole. The partner's first write, in milliseconds."""
        wires = Initiator(self.lab, "a").wires(self.shelf)
        with self._under_load() as probe:
            begun = time.monotonic()
            for wire in wires:
                self.lab.cut(wire.name)
        waited = self._times(probe, begun).first_write
        self.progress(f"owner without its disk: the partner's first write after {waited:.0f} ms")
        for wire in wires:
            self.lab.mend(wire.name)
        Initiator(self.lab, "a").wait_paths(self.shelf, 0)
        self.a.wait_volume(NAME, "standby", 2 * MIRROR_SECONDS)
        self._ready()
        return waited


@contextlib.contextmanager
def _lab(name: str, progress: Progress) -> Iterator[Lab]:
    """A lab with a shelf that is taken down whatever happens."""
    config = default_config(name)
    config.links, config.disk_bytes = ["ntb0", "ntb1"], []
    config.shelves, config.shelf_disks = 1, ["nvme:256M"]
    config.tied_to = os.getpid()
    lab = Lab(name)
    lab.up(config, progress)
    try:
        yield lab
    finally:
        lab.down()


def run(rounds: int, name: str, progress: Progress) -> list[Target]:
    """All rounds; a row for each figure."""
    if rounds == 0:
        return []
    progress("takeovers: booting two controllers and a shelf")
    with _lab(name, progress) as lab:
        takeovers = Takeovers(lab, progress)
        takeovers.up()
        deaths = [takeovers.death() for _ in range(rounds)]
        handovers = [takeovers.pathless() for _ in range(rounds)]
        after = [times.first_read - times.detected - takeovers.lease_ms for times in deaths]
    ratios = [times.first_write / times.first_read for times in deaths]
    return [
        Target.of("nvme_first_write_over_first_read", ratios, FIRST_WRITE_RATIO),
        Target.of("first_read_after_detection_and_lease_ms", after, AFTER_LEASE_MS),
        Target.of("pathless_owner_first_write_ms", handovers, HANDOVER_MS),
    ]
