# SPDX-License-Identifier: GPL-2.0
"""Bad input to configfs and yokectl: a clear error, nothing changed, no complaint of the kernel."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest
from attributes import GARBAGE, assert_all, refused, snapshot, write_all
from yoke_lab.appliance import APPLIANCE, CONFIG, LINK_CLASS, Appliance, Node
from yoke_lab.lab import Lab

# How many links a controller can have (docs/abi.md), and a device for one more.
LINKS_MAX = 4
DEVICES = LINKS_MAX + 1
LAB_OPTIONS = {
    "disk_bytes": [64 << 20],
    "memory_mib": 512,
    "links": [f"ntb{number}" for number in range(DEVICES)],
    "link_bytes": 16 << 20,
}


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    appliance = Appliance(lab)
    appliance.a.load()
    return appliance


@pytest.fixture
def node(whole: Appliance) -> Iterator[Node]:
    """Controller a: modules loaded, an identity, no links; the kernel's log is looked through afterwards."""
    whole.a.sh(f"for l in {CONFIG}/links/*/; do [ ! -d $l ] || rmdir $l; done")
    whole.a.configure(links=[])
    yield whole.a
    assert whole.splats() == []


def test_garbage_in_the_root_attributes(node: Node) -> None:
    before = snapshot(node)
    node.sh("dmesg -C")
    wanted = [
        (f"{CONFIG}/{file}", value)
        for file in ("appliance", "node", "beat_interval_us", "beats_missed")
        for value in GARBAGE
    ]
    assert_all(node, "EINVAL", wanted)
    log = node.dmesg()
    for file in ("appliance", "node", "beat_interval_us", "beats_missed"):
        assert f"{file} not changed" in log
    assert snapshot(node) == before


def test_values_out_of_range(node: Node) -> None:
    before = snapshot(node)
    values = [
        ("node", b"64"), ("node", b"256"), ("node", b"-0"),
        ("beat_interval_us", b"99"), ("beat_interval_us", b"10000001"), ("beat_interval_us", b"18446744073709551615"),
        ("beats_missed", b"1"), ("beats_missed", b"1001"), ("beats_missed", b"4294967298"),
        ("appliance", b"00000000-0000-0000-0000-000000000000"), ("appliance", APPLIANCE.encode() + b"0"),
        ("appliance", APPLIANCE.replace("-", "").encode()),
    ]  # fmt: skip
    assert set(write_all(node, [(f"{CONFIG}/{file}", value) for file, value in values])) == {"EINVAL"}
    assert snapshot(node) == before
    good = [("node", b"63\n"), ("node", b"0"), ("beat_interval_us", b"100"), ("beats_missed", b"1000\n")]
    assert set(write_all(node, [(f"{CONFIG}/{file}", value) for file, value in good])) == {"OK"}
    assert node.sh(f"cat {CONFIG}/beat_interval_us {CONFIG}/beats_missed") == "100\n1000"


def test_garbage_in_the_attributes_of_a_link(node: Node) -> None:
    link = f"{CONFIG}/links/l0"
    node.sh(f"mkdir {link}")
    before = snapshot(node)
    words = [
        (f"{link}/{file}", value)
        for file in ("device", "interconnect")
        for value in (b"\0", b"\n", b" ", b"\xff", b"a b", b"a" * 64)
    ]
    flags = [(f"{link}/enable", value) for value in [*GARBAGE, b"2", b"yes"]]
    node.sh("dmesg -C")
    assert_all(node, "EINVAL", words + flags)
    log = node.dmesg()
    for file in ("device", "interconnect", "enable"):
        assert f"link l0: {file} not changed" in log
    assert snapshot(node) == before


def test_a_link_to_nothing(node: Node) -> None:
    for device, kind, errno, words in (
        ("", "ntb", "EINVAL", "no device is set"),
        ("0000:00:10.0", "carrier-pigeon", "ENODEV", "no driver of this interconnect"),
    ):
        link = f"{CONFIG}/links/l0"
        node.sh(
            f"dmesg -C; mkdir {link}; echo {kind} > {link}/interconnect; [ -z '{device}' ] || echo {device} > {link}/device"
        )
        assert write_all(node, [(f"{link}/enable", b"1")]) == [errno]
        assert words in node.dmesg()
        node.sh(f"[ $(cat {link}/enable) = 0 ]; [ ! -e {LINK_CLASS}/l0 ]; rmdir {link}")


def test_a_link_whose_device_is_not_there_waits_for_it(node: Node) -> None:
    node.sh("dmesg -C")
    node.yokectl("link", "add", "l0", "--device", "0000:00:1f.7")
    assert node.link("l0", "state") == "down"
    assert node.link("l0", "reason") == "its device is not there: waiting for it"
    assert (node.link("l0", "peer"), node.link("l0", "down_count")) == ("-", "0")
    assert "device 0000:00:1f.7 is not there; waiting for it" in node.dmesg()
    assert any("waiting for it" in line for line in node.ask("status")["degraded"])
    node.yokectl("link", "remove", "l0")


