# SPDX-License-Identifier: GPL-2.0
"""The hardware driver comes back under a transport that stays."""

from pair import GUEST, MODULE, Pair
from yoke_lab.timing import is_long, scaled

CYCLES = 30 if is_long() else 8


def test_every_reload_comes_up(pair: Pair) -> None:
    for machine in pair:
        machine.netdev_up()
    pair.a.wait_carrier()
    said = pair.a.sh(f"{GUEST}/reload.sh {MODULE} {CYCLES} {scaled(20):.0f}", timeout=300)
    assert said == f"{CYCLES} of {CYCLES} cycles came up"
    assert pair.b.times("up") == CYCLES + 1
    assert pair.b.times("down") == CYCLES
