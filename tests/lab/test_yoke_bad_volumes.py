# SPDX-License-Identifier: GPL-2.0
"""Bad input to volumes: garbage in attributes, disks that are no volume or a damaged one, commands at the wrong time."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from attributes import GARBAGE, assert_all, refused, snapshot, write_all
from yoke_lab.appliance import APPLIANCE, CONFIG, Appliance, Beats, Node
from yoke_lab.lab import Lab
from yoke_lab.timing import is_long

LAB_OPTIONS = {"disk_bytes": [64 << 20, 16 << 20], "memory_mib": 512}
# On the first disk, open and mirrored all the time; what is broken is on the second.
VOLUME = "vol0"
FOREIGN = "11111111-2222-3333-4444-555555555555"
NUMBERS = {
    "home": (0, 63),
    "slots": (64, 65536),
    "t_io_ms": (0, 600_000),
    "link_lease_ms": (5, 10_000),
    "disk_lease_ms": (50, 60_000),
    "handover_ms": (0, 600_000),
}
SETTINGS = (*NUMBERS, "device", "power_loss", "stateless")
SUPERBLOCKS = (0, 255)
# Slow: nobody dies here, and a busy host is no reason for a takeover.
BEATS = Beats(interval_us=100_000, missed=50)
LEASE_MS = 2000


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    appliance = Appliance(lab)
    for node in appliance:
        node.load()
        node.configure(BEATS)
    for node in appliance:
        node.wait_session()
    appliance.a.yokectl("volume", "create", VOLUME, "--device", lab.disk_device())
    for node in appliance:
        node.open_volume(VOLUME, slots=256, lease_ms=LEASE_MS)
    return appliance


@pytest.fixture
def appliance(whole: Appliance) -> Iterator[Appliance]:
    """Before and after each test: a volume that works, nothing else, and no complaint of a kernel."""
    # On a busy host a link may be down for a moment.
    whole.a.wait_volume(VOLUME, "mirrored")
    for node in whole:
        node.sh("dmesg -C")
    yield whole
    assert whole.splats() == []
    for node in whole:
        assert node.sh(f"ls {CONFIG}/volumes") == VOLUME
    whole.a.wait_volume(VOLUME, "mirrored")


@pytest.fixture
def spare(appliance: Appliance) -> Iterator[str]:
    """The second disk with a new volume of the name `spare` on it; closed afterwards."""
    a, device = appliance.a, appliance.lab.disk_device(1)
    a.yokectl("volume", "create", "spare", "--device", device, "--force")
    yield device
    if appliance.lab.node_status("a")["pid"] is not None:
        a.sh(f"[ ! -d {CONFIG}/volumes/spare ] || {a.parts.yokectl} volume close spare")


def refuses_to_open(node: Node, name: str, device: str, errno: str) -> str:
    """The volume cannot be opened; what the kernel said. Nothing of it stays."""
    node.sh(f"dmesg -C; mkdir {CONFIG}/volumes/{name}; echo {device} > {CONFIG}/volumes/{name}/device")
    before = snapshot(node)
    assert write_all(node, [(f"{CONFIG}/volumes/{name}/enable", b"1")]) == [errno]
    assert snapshot(node) == before
    said = node.dmesg()
    assert f"volume {name}: not opened: " in said
    node.sh(f"rmdir {CONFIG}/volumes/{name}")
    return said


def scribble(node: Node, device: str, *blocks: int) -> None:
    """Random bytes over blocks of 4 KiB, past every cache."""
    dd = f"dd if=/dev/urandom of={device} bs=4096 count=1 oflag=direct conv=notrunc status=none"
    node.sh("; ".join(f"{dd} seek={block}" for block in blocks))


def checksum(node: Node, device: str) -> str:
    return node.sh(f"dd if={device} bs=1M iflag=direct status=none | sha256sum")


def test_garbage_in_every_attribute(appliance: Appliance) -> None:
    a, volume = appliance.a, f"{CONFIG}/volumes/x"
    a.sh(f"mkdir {volume}")
    before = snapshot(a)
    garbage = [(f"{volume}/{file}", value) for file in (*SETTINGS, "enable", "command") for value in GARBAGE]
    bounds = [
        (f"{volume}/{file}", str(value).encode())
        for file, (least, most) in NUMBERS.items()
        for value in (least - 1, most + 1, most + (1 << 32), 1 << 63)
    ]
    paths = [b"vdb", b"/" + b"a" * 256, b"/dev/v\0db", b"/dev/\xff", b"/dev/vdb\n/dev/vda", b"/dev/\x1b[2J"]
    assert_all(a, "EINVAL", garbage + bounds + [(f"{volume}/device", path) for path in paths])
    assert snapshot(a) == before
    log = a.dmesg()
    for file in (*SETTINGS, "enable"):
        assert f"volume x: {file} not changed" in log, file
    assert "volume x: command refused: none of takeover" in log
    good = [(f"{volume}/{file}", b"%d\n" % value) for file, ends in NUMBERS.items() for value in ends]
    assert_all(a, "OK", [*good, (f"{volume}/power_loss", b"start-from-disk"), (f"{volume}/power_loss", b"refuse\n")])
    a.sh(f"rmdir {volume}")


def test_an_open_volume_keeps_its_settings_and_refuses_what_cannot_be(appliance: Appliance) -> None:
    volume = f"{CONFIG}/volumes/{VOLUME}"
    before = [snapshot(node) for node in appliance]
    values = [(f"{volume}/{file}", b"64") for file in NUMBERS]
    values += [(f"{volume}/device", b"/dev/vdb"), (f"{volume}/power_loss", b"refuse"), (f"{volume}/stateless", b"0")]
    assert_all(appliance.a, "EBUSY", values)
    assert f"{VOLUME}: slots not changed: the volume is enabled" in appliance.a.dmesg()
    assert_all(appliance.a, "EALREADY", [(f"{volume}/command", b"takeover"), (f"{volume}/command", b"force-from-disk")])
    assert f"{VOLUME}: command refused: this controller owns the volume" in appliance.a.dmesg()
    assert_all(appliance.b, "EPERM", [(f"{volume}/command", b"giveback")])
    assert f"{VOLUME}: command refused: another controller owns the volume" in appliance.b.dmesg()
    refused(appliance.a, f"rmdir {volume}")
    assert [snapshot(node) for node in appliance] == before


def test_names_of_volumes(appliance: Appliance) -> None:
    volumes = f"{CONFIG}/volumes"
    for name in ("'.x'", "'a b'", "a%b", "ä", "x" * 32):
        refused(appliance.a, f"mkdir {volumes}/{name}")
    assert "not made: its name" in appliance.a.dmesg()
    appliance.a.sh(f"mkdir {volumes}/closed")
    assert_all(appliance.a, "EPERM", [(f"{volumes}/closed/command", b"takeover")])
    assert_all(appliance.a, "EINVAL", [(f"{volumes}/closed/enable", b"1")])
    log = appliance.a.dmesg()
    assert "closed: command refused: the volume is not open" in log and "closed: not opened: no device is set" in log
    appliance.a.sh(f"rmdir {volumes}/closed")


def test_what_is_no_disk(appliance: Appliance) -> None:
    a = appliance.a
    a.sh("truncate -s 64M /tmp/file; mkdir -p /tmp/directory; [ -e /tmp/fifo ] || mkfifo /tmp/fifo")
    for device in ("/nonexistent", "/tmp/file", "/tmp/directory", "/tmp/fifo", "/dev/null", "/dev/null/x"):
        assert f"{device}: there is no such disk" in refuses_to_open(a, "x", device, "ENODEV")
    said = refused(a, f"{a.parts.yokectl} volume open x --device /nonexistent")
    assert "there is no such device" in said and "not opened" in said


def test_a_disk_that_belongs_to_something_else(appliance: Appliance) -> None:
    a, disk = appliance.a, appliance.lab.disk_device(1)
    create = f"{a.parts.yokectl} volume create x --device {disk}"
    a.sh(f"dd if=/dev/zero of={disk} bs=1M oflag=direct count=16 status=none")
    assert "holds no volume" in refuses_to_open(a, "x", disk, "EMEDIUMTYPE")
    a.sh(f"mkfs.ext4 -q -F {disk} && sync")
    before = checksum(a, disk)
    assert "holds no volume" in refuses_to_open(a, "x", disk, "EMEDIUMTYPE")
    assert "ext" in refused(a, create)
    a.sh(f"mkdir -p /tmp/mnt; mount -o ro {disk} /tmp/mnt")
    assert "mounted, or has another holder" in refuses_to_open(a, "x", disk, "EBUSY")
    assert "mounted" in refused(a, f"{create} --force")
    a.sh("ls /tmp/mnt/lost+found; umount /tmp/mnt")
    assert checksum(a, disk) == before
    a.sh(f"{create} --force --appliance {FOREIGN}")
    before = checksum(a, disk)
    assert f"belongs to appliance {FOREIGN}" in refuses_to_open(a, "x", disk, "EMEDIUMTYPE")
    assert "appliance" in refused(a, create)
    assert "another holder" in refuses_to_open(a, "x", appliance.lab.disk_device(), "EBUSY")
    assert checksum(a, disk) == before


def test_a_volume_of_another_name_and_damaged_superblocks(appliance: Appliance, spare: str) -> None:
    a = appliance.a
    assert "the disk holds the volume spare" in refuses_to_open(a, "x", spare, "EMEDIUMTYPE")
    for block in SUPERBLOCKS:
        a.yokectl("volume", "create", "spare", "--device", spare, "--force")
        scribble(a, spare, block)
        a.open_volume("spare", spare, slots=256, lease_ms=LEASE_MS)
        a.wait_volume("spare", "solo")
        a.yokectl("volume", "close", "spare")
    scribble(a, spare, *SUPERBLOCKS)
    assert "holds no volume" in refuses_to_open(a, "spare", spare, "EMEDIUMTYPE")
    assert "holds data" in refused(a, f"{a.parts.yokectl} volume create spare --device {spare}")


@pytest.mark.parametrize("node", [0, 1])
def test_damaged_node_blocks_are_not_served_from(appliance: Appliance, spare: str, node: int) -> None:
    """The own block, or the partner's, which may say that the data is elsewhere."""
    a = appliance.a
    scribble(appliance.b, spare, 1 + 2 * node, 2 + 2 * node)
    a.open_volume("spare", spare, slots=256, lease_ms=LEASE_MS)
    disk = a.disk_of("spare")
    a.wait("a reason", f"grep -q 'node blocks on the backing disk cannot be read' /sys/block/{disk}/yoke/reason")
    assert f"block of node {node}: " in a.dmesg()
    volume = a.volume("spare")
    assert (volume["state"], volume["role"], volume["takeover_possible"]) == ("opening", "none", False)
    assert a.run(f"timeout 1 dd if=/dev/{disk} of=/dev/null bs=4096 count=1 iflag=direct").code != 0
    assert "still being opened" in refused(a, f"{a.parts.yokectl} takeover spare")
    a.yokectl("volume", "close", "spare", timeout=10)
    assert "could not be closed" not in a.dmesg()


