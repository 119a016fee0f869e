# SPDX-License-Identifier: GPL-2.0
"""Reservations through the wrappers of rust/sys, as the self-test module shows them, against the kernel's own targets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from yoke_build import kernel
from yoke_build.selftest import build
from yoke_lab.config import wants_debug
from yoke_lab.errors import LabError
from yoke_lab.initiator import Initiator
from yoke_lab.lab import Lab
from yoke_lab.shelf import NO_UDEV, SECTOR, Shelf

LAB_OPTIONS = {"disk_bytes": [64 << 20], "links": [], "shelves": 1, "shelf_disks": ["nvme:64M", "iscsi:64M"]}
# What yoke makes of them is in every run (test_yoke_reservations.py).
pytestmark = pytest.mark.long
NVME, ISCSI = 0, 1
BOTH = pytest.mark.parametrize("disk", [NVME, ISCSI], ids=["nvme", "iscsi"])
ITEMS = "/sys/kernel/config/yoke_selftest/disks"
REFUSED = "Invalid exchange"
UNSUPPORTED = "not supported"
FAILED = "Input/output error"


class Side:
    """A disk on a disk, in one controller."""

    def __init__(self, initiator: Initiator, device: str, name: str) -> None:
        self.initiator = initiator
        self.name = name
        self.file = f"/sys/block/{name}/yoke/reservation"
        initiator.sh(
            f"cd {ITEMS}; mkdir {name}; echo pass > {name}/kind; readlink -f {device} > {name}/device; echo 1 > {name}/enable"
        )

    def close(self) -> None:
        self.initiator.sh(f"echo 0 > {ITEMS}/{self.name}/enable; rmdir {ITEMS}/{self.name}")

    def do(self, words: str) -> None:
        self.initiator.sh(f"echo {words} > {self.file}", timeout=120)

    def fails(self, words: str) -> str:
        with pytest.raises(LabError) as error:
            self.do(words)
        return str(error.value)

    def state(self) -> tuple[str, list[str], str]:
        """Whose disk it is; the keys that are there, behind their number; who holds it."""
        target, keys, holder = self.initiator.sh(f"cat {self.file}").splitlines()
        number, _, names = keys.removeprefix("keys of ").partition(":")
        return target.removeprefix("target: "), [number, *sorted(names.split())], holder.removeprefix("holder: ")

    def writes(self) -> bool:
        """Whether a write comes through."""
        try:
            self.initiator.sh(f"dd if=/dev/zero of=/dev/{self.name} bs=4096 count=1 oflag=direct status=none")
        except LabError:
            return False
        return True


@pytest.fixture(scope="module")
def shelf(lab: Lab) -> Shelf:
    served = Shelf(lab)
    served.serve()
    return served


@pytest.fixture(scope="module")
def selftest() -> Path:
    """The directory with the module."""
    return build(kernel.DEBUG if wants_debug() else kernel.NORMAL)


@pytest.fixture(scope="module")
def initiators(lab: Lab, shelf: Shelf, selftest: Path) -> tuple[Initiator, Initiator]:
    both = Initiator(lab, "a"), Initiator(lab, "b")
    for one in both:
        one.attach(shelf)
        one.sh(f"insmod {selftest}/yoke_sys_selftest.ko")
    return both


@pytest.fixture
def sides(
    shelf: Shelf, initiators: tuple[Initiator, Initiator], request: pytest.FixtureRequest
) -> Iterator[tuple[Side, Side]]:
    """Both controllers on one disk, of which nobody is registered."""
    disk = request.getfixturevalue("disk")
    a, b = (Side(one, one.device(shelf, disk), f"yoke_pr_{one.controller}") for one in initiators)
    yield a, b
    # One who has a key takes all away. The tools do what the driver of NVMe has no word for.
    a.do("register-ignoring ee")
    device = initiators[0].device(shelf, disk)
    if disk == NVME:
        initiators[0].sh(f"nvme resv-release {device} --namespace-id 1 --crkey 0xee --rrela 1")
    else:
        initiators[0].sh(f"sg_persist --out --clear --param-rk=0xee {device}")
    assert a.state()[1] == ["0"]
    for side in (a, b):
        side.close()


@BOTH
def test_a_preempted_owner_writes_no_more(sides: tuple[Side, Side], disk: int) -> None:
    a, b = sides
    target = {NVME: "nvme-multipath", ISCSI: "scsi LIO-ORG|IBLOCK|4.0"}[disk]
    assert a.state() == (target, ["0"], "nobody")
    a.do("register a1")
    # LIO has no word of its own for one who is not registered (docs/sys.md).
    assert {NVME: REFUSED, ISCSI: FAILED}[disk] in b.fails("reserve b2")
    b.do("register b2")
    a.do("reserve a1")
    a.do("reserve a1")
    assert b.state() == (target, ["2", "a1", "b2"], "a1 WriteExclusiveRegOnly")
    assert REFUSED in b.fails("reserve b2")
    # Both are registered, so both write.
    assert a.writes() and b.writes()
    # The other way round, and of a key that nobody has.
    assert REFUSED in b.fails("preempt a1 b2")
    assert REFUSED in b.fails("preempt b2 c3")
    assert UNSUPPORTED in b.fails("preempt b2 b2")
    b.do("preempt-abort b2 a1")
    assert b.state()[1:] == (["1", "b2"], "b2 WriteExclusiveRegOnly")
    assert not a.writes()
    assert b.writes()
    assert "nobody" not in a.state()[2]
    a.do("register a1")
    assert a.writes()
    b.do("release b2")
    assert b.state()[1:] == (["2", "a1", "b2"], "nobody")


@BOTH
def test_another_key_keeps_what_is_held(sides: tuple[Side, Side], disk: int) -> None:
    a, b = sides
    # A host that has no key, one that has this one, and one that has another.
    a.do("register-ignoring a1")
    a.do("reserve a1")
    a.do("register-ignoring a1")
    a.do("register-ignoring a2")
    assert b.state()[1:] == (["1", "a2"], "a2 WriteExclusiveRegOnly")
    assert REFUSED in a.fails("register a3")
    assert REFUSED in a.fails("unregister a1")
    assert b.state()[1:] == (["1", "a2"], "a2 WriteExclusiveRegOnly")


@BOTH
def test_who_leaves_is_gone_but_with_nvme(sides: tuple[Side, Side], disk: int) -> None:
    a, b = sides
    a.do("register a1")
    a.do("reserve a1")
    a.do("unregister a1")
    if disk == ISCSI:
        assert b.state()[1:] == (["0"], "nobody")
        assert b.writes()
    else:
        assert b.state()[1:] == (["1"], "0 WriteExclusiveRegOnly")
        assert a.writes()
        assert not b.writes()
        assert REFUSED in a.fails("register a1")


def test_device_mapper_is_told_from_what_is_below(shelf: Shelf, initiators: tuple[Initiator, Initiator]) -> None:
    a = initiators[0]
    sectors = shelf.disks[ISCSI].size // SECTOR
    a.sh(f"{NO_UDEV}; dmsetup create over --table '0 {sectors} linear {a.device(shelf, ISCSI)} 0'")
    side = Side(a, "/dev/mapper/over", "yoke_pr_dm")
    try:
        assert side.state() == ("dm", ["0"], "nobody")
        side.do("register a1")
        assert side.state() == ("dm", ["1", "a1"], "nobody")
        side.do("unregister a1")
        assert side.state() == ("dm", ["0"], "nobody")
        # Of two parts it is no disk with reservations any more.
        half = sectors // 2
        table = f"0 {half} linear {a.device(shelf, ISCSI)} 0\\n{half} {half} linear {a.device(shelf, ISCSI)} {half}"
        a.sh(f"{NO_UDEV}; printf '{table}' | dmsetup reload over; dmsetup suspend over; dmsetup resume over")
        assert UNSUPPORTED in side.fails("register a1")
        assert "Unsupported" in side.initiator.sh(f"cat {side.file}")
    finally:
        side.close()
        a.sh(f"{NO_UDEV}; dmsetup remove over")


def test_other_disks_have_none(lab: Lab, initiators: tuple[Initiator, Initiator]) -> None:
    side = Side(initiators[0], lab.disk_device(), "yoke_pr_vd")
    try:
        assert side.initiator.sh(f"cat {side.file}").splitlines() == ["target: other", "none"]
        assert UNSUPPORTED in side.fails("register a1")
    finally:
        side.close()
