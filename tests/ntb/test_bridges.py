# SPDX-License-Identifier: GPL-2.0
"""yoke_ntb on bridges that are not like the emulated one.

ntb_test_bridge plays Intel, AMD, Switchtec, look-up tables, EPF and IDT with both ends in one machine, as picky as they are;
yoke_sys_selftest opens a link at each end and holds it against the contract of interconnects.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from bridge_ends import DEBUGFS, ENDS, FILE, Bridge
from pair import Pair
from yoke_build import kernel, selftest
from yoke_lab.config import TREE, modules_dir, wants_debug
from yoke_lab.fixture import bring_up

KIB = 1024


@pytest.fixture(scope="module")
def machines() -> Iterator[Pair]:
    assert (modules_dir() / "ntb_test_bridge.ko").is_file(), "modules are missing: make modules"
    lab = bring_up(f"bridges-{os.getpid()}", TREE / "build" / "lab-logs" / "bridges", links=["ntb0"], memory_mib=512)
    try:
        yield Pair(lab)
    finally:
        lab.down()


@pytest.fixture(scope="module")
def module() -> Path:
    return selftest.build(kernel.DEBUG if wants_debug() else kernel.NORMAL)


@pytest.fixture
def bridge(machines: Pair, module: Path, request: pytest.FixtureRequest) -> Iterator[Bridge]:
    """The modules go after the test; the kernel's log is looked through."""
    before = Counter(machines.lab.splats())
    machines.a.mark_log(request.node.name)
    # The emulated bridge is nobody's matter here.
    machines.a.sh("[ ! -d /sys/module/ntb_hw_ivshmem ] || rmmod ntb_hw_ivshmem")
    made = Bridge(machines.a, module)
    yield made
    made.unload()
    assert not Counter(machines.lab.splats()) - before


# What it plays, and the window that comes of it.
NATURES = [
    # The first of two equal windows of the size of the BAR, aligned to it.
    ("intel", 1024 * KIB, ""),
    # 3 MiB and the half are not to be had as memory.
    ("amd", 768 * KIB, ""),
    ("switchtec", 512 * KIB, ""),
    ("lut", 64 * KIB, ""),
    # No doorbells.
    ("epf", 1024 * KIB, "silent"),
    ("idt", 1024 * KIB, ""),
    ("idt-lut", 64 * KIB, ""),
]


@pytest.mark.parametrize(("like", "size", "words"), NATURES)
def test_a_link_over_a_bridge(bridge: Bridge, like: str, size: int, words: str) -> None:
    bridge.load(like)
    bridge.open()
    bridge.check(words)
    for number, end in enumerate(bridge.ends()):
        assert (end.up, end.own_bytes, end.error) == (True, size, 0)
        assert (bridge.trans(number).size, bridge.trans(number).stale) == (size, 0)
    # Again, as after a failover.
    bridge.machine.sh(f"echo close > {FILE}")
    bridge.open()
    bridge.check(words)
    assert not any(bridge.trans(side).exposed for side in (0, 1))


@pytest.mark.parametrize(
    "like",
    # As with all bridges but IDT's, and as with those.
    [*(pytest.param(like, marks=pytest.mark.long) for like in ("intel", "epf", "idt-lut")), "switchtec", "idt"],
)
def test_an_end_is_pulled_out_and_put_in(bridge: Bridge, like: str) -> None:
    words = "silent" if like == "epf" else ""
    bridge.load(like)
    bridge.open()
    bridge.check(words)
    for number in (0, 1):
        before = bridge.ends()
        sets = bridge.trans(1 - number).count
        bridge.pull(number)
        errors = [0, 0]
        errors[number] = -19
        bridge.wait_errors(*errors)
        assert [end.up for end in bridge.ends()] == [False, False]
        bridge.rescan()
        bridge.check(words)
        after = bridge.ends()
        # Both ends know that it was down, and the bridge was told again where the memory is, at both.
        assert all(new.generation != old.generation for new, old in zip(after, before, strict=True))
        assert bridge.trans(1 - number).count > sets
    # Where the other end translates, it let go before the memory went, and was told of the new one.
    for side in (0, 1):
        assert (bridge.trans(side).stale, bridge.trans(side).exposed) == (0, 0)
    assert "does not let go" not in bridge.machine.log()


