# SPDX-License-Identifier: GPL-2.0
"""When ntb_link_disable() returns, no event of the client is under way, and what events queued has run.

drivers/ntb_disable_test has a slow handler, looks, and counts. It needs machines of two CPUs: a handler has its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from pair import DRIVER, PCI, TOOL, Machine, Pair
from yoke_lab.config import TREE, modules_dir
from yoke_lab.fixture import bring_up
from yoke_lab.timing import scaled

CLIENT = modules_dir() / "ntb_disable_test.ko"
FILES = f"/sys/kernel/debug/ntb_disable_test/{PCI}"
CPUS = 2
ROUNDS = 20
# Seconds in which a link comes up; 0.3 in a quiet machine.
LIMIT = 10


@pytest.fixture(scope="module")
def two_cpus() -> Iterator[Pair]:
    logs = TREE / "build" / "lab-logs" / "ntb-disable"
    lab = bring_up(f"disable-{os.getpid()}", logs, links=["ntb0"], memory_mib=512, cpus=CPUS)
    try:
        yield Pair(lab)
    finally:
        lab.down()


@pytest.fixture
def pair(two_cpus: Pair, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Overrides the fixture of the other files; the client is loaded in a, and b's end of the link is enabled for good."""
    assert CLIENT.is_file(), f"{CLIENT} is missing: make modules"
    for both in two_cpus.looked_after(request.node.name):
        both.b.sh("modprobe ntb_tool")
        both.b.enable()
        both.a.sh(f"insmod {CLIENT} limit_ms={scaled(LIMIT) * 1000:.0f}")
        yield both
        both.a.sh("[ ! -d /sys/module/ntb_disable_test ] || rmmod ntb_disable_test")


def result(machine: Machine) -> dict[str, int]:
    lines = machine.sh(f"cat {FILES}/result").splitlines()
    return {key: int(value) for key, value in map(str.split, lines)}


def play(machine: Machine, file: str) -> dict[str, int]:
    """ROUNDS rounds; what they counted."""
    # Which CPU the handler is called on: who waits for it must not be there, or waits until it is over.
    machine.sh(f"echo 1 > {FILES}/run", timeout=2 * LIMIT)
    handler = result(machine)["cpu"]
    assert 0 <= handler < CPUS, f"the link did not come up\n{machine.log()[-2000:]}"
    other = (handler + 1) % CPUS
    machine.sh(f"taskset -c {other} bash -c 'echo {ROUNDS} > {FILES}/{file}'", timeout=ROUNDS * LIMIT)
    counted = result(machine)
    print(file, counted)
    # What was to be looked at was there: else the rest says nothing.
    assert counted["cpu"] == handler, counted
    assert counted["rounds"] == ROUNDS, counted
    assert counted["caught"] >= ROUNDS // 4, counted
    assert counted["queued"] >= 2 * counted["caught"], counted
    return counted


def test_disable_waits_for_the_handler_and_for_its_work(pair: Pair) -> None:
    counted = play(pair.a, "run")
    assert counted["refused"] == 0, counted
    assert (counted["inside"], counted["late"], counted["pending"]) == (0, 0, 0), counted


def test_disable_waits_for_the_handler_without_memory_to_wait_for_work(pair: Pair) -> None:
    counted = play(pair.a, "run_alone")
    assert (counted["inside"], counted["late"]) == (0, 0), counted
    # It did have no memory, and this is what waiting for work is good for.
    assert counted["refused"] == ROUNDS and counted["pending"] > 0, counted


def test_the_driver_and_the_client_go_in_the_middle(pair: Pair) -> None:
    for _ in range(3):
        with pair.a.background(["bash", "-c", f"echo ready; echo 1000 > {FILES}/run"]):
            pair.a.wait("rounds are played", f"(($(awk '/rounds/ {{ print $2 }}' {FILES}/result) >= 2))")
            pair.a.unbind()
            assert pair.a.run(f"[ -e {FILES} ]").code != 0
        # The writer may still be closing its file.
        pair.a.wait("the client goes", "rmmod ntb_disable_test 2>/dev/null")
        pair.a.sh(f"echo {PCI} > {DRIVER}/bind; insmod {CLIENT}")
    assert pair.b.sh(f"cat {TOOL}/peer0/link") == "N"
