# SPDX-License-Identifier: GPL-2.0
"""What the demo needs, looked for before anything is started: what is missing is said plainly, all of it at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from yoke_lab.appliance import Parts
from yoke_lab.config import LabConfig
from yoke_lab.default import default_config
from yoke_lab.errors import LabError
from yoke_lab.host_tools import build

from .story import Story
from .tree import Tree, pack

T = TypeVar("T")

# What runs in the controllers, which see this file system: where Debian has it, and the package.
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mkfs.ext4": "e2fsprogs",
    "fsck.ext4": "e2fsprogs",
    "modprobe": "kmod",
    "insmod": "kmod",
    "mount": "mount",
    "sha256sum": "coreutils",
    "python3": "python3",
}
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DISK_FREE = 2 << 30
MEMORY_FREE = 2 << 30
BUSY_MAX = 4.0


@dataclass(frozen=True)
class Needs:
    """What all runs use: made once, so that nothing changes under them."""

    tree: Tree
    torture: Path
    parts: Parts
    lab: LabConfig
    # Processes that want a CPU for each that there is, 1 to BUSY_MAX: emulated controllers stand still that much longer.
    busy: float


def check(own: Path | None, name: str, story: Story, patience: float | None = None) -> Needs:
    """All of it. LabError that lists everything that is missing."""
    missing: list[str] = []
    hints: list[str] = []
    # Before what is built here adds to it.
    busy = patience or busy_factor(story)

    def attempt(step: str, doing: str, make: Callable[[], T]) -> T | None:
        try:
            with story.step(step, doing):
                return make()
        except LabError as error:
            missing.append(str(error))
            hints.append(error.hint)
            return None

    for program, package in PROGRAMS.items():
        if not shutil.which(program, path=PATHS) and not shutil.which(program):
            missing.append(f"the program {program} (Debian package {package})")
            hints.append("make bootstrap")
    if (free := shutil.disk_usage("/var/tmp").free) < DISK_FREE:
        missing.append(f"room in /var/tmp for the shared disks: {free >> 20} of {DISK_FREE >> 20} MiB")
    if (memory := _memory_available()) < MEMORY_FREE:
        missing.append(f"memory for two machines: {memory >> 20} of {MEMORY_FREE >> 20} MiB")
    lab = attempt(
        "lab", "looking for the kernel and the lab's tools, building what has changed", lambda: default_config(name)
    )
    parts = attempt("parts", "looking for yoke's modules and yokectl", Parts.find)
    torture = attempt("torture", "looking for the torture writer", lambda: build("yoke-torture")[0])
    tree = attempt("tree", "looking for real files", lambda: pack(own))
    if missing or lab is None or parts is None or torture is None or tree is None:
        hint = "; ".join(dict.fromkeys(hint for hint in hints if hint))
        raise LabError("the demo cannot start; missing: " + "; ".join(missing), hint)
    return Needs(tree, torture, parts, lab, busy)


def busy_factor(story: Story) -> float:
    """`Needs.busy`, and a word about it."""
    # What comes in bursts is seen in the longer of the two.
    load, cpus = max(os.getloadavg()[:2]), os.cpu_count() or 1
    busy = min(max(load / cpus, 1.0), BUSY_MAX)
    if busy > 1:
        story.tell(
            f"this machine is busy (load {load:.1f} on {cpus} CPUs): all times are those of a busy machine, and a controller "
            f"counts as dead after {busy:.1f} times the usual silence"
        )
    return busy


def _memory_available() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return MEMORY_FREE
