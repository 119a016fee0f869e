# SPDX-License-Identifier: GPL-2.0
"""A device whose BAR has another user is refused, and nothing of it is kept: it can still be removed whole."""

from pair import DRIVER, PCI, Pair
from yoke_lab.config import modules_dir

CLAIM = modules_dir() / "pci_claim_test.ko"
FILES = "/sys/module/pci_claim_test/parameters"
BAR = 2
SLOT = int(PCI.split(":")[2].split(".")[0], 16)


def test_what_the_other_user_did_not_get_it_does_not_give_back(pair: Pair) -> None:
    """Its file is there before it has claimed the BAR, and for a while after it was refused."""
    a = pair.a
    regions = "grep ntb_hw_ivshmem /proc/iomem"
    before = a.sh(regions)
    writer = f"(until [ -e /tmp/refused ]; do echo N > {FILES}/held; done) 2>/dev/null &"
    load = f"insmod {CLAIM} slot={SLOT} bar={BAR} 2>/dev/null && echo claimed"
    said = a.sh(f"{writer} for i in $(seq 20); do {load}; done; touch /tmp/refused; wait; rm /tmp/refused", timeout=120)
    assert said == ""
    assert a.sh(regions) == before


def test_a_bar_that_has_another_user(pair: Pair) -> None:
    assert CLAIM.is_file(), f"{CLAIM} is missing: make modules"
    a = pair.a
    a.unbind()
    a.sh(f"insmod {CLAIM} slot={SLOT} bar={BAR}")
    try:
        for _ in range(3):
            said = a.run(f"echo {PCI} > {DRIVER}/bind").stderr.decode()
            assert "busy" in said, said
            assert not a.is_bound()
        a.sh(f"echo N > {FILES}/held; echo 1 > /sys/bus/pci/devices/{PCI}/remove")
        a.wait("the kernel frees the device", f"[ $(cat {FILES}/released) = Y ]")
        a.sh("echo 1 > /sys/bus/pci/rescan")
        a.wait("the driver has the device that was found again", f"[ -e {DRIVER}/{PCI} ]")
    finally:
        # A device that is found again is given another address, where its memory is cached: no other test expects that.
        pair.lab.kill("a")
        pair.lab.start("a")
