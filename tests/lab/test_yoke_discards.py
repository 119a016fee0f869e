# SPDX-License-Identifier: GPL-2.0
"""Discards and write-zeroes whose owner dies in the middle of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from yoke_lab.appliance import Appliance
from yoke_lab.lab import Lab
from yoke_lab.timing import scaled
from yoke_lab.torture import writing

LAB_OPTIONS = {"disk_bytes": [128 << 20]}
VOLUME = "vol0"
HALF = 8 << 20


@pytest.fixture(scope="module")
def appliance(lab: Lab) -> Appliance:
    whole = Appliance(lab)
    whole.up()
    whole.a.yokectl("volume", "create", VOLUME, "--device", lab.disk_device())
    for node in whole:
        node.open_volume(VOLUME, None, "--home", "0")
    whole.a.wait_volume(VOLUME, "mirrored")
    return whole


def test_write_zeroes_and_discards_under_a_dying_owner_leave_zeroes_and_nothing_else(
    appliance: Appliance, tmp_path: Path
) -> None:
    owner, survivor, lab = appliance.a, appliance.b, appliance.lab
    disk = f"/dev/{owner.disk_of(VOLUME)}"
    owner.sh(f"head -c {2 * HALF} /dev/zero | tr '\\0' x | dd of={disk} bs=1M oflag=direct iflag=fullblock status=none")
    # The first half is zeroed and discarded again and again; each answer is a line of the record.
    again = f"blkdiscard -z -l {HALF} {disk} && echo && echo a z && blkdiscard -l {HALF} {disk} && echo && echo a d"
    with writing(lab, "a", ["sh", "-c", f"while {again}; do :; done"], tmp_path / "record") as stream:
        stream.wait_for(6)
        lab.kill("a")
    survivor.wait_volume(VOLUME, "degraded solo")
    # Read at once, and when every command of the dead owner and of the survivor has landed. Nothing hangs.
    drop = "echo 3 > /proc/sys/vm/drop_caches"
    zeroes = f"{drop}; timeout {round(scaled(60))} cmp -n {HALF} {disk} /dev/zero"
    survivor.sh(zeroes, timeout=90)
    survivor.wait_volume(VOLUME, "solo")
    survivor.sh(zeroes, timeout=90)
    left = survivor.sh(f"tail -c +{HALF + 1} {disk} | head -c {HALF} | tr -d x | wc -c")
    assert left.strip() == "0", "the other half is as it was written"
    # Its range is open again.
    patience = f"timeout {round(scaled(50))}"
    survivor.sh(f"{patience} dd if=/dev/urandom of={disk} bs=1M count=4 oflag=direct status=none")
    survivor.sh(f"{patience} blkdiscard -z {disk}")
    survivor.sh(f"{patience} cmp -n {2 * HALF} {disk} /dev/zero")
    assert appliance.splats() == []
