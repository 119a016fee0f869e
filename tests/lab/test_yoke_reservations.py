# SPDX-License-Identifier: GPL-2.0
"""Volumes on disks that have persistent reservations: a survivor writes when the disk has ended the dead owner's commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from yoke_lab.appliance import Appliance, Node
from yoke_lab.initiator import Initiator
from yoke_lab.lab import Lab
from yoke_lab.shelf import Shelf
from yoke_lab.timing import scaled

LAB_OPTIONS = {"disk_bytes": [], "shelves": 1, "shelf_disks": ["nvme:64M", "iscsi:64M"]}
# Three machines, and each death waits for T_io until the controller is back.
pytestmark = pytest.mark.long
VOLUMES = {"nvme": 0, "iscsi": 1}
BOTH = pytest.mark.parametrize("volume", list(VOLUMES))
# What each target is known to do with the commands of one whose key is preempted.
WRITES = {"nvme": "at once: ", "iscsi": "after "}
# Whoever writes earlier does not owe it to the passing of time.
T_IO_MS = round(scaled(20) * 1000)


@pytest.fixture(scope="module")
def shelf(lab: Lab) -> Shelf:
    served = Shelf(lab)
    served.serve()
    return served


@pytest.fixture(scope="module")
def whole(lab: Lab, shelf: Shelf) -> Appliance:
    appliance = Appliance(lab)
    for node in appliance:
        Initiator(lab, node.name).attach(shelf)
    appliance.up()
    for volume, disk in VOLUMES.items():
        appliance.a.yokectl("volume", "create", volume, "--device", f"/dev/shelf/{shelf.name}-{disk}")
    return appliance


@pytest.fixture
def appliance(lab: Lab, whole: Appliance, shelf: Shelf) -> Iterator[Appliance]:
    """Both volumes are open at both controllers, mirrored, and owned by a."""
    for node in whole:
        if lab.node_status(node.name)["pid"] is None:
            lab.start(node.name)
            Initiator(lab, node.name).attach(shelf)
    for volume, disk in VOLUMES.items():
        device = f"/dev/shelf/{shelf.name}-{disk}"
        whole.restore_volume(
            volume, lambda node, v=volume, d=device: node.open_volume(v, d, "--home", "0", t_io_ms=T_IO_MS)
        )
        whole.give(volume, whole.a)
        for node in whole:
            node.wait(f"{volume} registered", f'[ "$(cat {place(node, volume)}/reservation)" = registered ]', 60)
        whole.a.wait(f"{volume} held", f'[ "$(cat {place(whole.a, volume)}/reservation_holder)" = 0 ]', 60)
    yield whole
    for disk in VOLUMES.values():
        shelf.heal(disk)


def place(node: Node, volume: str) -> str:
    return f"/sys/block/{node.disk_of(volume)}/yoke"


def says(node: Node, volume: str, file: str) -> str:
    return node.sh(f"cat {place(node, volume)}/{file}")


def put(node: Node, volume: str, text: str) -> None:
    """A write that is on the disk when it returns."""
    disk = f"/dev/{node.disk_of(volume)}"
    node.sh(
        f"printf %-4096s {text} | dd of={disk} bs=4096 oflag=direct conv=fsync status=none iflag=fullblock", timeout=200
    )


def get(node: Node, volume: str) -> str:
    return node.sh(f"dd if=/dev/{node.disk_of(volume)} bs=4096 count=1 iflag=direct status=none", timeout=200).strip()


@BOTH
def test_the_owner_holds_and_both_say_so(appliance: Appliance, volume: str) -> None:
    for node in appliance:
        assert says(node, volume, "reservation_holder") == "0"
        assert says(node, volume, "takeover_writes").startswith(WRITES[volume])


def test_a_survivor_writes_before_t_io(appliance: Appliance) -> None:
    """By the survivor's own clock: to start a program there may take longer than all of it."""
    a, b = appliance
    volume = "nvme"
    put(a, volume, "from-a")
    disk = f"/dev/{b.disk_of(volume)}"
    write = f"dd if=/tmp/block of={disk} bs=4096 oflag=direct conv=fsync status=none"
    b.sh(
        f"printf %-4096s from-b > /tmp/block; rm -f /tmp/written; "
        f"(until {write}; do :; done; cut -d' ' -f1 /proc/uptime > /tmp/written) > /dev/null 2>&1 &"
    )
    appliance.lab.kill("a")
    b.wait("the first write", "[ -s /tmp/written ]", T_IO_MS / 1000)
    claimed_us = int(says(b, volume, "last_takeover").split()[1])
    waited_ms = float(b.sh("cat /tmp/written")) * 1000 - claimed_us / 1000
    assert 0 < waited_ms < T_IO_MS / 2, f"{waited_ms:.0f} ms"
    assert get(b, volume) == "from-b"
    assert says(b, volume, "reservation_holder") == "1"


@BOTH
def test_a_giveback_moves_the_reservation(appliance: Appliance, volume: str) -> None:
    a, b = appliance
    a.yokectl("giveback", volume)
    b.wait_volume(volume, "mirrored")
    b.wait("the reservation", f'[ "$(cat {place(b, volume)}/reservation_holder)" = 1 ]', 60)
    put(b, volume, "given")
    assert says(a, volume, "reservation") == "registered"