def test_what_was_said_before_a_down_is_not_used_after_it(bridge: Bridge) -> None:
    """The peer comes back with other memory, and what it said of the old one arrives once more."""
    bridge.load("idt")
    bridge.open()
    bridge.check()
    for number in (0, 1):
        bridge.set(1 - number, "late", 1)
        bridge.pull(number)
        bridge.rescan()
        bridge.machine.wait("late words", f"[ $(cat {DEBUGFS}/{1 - number}/late) = 4 ]")
        bridge.check()
        assert bridge.trans(1 - number).stale == 0


def test_what_the_peer_could_not_take_is_said_again(bridge: Bridge) -> None:
    """Full registers give no event when there is room again."""
    bridge.load("idt")
    for side in (0, 1):
        bridge.set(side, "refuse", 4)
    bridge.open()
    bridge.check()
    assert all(bridge.machine.sh(f"cat {DEBUGFS}/{side}/refuse") == "0" for side in (0, 1))


def test_memory_that_a_silent_peer_may_write_is_not_given_back(bridge: Bridge) -> None:
    """The other machine stands still while this end goes, so its window stays where it was pointed."""
    bridge.load("idt")
    bridge.open()
    bridge.check()
    bridge.set(1, "frozen", 1)
    bridge.pull(0)
    bridge.wait_errors(-19, 0)
    assert bridge.trans(1).size != 0
    assert bridge.trans(0).exposed == 0
    assert "does not let go" in bridge.machine.log()
    bridge.set(1, "frozen", 0)
    bridge.rescan()
    bridge.check()
    # An end that only stops has to be able to start again.
    bridge.set(1, "frozen", 1)
    bridge.machine.sh(f"echo close > {FILE}")
    bridge.set(1, "frozen", 0)
    bridge.open()
    bridge.check()
    assert [bridge.trans(side).stale for side in (0, 1)] == [0, 0]
    assert bridge.trans(0).exposed == 0


@pytest.mark.parametrize("like", ["amd", "idt"])
def test_a_flap_that_is_over_when_the_driver_hears_of_it(bridge: Bridge, like: str) -> None:
    bridge.load(like)
    bridge.open()
    bridge.check()
    before = bridge.ends()
    bridge.flap()
    after = bridge.ends()
    assert all(new.generation != old.generation for new, old in zip(after, before, strict=True))
    bridge.check()
    # The bridge forgot where the memory is.
    assert all(bridge.trans(side).size == after[side].own_bytes for side in (0, 1))


# What a bridge refuses for a while, and what the log says of that.
REFUSALS = [
    ("intel", "fail_trans", "the window cannot be set up"),
    ("amd", "fail_align", "the window cannot be set up"),
    ("switchtec", "fail_trans", "the window cannot be set up"),
    ("idt", "fail_trans", "the bridge does not take the peer's memory"),
]


@pytest.mark.parametrize(
    ("like", "what", "words"),
    [pytest.param(*row, id=row[0], marks=pytest.mark.long if row[0] == "amd" else []) for row in REFUSALS],
)
def test_what_a_bridge_refuses_for_a_while_is_tried_again(bridge: Bridge, like: str, what: str, words: str) -> None:
    """The link is up and stays up, so no event comes that would have it tried."""
    bridge.load(like)
    # It need not work at the start.
    if what == "fail_trans":
        for side in (0, 1):
            bridge.set(side, what, 4)
    bridge.open()
    bridge.check()
    for side in (0, 1):
        bridge.set(side, what, 3)
    bridge.flap()
    bridge.wait_up()
    assert all(bridge.machine.sh(f"cat {DEBUGFS}/{side}/{what}") == "0" for side in (0, 1))
    bridge.check()
    for number, end in enumerate(bridge.ends()):
        assert (bridge.trans(number).size, bridge.trans(number).stale) == (end.own_bytes, 0)
    # Each end has said it once, however often it failed.
    assert bridge.machine.log().count(words) == 2


