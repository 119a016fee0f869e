# SPDX-License-Identifier: GPL-2.0
"""Both ends of ntb_test_bridge in one machine, and a link over them, as the tests speak to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pair import GUEST, Machine
from yoke_lab.config import modules_dir

ENDS = ("6e74:00:00.0", "6e74:00:01.0")
FILE = "/sys/kernel/config/yoke_selftest/links"
DEBUGFS = "/sys/kernel/debug/ntb_test_bridge"


@dataclass(frozen=True)
class End:
    """A line of the file `links`."""

    up: bool
    generation: int
    own_bytes: int
    peer_bytes: int
    error: int


@dataclass(frozen=True)
class Trans:
    """The file `trans` of one side."""

    size: int
    # How often one was set; how often one that led to what is not the other end's memory; how often memory of this
    # side was given back while the other one could still write it.
    count: int
    stale: int
    exposed: int


class Bridge:
    """The two ends, in machine a."""

    def __init__(self, machine: Machine, module: Path) -> None:
        self.machine = machine
        self.module = module

    def load(self, like: str) -> None:
        modules = modules_dir()
        self.machine.sh(
            f"[ -d /sys/module/ntb ] || modprobe ntb; insmod {self.module}/yoke_sys_selftest.ko; "
            f"insmod {modules}/ntb_test_bridge.ko like={like}; insmod {modules}/yoke_ntb.ko"
        )

    def unload(self) -> None:
        self.machine.sh(
            f"[ ! -e {FILE} ] || echo close > {FILE}; "
            "for m in yoke_ntb ntb_test_bridge yoke_sys_selftest; do [ ! -d /sys/module/$m ] || rmmod $m || exit 1; done"
        )

    def open(self) -> None:
        self.machine.sh(f"echo open ntb {' '.join(ENDS)} > {FILE}")

    def signalled(self, text: str, file: str) -> None:
        """Writes to a file, in a task that has a signal pending by the time the bridge is called."""
        self.machine.sh(f"python3 -I {GUEST}/signalled.py {file} '{text}'")

    def check(self, words: str = "") -> None:
        self.machine.sh(f"echo check {words} > {FILE}", timeout=120)

    def ends(self) -> tuple[End, End]:
        lines = [line.split() for line in self.machine.sh(f"cat {FILE}").splitlines()]
        first, second = (End(up == "1", int(gen), int(own), int(peer), int(err)) for up, gen, own, peer, err in lines)
        return first, second

    def trans(self, side: int) -> Trans:
        return Trans(*map(int, self.machine.sh(f"cat {DEBUGFS}/{side}/trans").split()))

    def held(self, side: int) -> int:
        """How often memory of an end was given out, and not given back."""
        return int(self.machine.sh(f"cat {DEBUGFS}/{side}/held"))

    def set(self, side: int, name: str, value: int) -> None:
        self.machine.sh(f"echo {value} > {DEBUGFS}/{side}/{name}")

    def pull(self, number: int) -> None:
        """Takes a device away."""
        self.machine.sh(f"echo 1 > /sys/bus/pci/devices/{ENDS[number]}/remove")

    def rescan(self) -> None:
        self.machine.sh("echo 1 > /sys/bus/pci/rescan")

    def flap(self) -> None:
        """The link goes down and comes back; both ends have been told when this returns."""
        self.machine.sh(f"echo 1 > {DEBUGFS}/0/flap")

    def wait_up(self) -> None:
        self.machine.wait("up at both ends", f'[ "$(cut -d" " -f1 {FILE} | tr -d "\\n")" = 11 ]')

    def wait_errors(self, *errors: int) -> None:
        wanted = " ".join(map(str, errors))
        self.machine.wait(f"errors {wanted}", f'[ "$(cut -d" " -f5 {FILE} | tr "\\n" " ")" = "{wanted} " ]')