@BOTH
def test_an_owner_that_slept_and_was_preempted_writes_nothing(appliance: Appliance, volume: str) -> None:
    """Its machine stands still, the survivor takes over; what it wakes with is refused, and it stands by."""
    a, b = appliance
    put(a, volume, "before")
    appliance.lab.pause("a")
    try:
        b.wait_volume(volume, "solo degraded", 60)
        put(b, volume, "after")
    finally:
        appliance.lab.resume("a")
    a.wait_volume(volume, "standby", 60)
    assert get(b, volume) == "after"
    a.wait("registered anew", f'[ "$(cat {place(a, volume)}/reservation)" = registered ]', 120)


@BOTH
def test_a_shelf_that_forgot_is_told_again(appliance: Appliance, lab: Lab, shelf: Shelf, volume: str) -> None:
    put(appliance.a, volume, "kept")
    shelf.restart()
    for node in appliance:
        node.wait("registered anew", f'[ "$(cat {place(node, volume)}/reservation)" = registered ]', 180)
    appliance.a.wait("held anew", f'[ "$(cat {place(appliance.a, volume)}/reservation_holder)" = 0 ]', 180)
    put(appliance.a, volume, "told")
    assert get(appliance.a, volume) == "told"


def test_a_volume_that_is_closed_leaves_nothing_reserved(appliance: Appliance, shelf: Shelf) -> None:
    for node in reversed(list(appliance)):
        for volume in VOLUMES:
            node.yokectl("volume", "close", volume, timeout=scaled(60))
    b = Initiator(appliance.lab, "b")
    for disk in VOLUMES.values():
        device = f"/dev/shelf/{shelf.name}-{disk}"
        b.sh(f"dd if=/dev/zero of={device} bs=4096 count=1 seek=2000 oflag=direct status=none")


def registered(node: Node, shelf: Shelf, volume: str) -> tuple[str, str, set[str]]:
    """What the disk itself says, asked by the tools of its protocol: type of the reservation, key of the holder, all keys."""
    device = f"/dev/shelf/{shelf.name}-{VOLUMES[volume]}"
    if volume == "nvme":
        report = json.loads(node.sh(f"nvme resv-report {device} --eds --output-format=json"))
        (listed,) = (report[name] for name in ("regctlext", "regctl_eds", "regctls") if name in report)
        keys = {f"{int(one['rkey']):#x}": int(one["rcsts"]) for one in listed}
        (holder,) = (key for key, status in keys.items() if status & 1)
        return str(report["rtype"]), holder, set(keys)
    keys_said = node.sh(f"sg_persist --no-inquiry --in --read-keys {device}")
    held = node.sh(f"sg_persist --no-inquiry --in --read-reservation {device}")
    (holder,) = re.findall(r"Key ?= ?(0x[0-9a-f]+)", held)
    (kind,) = re.findall(r"type: (.*)", held)
    return kind, holder, set(re.findall(r"^ +(0x[0-9a-f]+)$", keys_said, re.MULTILINE))


@BOTH
def test_the_tools_of_the_protocol_find_what_yoke_says(appliance: Appliance, shelf: Shelf, volume: str) -> None:
    a, b = appliance
    kind, holder, keys = registered(b, shelf, volume)
    assert kind == {"nvme": "3", "iscsi": "Write Exclusive, registrants only"}[volume]
    assert holder in keys
    (other,) = keys - {holder}
    a.yokectl("giveback", volume)
    b.wait_volume(volume, "mirrored")
    b.wait("the reservation", f'[ "$(cat {place(b, volume)}/reservation_holder)" = 1 ]', 60)
    assert registered(a, shelf, volume) == (kind, other, keys)


def test_all_is_taken_down_with_the_partner_dead_and_the_disks_slow(
    appliance: Appliance, lab: Lab, shelf: Shelf
) -> None:
    b = appliance.b
    lab.kill("a")
    for volume, disk in VOLUMES.items():
        b.wait_volume(volume, "solo degraded", 60)
        shelf.delay(disk, write_ms=2000)
    disks = " ".join(f"/dev/{b.disk_of(volume)}" for volume in VOLUMES)
    write = (
        "exec 9<> $d; while dd if=/dev/urandom of=$d bs=64k count=8 oflag=direct conv=notrunc status=none; do :; done"
    )
    b.sh(f"for d in {disks}; do ({write}) > /dev/null 2>&1 & echo $! >> /tmp/writers; done")
    for volume in VOLUMES:
        refused = b.run(f"{b.parts.yokectl} volume close {volume}", timeout=60)
        assert refused.code != 0, "somebody writes"
        assert "in use" in refused.stderr.decode(), refused.stderr.decode()
    b.sh(
        "kill $(cat /tmp/writers); rm /tmp/writers; while pidof dd > /dev/null; do sleep 0.1; done", timeout=scaled(60)
    )
    for volume in VOLUMES:
        b.yokectl("volume", "close", volume, timeout=scaled(120))
    b.unload()
    for disk in VOLUMES.values():
        shelf.heal(disk)
        device = f"/dev/shelf/{shelf.name}-{disk}"
        b.sh(f"dd if=/dev/zero of={device} bs=4096 count=1 seek=2000 oflag=direct status=none")
    assert appliance.splats() == []
