# SPDX-License-Identifier: GPL-2.0
"""How fast memory can be copied into the peer's window, with nothing around it: the kernel's own ntb_perf."""

from __future__ import annotations

import re

from yoke_lab.errors import LabError

from .controller import NtbDevices

WINDOW_BYTES = 4 << 20
TOTAL_ORDER = 28
TOTAL_BYTES = 1 << TOTAL_ORDER


def parse(text: str) -> float:
    """MiB a second out of ntb_perf's statistics: `0: copied N bytes in M usecs, X MBytes/s`."""
    found = re.search(r"copied\s+(\d+)\s+bytes\s+in\s+(\d+)\s+usecs", text)
    if not found or int(found[2]) == 0:
        raise LabError(f"ntb_perf gave no figures: {text.strip()!r}")
    return int(found[1]) / (1 << 20) / (int(found[2]) / 1e6)


def measure(devices: tuple[NtbDevices, NtbDevices], link: str) -> float:
    """One load of ntb_perf on both sides, one copy of 256 MiB; MiB a second.

    Each load maps its buffers at other addresses; under emulation they may share entries of its address cache, and then
    every access misses. That is why one load alone says little: docs/bench.md.
    """
    nodes = [side.controller for side in devices]
    for node in nodes:
        node.modprobe("ntb_perf", f"max_mw_size={WINDOW_BYTES}", f"total_order={TOTAL_ORDER}")
    try:
        for side in devices:
            side.give(link, "ntb_perf")
        about = f"/sys/kernel/debug/ntb_perf/{devices[0].device(link)}"
        nodes[0].wait("the link of ntb_perf", f"grep -q 'Link status: up' {about}/info", 30)
        nodes[0].run("timeout", "60", "sh", "-c", f"echo 0 > {about}/run", timeout=90)
        return parse(nodes[0].read(f"{about}/run"))
    finally:
        for node in nodes:
            node.run("rmmod", "ntb_perf")
