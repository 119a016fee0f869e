# SPDX-License-Identifier: GPL-2.0
"""DRBD protocol C on a RAM disk, between the two controllers, over either network.

Tuned as its users' guide advises for fast backing devices: no barriers, flushes or drains (the RAM disk keeps no cache),
large buffers, activity log and epochs, no cork, and immediate acknowledgements on the route.
"""

from __future__ import annotations

from dataclasses import dataclass

from yoke_lab.errors import LabError
from yoke_lab.timing import wait_for

from .controller import Controller

PORT = 7788
DEVICE = "/dev/drbd0"
# The commands for the protocol of the in-tree driver; drbd-utils keeps them beside its newer ones.
SETUP = "/lib/drbd/drbdsetup-84"
DATA, META = "/dev/ram1", "/dev/ram2"

DISK = ["--disk-barrier=no", "--disk-flushes=no", "--md-flushes=no", "--disk-drain=no", "--al-extents=6007"]
NET = [
    "--protocol=C", "--max-buffers=20000", "--max-epoch-size=20000", "--unplug-watermark=20000", "--tcp-cork=no",
    "--sndbuf-size=4M", "--rcvbuf-size=4M",
]  # fmt: skip


@dataclass(frozen=True)
class Transport:
    """A network between the controllers: its name and each side's address."""

    name: str
    addresses: tuple[str, str]


class Drbd:
    """One replicated device, primary on the first controller."""

    def __init__(self, first: Controller, second: Controller) -> None:
        self.nodes = (first, second)
        self.connected: Transport | None = None

    def up(self, transport: Transport) -> None:
        """Makes the device on fresh RAM disks that count as equal, and connects it."""
        for node in self.nodes:
            # Its helper asks for a configuration that is not there, and breaks every reconnection over that.
            node.modprobe("drbd", "usermode_helper=/bin/true")
            node.run("drbdmeta", "--force", "0", "v08", META, "flex-external", "create-md")
            node.run(SETUP, "new-resource", "bench")
            node.run(SETUP, "new-minor", "bench", "0", "0")
            node.run(SETUP, "attach", "0", DATA, META, "flexible", *DISK)
        self.connect(transport)
        first = self.nodes[0]
        first.run(SETUP, "new-current-uuid", "--clear-bitmap", "0")
        self._wait("both disks to be up to date", "ds:UpToDate/UpToDate")
        first.run(SETUP, "primary", "0")

    def connect(self, transport: Transport) -> None:
        """Replicates over this network from now on."""
        if self.connected == transport:
            return
        self.disconnect()
        for number, node in enumerate(self.nodes):
            ends = [f"ipv4:{transport.addresses[side]}:{PORT}" for side in (number, 1 - number)]
            node.run(SETUP, "connect", "bench", *ends, *NET)
        self.connected = transport
        self._wait(f"DRBD to connect over {transport.name}", "cs:Connected")

    def disconnect(self) -> None:
        if self.connected is None:
            return
        for number, node in enumerate(self.nodes):
            ends = [f"ipv4:{self.connected.addresses[side]}:{PORT}" for side in (number, 1 - number)]
            node.run(SETUP, "disconnect", *ends)
        self.connected = None

    def _wait(self, what: str, text: str) -> None:
        def reached() -> bool:
            return all(text in node.read("/proc/drbd") for node in self.nodes)

        wait_for(what, reached, 30, 0.2)

    def check(self) -> None:
        """LabError unless every write since `connect` went to both: a lone DRBD looks fast."""
        for node in self.nodes:
            state = node.read("/proc/drbd")
            if "cs:Connected" not in state or "ds:UpToDate/UpToDate" not in state:
                raise LabError(
                    f"DRBD lost its partner while it was measured:\n{state}", "run it again; read `lab logs a`"
                )

    def down(self) -> None:
        """Takes it away, so that nothing of it runs while others are measured."""
        self.disconnect()
        for node in self.nodes:
            node.run(SETUP, "down", "bench")
            node.run("rmmod", "drbd")
