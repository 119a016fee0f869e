# SPDX-License-Identifier: GPL-2.0
"""One run: a lab of its own, everything set up once, then rounds in which each device has its turn.

The machine is shared and noisy. Every round measures every device, so that a slow minute slows them all, and the report
has medians.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from yoke_lab.default import default_config
from yoke_lab.errors import LabError
from yoke_lab.lab import Lab

from . import network, volume, window
from .controller import Controller, NtbDevices
from .drbd import DATA, DEVICE, Drbd
from .fio import AREA_MIB, SYNC_4K, WORKLOADS, Workload
from .report import Rounds, Sample

BRD = "/dev/ram0"
# The first is for DRBD's network and for ntb_perf, the others are yoke's.
PEER_LINK = "peer"
YOKE_LINKS = ["ntb0", "ntb1"]
DISK_BYTES = 512 << 20

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int = 3
    seconds: float = 3.0
    window_loads: int = 7


class Bench:
    """A lab that is up, and what is measured in it."""

    def __init__(self, lab: Lab, plan: Plan, progress: Progress) -> None:
        self.plan = plan
        self.progress = progress
        self.rounds = Rounds()
        self.nodes = (Controller(lab, "a"), Controller(lab, "b"))
        hardware = volume.need_hardware()
        self.devices = (NtbDevices(self.nodes[0], hardware), NtbDevices(self.nodes[1], hardware))

    def prepare(self) -> None:
        """RAM disks and NTB devices on both controllers."""
        for node, side in zip(self.nodes, self.devices, strict=True):
            # Three disks: plain, DRBD's data, DRBD's metadata. Blocks of memory come with the first write: write all.
            node.modprobe("brd", "rd_nr=3", f"rd_size={(AREA_MIB + 32) << 10}")
            for disk in (BRD, DATA):
                node.fill(disk, AREA_MIB)
            side.load()

    def windows(self) -> None:
        """The raw copy, load after load."""
        for load in range(self.plan.window_loads):
            speed = window.measure(self.devices, PEER_LINK)
            self.rounds.windows_mib_s.append(speed)
            self.progress(f"window, load {load + 1} of {self.plan.window_loads}: {speed:.0f} MiB/s")

    def measure(self, number: int, device: str, path: str, workloads: tuple[Workload, ...] = WORKLOADS) -> None:
        """Every workload once on one device."""
        for workload in workloads:
            result = self.nodes[0].fio(workload, path, self.plan.seconds)
            self.rounds.samples.append(Sample(number, device, workload.name, result))
            self.progress(
                f"round {number}, {device}, {workload.name}: p50 {result.p50_us:.0f} us, "
                f"{result.iops:.0f} IOPS, {result.mib_s:.1f} MiB/s"
            )

    def all_rounds(self, parts: volume.Parts | None) -> None:
        """Sets the peers and, with `parts`, yoke up, and gives each its turns."""
        transports = [network.virtio(self.nodes), network.over_ntb(self.devices, PEER_LINK)]
        drbd = Drbd(*self.nodes)
        drbd.up(transports[0])
        mirrored = None
        if parts is not None:
            self.progress("setting the yoke volume up")
            yoke = volume.Volume(self.devices, YOKE_LINKS, parts)
            mirrored = yoke.up()
            self.nodes[0].fill(mirrored, AREA_MIB)
        for number in range(1, self.plan.rounds + 1):
            self.measure(number, "brd", BRD)
            if mirrored is not None:
                self.measure(number, "yoke mirrored", mirrored)
                if not yoke.is_mirrored():
                    raise LabError(
                        "the volume lost its mirror while it was measured: these figures would not count",
                        "read `lab logs a`",
                    )
            for transport in transports:
                drbd.connect(transport)
                self.measure(number, f"drbd over {transport.name}", DEVICE)
                drbd.check()
        drbd.down()
        if mirrored is not None:
            self.progress("killing controller b: yoke alone")
            solo = yoke.go_solo()
            for number in range(1, self.plan.rounds + 1):
                self.measure(number, "yoke solo", solo, (SYNC_4K,))


@contextlib.contextmanager
def lab_up(name: str, progress: Progress) -> Iterator[Lab]:
    """A lab that is taken down whatever happens, the death of this process included."""
    config = default_config(name)
    config.links = [PEER_LINK, *YOKE_LINKS]
    config.disk_bytes = [DISK_BYTES]
    config.tied_to = os.getpid()
    with disk_directory() as directory:
        config.disk_dir = directory
        lab = Lab(name)
        lab.up(config, progress)
        try:
            yield lab
        finally:
            progress("taking the lab down")
            lab.down()


@contextlib.contextmanager
def disk_directory() -> Iterator[str | None]:
    """A directory in memory for the shared disk, since the others stand on RAM disks; None if memory is short."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < 2 * DISK_BYTES:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="yoke-bench-", dir=memory) as directory:
        yield directory


def run(plan: Plan, peers_only: bool, name: str, progress: Progress) -> tuple[Rounds, float]:
    """Everything; the samples and how long it took in seconds."""
    begin = time.monotonic()
    parts = None if peers_only else volume.Parts.find()
    volume.need_hardware()
    with lab_up(name, progress) as lab:
        bench = Bench(lab, plan, progress)
        bench.prepare()
        bench.windows()
        bench.all_rounds(parts)
        return bench.rounds, time.monotonic() - begin
