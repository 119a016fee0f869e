# SPDX-License-Identifier: GPL-2.0
"""A backing disk that hangs with all of its tags taken: whoever submits to it is kept there, and nobody else waits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial

import pytest
from yoke_lab.appliance import LINK_CLASS, PEER_CLASS, Appliance, Node
from yoke_lab.lab import Lab
from yoke_lab.timing import scaled

# Readers are in the hands of a disk that hangs for a while, on purpose: as long as Linux gives them by default.
LAB_OPTIONS = {"disk_bytes": [64 << 20, 64 << 20], "memory_mib": 1024, "hung_task_seconds": 120}
HUNG, OTHER = "vol0", "vol1"
SLOTS = 512
T_IO_MS = 200
PATIENCE_MS = 8000
# Requests that the disk takes before it keeps who submits one more.
TAGS = 4
READERS = 24
NO_UDEV = "export DM_DISABLE_UDEV=1"


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    """The disk of the first volume can be hung at a."""
    appliance = Appliance(lab)
    appliance.up()
    a, raw = appliance.a, lab.disk_device()
    a.sh(f'{NO_UDEV}; dmsetup create hung --table "0 $(blockdev --getsz {raw}) linear {raw} 0"')
    # A queue of dm's own takes any number; that of a loop device on it has tags.
    a.sh("losetup --direct-io=on /dev/loop0 /dev/mapper/hung")
    a.sh(f"echo none > /sys/block/loop0/queue/scheduler; echo {TAGS} > /sys/block/loop0/queue/nr_requests")
    assert a.sh("cat /sys/block/loop0/queue/nr_requests") == str(TAGS)
    a.sh("head -c $((1024 * 4096)) /dev/urandom > /tmp/pattern")
    a.yokectl("volume", "create", HUNG, "--device", "/dev/loop0")
    a.yokectl("volume", "create", OTHER, "--device", lab.disk_device(1))
    return appliance


@pytest.fixture
def appliance(whole: Appliance) -> Iterator[Appliance]:
    """Two volumes, mirrored, with a as their owner. No kernel complains."""

    def open_at(node: Node, name: str) -> None:
        device = whole.lab.disk_device(1) if name == OTHER else "/dev/loop0" if node is whole.a else None
        words = ("--home", "0", "--patience-ms", str(PATIENCE_MS))
        # The partner, whose disk is well, is not to take over.
        node.open_volume(name, device, *words, slots=SLOTS, t_io_ms=T_IO_MS, handover_ms=0)

    for name in (HUNG, OTHER):
        whole.restore_volume(name, partial(open_at, name=name))
        whole.give(name, whole.a)
    yield whole
    assert whole.splats() == []


def stays(node: Node) -> str:
    """What does not change as long as sessions and ownerships live on."""
    return node.sh(f"cat {LINK_CLASS}/*/down_count {PEER_CLASS}/*/incarnation /sys/block/yoke*/yoke/generation")


def put(node: Node, disk: str, block: int, count: int) -> None:
    words = f"of=/dev/{disk} bs=4k seek={block} count={count} oflag=direct conv=notrunc status=none"
    node.sh(f"timeout {round(scaled(20))} dd if=/tmp/pattern iflag=fullblock {words}")


def same(node: Node, disk: str, block: int, count: int) -> bool:
    words = f"if=/dev/{disk} bs=4k skip={block} count={count} iflag=direct status=none"
    return node.run(f"dd {words} | cmp -n $(({count} * 4096)) - /tmp/pattern").code == 0


def readers(node: Node) -> int:
    """How many are not answered yet."""
    return int(node.run("pgrep -xc dd").text)


def latencies_ms(node: Node, disk: str, seconds: int) -> float:
    """The longest that an I/O took in so much time of writing and reading, in milliseconds."""
    words = f"--filename=/dev/{disk} --direct=1 --ioengine=libaio --iodepth=4 --rw=randrw --bs=4k --size=16m"
    said = node.sh(f"fio --name=t --time_based --runtime={seconds} --output-format=json {words}", timeout=seconds + 60)
    job = json.loads(said[said.index("{") :])["jobs"][0]
    assert job["error"] == 0
    return max(job[way]["clat_ns"]["max"] for way in ("read", "write")) / 1e6


def test_a_disk_that_hangs_with_all_tags_taken(appliance: Appliance) -> None:
    a, b = appliance
    disk, other = a.disk_of(HUNG), a.disk_of(OTHER)
    stats = f"/sys/block/{disk}/yoke"
    put(a, disk, 0, 100)
    before, quiet = (stays(a), stays(b)), latencies_ms(a, other, 5)
    a.sh(f"{NO_UDEV}; dmsetup suspend --noflush --nolockfs hung")
    try:
        # More than it has tags, all at once; some want the log on the disk.
        begun = time.monotonic()
        reading = f"timeout {round(scaled(120))} dd if=/dev/{disk} of=/dev/null bs=4k count=1 iflag=direct"
        a.sh(f"for i in $(seq {READERS}); do {reading} skip=$((8000 + i)) > /dev/null 2>&1 & done")
        put(a, disk, 1000, 200)
        assert same(a, disk, 1000, 200), "the log has room, and the partner has them"
        says = f"grep -q 'does not answer' {stats}/reason"
        a.wait("a reason", says, say=f"cat {stats}/reason {stats}/stats {stats}/state")
        assert a.volume(HUNG)["state"] == "mirrored"
        busy = latencies_ms(a, other, 5)
        assert busy < max(10 * quiet, scaled(500)), f"{busy} ms where {quiet} ms are usual"
        # Those that the disk has in its hands, and one at most on its way to it for each of the two that hand over.
        limit = (T_IO_MS + PATIENCE_MS + PATIENCE_MS / 8) / 1000
        a.wait("answers", f"(($(pgrep -xc dd) <= {TAGS + 2}))", limit, say="ps ax; uptime")
        print(f"{readers(a)} of {READERS} wait after {time.monotonic() - begun:.1f} s")
        assert int(a.sh(f"sed -n 's/^expired //p' {stats}/stats")) >= READERS - TAGS - 2
        put(a, disk, 0, 100)
        assert json.loads(a.sh(f"{a.parts.yokectl} --json status || [ $? = 3 ]"))
        assert (stays(a), stays(b)) == before, "neither a session nor an ownership has ended"
    finally:
        a.sh(f"{NO_UDEV}; dmsetup resume hung")
    a.wait("the last reader", "! pgrep -x dd > /dev/null", 30)
    a.wait("the log on the disk", f"[ $(cat {stats}/dirty_blocks) -eq 0 ]", 60)
    assert same(a, disk, 0, 100) and same(a, disk, 1000, 200)
    put(a, disk, 2000, 300)
    assert same(a, disk, 2000, 300)


def test_a_close_waits_for_no_more_than_the_disk_has(appliance: Appliance) -> None:
    """The partner has all that is acknowledged, so the volume may go; what the disk did not take goes at once."""
    a = appliance.a
    disk = a.disk_of(HUNG)
    a.wait_volume(HUNG, "mirrored")
    a.sh(f"{NO_UDEV}; dmsetup suspend --noflush --nolockfs hung")
    try:
        put(a, disk, 0, 400)
        a.sh(f"dmesg -C; {a.parts.yokectl} volume close {HUNG} > /dev/null 2>&1 &")
        waits = "dmesg | grep -q 'still waiting for .* I/Os of a backing device'"
        # 20 s of the module's own clock until it gives up on its record, and 10 until it says so.
        a.wait("a close that waits for the disk", waits, 45, say="dmesg | tail")
        count = int(a.sh("dmesg | sed -n 's/.*still waiting for \\([0-9]*\\) I.*/\\1/p' | head -n 1"))
        assert 0 < count <= TAGS + 2, count
        assert a.volume(OTHER)["state"] == "mirrored"
    finally:
        a.sh(f"{NO_UDEV}; dmsetup resume hung")
    a.wait("the volume closed", f"! grep -qsx {HUNG} /sys/block/yoke*/yoke/name && ! pgrep -x yokectl > /dev/null", 60)
    a.yokectl("volume", "close", OTHER)
    a.unload()
