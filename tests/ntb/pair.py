# SPDX-License-Identifier: GPL-2.0
"""The two machines as the tests speak to them."""

from __future__ import annotations

import contextlib
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from yoke_lab.channel import Command
from yoke_lab.config import modules_dir
from yoke_lab.errors import LabError
from yoke_lab.lab import Finished, Lab
from yoke_lab.timing import scaled

MODULE = modules_dir() / "ntb_hw_ivshmem.ko"
GUEST = Path(__file__).resolve().parent / "guest"
LINK = "ntb0"
# The lab gives link N this place on the bus.
PCI = "0000:00:10.0"
TOOL = f"/sys/kernel/debug/ntb_tool/{PCI}"
DRIVER = "/sys/bus/pci/drivers/ntb_hw_ivshmem"
# Shell words: loads ntb_netdev. The transport offers a device that comes later to no client that is there already.
NETDEV = "{ ls /sys/bus/ntb_transport/devices/*/net >/dev/null 2>&1 || modprobe -r ntb_netdev; modprobe ntb_netdev; }"
# Shell words: the network interface over the NTB becomes $dev.
INTERFACE = "dev=$(basename /sys/bus/ntb_transport/devices/*/net/*)"
MARK = "yoke-test: begin"
CLIENTS = ("ntb_netdev", "ntb_transport", "ntb_perf", "ntb_pingpong", "ntb_tool")


class Machine:
    """One machine and its end of the NTB."""

    def __init__(self, lab: Lab, node: str) -> None:
        self.lab = lab
        self.node = node
        self.address = f"10.77.0.{lab.config().node_number(node) + 1}"

    def run(self, script: str, *, timeout: float = 60) -> Finished:
        """Runs a shell script to its end."""
        return self.lab.exec(self.node, ["bash", "-c", script], timeout=timeout)

    def sh(self, script: str, *, timeout: float = 60) -> str:
        """As `run`, but has to succeed; its output."""
        done = self.run(script, timeout=timeout)
        said = done.stderr.decode(errors="replace")
        assert done.code == 0, f"{self.node}: `{script}` exits {done.code}: {said}{self.log()[-2000:]}"
        return done.text

    def wait(self, what: str, condition: str, seconds: float = 20) -> None:
        """Waits until a shell condition holds."""
        limit = scaled(seconds)
        script = f"end=$((SECONDS + {limit:.0f})); until {condition}; do ((SECONDS < end)) || exit 1; sleep 0.02; done"
        done = self.run(script, timeout=seconds + 10)
        assert done.code == 0, f"{self.node}: {what} did not happen in {limit:.0f} s\n{self.log()[-2000:]}"

    @contextlib.contextmanager
    def background(self, argv: list[str]) -> Iterator[Command]:
        """A program that runs until the block ends; it has said "ready" when the block starts."""
        command = self.lab.command(self.node, argv)
        command.set_timeout(scaled(60))
        try:
            for kind, payload in command.frames():
                if payload.startswith(b"ready"):
                    break
                if kind == b"X":
                    raise LabError(f"{shlex.join(argv)} ended at once")
            yield command
        finally:
            command.close()

    # ---- the driver ----

    def load(self) -> None:
        self.sh(f"modprobe ntb && insmod {MODULE}")
        self.enable()

    def unload(self) -> None:
        self.sh("rmmod ntb_hw_ivshmem")

    def unbind(self) -> None:
        self.sh(f"echo {PCI} > {DRIVER}/unbind")

    def bind(self) -> None:
        self.sh(f"echo {PCI} > {DRIVER}/bind")
        self.enable()

    def is_bound(self) -> bool:
        return self.run(f"[ -e {DRIVER}/{PCI} ]").code == 0

    def enable(self) -> None:
        """ntb_tool leaves the link to us; the other clients enable it themselves."""
        self.sh(f"[ ! -e {TOOL}/link ] || echo Y > {TOOL}/link")

    def reset(self) -> None:
        """No clients, driver loaded and bound."""
        removals = "; ".join(f"[ ! -d /sys/module/{client} ] || modprobe -r {client}" for client in CLIENTS)
        self.sh(
            f"{removals}; [ -d /sys/module/ntb_hw_ivshmem ] || {{ modprobe ntb && insmod {MODULE}; }}; "
            f"[ -e {DRIVER}/{PCI} ] || echo {PCI} > {DRIVER}/bind"
        )

    # ---- the network over it ----

    def netdev_up(self, address: str = "") -> None:
        """Loads ntb_netdev and brings its interface up: a queue of the transport has a link only while it is used."""
        self.sh(f"modprobe ntb_transport && {NETDEV}")
        give = f"ip addr replace {address}/24 dev $dev" if address else ":"
        self.sh(f"{INTERFACE}; {give}; ip link set $dev up")

    def wait_carrier(self, state: int = 1) -> None:
        condition = f'{{ {INTERFACE}; [ "$(cat /sys/class/net/$dev/carrier)" = {state} ]; }}'
        self.wait(f"carrier {state}", condition)

    # ---- the memory ----

    def memory(self, verb: str, form: str, offset: int, value: int | None = None) -> int:
        """Reads or writes a word of the shared memory behind the driver's back."""
        words = [verb, PCI, form, str(offset)] + ([] if value is None else [str(value)])
        said = self.sh(f"python3 -I {GUEST}/memory.py " + " ".join(shlex.quote(word) for word in words))
        return int(said or 0)

    # ---- the kernel's log ----

    def log(self) -> str:
        """What the kernel said since the test began, or since the machine was started if that was later."""
        return self.run("dmesg").text.rpartition(MARK)[2]

    def mark_log(self, name: str) -> None:
        self.run(f"echo '{MARK} {name}' > /dev/kmsg")

    def times(self, state: str) -> int:
        """How often the driver has told its clients "up" or "down" since the test began."""
        return self.log().count(f"{PCI}: link {state}")

    def wait_times(self, state: str, count: int, seconds: float = 20) -> None:
        """Waits until `times` is `count` or more."""
        log = f"dmesg | tac | sed '/{MARK}/q'"
        self.wait(f"link {state}, {count} times", f"(($({log} | grep -c '{PCI}: link {state}') >= {count}))", seconds)


class Pair:
    """Machines a and b."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.a = Machine(lab, "a")
        self.b = Machine(lab, "b")

    def __iter__(self) -> Iterator[Machine]:
        return iter((self.a, self.b))

    def looked_after(self, name: str) -> Iterator[Pair]:
        """The life of the fixture `pair`, for a test of this name; no kernel complains in it, in any boot."""
        before = Counter(self.lab.splats())
        for machine in self:
            machine.mark_log(name)
            machine.reset()
        yield self
        for machine in self:
            machine.reset()
        complaints = Counter(self.lab.splats()) - before
        assert not complaints, "\n".join(complaints.elements())

    def load_client(self, client: str, options: str = "") -> None:
        """Loads a client in both machines and waits until the link is up."""
        before = [machine.times("up") for machine in self]
        for machine in self:
            machine.sh(f"modprobe {client} {options}")
            machine.enable()
        for machine, count in zip(self, before, strict=True):
            machine.wait_times("up", count + 1)
