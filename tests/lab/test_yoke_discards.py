# SPDX-License-Identifier: GPL-2.0
"""Discards and write-zeroes whose owner dies, or is deposed, in the middle of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from yoke_lab.appliance import Appliance
from yoke_lab.brittle import Brittle
from yoke_lab.lab import Lab
from yoke_lab.timing import scaled, wait_for
from yoke_lab.torture import writing

LAB_OPTIONS = {"disk_bytes": [128 << 20, 64 << 20]}
VOLUME, OTHER = "vol0", "vol1"
HALF = 8 << 20
T_IO_MS = 200
# Longer than a takeover takes: it is not that the time is over when the owner wakes up.
PATIENCE_MS = min(600_000, round(scaled(10_000)))


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    appliance = Appliance(lab)
    appliance.up()
    appliance.a.yokectl("volume", "create", VOLUME, "--device", lab.disk_device())
    return appliance


@pytest.fixture
def appliance(whole: Appliance) -> Appliance:
    """The volume is open at both controllers and mirrored, with a as its owner."""
    whole.restore_volume(VOLUME, lambda node: node.open_volume(VOLUME, None, "--home", "0"))
    whole.give(VOLUME, whole.a)
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


@pytest.fixture
def below(appliance: Appliance) -> Iterator[Brittle]:
    """The way of a to the second disk, where another volume is, mirrored as well."""
    a, b = appliance
    device = Brittle(a, "keeps", appliance.lab.disk_device(1))
    a.yokectl("volume", "create", OTHER, "--device", device.path, "--force")
    for node, disk in ((a, device.path), (b, device.disk)):
        words = ("--home", "0", "--patience-ms", str(PATIENCE_MS))
        node.open_volume(OTHER, disk, *words, t_io_ms=T_IO_MS, handover_ms=0)
    a.wait_volume(OTHER, "mirrored")
    yield device
    appliance.restore()
    device.heal()
    b.wait_volume(OTHER, "mirrored standby")
    for node in (b, a):
        node.yokectl("volume", "close", OTHER)
    device.remove()


@pytest.mark.parametrize("words", ["", "-z"], ids=["discard", "write-zeroes"])
def test_one_under_a_deposed_owner_ends(appliance: Appliance, below: Brittle, words: str) -> None:
    """It is in the hands of a disk that keeps it, its owner sleeps, and another one has the volume when that wakes up: who
    waits for it gets an answer in the time that any I/O has, though the disk gives none."""
    a, b = appliance
    below.slow(0, 3_600_000)
    ended = "/run/discard.ended"
    discard = f"blkdiscard {words} -l {HALF} /dev/{a.disk_of(OTHER)}"
    say = f"code=0; {discard} || code=$?; echo $code > {ended}.new; mv {ended}.new {ended}"
    a.sh(f"rm -f {ended}; ({say}) > /dev/null 2>&1 &")
    wait_for("a discard on its way to the disk", lambda: below.held() > 0, 20)
    a.lab.pause("a")
    b.wait_volume(OTHER, "degraded solo")
    a.lab.resume("a")
    limit = (T_IO_MS + PATIENCE_MS * 9 / 8) / 1000 + scaled(2)
    woke = time.monotonic()
    end = f"timeout {round(limit)} sh -c 'while [ ! -e {ended} ]; do sleep 0.1; done'"
    assert a.run(end, timeout=limit).code == 0, a.run("cat /proc/$(pgrep -x blkdiscard)/stack").text
    code = a.sh(f"cat {ended}")
    print(f"ends with {code} {time.monotonic() - woke:.1f} s after its controller woke up, {limit:.0f} at most")
    assert code in ("0", "1")
    assert below.held() > 0, "the disk has let it go"
    assert appliance.lab.hung_tasks("a", 3) == []
    # What the disk does late is no business of the new owner's here: longer than T_io has passed.
    below.heal()
    a.wait_volume(OTHER, "standby")
    b.wait_volume(OTHER, "mirrored")
    place = f"/dev/{b.disk_of(OTHER)}"
    b.sh(f"head -c {HALF} /dev/urandom > /tmp/data; dd if=/tmp/data of={place} bs=1M oflag=direct status=none")
    b.sh(f"cmp -n {HALF} {place} /tmp/data; timeout {round(scaled(50))} blkdiscard {words} -l {HALF} {place}")
    assert appliance.splats() == []
