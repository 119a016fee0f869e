# SPDX-License-Identifier: GPL-2.0
"""Cuts of the server, lost doorbells, and a peer that stores garbage."""

from pair import LINK, PCI, TOOL, Pair

# Offsets in the shared memory, from include/yoke/ivshmem_layout.h.
FLAGS, DOWN_COUNT = 0x0C, 0x10
PAGE = 4096
LSEQ, ACK, VECTORS = 0x00, 0x08, 0x04


def test_a_cut_closes_both_ends_until_they_agreed_again(pair: Pair) -> None:
    pair.load_client("ntb_tool")
    assert pair.a.run(f"echo 's 1' > {TOOL}/peer_db").code == 0
    before = pair.a.memory("read", "<Q", DOWN_COUNT)

    pair.lab.cut(LINK)
    for machine in pair:
        # At once, without waiting for anybody: the state is a function of the words.
        assert machine.sh(f"cat {TOOL}/peer0/link") == "N"
        assert "Link has been severed" in machine.run(f"echo 's 1' > {TOOL}/peer_db").stderr.decode()
        assert machine.run(f"echo 7 > {TOOL}/peer0/spad0").code != 0
        assert machine.sh(f"cat {TOOL}/peer0/spad0") == "0xffffffff"
        machine.wait_times("down", 1)
    assert pair.a.memory("read", "<Q", DOWN_COUNT) == before + 1

    pair.lab.mend(LINK)
    for machine in pair:
        machine.wait_times("up", 2)
        assert machine.sh(f"cat {TOOL}/peer0/link") == "Y"
    pair.a.sh(f"echo 7 > {TOOL}/peer0/spad0")
    assert pair.b.sh(f"cat {TOOL}/spad0") == "0x7"


def test_a_short_cut_is_not_missed(pair: Pair) -> None:
    pair.load_client("ntb_tool")
    for count in range(1, 6):
        pair.lab.cut(LINK)
        pair.lab.mend(LINK)
        for machine in pair:
            machine.wait_times("up", count + 1)
            assert machine.times("down") == count


def test_the_link_comes_up_without_a_single_doorbell(pair: Pair) -> None:
    pair.lab.drop_doorbells(LINK, "all")
    try:
        pair.load_client("ntb_tool")
        pair.a.unbind()
        pair.b.wait_times("down", 1)
        pair.a.bind()
        for machine in pair:
            machine.wait_times("up", 2)
    finally:
        pair.lab.drop_doorbells(LINK, "none")


def test_late_doorbells_are_not_lost(pair: Pair) -> None:
    pair.load_client("ntb_pingpong", "delay_ms=1")
    count = f"/sys/kernel/debug/ntb_pingpong/{PCI}/count"
    pair.lab.delay_doorbells(LINK, 30)
    try:
        start = int(pair.a.sh(f"cat {count}"))
        pair.a.wait("ping-pong goes on", f"(($(cat {count}) >= {start + 20}))")
    finally:
        pair.lab.delay_doorbells(LINK, 0)


def test_garbage_of_the_peer_takes_the_link_down_and_nothing_else(pair: Pair) -> None:
    pair.load_client("ntb_tool")
    for offset, form, value in [
        (PAGE * 2 + LSEQ, "<I", 0xFFFFFFFF),
        (PAGE * 2 + ACK, "<Q", 0xFFFFFFFFFFFFFFFF),
        (PAGE * 2 + VECTORS, "<I", 0xFFFFFFFF),
        (PAGE * 1 + LSEQ, "<I", 0x12345679),
        (PAGE * 1 + ACK, "<Q", 0),
    ]:
        pair.b.memory("write", form, offset, value)
    pair.a.wait_times("down", 1)
    pair.a.run(f"echo 's 0xffff' > {TOOL}/peer_db")
    # Both drivers have their own words in private memory: a reload of either makes all good again.
    for machine in pair:
        machine.unbind()
        machine.bind()
    for machine in pair:
        machine.wait("the link is up", f"[ $(cat {TOOL}/peer0/link) = Y ]")
