# SPDX-License-Identifier: GPL-2.0
"""A disk that fails, is slow or cannot be read when its volume needs it most: nothing that was acknowledged is lost, whoever
waits is answered in time, and `reason` says what is wrong."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from yoke_lab.appliance import CONFIG, Appliance, Node
from yoke_lab.brittle import Brittle
from yoke_lab.host_tools import build
from yoke_lab.lab import Lab
from yoke_lab.timing import scaled, wait_for
from yoke_lab.torture import verify, writing

LAB_OPTIONS = {"disk_bytes": [64 << 20], "memory_mib": 768}
VOLUME = "vol0"
BLOCKS = 4096
T_IO_MS = 200
SICK_SECONDS = 12
# Of a command; longer than a disk lease.
SLOW_MS, DISK_LEASE_MS = 1500, 1000


@pytest.fixture(scope="module")
def torture() -> str:
    return str(build("yoke-torture")[0])


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    return Appliance(lab)


@pytest.fixture
def appliance(whole: Appliance) -> Iterator[Appliance]:
    """Both controllers and their session; no volume is open. No kernel complains."""
    whole.restore()
    yield whole
    assert whole.splats() == []


@pytest.fixture
def below(appliance: Appliance) -> Iterator[Brittle]:
    """The way of b to the disk, whole at first and at the end."""
    device = Brittle(appliance.b, "sick", appliance.lab.disk_device())
    yield device
    device.remove()


@contextlib.contextmanager
def mirrored(
    appliance: Appliance, below: Brittle, *words: str, t_io_ms: int = T_IO_MS, handover_ms: int = 0
) -> Iterator[None]:
    """A volume that a owns and b, which reaches the disk through `below`, may have to take over; closed in the end."""
    a, b = appliance
    a.yokectl("volume", "create", VOLUME, "--device", below.disk, "--force")
    for node, disk in ((a, below.disk), (b, below.path)):
        node.open_volume(VOLUME, disk, "--home", "0", *words, t_io_ms=t_io_ms, handover_ms=handover_ms)
    a.wait_volume(VOLUME, "mirrored")
    try:
        yield
    finally:
        below.heal()
        for node in appliance:
            if appliance.lab.node_status(node.name)["pid"] is not None and node.has_volume(VOLUME):
                node.wait_volume(VOLUME, "mirrored standby solo")
                node.yokectl("volume", "close", VOLUME)


def place(node: Node) -> str:
    return f"/sys/block/{node.disk_of(VOLUME)}/yoke"


def write_words(torture: str, node: Node) -> list[str]:
    words = [torture, "write", "--device", f"/dev/{node.disk_of(VOLUME)}", "--record", "-", "--blocks", str(BLOCKS)]
    return [*words, "--depth", "8", "--flush-every", "300"]


@contextlib.contextmanager
def listening(node: Node) -> Iterator[None]:
    """The uevents of yoke meanwhile, in /run/events."""
    node.sh(f"{node.parts.yokectl} --json events > /run/events & echo $! > /run/events.pid")
    node.wait("the listener", "grep -q yokectl /proc/$(cat /run/events.pid)/comm")
    try:
        yield
    finally:
        node.sh("kill $(cat /run/events.pid)")


def test_a_survivor_keeps_what_its_disk_fails_and_writes_it_later(
    appliance: Appliance, below: Brittle, torture: str, tmp_path: Path
) -> None:
    lab, (a, b), record = appliance.lab, appliance, tmp_path / "record"
    failing = "the backing disk reports errors"
    with mirrored(appliance, below), listening(b):
        with writing(lab, "a", write_words(torture, a), record) as stream:
            stream.wait_for(500)
            below.fail_writes()
            lab.kill("a")
        b.wait_volume(VOLUME, "degraded")
        files = place(b)
        b.wait("a reason", f"grep -qx '{failing}' {files}/reason", say=f"cat {files}/reason {files}/stats")
        kept = b.volume(VOLUME)["dirty_blocks"]
        assert kept > 0
        # So it stays for as long as the disk is like that.
        until = f"end=$((SECONDS + {round(scaled(SICK_SECONDS))})); while ((SECONDS < end))"
        look = f"{until}; do echo $(cat {files}/state {files}/dirty_blocks); sleep 0.2; done | sort -u"
        assert b.sh(look, timeout=SICK_SECONDS * 3) == f"degraded {kept}"
        assert b.sh(f"cat {files}/reason") == failing
        b.wait("a uevent that says so", f"grep -q '{failing}' /run/events", say="cat /run/events")
        below.heal()
        b.wait_volume(VOLUME, "solo")
        assert b.volume(VOLUME)["dirty_blocks"] == 0 and failing not in b.sh(f"cat {files}/reason")
        b.wait("a uevent of the end", 'grep -q \'"to":"solo"\' /run/events', say="cat /run/events")
        events = [json.loads(line) for line in b.sh("cat /run/events").splitlines()]
        told = [(event["from"], event["to"]) for event in events if event["object"] == VOLUME]
        assert ("degraded", "solo") in told and any(to == "degraded" != old for old, to in told), told
        # From the disk, now.
        b.sh("echo 3 > /proc/sys/vm/drop_caches")
        code, report = verify(lab, "b", torture, f"/dev/{b.disk_of(VOLUME)}", record)
        assert code == 0 and report["lost"] == 0 and report["acked_writes"] >= 500, report


@pytest.mark.parametrize(
    "t_io_ms",
    [
        pytest.param(T_IO_MS, id="slower than t_io"),
        pytest.param(6000, id="as slow as was said", marks=pytest.mark.long),
    ],
)
def test_a_survivor_whose_disk_is_slower_than_its_lease(
    appliance: Appliance, below: Brittle, torture: str, tmp_path: Path, t_io_ms: int
) -> None:
    """It serves, or says that it cannot, in time; it does not claim the volume again and again; and all is well when the
    disk is quick again (truenas/linux#236, LINBIT/drbd#100)."""
    lab, (a, b), record = appliance.lab, appliance, tmp_path / "record"
    patience_ms = min(600_000, round(scaled(15_000)))
    words = ("--disk-lease-ms", str(DISK_LEASE_MS), "--patience-ms", str(patience_ms))
    with mirrored(appliance, below, *words, t_io_ms=t_io_ms):
        generation = a.volume(VOLUME)["generation"]
        with writing(lab, "a", write_words(torture, a), record) as stream:
            stream.wait_for(400)
            below.slow(SLOW_MS, SLOW_MS)
            lab.kill("a")
        bound = (t_io_ms + patience_ms * 9 / 8) / 1000 + scaled(5)
        read = f"timeout {round(bound)} dd if=/dev/{b.disk_of(VOLUME)} of=/dev/null bs=4k count=1 iflag=direct"
        for _ in range(3):
            done = b.run(read, timeout=bound + 15)
            volume = b.volume(VOLUME)
            print(f"read: {done.code}; {volume['state']}, generation {volume['generation']}: {volume['reason']}")
            assert done.code == 0 or (done.code == 1 and b"Input/output error" in done.stderr), done
            assert done.code == 0 or volume["reason"], "what does not serve says why"
            assert volume["generation"] <= generation + 1, "it is claimed once"
        below.heal()
        b.wait_volume(VOLUME, "solo")
        assert b.volume(VOLUME)["generation"] == generation + 1
        code, report = verify(lab, "b", torture, f"/dev/{b.disk_of(VOLUME)}", record)
        assert code == 0 and report["lost"] == 0 and report["acked_writes"] >= 400, report


@pytest.mark.parametrize("what", [pytest.param("header", marks=pytest.mark.long), "disk"])
def test_a_write_without_a_lease_fails_in_time(appliance: Appliance, below: Brittle, what: str) -> None:
    """The node blocks, or all of the disk, cannot be read until after the write, and then a read, has failed."""
    b, patience_ms = appliance.b, 2000
    b.yokectl("volume", "create", VOLUME, "--device", below.path, "--force")
    b.open_volume(VOLUME, below.path, "--home", "1", "--patience-ms", str(patience_ms), t_io_ms=T_IO_MS)
    b.wait_volume(VOLUME, "solo")
    disk, files = f"/dev/{b.disk_of(VOLUME)}", place(b)
    b.sh(f"dd if=/dev/urandom of={disk} bs=4k count=16 oflag=direct status=none")
    (below.fail_header if what == "header" else below.fail)()
    counter = f"sed -n 's/^expired //p' {files}/stats"
    expired = int(b.sh(counter))
    bound_ms = T_IO_MS + patience_ms + patience_ms / 8
    for words in (f"if=/dev/zero of={disk} oflag=direct conv=notrunc", f"if={disk} of=/dev/null iflag=direct"):
        # It answers until its lease is over.
        one = f"begun=$(date +%s%3N); timeout {round(scaled(60))} dd {words} bs=4k count=1 || break"
        done = b.run(f"export LC_ALL=C; while :; do {one}; done; echo $(($(date +%s%3N) - begun))", timeout=90)
        print(f"{words}: fails after {done.text} ms: {b.sh(f'cat {files}/reason')}")
        assert b"Input/output error" in done.stderr, done
        assert int(done.text) <= bound_ms + 1000 * scaled(1), "it was answered late"
    print(f"{int(b.sh(counter)) - expired} of them by their patience")
    assert b.sh(f"cat {files}/reason") != ""
    below.heal()
    wait_for("the volume to work", lambda: b.run(f"dd if={disk} of=/dev/null bs=4k count=1 iflag=direct").code == 0, 30)
    b.wait_volume(VOLUME, "solo")
    b.sh(f"dd if=/dev/zero of={disk} bs=4k count=16 oflag=direct status=none; cmp -n 65536 {disk} /dev/zero")
    b.yokectl("volume", "close", VOLUME)


def test_a_giveback_that_a_sick_disk_holds_up_is_taken_back(appliance: Appliance, below: Brittle) -> None:
    """The log cannot be emptied, so the giveback never ends and no write is begun. Taken back, all goes on in two memories."""
    a, b = appliance
    command = f"{CONFIG}/volumes/{VOLUME}/command"
    with mirrored(appliance, below, "--stateless"):
        appliance.give(VOLUME, b)
        generation, disk, ctl = b.volume(VOLUME)["generation"], f"/dev/{b.disk_of(VOLUME)}", b.parts.yokectl
        b.sh("dd if=/dev/urandom of=/run/data bs=4k count=8 status=none")
        below.fail_writes()
        write = f"dd if=/run/data of={disk} bs=4k count=1 oflag=direct status=none conv=notrunc"
        b.sh(f"{write} skip=0 seek=0")
        # It has nothing to take back yet.
        for node in appliance:
            idle = node.run(f"{ctl} giveback {VOLUME} --abort")
            assert idle.code == 1 and b"neither being given back nor closed" in idle.stderr, idle
        assert b"already in progress" in b.run(f"LC_ALL=C; echo abort-giveback > {command}").stderr
        assert f"volume {VOLUME}: command refused: the volume is neither being given back nor closed" in b.dmesg()
        b.sh(f"echo giveback > {command}")
        b.sh(f"rm -f /run/ended; ({write} skip=1 seek=1; echo $? > /run/ended) > /dev/null 2>&1 &")
        b.wait("a write that waits", f"grep -qx 'waiting 1' {place(b)}/stats", say=f"cat {place(b)}/stats")
        b.sh("sleep 3; [ ! -e /run/ended ]")
        assert "not given back or closed any more" in b.yokectl("giveback", VOLUME, "--abort")
        b.wait("the write", "[ -e /run/ended ]", 10)
        assert b.sh("cat /run/ended") == "0"
        volume = b.volume(VOLUME)
        assert (volume["state"], volume["generation"]) == ("mirrored", generation), volume
        # Who waits for its end only for a while does not leave it so.
        late = b.run(f"{ctl} giveback {VOLUME} --timeout 2")
        assert late.code == 1 and b"it was taken back" in late.stderr, late
        b.sh(f"timeout 10 {write} skip=2 seek=2")
        # Nor does a partner that asks for it and gives up: here nobody has asked, so nobody would take it back.
        assert a.run(f"{ctl} takeover {VOLUME} --timeout 2").code == 1
        b.sh(f"timeout 55 {write} skip=3 seek=3", timeout=70)
        volume = b.volume(VOLUME)
        assert volume["state"] == "mirrored" and volume["dirty_blocks"] == 4, volume
        below.heal()
        appliance.give(VOLUME, a)
        data = b.sh("head -c 16384 /run/data | sha256sum")
        assert a.sh(f"dd if=/dev/{a.disk_of(VOLUME)} bs=4k count=4 iflag=direct status=none | sha256sum") == data


def test_an_owner_that_could_not_be_closed_serves_on(
    appliance: Appliance, below: Brittle, torture: str, tmp_path: Path
) -> None:
    lab, (a, b) = appliance.lab, appliance
    with mirrored(appliance, below):
        with writing(lab, "a", write_words(torture, a), tmp_path / "record") as stream:
            stream.wait_for(500)
            below.fail_writes()
            lab.kill("a")
        b.wait_volume(VOLUME, "degraded")
        closed = b.run(f"{b.parts.yokectl} volume close {VOLUME}")
        assert closed.code == 1, closed
        assert f"volume {VOLUME}: not closed yet" in b.dmesg() and "it serves on" in b.dmesg()
        below.heal()
        b.wait_volume(VOLUME, "solo")
        b.sh(f"dd if=/dev/zero of=/dev/{b.disk_of(VOLUME)} bs=4k count=1 oflag=direct status=none")


@pytest.mark.parametrize("how", ["fails", pytest.param("hangs", marks=pytest.mark.long)])
def test_an_owner_whose_paths_are_gone_hands_over(
    appliance: Appliance, below: Brittle, torture: str, tmp_path: Path, how: str
) -> None:
    """Its links are whole, and its partner reaches the disk: that one has all that was acknowledged, and writes."""
    lab, (a, b), record = appliance.lab, appliance, tmp_path / "record"
    handover_ms = round(scaled(1) * 1000)
    with mirrored(appliance, below, handover_ms=handover_ms):
        appliance.give(VOLUME, b)
        # By the clock of the one that takes over: to start a program there may take longer than all of it.
        write = f"dd if=/dev/zero of=/dev/{a.disk_of(VOLUME)} bs=4k count=1 seek={BLOCKS} oflag=direct"
        first = "cut -d' ' -f1 /proc/uptime > /run/written"
        a.sh(f"rm -f /run/written; (until {write}; do :; done; {first}) > /dev/null 2>&1 &")
        with writing(lab, "b", write_words(torture, b), record) as stream:
            stream.wait_for(400)
            (below.fail if how == "fails" else below.hang)()
            begun_s = float(a.sh("cut -d' ' -f1 /proc/uptime"))
            a.wait("the first write", "[ -s /run/written ]", 30, say=f"cat {place(a)}/state {place(a)}/reason")
            waited_s = float(a.sh("cat /run/written")) - begun_s
            print(f"the first write {waited_s:.1f} s after the paths were gone")
            # A disk lease and more, the link lease twice, t_io, and what the programs there take.
            assert waited_s < scaled(6)
            # It cannot read the disk, and knows that it owns the volume no more.
            b.wait_volume(VOLUME, "standby")
            if how == "hangs":
                below.drop()
            stream.ended(1)
        says = f"grep -q 'does not reach the backing disk' {place(b)}/takeover_possible"
        b.wait("that it says why", says, 30, say=f"cat {place(b)}/takeover_possible")
        code, report = verify(lab, "a", torture, f"/dev/{a.disk_of(VOLUME)}", record)
        assert code == 0 and report["lost"] == 0 and report["acked_writes"] >= 400, report
        below.heal()
        a.wait_volume(VOLUME, "mirrored")
        b.wait("its disk to be well", f"grep -qx yes {place(b)}/takeover_possible", 30)
        appliance.give(VOLUME, b)
        code, report = verify(lab, "b", torture, f"/dev/{b.disk_of(VOLUME)}", record)
        assert code == 0 and report["lost"] == 0, report
