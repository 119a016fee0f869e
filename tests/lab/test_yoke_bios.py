# SPDX-License-Identifier: GPL-2.0
"""Every I/O is answered: in pieces that are no blocks, and by a disk that hangs and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from yoke_lab.appliance import Appliance, Node
from yoke_lab.lab import Lab
from yoke_lab.timing import scaled

LAB_OPTIONS = {"disk_bytes": [64 << 20, 64 << 20], "memory_mib": 1024}
VOLUME = "vol0"
SLOTS = 256
PATIENCE_MS = 4000
GUEST = Path(__file__).resolve().parent / "guest"
NO_UDEV = "export DM_DISABLE_UDEV=1"


@pytest.fixture(scope="module")
def appliance(lab: Lab) -> Appliance:
    whole = Appliance(lab)
    whole.up()
    return whole


@pytest.fixture(autouse=True)
def clean(appliance: Appliance) -> Iterator[None]:
    yield
    assert appliance.splats() == []


def put(node: Node, disk: str, block: int, count: int) -> int:
    """Writes a pattern; the exit code."""
    words = f"of=/dev/{disk} bs=4k seek={block} count={count} oflag=direct conv=notrunc status=none"
    return node.run(f"timeout {round(scaled(90))} dd if=/tmp/pattern iflag=fullblock {words}").code


def same(node: Node, disk: str, block: int, count: int) -> bool:
    words = f"if=/dev/{disk} bs=4k skip={block} count={count} iflag=direct status=none"
    return node.run(f"dd {words} | cmp -n $(({count} * 4096)) - /tmp/pattern").code == 0


def test_a_disk_that_hangs_for_long_and_comes_back(appliance: Appliance) -> None:
    """truenas/linux#236: what can be served is, the rest is answered with errors in time, and nothing is lost."""
    a, raw = appliance.a, appliance.lab.disk_device()
    a.sh(f'{NO_UDEV}; dmsetup create hung --table "0 $(blockdev --getsz {raw}) linear {raw} 0"')
    a.yokectl("volume", "create", VOLUME, "--device", "/dev/mapper/hung")
    for node, device in ((a, "/dev/mapper/hung"), (appliance.b, raw)):
        words = ("--home", "0", "--patience-ms", str(PATIENCE_MS))
        # The partner, whose disk is well, is not to take over.
        node.open_volume(VOLUME, device, *words, slots=SLOTS, handover_ms=0)
    a.wait_volume(VOLUME, "mirrored")
    disk = a.disk_of(VOLUME)
    a.sh("head -c $((1024 * 4096)) /dev/urandom > /tmp/pattern")
    generation = a.sh(f"cat /sys/block/{disk}/yoke/generation")
    a.sh(f"{NO_UDEV}; dmsetup suspend --noflush --nolockfs hung")
    try:
        assert put(a, disk, 0, 100) == 0, "the log has room, and the partner has them"
        assert same(a, disk, 0, 100), "they are read from the log"
        says = f"grep -q 'does not answer' /sys/block/{disk}/yoke/reason"
        a.wait("a reason", says, say=f"cat /sys/block/{disk}/yoke/{{reason,stats,state}}")
        read = f"timeout {round(scaled(60))} dd if=/dev/{disk} of=/dev/null bs=4k skip=5000 count=1 iflag=direct"
        ended = a.run(read)
        assert ended.code == 1 and b"Input/output error" in ended.stderr, ended
        assert put(a, disk, 1000, 1000) == 1, "when the log is full they wait, and end with an error"
        assert "mirrored" in a.sh(f"cat /sys/block/{disk}/yoke/state")
    finally:
        a.sh(f"{NO_UDEV}; dmsetup resume hung")
    a.wait("the log on the disk", f"[ $(cat /sys/block/{disk}/yoke/dirty_blocks) -eq 0 ]", 60)
    assert same(a, disk, 0, 100)
    assert a.run(f"dd if=/dev/{disk} of=/dev/null bs=4k skip=5000 count=1 iflag=direct").code == 0
    assert put(a, disk, 1000, 1000) == 0 and same(a, disk, 1000, 1000)
    assert a.sh(f"cat /sys/block/{disk}/yoke/generation") == generation
    for node in appliance:
        node.yokectl("volume", "close", VOLUME)


@pytest.mark.parametrize("sector", [512, pytest.param(4096, marks=pytest.mark.long)])
def test_memory_in_pieces(appliance: Appliance, sector: int) -> None:
    """bcachefs#1095: direct I/O whose memory is scattered in pieces of no whole blocks works, or is refused."""
    b = appliance.b
    b.sh(f"modprobe scsi_debug dev_size_mb=64 sector_size={sector}")
    find = "grep -l scsi_debug /sys/block/sd*/device/model 2> /dev/null"
    b.wait("the disk of scsi_debug", f"{find} > /dev/null")
    below = "/dev/" + b.sh(find).split("/")[3]
    name = f"odd{sector}"
    b.yokectl("volume", "create", name, "--device", below)
    b.open_volume(name, below, "--home", str(b.number))
    b.wait_volume(name, "solo")
    disk = f"/dev/{b.disk_of(name)}"
    print(b.sh(f"python3 {GUEST}/scatter.py {disk}"))
    words = f"--filename={disk} --ioengine=io_uring --iodepth=8 --direct=1 --iomem_align=512 --size=8m"
    b.sh(f"fio --name=u --rw=randrw --bsrange=4k-64k --verify=crc32c --verify_fatal=1 {words}")
    b.yokectl("volume", "close", name)
    b.sh("modprobe -r scsi_debug")