def test_an_owner_whose_partners_block_is_damaged_stops_serving(appliance: Appliance, spare: str) -> None:
    a, b = appliance
    a.open_volume("spare", spare, slots=256, lease_ms=LEASE_MS)
    a.wait_volume("spare", "solo")
    disk = a.disk_of("spare")
    b.sh(f"dd if={spare} of=/tmp/head bs=4096 count=256 iflag=direct status=none")
    scribble(b, spare, 3, 4)
    a.wait("a reason", f"grep -q 'cannot be read' /sys/block/{disk}/yoke/reason")
    # It answers until its lease of a second has run out, and then no more: somebody may have claimed the volume.
    write = f"dd if=/dev/zero of=/dev/{disk} bs=4096 count=1 oflag=direct status=none"
    stamp = "echo $(date +%s%3N) > /tmp/begun.new && mv /tmp/begun.new /tmp/begun"
    writer = f"while [ ! -e /tmp/enough ]; do {stamp}; {write} || break; echo > /tmp/written; done"
    a.sh(f"rm -f /tmp/enough /tmp/written; ({writer}) > /dev/null 2>&1 & echo $! > /tmp/writer")
    under_way = "(($(date +%s%3N) - $(cat /tmp/begun) > 3000))"
    a.wait("a write that is not answered for three leases", f"[ -e /tmp/begun ] && {under_way}")
    a.sh("touch /tmp/enough; rm -f /tmp/written")
    b.sh(f"dd if=/tmp/head of={spare} bs=4096 skip=3 seek=3 count=2 oflag=direct conv=notrunc status=none")
    a.wait("the answer to the write", "[ -e /tmp/written ]")
    a.wait("the end of the writer", "! kill -0 $(cat /tmp/writer) 2>/dev/null")
    a.wait("the end of the reason", f"! grep -q 'cannot be read' /sys/block/{disk}/yoke/reason")
    a.yokectl("volume", "close", "spare")