@pytest.mark.parametrize(
    ("like", "what", "words"),
    # An IDT bridge is pointed by the peer, all others by this end.
    [
        pytest.param(*row, id=row[0], marks=[] if row[0] in ("switchtec", "idt") else pytest.mark.long)
        for row in REFUSALS
    ],
)
def test_a_peer_does_not_fill_the_log_of_a_bridge_that_refuses(
    bridge: Bridge, like: str, what: str, words: str
) -> None:
    """The peer has the link go down and come back as often as it likes."""
    bridge.load(like)
    bridge.open()
    bridge.check()
    for side in (0, 1):
        bridge.set(side, what, 1_000_000)
    bridge.machine.sh(f"for i in $(seq 50); do echo 1 > {DEBUGFS}/0/flap; sleep 0.05; done")
    assert [end.up for end in bridge.ends()] == [False, False]
    assert bridge.machine.log().count(words) == 2
    # It goes while it waits to be tried again, and so does what is below it.
    bridge.pull(0)
    bridge.wait_errors(-19, 0)
    for side in (0, 1):
        bridge.set(side, what, 0)
    bridge.rescan()
    bridge.check()


@pytest.mark.parametrize("refusals", [2, 1_000_000])
def test_memory_that_the_bridge_still_leads_to_is_not_given_back(bridge: Bridge, refusals: int) -> None:
    """The bridge refuses to forget it, for a while or for long."""
    bridge.load("intel")
    bridge.open()
    bridge.check()
    bridge.set(0, "fail_clear", refusals)
    bridge.machine.sh(f"echo close > {FILE}")
    bridge.set(0, "fail_clear", 0)
    assert bridge.trans(0).exposed == 0
    assert ("is kept" in bridge.machine.log()) == (refusals > 2)
    bridge.open()
    bridge.check()


# Who takes a link's device away, with a signal pending.
GOES = [
    ("close", FILE),
    (ENDS[0], "/sys/bus/ntb/drivers/yoke_ntb/unbind"),
    ("1", f"/sys/bus/pci/devices/{ENDS[0]}/remove"),
]


@pytest.mark.parametrize(("text", "file"), GOES, ids=["close", "unbind", "remove"])
def test_a_task_that_has_a_signal_loses_no_memory(bridge: Bridge, text: str, file: str) -> None:
    """The driver of a switch gives up what it does for such a task, however often it is asked."""
    bridge.load("switchtec")
    bridge.signalled(f"open ntb {' '.join(ENDS)}", FILE)
    bridge.check()
    bridge.signalled(text, file)
    assert "does not let go" not in bridge.machine.log()
    if text == "close":
        bridge.open()
    else:
        bridge.wait_errors(-19, 0)
        assert bridge.held(0) == 0
        bind = f"echo {text} > /sys/bus/ntb/drivers/yoke_ntb/bind"
        bridge.machine.sh(bind if text == ENDS[0] else "echo 1 > /sys/bus/pci/rescan")
    bridge.check()
    assert not any(bridge.trans(side).exposed for side in (0, 1))


def test_a_bridge_that_takes_long_to_refuse_is_not_asked_again(bridge: Bridge) -> None:
    """The link's lock is held meanwhile, and a switch may take a minute."""
    bridge.load("intel")
    bridge.open()
    bridge.check()
    bridge.set(0, "slow", 1500)
    bridge.set(0, "fail_clear", 3)
    bridge.machine.sh(f"echo close > {FILE}")
    assert bridge.machine.sh(f"cat {DEBUGFS}/0/fail_clear") == "2"
    bridge.set(0, "fail_clear", 0)
    bridge.open()
    bridge.check()


def test_memory_that_a_bridge_never_lets_go_of_is_used_again(bridge: Bridge) -> None:
    """So that it is one window that is lost, however often the link stops and starts, and none when the bridge lets go."""
    bind = "/sys/bus/ntb/drivers/yoke_ntb/bind"
    bridge.load("intel")
    bridge.open()
    bridge.check()
    bridge.set(0, "fail_clear", 1_000_000)
    for _ in range(3):
        bridge.machine.sh(f"echo close > {FILE}")
        assert bridge.held(0) == 1
        bridge.open()
        bridge.check()
    bridge.machine.sh(f"echo {ENDS[0]} > /sys/bus/ntb/drivers/yoke_ntb/unbind")
    bridge.wait_errors(-19, 0)
    bridge.machine.sh(f"echo {ENDS[0]} > {bind}")
    bridge.check()
    assert (bridge.held(0), bridge.ends()[0].own_bytes) == (1, 1024 * KIB)
    bridge.machine.sh(f"echo close > {FILE}")
    bridge.set(0, "fail_clear", 0)
    bridge.open()
    bridge.check()
    bridge.machine.sh(f"echo close > {FILE}")
    assert (bridge.held(0), bridge.trans(0).exposed) == (0, 0)


