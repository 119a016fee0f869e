# SPDX-License-Identifier: GPL-2.0
"""What the kernel caches of a volume on a controller that does not own it: what only waits is not lost (docs/openers.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from yoke_lab.appliance import PEER_CLASS, Appliance
from yoke_lab.lab import Lab
from yoke_lab.timing import scaled

LAB_OPTIONS = {"disk_bytes": [128 << 20], "memory_mib": 768}
VOLUME = "vol0"
PATIENT = Path(__file__).resolve().parent / "guest" / "patient.py"
# Long enough for a write to come in, and for the keeper to come, before a takeover is done: that waits for it.
LEASE_MS = 4000
MIB = 16


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    appliance = Appliance(lab)
    appliance.up()
    appliance.a.yokectl("volume", "create", VOLUME, "--device", lab.disk_device())
    return appliance


@pytest.fixture
def appliance(whole: Appliance) -> Iterator[Appliance]:
    """The volume is a's, mirrored, and held by nobody."""
    lease = min(10_000, scaled(LEASE_MS))
    whole.restore_volume(VOLUME, lambda node: node.open_volume(VOLUME, None, "--home", "0", lease_ms=lease))
    whole.give(VOLUME, whole.a)
    yield whole
    assert whole.splats() == []


@pytest.mark.parametrize("sync", [True, False], ids=["with fsync", "without"])
def test_a_buffered_write_lives_through_a_fail_over(appliance: Appliance, sync: bool) -> None:
    """One long I/O: nothing of it fails, and all of it is there, in the cache and on the disk."""
    lab, b = appliance.lab, appliance.b
    disk = f"/dev/{b.disk_of(VOLUME)}"
    files = f"/sys/block/{b.disk_of(VOLUME)}/yoke"
    b.sh(f"head -c {MIB << 20} /dev/urandom > /run/data")
    lab.kill("a")
    # As long as it may live nothing waits for long.
    b.wait("the loss of its partner", f'[ "$(cat {PEER_CLASS}/0/state)" != ready ]', say=f"cat {PEER_CLASS}/0/state")
    # Somebody has it open all the time, so that its cache lives.
    write = f"python3 -I -S {PATIENT} {disk} /run/data {'sync' if sync else ''}"
    parked = f"until grep -q '^waiting [1-9]' {files}/stats; do ((SECONDS < end)) || exit 9; sleep 0.02; done"
    same = f"cmp -n {MIB << 20} /run/data {disk}; echo same $?"
    done = b.run(
        f"exec 9<> {disk}; {write} & end=$((SECONDS + 10)); {parked}; cat {files}/state; wait; cat {files}/state;"
        f" {same}; sync; echo 3 > /proc/sys/vm/drop_caches; {same}",
        timeout=90,
    )
    print(done)
    lines = done.text.splitlines()
    # The first step is done in the cache, and may be told before or after the state.
    before, after = [line for line in lines if line in ("standby", "claiming", "degraded", "solo")]
    assert before in ("standby", "claiming"), "the takeover was done too soon for this test"
    assert after in ("degraded", "solo"), done
    outcomes = [line for line in lines[:-2] if line not in (before, after)]
    assert outcomes == ["done"] * (3 if sync else 2), done
    assert lines[-2:] == ["same 0", "same 0"], done