def test_force_overwrites_no_volume_that_lives(appliance: Appliance, spare: str) -> None:
    """Its owner is another controller, so nothing but the disk tells."""
    a, b = appliance
    a.open_volume("spare", spare, slots=256, lease_ms=LEASE_MS)
    a.wait_volume("spare", "solo")
    disk = a.disk_of("spare")
    a.sh(f"dd if=/dev/urandom of=/dev/{disk} bs=4096 count=64 oflag=direct status=none")
    before = checksum(a, f"/dev/{disk}")
    said = refused(b, f"{b.parts.yokectl} volume create other --device {spare} --force")
    assert "somebody serves at this moment: the block of node 0 moves" in said
    a.sh(f"dd if=/dev/{disk} of=/tmp/head bs=4096 count=8 iflag=direct status=none")
    a.sh(f"dd if=/tmp/head of=/dev/{disk} bs=4096 count=8 oflag=direct,sync conv=notrunc status=none")
    assert checksum(a, f"/dev/{disk}") == before
    a.yokectl("volume", "close", "spare")
    b.yokectl("volume", "create", "other", "--device", spare, "--force")


def test_a_volume_that_two_memories_keep_is_overwritten_by_name_only(appliance: Appliance, spare: str) -> None:
    """An owner with a partner leaves the disk alone: who looks at the disk cannot tell whether the two live."""
    a, b = appliance
    for node in appliance:
        node.open_volume("spare", spare, "--home", "0", slots=256, lease_ms=LEASE_MS)
    a.wait_volume("spare", "mirrored")
    # Of a controller that has the volume open its own exclusive claim keeps everybody away; so a copy of the disk.
    b.sh(f"dd if={spare} of=/tmp/copy bs=1M count=16 iflag=direct status=none")
    create = f"{b.parts.yokectl} volume create other --device /tmp/copy --force"
    assert "in the memories of node 0 and node 1" in refused(b, create)
    b.sh(f"{create} --discard-shadow; rm /tmp/copy")
    for node in (b, a):
        node.yokectl("volume", "close", "spare")


