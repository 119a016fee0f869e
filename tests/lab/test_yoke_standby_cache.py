# SPDX-License-Identifier: GPL-2.0
"""What the kernel caches of a volume on a controller that does not own it: what only waits is not lost, what was written in
vain goes, and nobody who writes on holds up others (docs/openers.md)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from yoke_lab.appliance import PEER_CLASS, Appliance, Node
from yoke_lab.lab import Lab
from yoke_lab.timing import scaled

# Two processors: what drops the cache runs beside those who fill it.
LAB_OPTIONS = {"disk_bytes": [128 << 20, 64 << 20], "memory_mib": 768, "cpus": 2}
VOLUME, EXPORTED = "vol0", "export"
GUEST = Path(__file__).resolve().parent / "guest"
SCRIBBLER, PATIENT, OWN = (GUEST / f"{name}.py" for name in ("scribbler", "patient", "own_copy"))
# Long enough for a write to come in, and for the keeper to come, before a takeover is done: that waits for it.
LEASE_MS = 6000
MIB = 16
WRITERS = 4
# Of what needs no I/O of the volume.
SOON = 20


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    appliance = Appliance(lab)
    appliance.up()
    for number, name in enumerate((VOLUME, EXPORTED)):
        appliance.a.yokectl("volume", "create", name, "--device", lab.disk_device(number))
    return appliance


@pytest.fixture
def appliance(whole: Appliance) -> Iterator[Appliance]:
    """Both volumes are a's, mirrored, and held by nobody."""

    def open_volume(node: Node, name: str, number: int) -> None:
        words = ["--stateless"] if name == EXPORTED else []
        lease = min(10_000, scaled(LEASE_MS))
        node.open_volume(name, whole.lab.disk_device(number), "--home", "0", *words, lease_ms=lease)

    for number, name in enumerate((VOLUME, EXPORTED)):
        whole.restore_volume(name, lambda node, name=name, number=number: open_volume(node, name, number))
        whole.give(name, whole.a)
    yield whole
    assert whole.splats() == []


def device(node: Node, name: str = VOLUME) -> str:
    return f"/dev/{node.disk_of(name)}"


@pytest.mark.parametrize(
    "sync", [pytest.param(True, id="with fsync"), pytest.param(False, id="without", marks=pytest.mark.long)]
)
def test_a_fail_over_holds_up_a_buffered_write_and_loses_nothing(appliance: Appliance, sync: bool) -> None:
    """One long I/O: nothing of it fails, and all of it is there, in the cache and on the disk."""
    lab, b = appliance.lab, appliance.b
    disk = device(b)
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


def test_a_write_that_waits_for_a_fail_over_holds_up_nobody(appliance: Appliance) -> None:
    """Whoever opens and closes the device waits for no page that is being written, and neither does the keeper."""
    lab, b = appliance.lab, appliance.b
    disk = device(b)
    files = f"/sys/block/{b.disk_of(VOLUME)}/yoke"
    b.sh("head -c 4096 /dev/urandom > /run/data")
    lab.kill("a")
    b.wait("the loss of its partner", f'[ "$(cat {PEER_CLASS}/0/state)" != ready ]', say=f"cat {PEER_CLASS}/0/state")
    write = f"python3 -I -S {PATIENT} {disk} /run/data > /run/outcomes"
    waits = f"grep -q '^waiting [1-9]' {files}/stats"
    # The keeper comes within a second.
    done = b.run(
        f"exec 9<> {disk}; {write} & end=$((SECONDS + 10)); until {waits}; do ((SECONDS < end)) || exit 9; sleep 0.02; done;"
        f" sleep 1.5; {waits} && echo waits; blockdev --getsize64 {disk} > /dev/null; : <> {disk}; {waits} && echo waits;"
        f" cat {files}/state; wait; cat /run/outcomes",
        timeout=90,
    )
    assert done.text.startswith("waits"), "the takeover was done too soon for this test"
    assert done.text.splitlines()[1:] in (["waits", state, "done", "done"] for state in ("standby", "claiming")), done


@contextlib.contextmanager
def scribbling(node: Node, name: str) -> Iterator[None]:
    """Processes that write the disk and let nothing stop them; killed in the end, which they must not survive."""
    place, disk = node.sh("mktemp -d"), device(node, name)
    # Nobody else writes their pages back: a page that somebody writes while its I/O fails makes the kernel complain.
    setting = "/proc/sys/vm/dirty_writeback_centisecs"
    interval = node.sh(f"cat {setting}; echo 0 > {setting}")
    for number in range(WRITERS):
        run = f"nice -n 19 python3 -I -S {SCRIBBLER} {disk} {4 * number} {'sync' if number == 0 else ''}"
        node.sh(f"({run} > {place}/log{number} 2>&1 & echo $! > {place}/pid{number}) > /dev/null 2>&1")
    node.wait("the writers", f"[ $(cat {place}/log? | grep -c ready) = {WRITERS} ]", say=f"cat {place}/log?")
    yield
    ended = f"for p in $(cat {place}/pid?); do ! kill -0 $p 2> /dev/null || exit 1; done"
    node.sh(f"kill -9 $(cat {place}/pid?)")
    node.wait(
        "the end of the writers",
        f"({ended})",
        SOON,
        say=f"cat {place}/pid? | while read p; do cat /proc/$p/stack; done",
    )
    node.sh(f"echo {interval} > {setting}")


