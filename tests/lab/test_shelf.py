# SPDX-License-Identifier: GPL-2.0
"""The lab's shelf: what it offers, and what can be done to it, as the controllers see it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from yoke_lab.errors import LabError
from yoke_lab.initiator import Initiator
from yoke_lab.lab import Lab
from yoke_lab.shelf import Shelf
from yoke_lab.timing import scaled

LAB_OPTIONS = {"disk_bytes": [], "links": [], "shelves": 1, "shelf_disks": ["nvme:64M", "iscsi:64M"]}
NVME, ISCSI = 0, 1
KEYS = {"a": 0xA1, "b": 0xB2}


@pytest.fixture(scope="module")
def shelf(lab: Lab) -> Shelf:
    served = Shelf(lab)
    served.serve()
    return served


@pytest.fixture(scope="module")
def sides(lab: Lab, shelf: Shelf) -> tuple[Initiator, Initiator]:
    both = Initiator(lab, "a"), Initiator(lab, "b")
    for side in both:
        side.attach(shelf)
    return both


@pytest.fixture(autouse=True)
def whole(lab: Lab, shelf: Shelf) -> Iterator[None]:
    yield
    for wire in lab.status()["wires"]:
        if wire["state"] != "whole":
            lab.mend(wire["name"])
    for disk in range(len(shelf.disks)):
        shelf.heal(disk)


def put(side: Initiator, device: str, text: str) -> None:
    """Writes a block that begins with a text, past all caches."""
    side.sh(
        f"printf %-4096s {text} > /tmp/block; dd if=/tmp/block of={device} bs=4096 oflag=direct conv=notrunc status=none"
    )


def get(side: Initiator, device: str) -> str:
    return side.sh(f"timeout {round(scaled(30))} dd if={device} bs=4096 count=1 iflag=direct status=none").strip()


@pytest.mark.parametrize("disk", [NVME, ISCSI], ids=["nvme", "iscsi"])
def test_both_controllers_see_one_disk(shelf: Shelf, sides: tuple[Initiator, Initiator], disk: int) -> None:
    a, b = sides
    device = a.device(shelf, disk)
    assert a.sh(f"blockdev --getsize64 {device}") == str(64 << 20)
    put(a, device, f"from-a-{disk}")
    assert get(b, device) == f"from-a-{disk}"
    assert shelf.sh(f"dd if={shelf.raw(disk)} bs=4096 count=1 iflag=direct status=none").strip() == f"from-a-{disk}"


def refused(side: Initiator, device: str, text: str) -> str:
    """A write that has to fail; what dd says."""
    with pytest.raises(LabError) as error:
        put(side, device, text)
    return str(error.value)


def test_nvme_reservation_keeps_the_other_out(shelf: Shelf, sides: tuple[Initiator, Initiator]) -> None:
    a, b = sides
    device = a.device(shelf, NVME)
    for side in sides:
        side.sh(f"nvme resv-register {device} --namespace-id 1 --nrkey {KEYS[side.controller]:#x} --rrega 0 --iekey")
    a.sh(f"nvme resv-acquire {device} --namespace-id 1 --crkey {KEYS['a']:#x} --rtype 1 --racqa 0")
    try:
        put(a, device, "holder")
        assert "error" in refused(b, device, "intruder")
        assert get(b, device) == "holder"
    finally:
        for side in sides:
            side.sh(f"nvme resv-register {device} --namespace-id 1 --crkey {KEYS[side.controller]:#x} --rrega 1")
    put(b, device, "free")


def test_iscsi_reservation_keeps_the_other_out(shelf: Shelf, sides: tuple[Initiator, Initiator]) -> None:
    a, b = sides
    device = a.device(shelf, ISCSI)
    for side in sides:
        side.sh(f"sg_persist --out --register --param-sark={KEYS[side.controller]:#x} {device}")
    a.sh(f"sg_persist --out --reserve --param-rk={KEYS['a']:#x} --prout-type=1 {device}")
    try:
        put(a, device, "holder")
        assert "error" in refused(b, device, "intruder")
        assert get(b, device) == "holder"
    finally:
        for side in sides:
            side.sh(f"sg_persist --out --register --param-rk={KEYS[side.controller]:#x} --param-sark=0 {device}")
    put(b, device, "free")


@pytest.mark.parametrize("disk", [NVME, ISCSI], ids=["nvme", "iscsi"])
class TestASickDisk:
    """What can be done to the disks behind the targets, and that it is over when it is over."""

    def test_it_is_slow(self, shelf: Shelf, sides: tuple[Initiator, Initiator], disk: int) -> None:
        a = sides[0]
        device = a.device(shelf, disk)
        shelf.delay(disk, write_ms=2500)
        took = int(
            a.sh(
                "printf %-4096s slow > /tmp/block; s=$(date +%s%3N); "
                f"dd if=/tmp/block of={device} bs=4096 oflag=direct conv=notrunc status=none; echo $(($(date +%s%3N) - s))"
            )
        )
        assert took >= 2500
        shelf.heal(disk)
        assert get(sides[1], device) == "slow"

    def test_it_fails_writes(self, shelf: Shelf, sides: tuple[Initiator, Initiator], disk: int) -> None:
        a = sides[0]
        device = a.device(shelf, disk)
        put(a, device, "before")
        shelf.fail(disk, "writes")
        assert "error" in refused(a, device, "during")
        assert get(a, device) == "before"
        shelf.heal(disk)
        put(a, device, "after")

    def test_it_is_write_protected(self, shelf: Shelf, sides: tuple[Initiator, Initiator], disk: int) -> None:
        a = sides[0]
        device = a.device(shelf, disk)
        put(a, device, "before")
        a.write_protect(shelf, disk)
        try:
            refused(a, device, "during")
            assert get(sides[1], device) == "before"
        finally:
            a.write_protect(shelf, disk, on=False)
        put(a, device, "after")

    def test_it_hangs_and_comes_back(self, shelf: Shelf, sides: tuple[Initiator, Initiator], disk: int) -> None:
        a = sides[0]
        device = a.device(shelf, disk)
        put(a, device, "before")
        shelf.hang(disk)
        try:
            a.sh(
                f"(dd if={device} of=/tmp/read bs=4096 count=1 iflag=direct 2> /tmp/said; echo $? > /tmp/code) &> /dev/null &"
            )
            asked = f"[ $(awk '{{print $9}}' /sys/class/block/$(basename $(readlink -f {device}))/stat) -ge 1 ]"
            a.sh(f"end=$((SECONDS + 20)); until {asked}; do ((SECONDS < end)); sleep 0.05; done; [ ! -e /tmp/code ]")
        finally:
            shelf.unhang(disk)
        a.sh(
            "end=$((SECONDS + 30)); until [ -e /tmp/code ]; do ((SECONDS < end)); sleep 0.05; done; [ $(cat /tmp/code) = 0 ]"
        )
        assert a.sh("cat /tmp/read; rm /tmp/code").strip() == "before"


@pytest.mark.parametrize("disk", [NVME, ISCSI], ids=["nvme", "iscsi"])
def test_a_wire_that_is_cut_is_a_path_that_is_gone(
    lab: Lab, shelf: Shelf, sides: tuple[Initiator, Initiator], disk: int
) -> None:
    a, b = sides
    device = a.device(shelf, disk)
    put(a, device, "before")
    (wire,) = a.wires(shelf)
    assert lab.cut(wire.name)["state"] == "cut"
    carrier = f"cat /sys/class/net/$(grep -lx {wire.mac('a')} /sys/class/net/*/address | cut -d/ -f5)/carrier"
    assert a.sh(carrier) == "0"
    assert get(b, device) == "before"
    assert lab.mend(wire.name)["state"] == "whole"
    assert get(a, device) == "before"


def test_a_shelf_that_was_killed_comes_back(lab: Lab, shelf: Shelf, sides: tuple[Initiator, Initiator]) -> None:
    """What was written is there, reservations are not; who was connected is again, by itself."""
    a, b = sides
    for disk in (NVME, ISCSI):
        put(a, a.device(shelf, disk), f"kept-{disk}")
    shelf.restart()
    for disk in (NVME, ISCSI):
        for side in (a, b):
            assert get(side, side.device(shelf, disk)) == f"kept-{disk}"
