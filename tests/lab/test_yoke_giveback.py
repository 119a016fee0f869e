# SPDX-License-Identifier: GPL-2.0
"""A volume that changes hands while it is written to: every write is answered, and none that was acknowledged is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from yoke_lab.appliance import Appliance, Node
from yoke_lab.host_tools import build
from yoke_lab.lab import Lab
from yoke_lab.timing import is_long, scaled
from yoke_lab.torture import verify, writing

LAB_OPTIONS = {"disk_bytes": [64 << 20]}
VOLUME = "vol0"
TURNS = 8 if is_long() else 3


@pytest.fixture(scope="module")
def torture() -> str:
    return str(build("yoke-torture")[0])


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    appliance = Appliance(lab)
    appliance.up()
    appliance.a.yokectl("volume", "create", VOLUME, "--device", lab.disk_device())
    return appliance


@pytest.fixture
def appliance(whole: Appliance) -> Appliance:
    """The volume is open at both controllers and mirrored."""
    # A small log: writes wait for room in it, too.
    whole.restore_volume(VOLUME, lambda node: node.open_volume(VOLUME, None, "--home", "0", slots=64))
    return whole


def users(node: Node) -> str:
    """The processes that have the volume open, and where they wait."""
    device = f"/dev/{node.disk_of(VOLUME)}"
    look = f"readlink /proc/[0-9]*/fd/* 2>/dev/null | grep -c '^{device}$'"
    return node.run(
        f"{look}; grep -l yoke-torture /proc/[0-9]*/comm | while read f; do cat ${{f%/comm}}/stack; done"
    ).text


def test_heartbeats_come_before_destaging(appliance: Appliance) -> None:
    """A volume's thread runs until it sleeps: it must not silence the machine's heartbeats, on one CPU least of all."""
    for node in appliance:
        lines = node.sh("ps -e -o rtprio=,comm= | grep yoke_ | sed 's/^ *- /0 /'").splitlines()
        priority = {name: int(number) for number, name in (line.split() for line in lines)}
        assert priority["yoke_links"] > priority["yoke_volume"] > 0, lines


@pytest.mark.parametrize("turn", range(TURNS))
def test_no_write_waits_for_ever_when_the_volume_changes_hands(
    appliance: Appliance, torture: str, tmp_path: Path, turn: int
) -> None:
    """The writer meets an error, which its multipath layer would answer by the other path. It must not hang."""
    owner, partner = appliance if appliance.a.volume(VOLUME)["role"] == "owner" else reversed(list(appliance))
    device, record = f"/dev/{owner.disk_of(VOLUME)}", tmp_path / "record"
    words = [torture, "write", "--device", device, "--record", "-", "--depth", "24", "--flush-every", "50"]
    with writing(appliance.lab, owner.name, [*words, "--read-check", "0.1"], record) as stream:
        stream.wait_for(200 + 50 * turn)
        # The writer holds the disk, so it has to be said twice.
        owner.yokectl("giveback", VOLUME, "--force")
        stream.thread.join(scaled(20))
        assert not stream.thread.is_alive(), users(owner)
        assert stream.code == 1, stream.errors.decode(errors="replace")
    partner.wait_volume(VOLUME, "mirrored")
    # Nobody holds the device any more, so nobody waits in it.
    owner.wait("the end of all users", f"! readlink /proc/[0-9]*/fd/* 2>/dev/null | grep -qx {device}", 10)
    code, report = verify(appliance.lab, partner.name, torture, f"/dev/{partner.disk_of(VOLUME)}", record)
    # Nothing at all is wrong with the data; the record tells of the error that ended the writer.
    assert code == 0, report
    assert report["acked_writes"] >= 200 and report["io_errors"] > 0, report


def test_everything_is_taken_down_without_a_complaint(appliance: Appliance) -> None:
    for node in appliance:
        node.yokectl("volume", "close", VOLUME)
        node.unload()
    assert appliance.splats() == []