def test_memory_of_a_device_that_was_found_again_stays_lost(bridge: Bridge, machines: Pair) -> None:
    """It cannot be given to another one, so that one is refused, in words."""
    if wants_debug():
        pytest.skip("the debug kernel complains of memory of a device that is not given back")
    bridge.load("intel")
    bridge.open()
    bridge.check()
    bridge.set(0, "fail_clear", 1_000_000)
    try:
        for _ in range(3):
            bridge.pull(0)
            bridge.wait_errors(-19, 0)
            bridge.rescan()
            # ENOTRECOVERABLE.
            bridge.wait_errors(-131, 0)
            assert bridge.held(0) == 1
        assert "boot this machine again" in bridge.machine.log()
        # The module goes all the same.
        bridge.machine.sh(f"echo close > {FILE}; rmmod yoke_ntb")
        assert "is lost until the next boot" in bridge.machine.log()
        assert bridge.held(0) == 1
    finally:
        # Nothing else ends it.
        machines.lab.kill("a")
        machines.lab.start("a")


def test_an_end_whose_peer_does_not_agree_says_so(bridge: Bridge) -> None:
    """Both are there, and go on talking: the one whose bridge refuses, and the one that has nothing to complain of itself."""
    bridge.load("idt")
    bridge.set(0, "fail_trans", 1_000_000)
    bridge.open()
    bridge.machine.wait(
        "complaint", "dmesg | tac | sed '/yoke-test: begin/q' | grep -q 'does not agree on where memory is'"
    )
    bridge.set(0, "fail_trans", 0)
    bridge.wait_up()
    bridge.check()


def test_a_window_of_which_nothing_is_known_for_a_while_is_not_taken_for_a_smaller_one(bridge: Bridge) -> None:
    """The peer chooses the largest one of all that there are."""
    bridge.load("intel")
    bridge.open()
    bridge.pull(0)
    bridge.wait_errors(-19, 0)
    bridge.set(0, "fail_align", 1)
    bridge.rescan()
    bridge.wait_up()
    bridge.check()
    assert [bridge.trans(side).stale for side in (0, 1)] == [0, 0]


def test_a_device_that_says_it_is_gone_and_is_not_is_tried_again(bridge: Bridge) -> None:
    """Nobody tells of a device that has been there all the time."""
    bridge.load("intel")
    bridge.open()
    bridge.check()
    bridge.set(0, "fail_enable", 2)
    bridge.pull(0)
    bridge.wait_errors(-19, 0)
    bridge.rescan()
    bridge.wait_up()
    bridge.check()


@pytest.mark.parametrize(
    ("like", "error", "words"),
    [
        ("tiny", "No space left", "none of its memory windows has 64 KiB"),
        ("poor", "Cannot allocate memory", "no memory, contiguous"),
        ("mute", "not supported", "translates addresses at the sending end"),
    ],
)
def test_a_bridge_that_cannot_carry_a_link_is_refused_in_words(
    bridge: Bridge, like: str, error: str, words: str
) -> None:
    bridge.load(like)
    done = bridge.machine.run(f"echo open ntb {' '.join(ENDS)} > {FILE}")
    assert done.code != 0 and error in done.stderr.decode(), done.stderr
    assert words in bridge.machine.log()
    assert bridge.machine.sh(f"cat {FILE}") == ""


@pytest.mark.parametrize("refusals", [pytest.param(0, marks=pytest.mark.long), 1_000_000])
@pytest.mark.parametrize("like", ["switchtec", "idt"])
def test_links_and_devices_come_and_go_at_once(bridge: Bridge, like: str, refusals: int) -> None:
    """What a removal finds at that moment is what it takes down: nothing starts any more once it has looked."""
    bridge.load(like)
    for side in (0, 1):
        bridge.set(side, "fail_trans", refusals)
    pull = f"for i in $(seq 25); do echo 1 > /sys/bus/pci/devices/{ENDS[0]}/remove; echo 1 > /sys/bus/pci/rescan; done"
    open_ = f"for i in $(seq 100); do echo open ntb {' '.join(ENDS)} > {FILE}; echo close > {FILE}; done"
    bridge.machine.sh(f"({pull}) 2>/dev/null & ({open_}) 2>/dev/null & wait", timeout=240)
    for side in (0, 1):
        bridge.set(side, "fail_trans", 0)
    bridge.rescan()
    bridge.open()
    bridge.check()
    assert not any(bridge.trans(side).exposed for side in (0, 1))