def test_a_device_has_one_user(node: Node) -> None:
    node.yokectl("link", "add", "one", "--device", node.device("ntb0"))
    assert "another user" in refused(node, f"{node.parts.yokectl} link add two --device {node.device('ntb0')}")
    assert "exists already" in refused(node, f"{node.parts.yokectl} link add one --device {node.device('ntb1')}")
    busy = [("appliance", APPLIANCE.encode()), ("node", b"5"), ("beat_interval_us", b"20000"), ("beats_missed", b"7")]
    assert set(write_all(node, [(f"{CONFIG}/{file}", value) for file, value in busy])) == {"EBUSY"}
    link = f"{CONFIG}/links/one"
    assert set(write_all(node, [(f"{link}/device", b"x"), (f"{link}/interconnect", b"y")])) == {"EBUSY"}
    assert "is in use" in refused(node, f"{node.parts.yokectl} node --appliance {APPLIANCE} --node 5")


def test_a_link_without_an_identity(whole: Appliance) -> None:
    """In a life of its own: an appliance cannot be unset."""
    a = whole.a
    a.unload()
    a.load()
    said = refused(a, f"{a.parts.yokectl} link add l0 --device {a.device('ntb0')}")
    assert "appliance" in said and "yokectl node" in said
    assert "the appliance is not set" in a.dmesg()
    assert whole.splats() == []


def test_names_and_numbers_of_links(node: Node) -> None:
    links = f"{CONFIG}/links"
    for name in (".x", "a b", "a%b", "ä", "x" * 32):
        refused(node, f"mkdir {links}/{shlex.quote(name)}")
    node.sh(f"mkdir {links}/{'x' * 31} {links}/A.b-c_d; rmdir {links}/*")
    refused(node, f"rmdir {links}")
    refused(node, f"mkdir {CONFIG}/else")
    refused(node, f"ln -s {links} {CONFIG}/link")


def test_more_links_than_there_can_be(node: Node) -> None:
    """As many as there can be are enabled and one is not, whichever comes last; the directories of others are harmless."""
    links, devices = f"{CONFIG}/links", [node.device(name) for name in node.lab.config().links]
    node.sh(f"for i in $(seq 40); do mkdir {links}/l$i; done")
    node.sh("; ".join(f"echo {device} > {links}/l{number}/device" for number, device in enumerate(devices, 1)))
    enable = [(f"{links}/l{number}/enable", b"1") for number in range(1, DEVICES + 1)]
    node.sh("dmesg -C")
    assert write_all(node, enable) == ["OK"] * LINKS_MAX + ["ENOSPC"]
    assert f"link l{DEVICES}: not enabled" in node.dmesg() and "no room for another link" in node.dmesg()
    enabled = [f"l{number}" for number in range(1, DEVICES)]
    assert node.sh(f"ls {LINK_CLASS}").split() == enabled
    # A link that goes makes room for the one that was refused.
    assert write_all(node, [(f"{links}/l1/enable", b"0"), enable[-1]]) == ["OK", "OK"]
    assert node.sh(f"ls {LINK_CLASS}").split() == [*enabled[1:], f"l{DEVICES}"]
    node.sh(f"rmdir {links}/*")


def test_reading_and_writing_without_the_right(node: Node) -> None:
    """Anybody may read what is configured; root alone may change it."""
    link, nobody = f"{CONFIG}/links/l0", "setpriv --reuid 65534 --regid 65534 --clear-groups"
    node.sh(f"mkdir {link}")
    before = snapshot(node)
    for file, value in (
        *((f"{CONFIG}/{name}", 5) for name in ("appliance", "node", "beat_interval_us", "beats_missed")),
        *((f"{link}/{name}", 1) for name in ("device", "interconnect", "enable")),
    ):
        assert node.sh(f"{nobody} cat {file}") == node.sh(f"cat {file}")
        said = node.run(f"{nobody} bash -c 'echo {value} > {file}'")
        assert said.code != 0 and b"Permission denied" in said.stderr, (file, said)
    for words in (f"mkdir {CONFIG}/links/l1", f"rmdir {link}"):
        said = node.run(f"{nobody} {words}")
        assert said.code != 0 and b"Permission denied" in said.stderr, (words, said)
    assert snapshot(node) == before


def test_hammering_the_attributes_while_links_come_and_go(node: Node) -> None:
    ctl, device = node.parts.yokectl, node.device("ntb0")
    # Some of it may be refused by what the other one does at that moment; not all of it.
    step = f"{ctl} link add l0 --device {device} && {ctl} link remove l0"
    churn = f"n=0; for i in $(seq 12); do ({step}) >/dev/null 2>&1 && n=$((n + 1)); done; echo $n"
    pry = (
        f"while [ ! -e /tmp/done ]; do cat {CONFIG}/* {CONFIG}/links/*/* {LINK_CLASS}/*/* /sys/class/yoke_peer/*/*; "
        f"echo 20000 > {CONFIG}/beat_interval_us; echo 1 > {CONFIG}/links/l0/enable; echo 0 > {CONFIG}/links/l0/enable; done"
    )
    script = f"rm -f /tmp/done; ({pry}) >/dev/null 2>&1 & {churn}; touch /tmp/done; wait"
    assert int(node.run(script, timeout=120).text) > 0
    node.sh(f'rm /tmp/done; rmdir {CONFIG}/links/* 2>/dev/null || true; [ -z "$(ls {LINK_CLASS})" ]')
    # The device is nobody's, and serves again.
    node.sh(step)