def test_a_path_that_is_changed_while_a_volume_is_opened(appliance: Appliance, spare: str) -> None:
    """The path is looked up once: what is opened is what was looked at. Both disks that it names in turn hold the volume,
    so a second look that meets the other one is told from the first by nothing but the disk's number."""
    a = appliance.a
    a.sh(
        f"dd if={spare} of=/tmp/twin bs=1M iflag=direct status=none; losetup /dev/loop0 /tmp/twin; ln -sf {spare} /tmp/path"
    )
    flip = f"while :; do ln -sfn /dev/loop0 /tmp/path; ln -sfn {spare} /tmp/path; done"
    a.sh(f"({flip}) > /dev/null 2>&1 & echo $! > /tmp/flip")
    try:
        for _ in range(20 if is_long() else 4):
            a.open_volume("spare", "/tmp/path", slots=64, lease_ms=LEASE_MS)
            a.wait_volume("spare", "solo")
            a.yokectl("volume", "close", "spare")
    finally:
        log = a.dmesg()
        a.sh("kill $(cat /tmp/flip); losetup -d /dev/loop0; rm /tmp/path /tmp/twin")
    assert "volume spare: closed -> opening" in log
    assert "the disk changed while it was opened" not in log


def test_a_degraded_pair_says_so(appliance: Appliance) -> None:
    a, b = appliance
    ctl = a.parts.yokectl
    assert a.sh(f"{ctl} doctor").count("BAD") == 0
    assert [a.run(f"{ctl} {words} {VOLUME} --dry-run").code for words in ("takeover", "giveback")] == [1, 0]
    assert [b.run(f"{ctl} {words} {VOLUME} --dry-run").code for words in ("takeover", "giveback")] == [0, 1]
    a.sh(f"{ctl} --json events > /tmp/events & echo $! > /tmp/events.pid")
    a.wait("the listener", "grep -q yokectl /proc/$(cat /tmp/events.pid)/comm")
    b.yokectl("volume", "close", VOLUME)
    a.wait_volume(VOLUME, "solo")
    reason = "there is no session with the partner"
    assert a.volume(VOLUME)["takeover_reason"] == reason
    for words in ("giveback", "giveback --dry-run"):
        done = a.run(f"{ctl} {words} {VOLUME}")
        assert done.code == 1 and reason in (done.stdout + done.stderr).decode(), done
    assert "not open here" in refused(b, f"{ctl} takeover {VOLUME}")
    findings = a.ask("doctor")
    (bad,) = [finding for finding in findings if not finding["good"]]
    assert bad["check"] == "volume" and reason in bad["detail"] and bad["advice"]
    assert a.run(f"{ctl} doctor").code == 3
    b.open_volume(VOLUME, slots=256, lease_ms=LEASE_MS)
    a.wait_volume(VOLUME, "mirrored")
    a.sh("kill $(cat /tmp/events.pid)")
    events = [json.loads(line) for line in a.sh("cat /tmp/events").splitlines()]
    told = [(event["to"], event["reason"]) for event in events if event["object"] == VOLUME]
    # One that is mirrored may have a reason too: why it does not answer at this moment.
    assert told[-1][0] == "mirrored" and all(why for to, why in told if to != "mirrored"), events
    assert {"holding", "solo", "rejoining"} <= {to for to, _ in told}, events


def test_who_this_is(appliance: Appliance) -> None:
    """The identity cannot change under open volumes."""
    values = [("appliance", APPLIANCE.encode()), ("node", b"3")]
    assert_all(appliance.a, "EBUSY", [(f"{CONFIG}/{file}", value) for file, value in values])
