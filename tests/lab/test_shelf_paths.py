# SPDX-License-Identifier: GPL-2.0
"""Two shelves, two wires to each: a path that is gone is made up for by the other."""

from __future__ import annotations

import pytest
from yoke_lab.initiator import Initiator
from yoke_lab.lab import Lab
from yoke_lab.shelf import Shelf
from yoke_lab.timing import scaled

LAB_OPTIONS = {"disk_bytes": [], "links": [], "shelves": 2, "shelf_wires": 2, "shelf_disks": ["nvme:64M", "iscsi:64M"]}


@pytest.fixture(scope="module")
def shelves(lab: Lab) -> list[Shelf]:
    both = [Shelf(lab, name) for name in lab.config().shelf_names()]
    for shelf in both:
        shelf.serve()
    return both


@pytest.fixture(scope="module")
def a(lab: Lab, shelves: list[Shelf]) -> Initiator:
    side = Initiator(lab, "a")
    for shelf in shelves:
        side.attach(shelf)
    return side


@pytest.mark.parametrize("disk", [0, 1], ids=["nvme", "iscsi"])
def test_one_wire_is_enough(lab: Lab, shelves: list[Shelf], a: Initiator, disk: int) -> None:
    shelf, other = shelves
    device = a.device(shelf, disk)
    first, second = a.wires(shelf)

    def put(text: str, to: str = device) -> None:
        write = f"timeout {round(scaled(40))} dd if=/tmp/block of={to} bs=4096 oflag=direct conv=notrunc status=none"
        a.sh(f"printf %-4096s {text} > /tmp/block; {write}", timeout=50)

    def on_disk(where: Shelf) -> str:
        return where.sh(f"dd if={where.raw(disk)} bs=4096 count=1 iflag=direct status=none").strip()

    put("other", a.device(other, disk))
    for wire in (first, second):
        lab.cut(wire.name)
        put(f"without-{wire.name}")
        assert on_disk(shelf) == f"without-{wire.name}"
        lab.mend(wire.name)
        a.reinstate(shelf)
        # The path is back before the other one goes.
        a.wait_paths(shelf, disk)
    assert on_disk(other) == "other"
