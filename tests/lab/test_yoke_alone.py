# SPDX-License-Identifier: GPL-2.0
"""A controller that nobody helps: without a partner, without room, without its disk."""

from __future__ import annotations

import json

import pytest
from attributes import refused
from yoke_build.kernel import SCRIPTS
from yoke_lab.appliance import Appliance, Node
from yoke_lab.lab import Lab
from yoke_lab.timing import scaled

LAB_OPTIONS = {"disk_bytes": [64 << 20, 16 << 20], "memory_mib": 768}
# TICKETS in rust/yoke/volume/shared.rs.
TICKETS = 1024
DEPTH = TICKETS * 3 // 2
SLOTS = 4096
WRITES = 4096
# Fewer than half of the slots: they are acknowledged before any of them is on a disk.
BLOCKS = 64
NO_UDEV = "export DM_DISABLE_UDEV=1"
# What another test has left on the disk, also what it says is in the memory of controllers that are dead.
OVER_ALL = ("--force", "--discard-shadow")


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    return Appliance(lab)


@pytest.fixture
def appliance(whole: Appliance) -> Appliance:
    """Both controllers and their session; no volume is open."""
    whole.restore()
    return whole


def between(node: Node, name: str, disk: str) -> str:
    """A device that passes everything on to a disk, until it is told otherwise."""
    node.sh(f'{NO_UDEV}; dmsetup create {name} --table "0 $(blockdev --getsz {disk}) linear {disk} 0"')
    return f"/dev/mapper/{name}"


def test_writes_without_a_ticket_are_begun_again(appliance: Appliance) -> None:
    """Alone, each write waits for the disk, which waits until more are under way than there are tickets."""
    a = appliance.a
    slow = between(a, "slow", a.lab.disk_device())
    a.yokectl("volume", "create", "deep", "--device", slow, "--force")
    a.open_volume("deep", slow, slots=SLOTS)
    a.wait_volume("deep", "solo")
    disk = a.disk_of("deep")
    a.sh(f"{NO_UDEV}; dmsetup suspend slow")
    words = f"--filename=/dev/{disk} --ioengine=libaio --direct=1 --rw=randwrite --bs=4k --iodepth={DEPTH}"
    check = f"--size={WRITES * 4096} --verify=crc32c --verify_fatal=1 --output-format=json"
    a.sh(f"(fio --name=deep {words} {check} > /tmp/fio 2>&1; echo $? > /tmp/fio.status) > /dev/null 2>&1 &")
    stalls = f"sed -n 's/^stalls //p' /sys/block/{disk}/yoke/stats"
    a.wait("writes without a ticket", f"[ $({stalls}) -gt 0 ]", say="cat /tmp/fio")
    slots_free = int(a.sh(f"cat /sys/block/{disk}/yoke/slots_free"))
    assert slots_free == SLOTS - TICKETS, "it was the tickets that were used up, one for each write of a block"
    a.sh(f"{NO_UDEV}; dmsetup resume slow")
    a.wait("the end of the writes", "[ -s /tmp/fio.status ]", 120, say=f"cat /tmp/fio /sys/block/{disk}/yoke/s*")
    done = json.loads(a.sh("cat /tmp/fio"))
    (job,) = done["jobs"]
    assert job["error"] == 0 and job["write"]["total_ios"] == WRITES, job
    a.yokectl("volume", "close", "deep")
    a.sh(f"{NO_UDEV}; dmsetup remove slow")
    assert appliance.splats() == []


