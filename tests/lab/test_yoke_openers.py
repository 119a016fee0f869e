# SPDX-License-Identifier: GPL-2.0
"""Who has a volume open when it changes hands: with the ownership they die for good, unless they keep no state."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attributes import refused
from yoke_lab.appliance import CONFIG, Appliance, Node
from yoke_lab.lab import Lab
from yoke_lab.timing import wait_for

LAB_OPTIONS = {"disk_bytes": [128 << 20, 64 << 20], "memory_mib": 768}
VOLUME, EXPORTED = "vol0", "export"
HOLDER = Path(__file__).resolve().parent / "guest" / "holder.py"
MOUNT = "/run/m"
MKFS = "mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0"
FILES = 60
# What a holder may get from a device that died.
DEAD = {"end", "EIO", "ENOSPC", "ENXIO", "ENODEV", "SIGBUS"}


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    appliance = Appliance(lab)
    appliance.up()
    for number, name in enumerate((VOLUME, EXPORTED)):
        appliance.a.yokectl("volume", "create", name, "--device", lab.disk_device(number))
    return appliance


@pytest.fixture
def appliance(whole: Appliance) -> Iterator[Appliance]:
    """Before each test: volumes that a owns, mirrored and held by nobody."""
    for number, name in enumerate((VOLUME, EXPORTED)):
        words = ["--stateless"] if name == EXPORTED else []
        for node in whole:
            node.open_volume(name, whole.lab.disk_device(number), "--home", "0", *words)
        whole.a.wait_volume(name, "mirrored")
    for node in whole:
        node.sh(f"dmesg -C; mkdir -p {MOUNT}")
    yield whole
    for name in (VOLUME, EXPORTED):
        if whole.b.volume(name)["role"] == "owner":
            whole.b.yokectl("giveback", name)
        for node in (whole.b, whole.a):
            node.yokectl("volume", "close", name)
    assert whole.splats() == []


def give(appliance: Appliance, node: Node, *words: str, name: str = VOLUME) -> Node:
    """A giveback to its end: the new owner, mirrored again."""
    partner = appliance.partner(node)
    node.yokectl("giveback", name, *words)
    partner.wait_volume(name, "mirrored")
    return partner


@contextlib.contextmanager
def given_back(appliance: Appliance) -> Iterator[None]:
    give(appliance, appliance.a, "--force")
    yield


@contextlib.contextmanager
def taken_over(appliance: Appliance) -> Iterator[None]:
    """b asks for it, and a, which lives, gives it up, whoever holds it there."""
    a, b = appliance
    generation = a.volume(VOLUME)["generation"]
    b.yokectl("takeover", VOLUME)
    b.wait_volume(VOLUME, "mirrored")
    assert b.volume(VOLUME)["generation"] == generation + 1
    yield


@contextlib.contextmanager
def deposed(appliance: Appliance) -> Iterator[None]:
    """a sleeps while b takes over, and wakes up at the end; it cannot be asked."""
    a, b = appliance
    a.lab.pause("a")
    b.wait_volume(VOLUME, "degraded solo")
    yield
    a.lab.resume("a")
    a.wait_volume(VOLUME, "standby")
    b.wait_volume(VOLUME, "mirrored")
    a.wait("the end of the old device", f"dmesg | grep -q 'volume {VOLUME}: the ownership is over'")


# How b comes to own the volume; the rest of a test is what it does then.
DEPOSED = "deposition"
CHANGES = {"giveback": given_back, "takeover of a living owner": taken_over, DEPOSED: deposed}


def changes_but(left_out: str) -> list[Any]:
    """All changes of hands; one of them only in long campaigns, since another test has it."""
    return [pytest.param(how, marks=pytest.mark.long if how == left_out else []) for how in CHANGES]


@contextlib.contextmanager
def holding(node: Node, name: str) -> Iterator[Any]:
    """A process that has the disk open in several ways; called with a question it tells what it still gets."""
    device, place = f"/dev/{node.disk_of(name)}", node.sh("mktemp -d")
    node.sh(f"(python3 -I -S {HOLDER} {device} {place} > {place}/log 2>&1 & echo $! > {place}/pid) > /dev/null 2>&1")
    node.wait("the holder", f"[ -p {place}/answer ]", say=f"cat {place}/log")

    def ask(question: str) -> dict[str, str]:
        answer: dict[str, str] = json.loads(node.sh(f"echo {question} > {place}/ask; cat {place}/answer"))
        return answer

    try:
        yield ask
    finally:
        node.sh(f"kill $(cat {place}/pid); while kill -0 $(cat {place}/pid) 2> /dev/null; do sleep 0.05; done")


def stamp(node: Node, name: str, byte: str) -> str:
    """Fills the first block; what reads begin with then."""
    device, octal = f"/dev/{node.disk_of(name)}", f"{int(byte, 16):o}"
    fill = f"head -c 4096 /dev/zero | tr '\\0' '\\{octal}'"
    node.sh(f"{fill} | dd of={device} oflag=direct bs=4096 count=1 iflag=fullblock status=none")
    return byte * 8


def populate(node: Node, directory: str, files: int) -> None:
    node.sh(
        f"mkdir {MOUNT}/{directory}; for i in $(seq {files}); do head -c 8192 /dev/urandom > {MOUNT}/{directory}/$i; done"
    )


def sums(node: Node, directory: str) -> str:
    return node.sh(f"cd {MOUNT}/{directory}; sha256sum *")


def mounted(appliance: Appliance) -> str:
    """ext4 on the volume, mounted on a, with files; the device."""
    a = appliance.a
    device = f"/dev/{a.disk_of(VOLUME)}"
    a.sh(f"{MKFS} {device}; mount {device} {MOUNT}")
    populate(a, "old", FILES)
    a.sh(f"sync -f {MOUNT}")
    return device


def other_work(node: Node) -> str:
    """What another controller does to that file system; the sums of its files."""
    node.sh(f"mount /dev/{node.disk_of(VOLUME)} {MOUNT}; rm -r {MOUNT}/old")
    populate(node, "new", FILES)
    done = sums(node, "new")
    node.sh(f"umount {MOUNT}")
    return done


def is_dead_and_nothing_else_is(node: Node, expected: str) -> None:
    """The old mount of a controller that owns the volume again fails, and the file system is as the other left it."""
    late = f"for i in $(seq 40); do head -c 8192 /dev/urandom > {MOUNT}/late$i || exit 1; done; sync -f {MOUNT}"
    assert node.run(late).code != 0, "the old mount writes on as if nothing had happened"
    node.sh(f"umount {MOUNT}")
    device = f"/dev/{node.disk_of(VOLUME)}"
    node.sh(f"e2fsck -fn {device} >&2")
    node.sh(f"mount {device} {MOUNT}")
    assert sums(node, "new") == expected
    assert node.run(f"ls {MOUNT}/old").code != 0
    node.sh(f"umount {MOUNT}")


def test_a_giveback_is_refused_while_the_disk_is_held(appliance: Appliance) -> None:
    a = appliance.a
    device = mounted(appliance)
    said = refused(a, f"{a.parts.yokectl} giveback {VOLUME}")
    assert f"{device} is held: mounted on {MOUNT} (ext4)" in said and "--force" in said
    assert a.run(f"{a.parts.yokectl} giveback {VOLUME} --dry-run").code == 1
    assert "its disk is held: open 1 times, last by mount" in a.dmesg() and "a file system is mounted" in a.dmesg()
    assert "Device or resource busy" in refused(a, f"echo giveback > {CONFIG}/volumes/{VOLUME}/command")
    a.sh(f"umount {MOUNT}")
    said = refused(a, f"exec 9< {device}; {a.parts.yokectl} giveback {VOLUME}")
    assert "open in process" in said
    assert a.volume(VOLUME)["state"] == "mirrored"
    # Whoever comes and goes does not count: it closes when the command waits for it, in a write to configfs.
    waits = "grep -qs '^1 0x[3-9a-f]' /proc/$pid/syscall"
    a.sh(
        f"exec 9< {device}; {a.parts.yokectl} giveback {VOLUME} 9<&- & pid=$!;"
        f" until {waits}; do kill -0 $pid; sleep 0.02; done; exec 9<&-; wait $pid"
    )
    appliance.b.wait_volume(VOLUME, "mirrored")


@pytest.mark.parametrize("how", changes_but("takeover of a living owner"))
def test_a_mount_dies_with_the_ownership(appliance: Appliance, how: str) -> None:
    """What it has written and not synced goes with the volume where that changes hands in good order. Nothing of the
    mount that stays behind reaches the disk any more, also when its controller owns the volume again."""
    a, b = appliance
    mounted(appliance)
    a.sh(f"echo precious > {MOUNT}/unsynced; for i in $(seq 40); do head -c 8192 /dev/urandom > {MOUNT}/dirty$i; done")
    before = a.sh(f"cat /sys/block/{a.disk_of(VOLUME)}/dev")
    with CHANGES[how](appliance):
        if how != DEPOSED:
            device = f"/dev/{b.disk_of(VOLUME)}"
            b.sh(f"mount {device} {MOUNT}; grep -qx precious {MOUNT}/unsynced; [ -e {MOUNT}/dirty40 ]; umount {MOUNT}")
        # The journal of one that died is replayed.
        new = other_work(b)
    assert a.sh(f"cat /sys/block/{a.disk_of(VOLUME)}/dev") != before
    give(appliance, b)
    is_dead_and_nothing_else_is(a, new)


@pytest.mark.parametrize("how", changes_but("giveback"))
def test_every_descriptor_is_dead_for_good_and_a_new_one_is_not(appliance: Appliance, how: str) -> None:
    a, b = appliance
    old = stamp(a, VOLUME, "11")
    with holding(a, VOLUME) as ask:
        assert set(ask("reads").values()) == {old}
        assert set(ask("writes").values()) == {"done"}
        answers = []
        with CHANGES[how](appliance):
            if how != DEPOSED:
                answers += [ask("reads"), ask("writes")]
            new = stamp(b, VOLUME, "22")
        answers += [ask("reads"), ask("writes")]
        give(appliance, b)
        answers += [ask("reads"), ask("writes")]
        for answer in answers:
            assert set(answer.values()) <= DEAD, answers
        with holding(a, VOLUME) as fresh:
            assert set(fresh("reads").values()) == {new}
            assert set(fresh("writes").values()) == {"done"}


def test_who_goes_around_the_cache_reads_nothing_from_before_a_deposition(appliance: Appliance) -> None:
    """Not even in the moment in which its controller wakes up and has not learnt of it yet (docs/openers.md)."""
    a, b = appliance
    old = stamp(a, VOLUME, "aa")
    place = a.sh("mktemp -d")
    device = f"/dev/{a.disk_of(VOLUME)}"
    read = f"dd if={device} bs=4096 count=1 iflag=direct status=none | head -c 8 | od -An -tx1 | tr -d ' '"
    # One after the other, each with when it began by a clock that goes on while the machine sleeps.
    begun = "t=$(cut -d' ' -f1 /proc/uptime)"
    again = f"{begun}; v=$({{ {read}; }} 2>&1 | tail -n 1); echo $t ${{v:-end}}"
    # Somebody has it open all the time, so that it dies.
    loop = f"exec 9< {device}; while [ ! -e {place}/enough ]; do {again}; done"
    a.sh(f"({loop}) > {place}/log 2>&1 & echo $! > {place}/pid")
    a.wait("a read", f"grep -q ' {old}$' {place}/log", say=f"cat {place}/log")
    with deposed(appliance):
        since = time.monotonic()
        new = stamp(b, VOLUME, "bb")
        slept = time.monotonic() - since
    a.sh(f"touch {place}/enough; while kill -0 $(cat {place}/pid) 2> /dev/null; do sleep 0.05; done")
    lines = [line.split(maxsplit=1) for line in a.sh(f"cat {place}/log").splitlines()]
    reads = [(float(when), value) for when, value in lines]
    # What was under way when it fell asleep may have been answered before.
    woke = max(number for number, (one, next) in enumerate(pairwise(reads), 1) if next[0] - one[0] >= slept)
    late = {value for _, value in reads[woke:]}
    assert late and late.isdisjoint({old, new}), reads[woke - 1 :]


def test_a_device_that_nobody_holds_stays(appliance: Appliance) -> None:
    a = appliance.a
    before = a.sh(f"cat /sys/block/{a.disk_of(VOLUME)}/dev")
    stamp(a, VOLUME, "33")
    give(appliance, give(appliance, a))
    assert a.sh(f"cat /sys/block/{a.disk_of(VOLUME)}/dev") == before


def test_a_standby_answers_nothing_from_its_cache(appliance: Appliance) -> None:
    """Neither what it cached as an owner, nor what was written on it in vain."""
    a, b = appliance
    stamp(a, VOLUME, "44")
    device = f"/dev/{b.disk_of(VOLUME)}"
    # A descriptor keeps the cache alive in between.
    read, write = f"dd if={device} bs=4096 count=1", f"dd if=/dev/zero of={device} bs=4096 count=1 conv=fsync,notrunc"
    b.sh(
        f"exec 9< {device}; if {read} > /dev/null 2>&1; then exit 1; fi; if {write} 2> /dev/null; then exit 2; fi;"
        f" end=$((SECONDS + 30)); while {read} > /dev/null 2>&1; do ((SECONDS < end)) || exit 3; sleep 0.05; done"
    )
    disk = f"/dev/{a.disk_of(VOLUME)}"
    a.sh(f"dd if={disk} bs=4096 count=1 iflag=direct status=none | tr -d '\\104' | cmp - /dev/null")


def test_an_opener_without_state_survives(appliance: Appliance) -> None:
    """It is refused for as long as another controller owns the volume, and sees what that one wrote afterwards."""
    a = appliance.a
    assert a.volume(EXPORTED)["stateless"] and not a.volume(VOLUME)["stateless"]
    old = stamp(a, EXPORTED, "55")
    with holding(a, EXPORTED) as ask:
        assert set(ask("reads").values()) == {old}
        b = give(appliance, a, name=EXPORTED)
        new = stamp(b, EXPORTED, "66")
        # Nothing of it was left to be read when the volume was released.
        away = [ask("reads"), ask("writes")]
        # Retryable for who goes around the cache; an error for the others.
        assert [each["direct"] for each in away] == ["ENOLINK", "ENOLINK"], away
        values = {value for each in away for value in each.values()}
        assert values.isdisjoint({"done", old, new}), away
        give(appliance, b, name=EXPORTED)
        wait_for("the old descriptors", lambda: ask("reads")["direct"] == new, 10, 0.1)
        assert set(ask("reads").values()) == {new}
        assert set(ask("writes").values()) == {"done"}


def test_a_mount_on_a_stateless_volume_is_shut_down(appliance: Appliance) -> None:
    """Somebody mounted it in spite of the promise."""
    a = appliance.a
    device = f"/dev/{a.disk_of(EXPORTED)}"
    a.sh(f"{MKFS} {device}; mount {device} {MOUNT}; echo 1 > {MOUNT}/x; sync -f {MOUNT}")
    b = give(appliance, a, name=EXPORTED)
    a.wait("its end", f"! touch {MOUNT}/y 2> /dev/null")
    give(appliance, b, name=EXPORTED)
    assert a.run(f"touch {MOUNT}/z; sync -f {MOUNT}").code != 0
    a.sh(f"umount {MOUNT}; e2fsck -fy {device} >&2 || [ $? -le 1 ]")


def export(node: Node, name: str) -> str:
    """An NVMe namespace on the volume, and the disk by which this controller itself is its host."""
    place, nqn = "/sys/kernel/config/nvmet", f"nqn.2026-01.test:{name}"
    node.sh(f"""
        modprobe nvmet; modprobe nvme-loop; mkdir -p {place}/subsystems/{nqn}; cd {place}/subsystems/{nqn}
        echo 1 > attr_allow_any_host; mkdir namespaces/1
        echo -n /dev/{node.disk_of(name)} > namespaces/1/device_path; echo 1 > namespaces/1/enable
        mkdir {place}/ports/1; echo loop > {place}/ports/1/addr_trtype; ln -s $PWD {place}/ports/1/subsystems/
        echo transport=loop,nqn={nqn} > /dev/nvme-fabrics
    """)
    node.wait("the namespace", "ls /dev/nvme0n1")
    return "/dev/nvme0n1"


def unexport(node: Node, name: str) -> None:
    place, nqn = "/sys/kernel/config/nvmet", f"nqn.2026-01.test:{name}"
    node.sh(f"""
        for c in /sys/class/nvme/nvme*; do echo 1 > $c/delete_controller; done
        rm {place}/ports/1/subsystems/{nqn}; rmdir {place}/ports/1
        echo 0 > {place}/subsystems/{nqn}/namespaces/1/enable
        rmdir {place}/subsystems/{nqn}/namespaces/1 {place}/subsystems/{nqn}
    """)


def test_an_export_that_is_held_through_a_giveback(appliance: Appliance) -> None:
    """A target whose volume went away under it never came back, or served the past (scst#256)."""
    a = appliance.a
    old = stamp(a, EXPORTED, "77")
    disk = export(a, EXPORTED)
    read = f"dd if={disk} bs=4096 count=1 iflag=direct status=none | head -c 8 | od -An -tx1 | tr -d ' '"
    try:
        assert a.sh(read) == old
        b = give(appliance, a, name=EXPORTED)
        new = stamp(b, EXPORTED, "88")
        assert a.run(f"set -o pipefail; timeout 60 {read}").text != old
        give(appliance, b, name=EXPORTED)
        a.wait("the export", f'[ "$({read})" = {new} ]')
        a.sh(f"dd if=/dev/zero of={disk} bs=4096 count=4 oflag=direct status=none")
    finally:
        unexport(a, EXPORTED)


def test_an_export_of_a_volume_with_state_holds_it(appliance: Appliance) -> None:
    a = appliance.a
    stamp(a, VOLUME, "99")
    disk = export(a, VOLUME)
    try:
        assert "holds its disk" in refused(a, f"{a.parts.yokectl} giveback {VOLUME}")
        assert a.volume(VOLUME)["state"] == "mirrored"
        b = give(appliance, a, "--force")
        give(appliance, b)
        assert a.run(f"timeout 60 dd if={disk} of=/dev/null bs=4096 count=1 iflag=direct").code != 0
    finally:
        unexport(a, VOLUME)


def test_stateless_is_a_setting(appliance: Appliance) -> None:
    path = f"{CONFIG}/volumes"
    assert appliance.a.sh(f"cat {path}/{VOLUME}/stateless {path}/{EXPORTED}/stateless").split() == ["0", "1"]
    assert "busy" in refused(appliance.a, f"echo 1 > {path}/{VOLUME}/stateless")
    appliance.a.sh(f"mkdir {path}/x; echo 1 > {path}/x/stateless; grep -qx 1 {path}/x/stateless; rmdir {path}/x")
