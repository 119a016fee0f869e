# SPDX-License-Identifier: GPL-2.0
"""A controller's way to a shared disk that can be told to fail, to hang or to be slow, while the partner's way is whole."""

from __future__ import annotations

from .appliance import Node

# A disk's header (docs/on-disk-format.md) in sectors: superblock and node blocks. Data begins behind it.
HEADER_SECTORS = 2048
# No udev runs in a controller: dmsetup makes the device's node itself.
NO_UDEV = "export DM_DISABLE_UDEV=1"


class Brittle:
    """A device of the device mapper on a shared disk; whole at first."""

    def __init__(self, node: Node, name: str, disk: str) -> None:
        self.node = node
        self.name = name
        self.disk = disk
        self.path = f"/dev/mapper/{name}"
        node.sh("for m in dm_flakey dm_delay; do modprobe $m; done")
        self.sectors = int(node.sh(f"blockdev --getsz {disk}"))
        self._dmsetup(f"create {name}", self._parts("linear", "linear"))

    def _parts(self, header: str, data: str) -> str:
        """A table: a target each for the header and for the data, with what it wants behind the place on the disk."""
        parts = ((0, HEADER_SECTORS, header), (HEADER_SECTORS, self.sectors - HEADER_SECTORS, data))
        lines = []
        for start, count, target in parts:
            kind, _, rest = target.partition(" ")
            place = "" if kind == "error" else f" {self.disk} {start}"
            # dm-delay takes a second place, for writes.
            words = " ".join(f"{place} {delay}" for delay in rest.split()) if kind == "delay" else f"{place} {rest}"
            lines.append(f"{start} {count} {kind}{words}")
        return "\n".join(lines)

    def _dmsetup(self, words: str, table: str = "") -> None:
        # A table of several lines is read from the standard input.
        self.node.sh(f"{NO_UDEV}; dmsetup {words}", stdin=f"{table}\n".encode() if table else b"")

    def _become(self, header: str, data: str) -> None:
        self._dmsetup(f"load {self.name}", self._parts(header, data))
        self._dmsetup(f"suspend --nolockfs {self.name}")
        self._dmsetup(f"resume {self.name}")

    def heal(self) -> None:
        """All is as it should be; what was held back goes on."""
        self._become("linear", "linear")

    def fail_writes(self) -> None:
        """Writes of data end with errors, all else works."""
        self._become("linear", "flakey 0 1 1 error_writes")

    def fail_header(self) -> None:
        """Nobody can read or write a node block."""
        self._become("error", "linear")

    def fail(self) -> None:
        """Everything ends with an error."""
        self._become("error", "error")

    def slow(self, read_ms: int, write_ms: int) -> None:
        """Everything takes so long."""
        self._become(f"delay {read_ms} {write_ms}", f"delay {read_ms} {write_ms}")

    def hang(self) -> None:
        """Nothing is answered, until `drop`."""
        self._dmsetup(f"suspend --noflush --nolockfs {self.name}")

    def drop(self) -> None:
        """What was not answered ends with an error, as all else does from now on; none of it is done."""
        self._dmsetup(f"load {self.name}", self._parts("error", "error"))
        self._dmsetup(f"resume {self.name}")

    def held(self) -> int:
        """Commands that a slow disk has not let go of: reads, writes and flushes."""
        status = self.node.sh(f"dmsetup status {self.name}")
        lines = [line.split() for line in status.splitlines()]
        return sum(int(word) for line in lines if line[2] == "delay" for word in line[3:])

    def remove(self) -> None:
        self._dmsetup(f"remove --retry {self.name}")


__all__ = ["Brittle"]