def test_a_volume_has_a_name_among_the_disks(appliance: Appliance) -> None:
    """The udev rule: a name that says which volume it is comes and goes with the disk."""
    a = appliance.a
    rule, link = SCRIPTS / "udev" / "60-yoke.rules", "/dev/disk/by-id/yoke-named.1"
    a.sh(f"mkdir -p /run/udev/rules.d; cp {rule} /run/udev/rules.d/; /lib/systemd/systemd-udevd --daemon")
    a.yokectl("volume", "create", "named.1", "--device", a.lab.disk_device(), "--force")
    a.open_volume("named.1")
    a.sh("udevadm settle --timeout=30")
    assert a.sh(f"readlink -f {link}") == f"/dev/{a.disk_of('named.1')}"
    a.yokectl("volume", "close", "named.1")
    a.sh(f"udevadm settle --timeout=30; [ ! -e {link} ]; udevadm control --exit")


def test_a_survivor_with_the_only_copy_is_not_closed(appliance: Appliance) -> None:
    """The owner's disk takes nothing, and the survivor may not write for a minute: it has to keep what it adopted."""
    a, b = appliance
    ctl, spare = b.parts.yokectl, b.lab.disk_device(1)
    slow = between(a, "slow", spare)
    a.yokectl("volume", "create", "spare", "--device", slow, *OVER_ALL)
    minute = min(600_000, round(scaled(60_000)))
    a.open_volume("spare", slow, "--home", "0", slots=256, t_io_ms=minute)
    b.open_volume("spare", spare, "--home", "0", slots=256, t_io_ms=minute)
    a.wait_volume("spare", "mirrored")
    a.sh(f"{NO_UDEV}; dmsetup suspend --nolockfs slow")
    a.sh(f"dd if=/dev/urandom of=/dev/{a.disk_of('spare')} bs=4k count={BLOCKS} oflag=direct status=none")
    b.lab.kill("a")
    b.wait_volume("spare", "degraded")
    assert b.volume("spare")["dirty_blocks"] == BLOCKS
    assert "holds its disk" in refused(b, f"exec 9</dev/{b.disk_of('spare')}; {ctl} volume close spare --abandon")
    assert "it is in use" in refused(b, f"{ctl} volume close spare")
    assert "spare: not closed yet: it has acknowledged writes that are nowhere else" in b.dmesg()
    assert b.volume("spare")["dirty_blocks"] == BLOCKS
    # As an owner it serves on, and is opened as before.
    b.sh(f"exec 9</dev/{b.disk_of('spare')}")
    # Its disk might never come back: the administrator may give the blocks up, and says so.
    b.yokectl("volume", "close", "spare", "--abandon")
    assert f"spare: abandoned by command: {BLOCKS} acknowledged blocks" in b.dmesg()
    assert b.run("grep -lx spare /sys/block/yoke*/yoke/name").code != 0


def test_a_holder_whose_disk_is_dead_is_given_up(appliance: Appliance) -> None:
    """The holder cannot take over, and is not closed by mistake. In the end its modules go."""
    a, b = appliance
    ctl, spare = b.parts.yokectl, b.lab.disk_device(1)
    a.yokectl("volume", "create", "spare", "--device", spare, *OVER_ALL)
    brittle = between(b, "brittle", spare)
    a.open_volume("spare", spare, "--home", "0", slots=256)
    b.open_volume("spare", brittle, "--home", "0", slots=256)
    a.wait_volume("spare", "mirrored")
    a.sh(f"dd if=/dev/urandom of=/dev/{a.disk_of('spare')} bs=4k count={BLOCKS} oflag=direct status=none")
    dead = f'dmsetup load brittle --table "0 $(blockdev --getsz {spare}) error"'
    b.sh(f"{NO_UDEV}; dmsetup suspend --noflush brittle; {dead}; dmsetup resume brittle")
    b.lab.kill("a")
    assert "in use" in refused(b, f"{ctl} volume close spare")
    assert "spare: not closed yet: it has acknowledged writes that are nowhere else" in b.dmesg()
    b.yokectl("volume", "close", "spare", "--abandon")
    assert "spare: abandoned by command: acknowledged writes of its owner" in b.dmesg()
    b.sh(f"{NO_UDEV}; dmsetup remove brittle")
    b.unload()
    assert appliance.splats() == []
