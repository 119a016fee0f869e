# SPDX-License-Identifier: GPL-2.0
"""Volumes of two controllers: mirrored, cut, killed, taken over, given back, closed."""

from __future__ import annotations

from pathlib import Path

import pytest
from yoke_lab.appliance import Appliance, Node
from yoke_lab.config import wants_debug
from yoke_lab.host_tools import build
from yoke_lab.lab import Lab
from yoke_lab.torture import verify, writing

LAB_OPTIONS = {"disk_bytes": [128 << 20, 64 << 20]}
BLOCKS = 4096
VOLUME = "vol0"


@pytest.fixture(scope="module")
def torture() -> str:
    return str(build("yoke-torture")[0])


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    appliance = Appliance(lab)
    appliance.up()
    appliance.a.yokectl("volume", "create", VOLUME, "--device", lab.disk_device())
    return appliance


def open_at(node: Node) -> None:
    node.open_volume(VOLUME, None, "--home", "0")


@pytest.fixture
def appliance(whole: Appliance) -> Appliance:
    """The volume is open at both controllers and mirrored, with a as its owner."""
    whole.restore_volume(VOLUME, open_at)
    whole.give(VOLUME, whole.a)
    return whole


def counter(node: Node, name: str) -> int:
    """A counter of the volume's, since it was opened."""
    return int(node.sh(f"sed -n 's/^{name} //p' /sys/block/{node.disk_of(VOLUME)}/yoke/stats"))


def write(torture: str, disk: str, *more: str) -> list[str]:
    return [torture, "write", "--device", f"/dev/{disk}", "--record", "-", "--blocks", str(BLOCKS), *more]


def test_an_open_volume_holds_its_place(appliance: Appliance) -> None:
    owner = appliance.a
    disk = owner.disk_of(VOLUME)
    script = f"exec 9</dev/{disk}; {appliance.parts.yokectl} volume close {VOLUME}; echo $?; rmmod yoke; echo $?"
    assert owner.run(script).text.split() == ["1", "1"]
    assert "is in use" in owner.dmesg()
    assert owner.volume(VOLUME)["state"] == "mirrored"


def test_more_slots_than_the_windows_hold_are_refused_in_words(appliance: Appliance) -> None:
    """31 MiB hold some 7,800 slots; the volume works alone, and says why."""
    for node in appliance:
        node.yokectl("volume", "close", VOLUME)
    try:
        for node in appliance:
            node.open_volume(VOLUME, None, "--home", "0", slots=8192)
        appliance.a.wait_volume(VOLUME, "solo")
        reason = f"/sys/block/{appliance.a.disk_of(VOLUME)}/yoke/reason"
        words = "the volume asks for 8192 slots, and the partner.s windows hold 7[0-9][0-9][0-9] at most"
        appliance.a.wait("the reason", f"grep -q '{words}' {reason}", say=f"cat {reason}")
        appliance.b.wait("its word", "dmesg | grep -q 'no room for its region of 8192 slots in the window of link'")
        appliance.a.sh(f"dd if=/dev/zero of=/dev/{appliance.a.disk_of(VOLUME)} bs=4k count=16 oflag=direct status=none")
    finally:
        for node in appliance:
            node.yokectl("volume", "close", VOLUME)
        for node in appliance:
            node.open_volume(VOLUME, None, "--home", "0")
        appliance.a.wait_volume(VOLUME, "mirrored")


def test_a_volume_that_found_no_room_gets_what_another_gives_back(appliance: Appliance) -> None:
    """A window holds one region of 4096 slots. No link goes down or up, and the volume stays open."""
    late = "late"
    appliance.a.yokectl("volume", "create", late, "--device", appliance.lab.disk_device(1), "--force")
    for node in appliance:
        node.yokectl("volume", "close", VOLUME)
    try:
        for name, disk in ((VOLUME, 0), (late, 1)):
            for node in appliance:
                node.open_volume(name, appliance.lab.disk_device(disk), "--home", "0", slots=4096)
            appliance.a.wait_volume(name, "mirrored" if name == VOLUME else "solo")
        for node in appliance:
            node.wait("its word", f"dmesg | grep -q 'volume {late}: no room for its region of 4096 slots'")
        for node in appliance:
            node.yokectl("volume", "close", VOLUME)
        appliance.a.wait_volume(late, "mirrored")
        appliance.a.sh(f"dd if=/dev/zero of=/dev/{appliance.a.disk_of(late)} bs=4k count=16 oflag=direct status=none")
    finally:
        for node in appliance:
            for name in (VOLUME, late):
                if node.has_volume(name):
                    node.yokectl("volume", "close", name)
        for node in appliance:
            node.open_volume(VOLUME, None, "--home", "0")
        appliance.a.wait_volume(VOLUME, "mirrored")


