# SPDX-License-Identifier: GPL-2.0
"""A network over the NTB carries data unharmed, also after one machine was killed and started again."""

import pytest
from pair import GUEST, Machine, Pair

BYTES = 20_000_000
ADDRESS = {"a": "10.78.0.1", "b": "10.78.0.2"}


def transfer(sender: Machine, receiver: Machine) -> None:
    """Sends BYTES and compares the hashes of both ends."""
    address = ADDRESS[receiver.node]
    program = f"{GUEST}/transfer.py"
    with receiver.background(["python3", "-I", program, "receive", address]) as receiving:
        sent = sender.sh(f"python3 -I {program} send {address} {BYTES}")
        received = b"".join(payload for kind, payload in receiving.frames() if kind == b"O")
    assert received.decode().strip() == sent


def connect(pair: Pair) -> None:
    for machine in pair:
        machine.netdev_up(ADDRESS[machine.node])
    for machine in pair:
        machine.wait_carrier()


@pytest.mark.parametrize("sender", ["a", pytest.param("b", marks=pytest.mark.long)])
def test_data_arrives_unharmed(pair: Pair, sender: str) -> None:
    connect(pair)
    first, second = (pair.a, pair.b) if sender == "a" else (pair.b, pair.a)
    transfer(first, second)


def test_it_comes_back_after_a_machine_was_killed(pair: Pair) -> None:
    connect(pair)
    pair.lab.kill("b")
    pair.lab.start("b")
    pair.b.load()
    connect(pair)
    assert pair.a.times("down") >= 1, "the survivor never heard of it"
    transfer(pair.a, pair.b)
    transfer(pair.b, pair.a)
