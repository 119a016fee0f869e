# SPDX-License-Identifier: GPL-2.0
"""The driver goes while everything is in use, in any order, and comes back."""

import pytest
from pair import DRIVER, MODULE, PCI, Pair
from test_netdev import ADDRESS, connect

CLIENTS = ["ntb_tool", "ntb_pingpong delay_ms=0", "ntb_perf max_mw_size=4194304"]


@pytest.mark.parametrize("client", CLIENTS)
def test_the_driver_goes_under_a_client(pair: Pair, client: str) -> None:
    name, _, options = client.partition(" ")
    pair.load_client(name, options)
    pair.a.unload()
    pair.b.wait_times("down", 1)
    pair.a.load()
    pair.b.wait_times("up", 2)

    # Through sysfs, and at both ends at once.
    for machine in pair:
        machine.unbind()
    for machine in pair:
        machine.bind()
    for machine in pair:
        machine.wait_times("up", 3)

    # Client first, then the driver; the other end keeps both.
    pair.a.sh(f"modprobe -r {name}")
    pair.b.wait_times("down", 3)
    pair.a.unload()
    pair.b.sh(f"modprobe -r {name}")


def test_the_driver_goes_under_a_busy_network(pair: Pair) -> None:
    connect(pair)
    flood = ["ping", "-f", "-q", "-s", "8000", "-w", "60", ADDRESS["b"]]
    flooding = pair.lab.command("a", flood)
    try:
        for end in (pair.b, pair.a):
            ups = {machine.node: machine.times("up") for machine in pair}
            end.unbind()
            end.bind()
            end.netdev_up(ADDRESS[end.node])
            for machine in pair:
                machine.wait_times("up", ups[machine.node] + 1)
                machine.wait_carrier()
    finally:
        flooding.close()
    pair.a.sh(f"ping -c 3 -W 5 {ADDRESS['b']}")


def test_the_driver_goes_in_the_middle_of_a_copy(pair: Pair) -> None:
    # 2^33 bytes: long enough to be in the middle of it.
    pair.load_client("ntb_perf", "max_mw_size=4194304 total_order=33")
    run = f"/sys/kernel/debug/ntb_perf/{PCI}/run"
    with pair.a.background(["bash", "-c", f"echo ready; echo 0 > {run}"]):
        pair.a.wait("the copy has begun", f"! echo 0 > {run}")
        pair.b.unload()
        pair.a.wait_times("down", 1)
        pair.b.load()
    for machine in pair:
        machine.wait_times("up", 2)


def test_loading_and_unloading_alone(pair: Pair) -> None:
    script = f"for i in 1 2 3 4 5 6 7 8 9 10; do rmmod ntb_hw_ivshmem && insmod {MODULE} || exit 1; done"
    pair.a.sh(script)
    script = (
        f"for i in 1 2 3 4 5 6 7 8 9 10; do echo {PCI} > {DRIVER}/unbind && echo {PCI} > {DRIVER}/bind || exit 1; done"
    )
    pair.b.sh(script)
    assert pair.a.run("rmmod ntb").code != 0, "the core was unloaded under its driver"
    for machine in pair:
        assert machine.is_bound()