def test_links_count_what_is_posted_over_them(appliance: Appliance, torture: str, tmp_path: Path) -> None:
    owner = appliance.a

    def total(file: str) -> int:
        return sum(int(owner.link(name, file)) for name in appliance.lab.config().links)

    posted, fences = total("posted_bytes"), total("fences")
    words = write(torture, owner.disk_of(VOLUME), "--writes", "100", "--depth", "1")
    with writing(appliance.lab, "a", words, tmp_path / "record") as stream:
        stream.ended()
    assert total("posted_bytes") - posted >= 100 * 4096
    assert total("fences") - fences >= 100


def test_nothing_acknowledged_is_lost_when_a_link_and_then_the_owner_die(
    appliance: Appliance, torture: str, tmp_path: Path
) -> None:
    record = tmp_path / "record"
    disk, lab = appliance.a.disk_of(VOLUME), appliance.lab
    generation = appliance.a.volume(VOLUME)["generation"]
    copied = counter(appliance.a, "copied")
    with writing(lab, "a", write(torture, disk, "--depth", "8", "--flush-every", "200"), record) as stream:
        stream.wait_for(500)
        lab.cut(lab.config().links[0])
        stream.wait_for(stream.acknowledged() + 500)
        appliance.a.wait_volume(VOLUME, "mirrored")
        # What only the dead link had carried is in the other one's region now.
        assert 0 < counter(appliance.a, "copied") - copied < 512 + stream.acknowledged()
        assert counter(appliance.a, "io_errors") == 0
        lab.kill("a")
    lab.mend(lab.config().links[0])
    survivor = appliance.b
    survivor.wait_volume(VOLUME, "degraded solo")
    code, report = verify(lab, "b", torture, f"/dev/{survivor.disk_of(VOLUME)}", record)
    assert code == 0, report
    assert report["acked_writes"] >= 1000 and report["io_errors"] == 0
    assert survivor.volume(VOLUME)["generation"] == generation + 1
    place = f"/sys/block/{survivor.disk_of(VOLUME)}/yoke"
    detected, claimed, serving, now = (
        float(word) for word in survivor.sh(f"cat {place}/last_takeover; cut -d' ' -f1 /proc/uptime").split()
    )
    assert 0 < detected < claimed <= serving < now * 1_000_000
    assert 0 < int(survivor.sh(f"cat {place}/adopted_blocks")) <= 512
    assert counter(survivor, "io_errors") == 0


def test_the_dead_controller_comes_back_and_gets_its_volume(appliance: Appliance, torture: str, tmp_path: Path) -> None:
    a, b = appliance
    appliance.lab.kill("a")
    b.wait_volume(VOLUME, "degraded solo")
    generation = b.volume(VOLUME)["generation"]
    before = counter(b, "copied")
    a.complete()
    a.wait_session()
    open_at(a)
    b.wait_volume(VOLUME, "mirrored")
    # Both see the disk: what is on it is never copied.
    assert counter(b, "copied") - before <= 512
    record = tmp_path / "record"
    words = write(torture, b.disk_of(VOLUME), "--writes", "300", "--depth", "4")
    with writing(appliance.lab, "b", words, record) as stream:
        stream.ended()
    b.yokectl("giveback", VOLUME)
    a.wait_volume(VOLUME, "mirrored")
    assert (a.volume(VOLUME)["owner"], a.volume(VOLUME)["generation"]) == ("0", generation + 1)
    code, report = verify(appliance.lab, "a", torture, f"/dev/{a.disk_of(VOLUME)}", record)
    assert code == 0 and report["acked_writes"] == 300, report


def take_down(appliance: Appliance) -> None:
    for node in appliance:
        node.yokectl("volume", "close", VOLUME)
        node.unload()


def test_everything_is_taken_down_without_a_complaint(appliance: Appliance) -> None:
    take_down(appliance)
    assert appliance.splats() == []


@pytest.mark.skipif(not wants_debug(), reason="only the debug kernel knows what leaks (make test-lab DEBUG=1)")
def test_nothing_that_was_allocated_is_left(appliance: Appliance, torture: str, tmp_path: Path) -> None:
    words = write(torture, appliance.a.disk_of(VOLUME), "--writes", "300", "--depth", "4")
    with writing(appliance.lab, "a", words, tmp_path / "record") as stream:
        stream.ended()
    take_down(appliance)
    assert [node.leaks() for node in appliance] == ["", ""]
