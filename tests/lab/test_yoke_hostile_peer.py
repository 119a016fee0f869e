# SPDX-License-Identifier: GPL-2.0
"""A peer that stores garbage into the windows of a pair that writes, and one of another version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from yoke_lab.appliance import LINK_CLASS, Appliance, Beats, Node
from yoke_lab.host_tools import build
from yoke_lab.lab import Lab
from yoke_lab.torture import verify, writing

LAB_OPTIONS = {"disk_bytes": [128 << 20], "memory_mib": 512}
GUEST = Path(__file__).resolve().parent / "guest" / "hostile.py"
VOLUME = "vol0"
# Each test has its own part of the volume, so that its record stays true until the end.
BLOCKS = 2048
# How often an attack is repeated until it is seen: words that are almost right may be right by chance.
ATTEMPTS = 10
ALL = ("control", "epochs", "ring", "regions")


@pytest.fixture(scope="module")
def torture() -> str:
    return str(build("yoke-torture")[0])


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    appliance = Appliance(lab)
    appliance.up()
    appliance.a.yokectl("volume", "create", VOLUME, "--device", lab.disk_device())
    return appliance


@pytest.fixture
def appliance(whole: Appliance) -> Iterator[Appliance]:
    """Mirrored over both links before and after each test, a as the owner; no kernel complains."""
    whole.restore_volume(VOLUME, lambda node: node.open_volume(VOLUME))
    whole.give(VOLUME, whole.a)
    yield whole
    for node in whole:
        node.wait_session()
    whole.a.wait_volume(VOLUME, "mirrored")
    assert whole.splats() == []


# The link, whose window (a is 0, and owns the volume), what in it.
Attack = tuple[str, int, tuple[str, ...]]
# And what the log of either controller says then at least: an attack that is not seen has attacked nothing.
# Regions in the window of b hold what a has acknowledged, so they are spared: memory that fails is another matter.
ATTACKS: dict[str, tuple[list[Attack], str]] = {
    "the owner's window": ([("ntb0", 0, ALL)], "link 0 is down"),
    "the owner's window, its epochs left out": ([("ntb1", 0, ("control", "ring", "regions"))], "link 1 is down"),
    "the holder's epochs": ([("ntb0", 1, ("epochs",)), ("ntb1", 1, ("epochs",))], "mirrored -> holding"),
    "what the owner writes at the holder": ([("ntb1", 1, ("control", "ring"))], "link 1 is down"),
    "all windows": ([(link, side, ALL[:3]) for link in ("ntb0", "ntb1") for side in (0, 1)], "is down"),
}
# All windows are one of these, too.
OF_A_KIND = {"the owner's window", "the owner's window, its epochs left out"}


def fill(appliance: Appliance, attack: list[Attack], seed: int) -> int:
    """Garbage for a while in several windows at once, as random bytes and as words that are almost right; how often."""

    def from_other_side(side: int) -> int:
        node = (appliance.b, appliance.a)[side]
        places = [(node.device(link), areas) for link, where, areas in attack if where == side]
        # Half of it longer than the silence that is taken for a death.
        seconds = Beats.of(node.lab).silence_ms / 400 + 0.5
        words = [f"fill {device} {side} {seed} {seconds} {' '.join(areas)}" for device, areas in places]
        done = node.sh("".join(f"python3 -I -S {GUEST} {each} & " for each in words) + "wait")
        assert len(done.split()) == len(places), done
        return sum(map(int, done.split()))

    with ThreadPoolExecutor() as both:
        return sum(both.map(from_other_side, (0, 1)))


# A line of yoke's in a kernel's log, and one of those that tell of a volume's state.
LINE = re.compile(r"^\[ *[\d.]+\] (yoke|ntb_hw_ivshmem)", re.MULTILINE)
STATES = re.compile(rf"^\[ *[\d.]+\] yoke: volume {VOLUME}: [a-z]+ -> [a-z]+", re.MULTILINE)


def says_no_more_than_it_may(node: Node, since: float) -> None:
    """The log since it was cleared, by the bounds of docs/abi.md: a peer must not fill it up."""
    log, seconds = node.dmesg(), uptime(node) - since
    # Stretches of 10 s that this time may have touched: the first began before it.
    stretches = int(seconds / 10) + 2
    # Links, sessions and refusals, each with a line about what was left out; and messages that make no sense.
    links = 3 * stretches * (20 + 1) + stretches
    # A volume's warnings are one a second.
    most = links + seconds + 2
    lines, states = len(LINE.findall(log)), len(STATES.findall(log))
    print(f"{node.name}: {lines} lines in {seconds:.0f} s, {states} of them of states; without these {most:.0f} may be")
    assert lines - states <= most, log
    assert states <= 20 * stretches, log


def uptime(node: Node) -> float:
    return float(node.sh("cut -d' ' -f1 /proc/uptime"))


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, id=name, marks=pytest.mark.long if name in OF_A_KIND else [])
        for number, name in enumerate(ATTACKS)
    ],
)
def test_garbage_in_a_window_costs_links_and_never_a_write(
    appliance: Appliance, torture: str, records: Path, number: int
) -> None:
    a, lab, record = appliance.a, appliance.lab, records / str(number)
    attack, effect = list(ATTACKS.values())[number]
    disk = f"/dev/{a.disk_of(VOLUME)}"
    blocks = f"{number * BLOCKS}..{(number + 1) * BLOCKS}"
    words = [torture, "write", "--device", disk, "--record", "-", "--blocks", blocks, "--depth", "4"]
    since = [float(node.sh("dmesg -C; cut -d' ' -f1 /proc/uptime")) for node in appliance]
    with writing(lab, "a", [*words, "--read-check", "0.1", "--flush-every", "500"], record) as stream:
        stream.wait_for(100)
        for attempt in range(ATTEMPTS):
            before = stream.acknowledged()
            rounds = fill(appliance, attack, number + attempt * len(ATTACKS))
            stream.wait_for(before + 50)
            a.wait_volume(VOLUME, "mirrored")
            stream.wait_for(stream.acknowledged() + 100)
            log = a.dmesg() + appliance.b.dmesg()
            print(f"attempt {attempt}: {rounds} rounds")
            if effect in log:
                break
    assert effect in log, log
    for node, begun in zip(appliance, since, strict=True):
        says_no_more_than_it_may(node, begun)
    code, report = verify(lab, "a", torture, disk, record)
    assert code == 0 and report["io_errors"] == 0, report


def test_the_partner_has_it_all(appliance: Appliance, torture: str, records: Path) -> None:
    """What was written under the attacks that have been, and at least what is written here."""
    a, b, blocks = *appliance, f"{len(ATTACKS) * BLOCKS}..{(len(ATTACKS) + 1) * BLOCKS}"
    words = [torture, "write", "--device", f"/dev/{a.disk_of(VOLUME)}", "--record", "-", "--blocks", blocks]
    with writing(appliance.lab, "a", [*words, "--writes", "200"], records / "own") as stream:
        stream.ended()
    a.yokectl("giveback", VOLUME)
    b.wait_volume(VOLUME, "mirrored")
    disk = f"/dev/{b.disk_of(VOLUME)}"
    for record in sorted(records.iterdir()):
        code, report = verify(appliance.lab, "b", torture, disk, record)
        assert code == 0 and report["acked_writes"] >= 100, report
    b.yokectl("giveback", VOLUME)


def test_a_peer_of_another_version(appliance: Appliance) -> None:
    """Only the bridge of b is up, without a yoke: somebody else speaks in its place."""
    a, b = appliance
    a.wait_volume(VOLUME, "mirrored")
    b.yokectl("volume", "close", VOLUME)
    b.sh("for l in /sys/kernel/config/yoke/links/*/; do rmdir $l; done; rmmod yoke_ntb yoke")
    b.sh(f"modprobe ntb_tool; echo Y > /sys/kernel/debug/ntb_tool/{b.device('ntb0')}/link")
    place = f"{LINK_CLASS}/ntb0"
    a.wait("a carrier", f"grep -q handshake {place}/state", say=f"cat {place}/*")
    b.sh(f"python3 -I -S {GUEST} hello {b.device('ntb0')} 0 7 9")
    wanted = "the peer speaks protocol version 7 to 9, this yoke 2; upgrade the older of the two"
    a.wait("a refusal", f"grep -q '{wanted}' {place}/reason", say=f"cat {place}/*")
    assert wanted in a.dmesg()
    assert a.link("ntb0", "state") == "handshake" and a.peer("state") == "absent"
    assert a.volume(VOLUME)["state"] == "solo"
    b.sh("rmmod ntb_tool")
    b.load()
    b.configure()
    b.open_volume(VOLUME)
