# SPDX-License-Identifier: GPL-2.0
"""What a backing disk wants of its users is what the volume wants of its own; and disks that change under a volume."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attributes import refused
from yoke_lab.appliance import Appliance, Node
from yoke_lab.lab import Lab
from yoke_lab.timing import scaled, wait_for

LAB_OPTIONS = {"disk_bytes": [64 << 20, 64 << 20], "memory_mib": 1024}
VOLUME = "vol0"
NO_UDEV = "export DM_DISABLE_UDEV=1"
MIB = 1 << 20


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    appliance = Appliance(lab)
    appliance.up()
    appliance.a.yokectl("volume", "create", VOLUME, "--device", lab.disk_device())
    return appliance


@pytest.fixture
def appliance(whole: Appliance) -> Iterator[Appliance]:
    """Both controllers, and a volume that is mirrored, with a as its owner. No kernel complains."""
    whole.restore_volume(VOLUME, lambda node: node.open_volume(VOLUME, None, "--home", "0"))
    whole.give(VOLUME, whole.a)
    yield whole
    assert whole.splats() == []


def limit(node: Node, disk: str, name: str) -> int:
    return int(node.sh(f"cat /sys/block/{disk}/queue/{name} 2> /dev/null || cat /sys/block/{disk}/{name}"))


def scsi_debug(node: Node, words: str) -> str:
    """A disk in memory that wants what `words` say."""
    node.sh(f"modprobe scsi_debug dev_size_mb=256 {words}")
    find = "grep -l scsi_debug /sys/block/sd*/device/model 2> /dev/null"
    node.wait("the disk of scsi_debug", f"{find} > /dev/null")
    return node.sh(f"{find}").split("/")[3]


def volume_on(node: Node, name: str, device: str) -> str:
    node.yokectl("volume", "create", name, "--device", device)
    node.open_volume(name, device, "--home", str(node.number))
    node.wait_volume(name, "solo")
    return node.disk_of(name)


@pytest.mark.parametrize("granule_mib", [1, pytest.param(4, marks=pytest.mark.long)])
def test_discards_are_as_coarse_as_those_of_the_disk(appliance: Appliance, granule_mib: int) -> None:
    """A finer granularity than that of the disk frees nothing (px-fuse#314, #340)."""
    a, sectors = appliance.a, granule_mib * 2048
    thin = f"lbpu=1 lbpws=1 lbprz=1 unmap_granularity={sectors} unmap_max_blocks=524288"
    below = scsi_debug(a, thin)
    disk = volume_on(a, "thin", f"/dev/{below}")
    granule = granule_mib * MIB
    assert limit(a, disk, "discard_granularity") == limit(a, below, "discard_granularity") == granule
    # Its alignment cannot be read: /sys/block/DISK/discard_alignment shows another one (docs/limits.md). What counts is
    # what a whole discard leaves.
    a.sh(f"dd if=/dev/urandom of=/dev/{disk} bs=1M oflag=direct status=none 2> /dev/null || true", timeout=300)
    a.wait("the log to be on the disk", f"[ $(cat /sys/block/{disk}/yoke/dirty_blocks) = 0 ]")
    a.sh(f"timeout {round(scaled(120))} blkdiscard /dev/{disk}", timeout=150)
    # It counts granules.
    ranges = [part.split("-") for part in a.sh("cat /sys/bus/pseudo/drivers/scsi_debug/map").split(",")]
    mapped = [(int(part[0]), int(part[-1])) for part in ranges]
    assert mapped[0][0] == 0, "the head was discarded"
    left = sum(last - first + 1 for first, last in mapped)
    assert left <= 3, f"the head, and at most one granule that the volume does not have whole at each end: {mapped}"
    a.sh(
        f"blkdiscard -z -l 8M /dev/{disk}; dd if=/dev/{disk} bs=1M count=8 iflag=direct status=none | cmp -n {8 * MIB} - /dev/zero"
    )
    a.yokectl("volume", "close", "thin")
    a.sh("rmmod scsi_debug")


def test_block_sizes_and_seeks_are_those_of_the_disk(appliance: Appliance) -> None:
    a = appliance.a
    below = scsi_debug(a, "physblk_exp=5 opt_xferlen_exp=10")
    disk = volume_on(a, "coarse", f"/dev/{below}")
    assert limit(a, disk, "logical_block_size") == 4096
    for name in ("physical_block_size", "minimum_io_size", "optimal_io_size", "rotational"):
        assert limit(a, disk, name) == limit(a, below, name), name
    assert limit(a, disk, "physical_block_size") == 16384
    assert limit(a, disk, "dma_alignment") >= limit(a, below, "dma_alignment")
    a.yokectl("volume", "close", "coarse")
    a.sh("rmmod scsi_debug")


def test_a_zoned_disk_is_refused(appliance: Appliance) -> None:
    """By who makes a volume, and by who opens one: its zones have to be written in order."""
    a, ctl = appliance.a, appliance.parts.yokectl
    place = "/sys/kernel/config/nullb/z"
    zones = "echo 1 > zoned; echo 16 > zone_size; echo 8 > zone_nr_conv"
    a.sh(f"modprobe null_blk nr_devices=0; mkdir {place}; cd {place}; echo 256 > size; echo 1 > memory_backed")
    a.sh(f"cd {place}; echo 4096 > blocksize; {zones}; echo 1 > power")
    device = f"/dev/{a.sh('ls /sys/block | grep -x -e nullb0 -e z')}"
    assert "has zones (host-managed)" in refused(a, f"{ctl} volume create z --device {device} --force")
    refused(a, f"{ctl} volume open z --device {device}")
    assert "z: not opened: the disk has zones" in a.dmesg()
    a.sh(f"echo 0 > {place}/power; rmdir {place}; rmmod null_blk")


def linear(node: Node, sectors: int, disk: str) -> str:
    return f'"0 {sectors} linear {disk} 0"'


def test_a_disk_that_grows_and_shrinks_under_its_volume(appliance: Appliance) -> None:
    """The size of a volume is what its superblock says. What the disk does not have any more is an error, and no more
    than that (LINBIT/drbd#101: a disk that had been resized was refused, or its metadata lost)."""
    a = appliance.a
    below = a.lab.disk_device(1)
    full = int(a.sh(f"blockdev --getsz {below}"))
    resize = f"{NO_UDEV}; dmsetup suspend --nolockfs elastic; dmsetup load elastic --table"
    size = full // 2
    a.sh(f"{NO_UDEV}; dmsetup create elastic --table {linear(a, size, below)}")
    disk = volume_on(a, "elastic", "/dev/mapper/elastic")
    blocks = int(a.sh(f"blockdev --getsz /dev/{disk}")) // 8
    last = f"dd if=/dev/{disk} of=/dev/null bs=4096 count=1 iflag=direct skip={blocks - 1} status=none"
    first = f"dd if=/dev/{disk} of=/dev/null bs=4096 count=1 iflag=direct status=none"
    a.sh(f"{resize} {linear(a, full, below)}; dmsetup resume elastic")
    a.sh(
        f"{last}; {first}; dd if=/dev/urandom of=/dev/{disk} bs=4096 seek={blocks - 1} count=1 oflag=direct status=none"
    )
    assert int(a.sh(f"blockdev --getsz /dev/{disk}")) // 8 == blocks
    a.sh(f"{resize} {linear(a, size // 2, below)}; dmsetup resume elastic")
    assert a.run(f"timeout {round(scaled(30))} {last}", timeout=45).code == 1
    a.sh(
        f"timeout {round(scaled(30))} {first}; dd if=/dev/urandom of=/dev/{disk} bs=4096 count=4 oflag=direct status=none"
    )
    a.sh(f"{resize} {linear(a, size, below)}; dmsetup resume elastic")
    wait_for("the end of the disk", lambda: a.run(last).code == 0, 10)
    a.yokectl("volume", "close", "elastic")
    # Smaller than its volume when it is opened: refused. Larger: as it was.
    a.sh(f"{resize} {linear(a, size // 2, below)}; dmsetup resume elastic")
    refused(a, f"{a.parts.yokectl} volume open elastic --device /dev/mapper/elastic")
    assert "elastic: not opened: the disk is smaller than its volume" in a.dmesg()
    a.sh(f"{resize} {linear(a, full, below)}; dmsetup resume elastic")
    a.open_volume("elastic", "/dev/mapper/elastic", "--home", "0")
    a.wait_volume("elastic", "solo")
    assert int(a.sh(f"blockdev --getsz /dev/{a.disk_of('elastic')}")) // 8 == blocks
    a.yokectl("volume", "close", "elastic")
    a.sh(f"{NO_UDEV}; dmsetup remove elastic")


def test_a_discard_that_meets_a_takeover_ends(appliance: Appliance) -> None:
    a, b = appliance
    a.wait_volume(VOLUME, "mirrored")
    a.sh(f"(while blkdiscard /dev/{a.disk_of(VOLUME)}; do echo > /tmp/discarded; done) > /dev/null 2>&1 &")
    a.wait("a discard", "[ -e /tmp/discarded ]")
    a.lab.kill("a")
    b.wait_volume(VOLUME, "degraded solo")
    disk = b.disk_of(VOLUME)
    b.sh(f"timeout {round(scaled(50))} blkdiscard /dev/{disk}")
    b.sh(f"timeout {round(scaled(50))} dd if=/dev/{disk} of=/dev/null bs=1M iflag=direct status=none")
