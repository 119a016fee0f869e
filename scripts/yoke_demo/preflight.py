# SPDX-License-Identifier: GPL-2.0
"""What the demo needs, looked for before anything is started: what is missing is said plainly, all of it at once."""

from __future__ import annotations

import shutil
from pathlib import Path

from yoke_lab.appliance import Parts
from yoke_lab.errors import LabError
from yoke_lab.host_tools import build

from .tree import Tree, pack

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


def check(tree: Path | None) -> tuple[Tree, Path]:
    """The packed tree and the torture writer. LabError that lists everything that is missing."""
    missing: list[str] = []
    hints: list[str] = []
    for program, package in PROGRAMS.items():
        if not shutil.which(program, path=PATHS) and not shutil.which(program):
            missing.append(f"the program {program} (Debian package {package})")
            hints.append("make bootstrap")
    if (free := shutil.disk_usage("/var/tmp").free) < DISK_FREE:
        missing.append(f"room in /var/tmp for the shared disks: {free >> 20} of {DISK_FREE >> 20} MiB")
    if (memory := _memory_available()) < MEMORY_FREE:
        missing.append(f"memory for two machines: {memory >> 20} of {MEMORY_FREE >> 20} MiB")
    packed: Tree | None = None
    torture: Path | None = None
    try:
        Parts.find()
        torture = build("yoke-torture")[0]
    except LabError as error:
        missing.append(str(error))
        hints.append(error.hint)
    try:
        packed = pack(tree)
    except LabError as error:
        missing.append(str(error))
        hints.append(error.hint)
    if missing or packed is None or torture is None:
        hint = "; ".join(dict.fromkeys(hint for hint in hints if hint))
        raise LabError("the demo cannot start; missing: " + "; ".join(missing), hint)
    return packed, torture


def _memory_available() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return MEMORY_FREE
