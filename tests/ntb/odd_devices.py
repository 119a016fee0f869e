# SPDX-License-Identifier: GPL-2.0
"""A machine with ivshmem devices that no server of ours serves: boots, loads the driver, says what it bound, ends."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pair import MODULE
from yoke_lab import splats
from yoke_lab.config import wants_debug
from yoke_lab.default import kernel_path
from yoke_lab.timing import scaled

INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
insmod /ntb.ko && insmod /ntb_hw_ivshmem.ko
for device in /sys/bus/pci/devices/0000:00:1*; do
    [ "$(cat $device/vendor)" = 0x1af4 ] || continue
    if [ -e $device/driver ]; then state=bound; else state="not bound"; fi
    echo "odd-devices: ${device##*/} is $state"
done
rmmod ntb_hw_ivshmem && echo "odd-devices: end"
poweroff -f
"""


@dataclass(frozen=True)
class Device:
    """An ivshmem-plain device: its size, and what its memory begins with."""

    size: int
    content: bytes


def boot(devices: list[Device], work: Path) -> str:
    """The console of a machine with these devices, at 0000:00:10.0 and following."""
    words = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    words += ["-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "512M"]
    for number, device in enumerate(devices):
        file = work / f"memory{number}"
        file.write_bytes(device.content.ljust(device.size, b"\0"))
        backend = f"memory-backend-file,id=m{number},mem-path={file},size={device.size},share=on"
        words += ["-object", backend, "-device", f"ivshmem-plain,memdev=m{number},addr=0x{0x10 + number:x}"]
    console = work / "console.log"
    words += ["-chardev", f"file,id=console,path={console}", "-serial", "chardev:console"]
    words += ["-kernel", kernel_path("image", wants_debug()), "-initrd", str(_initramfs(work))]
    words += ["-append", "console=ttyS0 panic=-1 oops=panic"]
    subprocess.run(words, stdin=subprocess.DEVNULL, timeout=scaled(120), check=True)
    text = console.read_text(encoding="utf-8", errors="replace")
    complaints = splats.find(text)
    assert not complaints, "\n".join(complaints)
    return text


def _initramfs(work: Path) -> Path:
    tree = work / "initramfs"
    for name in ("bin", "dev", "proc", "sys"):
        (tree / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox, "busybox is not installed: scripts/bootstrap"
    shutil.copy2(busybox, tree / "bin/busybox")
    for applet in set(re.findall(r"\b(sh|mount|insmod|rmmod|cat|poweroff)\b", INIT)):
        (tree / "bin" / applet).symlink_to("busybox")
    (tree / "init").write_text(INIT, encoding="utf-8")
    (tree / "init").chmod(0o755)
    core = next(Path(kernel_path("modules", wants_debug())).rglob("ntb.ko"))
    shutil.copy2(core, tree / "ntb.ko")
    shutil.copy2(MODULE, tree / "ntb_hw_ivshmem.ko")
    archive = work / "initramfs.cpio"
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    with open(archive, "wb") as sink:
        command = ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"]
        subprocess.run(command, cwd=tree, input=names.encode(), stdout=sink, check=True)
    return archive
