# SPDX-License-Identifier: GPL-2.0
"""Links and sessions between two controllers: cut, mended, killed, started again, taken down in any order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from yoke_lab.appliance import CONFIG, LINK_CLASS, Appliance
from yoke_lab.lab import Lab

LAB_OPTIONS = {"disk_bytes": [64 << 20], "memory_mib": 512}


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    return Appliance(lab)


@pytest.fixture
def appliance(whole: Appliance) -> Iterator[Appliance]:
    """Both controllers alive, links up, session ready, before each test; no kernel complains after it."""
    whole.restore()
    yield whole
    assert whole.splats() == []


def incarnations(appliance: Appliance) -> list[str]:
    """Of each controller, as the other one sees it."""
    return [appliance.partner(node).peer("incarnation") for node in appliance]


def test_both_links_carry_the_session(appliance: Appliance) -> None:
    for node in appliance:
        assert node.peer("links") == "ntb0 ntb1"
        assert node.peer("reason") == ""
        status = node.ask("status")
        assert status["degraded"] == []
        assert {link["name"]: (link["state"], link["peer"]) for link in status["links"]} == {
            name: ("up", str(1 - node.number)) for name in ("ntb0", "ntb1")
        }
    first, second = incarnations(appliance)
    assert first != second and "0" * 16 not in (first, second)


def test_the_session_outlives_a_cut_link(appliance: Appliance) -> None:
    before = incarnations(appliance)
    downs = [int(node.link("ntb0", "down_count")) for node in appliance]
    appliance.lab.cut("ntb0")
    for node in appliance:
        node.wait_link("ntb0", "down")
        node.wait_session(links=1)
        assert node.peer("links") == "ntb1"
        assert "lost the connection" in node.link("ntb0", "reason")
        assert int(node.link("ntb0", "down_count")) == downs[node.number] + 1
        (degraded,) = node.ask("status")["degraded"]
        assert degraded.startswith("link ntb0 is down")
    appliance.lab.mend("ntb0")
    for node in appliance:
        node.wait_session(links=2)
        assert node.link("ntb0", "reason") == ""
    assert incarnations(appliance) == before


def test_the_session_ends_with_its_last_link_and_begins_anew(appliance: Appliance) -> None:
    before = incarnations(appliance)
    for link in ("ntb0", "ntb1"):
        appliance.lab.cut(link)
    for node in appliance:
        node.wait("the end of the session", f"grep -q absent /sys/class/yoke_peer/{1 - node.number}/state")
        assert node.peer("reason") == "no link leads to it"
    for link in ("ntb1", "ntb0"):
        appliance.lab.mend(link)
    for node in appliance:
        node.wait_session()
    assert incarnations(appliance) == before


def test_a_killed_controller_is_noticed_and_comes_back_as_another_life(appliance: Appliance) -> None:
    first, second = incarnations(appliance)
    appliance.lab.kill("b")
    appliance.a.wait("the end of the session", "grep -q absent /sys/class/yoke_peer/1/state")
    for link in ("ntb0", "ntb1"):
        assert "no heartbeat for" in appliance.a.link(link, "reason")
    appliance.lab.start("b")
    appliance.b.load()
    appliance.b.configure()
    for node in appliance:
        node.wait_session()
    again = incarnations(appliance)
    assert again[0] == first and again[1] != second


def test_a_paused_controller_meets_a_new_session(appliance: Appliance) -> None:
    appliance.lab.pause("b")
    try:
        appliance.a.wait("the end of the session", "grep -q absent /sys/class/yoke_peer/1/state")
    finally:
        appliance.lab.resume("b")
    for node in appliance:
        node.wait_session()


def test_modules_stay_while_links_need_them(appliance: Appliance) -> None:
    for module in ("ntb_hw_ivshmem", "yoke", "yoke_ntb"):
        done = appliance.a.run(f"rmmod {module}")
        assert done.code != 0 and b"in use" in done.stderr, module
    appliance.a.wait_session()


@pytest.mark.parametrize("peer", ["alive", "dead"])
def test_everything_goes_in_any_order_and_comes_back(appliance: Appliance, peer: str) -> None:
    a, b = appliance
    if peer == "dead":
        appliance.lab.kill("b")
    links = f"{CONFIG}/links"
    # Disabled and removed; removed while enabled; the device taken away under the link, and given back.
    a.sh(f'echo 0 > {links}/ntb0/enable; rmdir {links}/ntb0; rmdir {links}/ntb1; [ -z "$(ls {LINK_CLASS})" ]')
    a.sh("rmmod yoke_ntb; rmmod yoke; rmmod ntb_hw_ivshmem")
    for node in appliance:
        if appliance.lab.node_status(node.name)["pid"] is None:
            appliance.lab.start(node.name)
        node.load()
    a.configure()
    if peer == "dead":
        b.configure()
    for node in appliance:
        node.wait_session()


def test_a_device_that_goes_away_and_comes_back_takes_its_link_along(appliance: Appliance) -> None:
    """By its driver, then as hardware that is pulled out and put in: nobody configures anything."""
    a = appliance.a
    before = incarnations(appliance)
    driver, device = "/sys/bus/pci/drivers/ntb_hw_ivshmem", a.device("ntb0")
    away_and_back = (
        (f"echo {device} > {driver}/unbind", f"echo {device} > {driver}/bind"),
        (f"echo 1 > /sys/bus/pci/devices/{device}/remove", "echo 1 > /sys/bus/pci/rescan"),
    )
    for away, back in away_and_back:
        downs = int(a.link("ntb0", "down_count"))
        a.sh(away, timeout=30)
        for node in appliance:
            node.wait_session(links=1)
        assert a.link("ntb0", "state") == "down"
        assert a.link("ntb0", "reason") == "its device is not there: waiting for it"
        assert int(a.link("ntb0", "down_count")) == downs + 1
        a.sh("dmesg -C")
        a.sh(back, timeout=30)
        for node in appliance:
            node.wait_session(links=2)
        assert a.link("ntb0", "reason") == ""
        assert int(a.link("ntb0", "down_count")) == downs + 1
    assert incarnations(appliance) == before


def test_a_link_that_waits_holds_no_driver(appliance: Appliance) -> None:
    """The hardware's driver and the interconnect's can be unloaded under it, and loaded again."""
    a = appliance.a
    a.yokectl("link", "remove", "ntb1")
    a.sh(f"echo {a.device('ntb0')} > /sys/bus/pci/drivers/ntb_hw_ivshmem/unbind", timeout=30)
    a.wait("the driver is free", "rmmod yoke_ntb && rmmod ntb_hw_ivshmem")
    assert "waiting for it" in a.link("ntb0", "reason")
    a.load()
    a.yokectl("link", "add", "ntb1", "--device", a.device("ntb1"))
    for node in appliance:
        node.wait_session()


def test_a_device_that_comes_and_goes_while_its_link_does(appliance: Appliance) -> None:
    a = appliance.a
    driver, device, links = "/sys/bus/pci/drivers/ntb_hw_ivshmem", a.device("ntb0"), f"{CONFIG}/links"
    flicker = (
        f"echo ready; while :; do echo {device} > {driver}/unbind; echo {device} > {driver}/bind; done 2>/dev/null"
    )
    command = a.lab.command("a", ["bash", "-c", flicker])
    try:
        a.sh(
            f"for i in $(seq 40); do echo 0 > {links}/ntb0/enable; echo 1 > {links}/ntb0/enable || exit 1; done",
            timeout=120,
        )
    finally:
        command.close()
    a.sh(f"[ -e {driver}/{device} ] || echo {device} > {driver}/bind")
    for node in appliance:
        node.wait_session()


def test_a_link_is_taken_away_and_added_again_while_the_other_carries_on(appliance: Appliance) -> None:
    a = appliance.a
    before = incarnations(appliance)
    for _ in range(5):
        a.yokectl("link", "remove", "ntb1")
        appliance.b.wait_session(links=1)
        a.yokectl("link", "add", "ntb1", "--device", a.device("ntb1"))
        for node in appliance:
            node.wait_session()
    assert incarnations(appliance) == before


def test_two_appliances_on_one_cable_do_not_speak(appliance: Appliance) -> None:
    b = appliance.b
    links = f"{CONFIG}/links"
    b.sh(f"rmdir {links}/ntb0 {links}/ntb1; echo 11111111-2222-3333-4444-555555555555 > {CONFIG}/appliance")
    try:
        b.yokectl("link", "add", "ntb0", "--device", b.device("ntb0"))
        for node in appliance:
            node.wait(
                "a refusal", f"grep -q 'cannot be worked with' {LINK_CLASS}/ntb0/reason", say=f"cat {LINK_CLASS}/ntb0/*"
            )
            assert node.link("ntb0", "state") != "up"
    finally:
        b.sh(f"rmdir {links}/ntb0")
        b.configure()
    for node in appliance:
        node.wait_session()
