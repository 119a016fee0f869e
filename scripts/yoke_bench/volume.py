# SPDX-License-Identifier: GPL-2.0
"""The yoke volume: from loading the modules to a mirrored, or solo, device.

This is the only part of the benchmark that needs yoke itself. What is missing is said, and nothing is guessed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from yoke_lab.appliance import Beats
from yoke_lab.config import TREE
from yoke_lab.errors import LabError
from yoke_lab.host_tools import build

from .controller import NtbDevices

MODULES = Path(os.environ.get("YOKE_MODULES", TREE / "build" / "modules"))
HARDWARE = MODULES / "ntb_hw_ivshmem.ko"
APPLIANCE = "6a3e5f0e-52b1-4a7e-9c1d-be5c00000001"
NAME = "bench"
# Room for all that the deepest job has under way, and as much again that is being destaged.
SLOTS = 4096


@dataclass(frozen=True)
class Parts:
    """The files that yoke consists of."""

    core: Path
    interconnect: Path
    yokectl: Path

    @classmethod
    def find(cls) -> Parts:
        """LabError that names what is not built."""
        core, interconnect = MODULES / "yoke.ko", MODULES / "yoke_ntb.ko"
        missing = [str(path) for path in (core, interconnect) if not path.is_file()]
        if missing:
            raise LabError(
                f"yoke cannot be measured: {', '.join(missing)} is not built",
                "make modules; or measure the others alone: scripts/bench --peers-only",
            )
        return cls(core, interconnect, build("yokectl")[0])


def need_hardware() -> Path:
    """The emulated NTB's driver, which the peers need too."""
    if not HARDWARE.is_file():
        raise LabError(f"there is no {HARDWARE}: the links cannot be measured", "make modules")
    return HARDWARE


class Volume:
    """One volume on the shared disk, owned by the first controller."""

    def __init__(self, devices: tuple[NtbDevices, NtbDevices], links: list[str], parts: Parts) -> None:
        self.devices = devices
        self.nodes = (devices[0].controller, devices[1].controller)
        self.links = links
        self.parts = parts
        self.disk = self.nodes[0].lab.disk_device()

    def up(self) -> str:
        """Makes the volume and waits until every write is in two memories. The device's path."""
        ctl = str(self.parts.yokectl)
        beats = Beats.of(self.nodes[0].lab)
        pulse = ["--beat-interval-us", str(beats.interval_us), "--beats-missed", str(beats.missed)]
        for number, (node, side) in enumerate(zip(self.nodes, self.devices, strict=True)):
            node.insmod(self.parts.core)
            node.insmod(self.parts.interconnect)
            for link in self.links:
                side.give(link, "yoke_ntb")
            node.run(ctl, "node", "--appliance", APPLIANCE, "--node", str(number), *pulse)
            for link in self.links:
                node.run(ctl, "link", "add", link, "--device", side.device(link))
        self.nodes[0].run(ctl, "volume", "create", NAME, "--device", self.disk, "--force")
        times = ["--link-lease-ms", str(round(beats.silence_ms * 2)), "--t-io-ms", "200"]
        for node in self.nodes:
            node.run(
                ctl, "volume", "open", NAME, "--device", self.disk, "--home", "0", "--slots", str(SLOTS), *times
            )  # fmt: skip
        return self._wait("mirrored")

    def _about(self) -> str:
        """The volume's directory in sysfs."""
        return self.nodes[0].shell(f"dirname $(grep -lx {NAME} /sys/block/yoke*/yoke/name)")

    def _wait(self, state: str) -> str:
        about = self._about()
        try:
            self.nodes[0].wait(f"the volume to be {state}", f"grep -qx {state} {about}/state", 60)
        except LabError as error:
            reason = self.nodes[0].shell(f"cat {about}/state {about}/reason")
            raise LabError(f"{error}; the volume says: {reason}", error.hint) from None
        return f"/dev/{about.split('/')[3]}"

    def go_solo(self) -> str:
        """Kills the second controller and waits until the first is alone and says so."""
        self.nodes[0].lab.kill(self.nodes[1].name)
        return self._wait("solo")

    def is_mirrored(self) -> bool:
        """Whether every acknowledged write is in two memories now."""
        return self.nodes[0].read(f"{self._about()}/mirror") == "yes"