def soon(node: Node, script: str) -> int:
    """The status of what has to end soon, whatever it is."""
    return node.run(script, timeout=SOON).code


def test_writers_on_a_standby_hold_up_nobody(appliance: Appliance) -> None:
    b = appliance.b
    disk, ctl = device(b), b.parts.yokectl
    with scribbling(b, VOLUME):
        for _ in range(4):
            assert soon(b, f"blockdev --getsize64 {disk}") == 0
            assert soon(b, f"exec 9<> {disk}") == 0
            assert soon(b, f"{ctl} volume list > /dev/null") in (0, 3)
            b.sh("sleep 0.3")
        # Refused in good time, since it is not the owner and since it is in use.
        assert soon(b, f"{ctl} giveback {VOLUME}") == 1
        assert soon(b, f"{ctl} volume close {VOLUME}") == 1
        # Uevents go on, and a takeover is not held up.
        b.sh(f"{ctl} --json events > /run/events & echo $! > /run/events.pid; sleep 1")
        assert soon(b, f"{ctl} takeover {VOLUME}") == 0
        b.wait_volume(VOLUME, "mirrored")
        b.wait("a uevent that says so", 'grep -q \'"to":"mirrored"\' /run/events', SOON, say="cat /run/events")
        b.sh("kill $(cat /run/events.pid)")
        assert "its disk is held: open 4 times" not in b.dmesg()
        assert soon(b, f"{ctl} giveback {VOLUME}") == 1
    b.yokectl("giveback", VOLUME)
    appliance.a.wait_volume(VOLUME, "mirrored")
    assert soon(b, f"{ctl} volume close {VOLUME}") == 0


def test_what_was_written_in_vain_is_not_read_though_others_write(appliance: Appliance) -> None:
    """The block of a write that failed goes out of the cache."""
    a, b = appliance
    disk = device(b)
    at = (64 << 20) // 4096
    fill = "head -c 4096 /dev/zero | tr '\\0' '\\125'"
    a.sh(f"dd if=/dev/zero of={device(a)} bs=4096 count=1 seek={at} oflag=direct conv=notrunc status=none")
    read = f"dd if={disk} bs=4096 count=1 skip={at} status=none"
    with scribbling(b, VOLUME):
        b.sh(
            f"exec 9< {disk}; if {fill} | dd of={disk} bs=4096 seek={at} oflag=sync conv=notrunc 2> /dev/null; then exit 2; fi;"
            f" end=$((SECONDS + 30)); while {read} > /dev/null 2>&1; do ((SECONDS < end)) || exit 3; sleep 0.05; done"
        )


def test_writers_on_a_volume_without_state_do_not_hold_up_its_way(appliance: Appliance) -> None:
    """It goes and comes back; and what was cached for them before is read by nobody after."""
    a, b = appliance
    ctl, disk, at = a.parts.yokectl, device(a, EXPORTED), (32 << 20) // 4096
    read = f"dd if={disk} bs=4096 count=1 skip={at} status=none | head -c 4 | od -An -tx1 | tr -d ' '"

    def stamp(node: Node, octal: str) -> None:
        fill = f"head -c 4096 /dev/zero | tr '\\0' '\\{octal}'"
        node.sh(f"{fill} | dd of={device(node, EXPORTED)} bs=4096 seek={at} oflag=direct conv=notrunc status=none")

    stamp(a, "021")
    with scribbling(a, EXPORTED):
        assert a.sh(read) == "11111111"
        assert soon(a, f"{ctl} giveback {EXPORTED}") == 0
        b.wait_volume(EXPORTED, "mirrored")
        for _ in range(3):
            assert soon(a, f"blockdev --getsize64 {disk}") == 0
            assert soon(a, f"exec 9<> {disk}") == 0
            assert a.run(f"timeout 20 {read}").text != "11111111"
            a.sh("sleep 0.3")
        stamp(b, "042")
        b.yokectl("giveback", EXPORTED)
        a.wait_volume(EXPORTED, "mirrored")
        a.wait("what the other one wrote", f'[ "$({read})" = 22222222 ]', say=read)
        assert soon(a, f"{ctl} volume close {EXPORTED}") == 1
    assert soon(a, f"{ctl} volume close {EXPORTED}") == 0


def test_copies_that_a_process_has_of_its_own_stay(appliance: Appliance) -> None:
    """What it has stored in a private mapping was never the volume's, so it does not go with the volume."""
    a, b = appliance
    disk = device(a, EXPORTED)
    a.sh("mkfifo /run/go; rm -f /run/own")
    a.sh(f"(python3 -I -S {OWN} {disk} /run/go > /run/own 2>&1 & echo $! > /run/own.pid) > /dev/null 2>&1")
    a.wait("the mapping", "grep -q ready /run/own", say="cat /run/own")
    a.yokectl("giveback", EXPORTED)
    b.wait_volume(EXPORTED, "mirrored")
    read = f"dd if={disk} bs=4096 count=1 status=none"
    a.wait("the page to go", f"! {read} > /dev/null 2>&1", say=f"{read} | od -c | head")
    a.sh("echo > /run/go; rm /run/go")
    a.wait("its end", "! kill -0 $(cat /run/own.pid) 2> /dev/null", say="cat /run/own")
    assert a.sh("cat /run/own").splitlines() == ["ready", "mine"]
