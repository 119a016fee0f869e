# SPDX-License-Identifier: GPL-2.0
"""What a lab consists of, as data that travels as JSON."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .errors import LabError

TREE = Path(__file__).resolve().parents[2]

# "1": the kernel that looks for faults (KASAN, lockdep), and the modules that were built for it.
DEBUG_VARIABLE = "YOKE_DEBUG_KERNEL"
# Its memory, at least: KASAN takes an eighth, and what it needs besides.
DEBUG_MEMORY_MIB = 1536

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")

# The vectors of include/yoke/ivshmem_layout.h: the server and QEMU must be told the same number.
VECTORS = 17


@dataclass
class LabConfig:
    """One lab. Two controllers; the rest says what stands between and behind them."""

    name: str
    kernel: str
    modules: str | None
    server: str
    agent: str
    nodes: list[str] = field(default_factory=lambda: ["a", "b"])
    links: list[str] = field(default_factory=lambda: ["ntb0", "ntb1"])
    link_bytes: int = 64 << 20
    min_down_ms: int = 20
    disk_bytes: list[int] = field(default_factory=lambda: [1 << 30])
    disk_dir: str | None = None
    # Machines with disks that the controllers reach over a network (shelf.py), their disks, and the wires to each controller.
    shelves: int = 0
    shelf_disks: list[str] = field(default_factory=lambda: ["nvme:256M", "iscsi:256M"])
    shelf_wires: int = 1
    memory_mib: int = 1024
    # One each: a machine of two emulated CPUs boots half as fast on a host of two (docs/lab.md).
    cpus: int = 1
    # Several CPUs of a machine run at the same time, and not in turns: QEMU may then die of it (docs/lab.md).
    parallel: bool = False
    append: str = ""
    # Boot as virtme-ng does (vng.py): its process 1, its root.
    vng: bool = False
    # A task that sleeps uninterruptibly for so long is a complaint of the kernel (docs/lab.md); 0: the kernel's own bound.
    hung_task_seconds: int = 0
    insmod: list[str] = field(default_factory=list)
    accelerator: str = "tcg"
    log_dir: str | None = None
    tied_to: int | None = None

    def check(self) -> None:
        """Raises LabError for what cannot work."""
        if not NAME_PATTERN.fullmatch(self.name):
            raise LabError(f"{self.name!r} is not a lab name", "use up to 32 letters, digits, '-', '_' or '.'")
        if len(self.nodes) != 2 or len(set(self.nodes)) != 2:
            raise LabError("a lab has two controllers of different names")
        for path, what in ((self.kernel, "kernel image"), (self.server, "ivshmem server"), (self.agent, "agent")):
            if not Path(path).is_file():
                raise LabError(f"there is no {what} at {path}")
        for module in self.insmod:
            if not Path(module).is_file():
                raise LabError(f"there is no module at {module}", "make modules")
        if not 1 <= self.cpus <= 64 or not 256 <= self.memory_mib <= 1 << 20:
            raise LabError("a controller has 1 to 64 CPUs and at least 256 MiB of memory")
        if len(self.disk_bytes) > 16 or any(size <= 0 or size % 4096 for size in self.disk_bytes):
            raise LabError("a lab has up to 16 disks whose sizes are multiples of 4096 bytes")
        if not 0 <= self.shelves <= 2 or not 1 <= self.shelf_wires <= 2 or not 1 <= len(self.shelf_disks) <= 8:
            raise LabError("a lab has up to two shelves of 1 to 8 disks, and one or two wires to each controller")
        for disk in self.shelf_disks:
            ShelfDisk.parse(disk)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> LabConfig:
        return cls(**json.loads(text))

    def shelf_names(self) -> list[str]:
        return [f"shelf{number}" for number in range(self.shelves)]

    def machines(self) -> list[str]:
        """Controllers, then shelves. The place in it is the machine's number; of a controller, its node number, which is
        also the side of every link."""
        return [*self.nodes, *self.shelf_names()]

    def node_number(self, node: str) -> int:
        """Of a controller."""
        if node not in self.nodes:
            raise LabError(f"there is no controller {node!r}", f"use one of: {', '.join(self.nodes)}")
        return self.nodes.index(node)

    def machine_number(self, machine: str) -> int:
        try:
            return self.machines().index(machine)
        except ValueError:
            raise LabError(f"there is no machine {machine!r}", f"use one of: {', '.join(self.machines())}") from None

    def called(self, machine: str) -> str:
        """For people."""
        return f"controller {machine}" if machine in self.nodes else machine

    def wires(self) -> list[Wire]:
        """One by one: the wires between shelves and controllers."""
        pairs = [(shelf, node) for shelf in self.shelf_names() for node in self.nodes]
        ends = [(shelf, node, f"{shelf}-{node}{place}") for shelf, node in pairs for place in range(self.shelf_wires)]
        return [Wire(name, number, shelf, node) for number, (shelf, node, name) in enumerate(ends)]

    def check_link(self, link: str) -> str:
        if link not in self.links:
            raise LabError(f"there is no link {link!r}", f"use one of: {', '.join(self.links)}")
        return link


@dataclass(frozen=True)
class Wire:
    """A network of its own between a shelf and a controller: one path to all disks of that shelf."""

    name: str
    number: int
    shelf: str
    node: str

    def ends(self) -> tuple[str, str]:
        return (self.shelf, self.node)

    def address(self, machine: str) -> str:
        """Of one of its ends."""
        return f"10.78.{self.number}.{1 + self.ends().index(machine)}"

    def mac(self, machine: str) -> str:
        return f"52:54:00:79:77:{2 * self.number + self.ends().index(machine):02x}"


@dataclass(frozen=True)
class ShelfDisk:
    """A disk of a shelf, and how the shelf offers it."""

    protocol: str
    size: int

    @classmethod
    def parse(cls, text: str) -> ShelfDisk:
        """From "nvme:256M" or "iscsi:1G"."""
        protocol, _, size = text.partition(":")
        if protocol not in ("nvme", "iscsi"):
            raise LabError(f"{text!r} is not a disk of a shelf", "write it like nvme:256M or iscsi:1G")
        return cls(protocol, parse_size(size))


def wants_debug() -> bool:
    """Whether the environment asks for the debug kernel."""
    return os.environ.get(DEBUG_VARIABLE) == "1"


def modules_dir() -> Path:
    """Where the modules are for the kernel that is asked for; YOKE_MODULES names another place."""
    name = "modules-debug" if wants_debug() else "modules"
    return Path(os.environ.get("YOKE_MODULES", TREE / "build" / name))


class Paths:
    """Where the files of a lab are. Short, because a Unix socket's path has 107 bytes."""

    def __init__(self, name: str) -> None:
        if not NAME_PATTERN.fullmatch(name):
            raise LabError(f"{name!r} is not a lab name", "use up to 32 letters, digits, '-', '_' or '.'")
        # Not $XDG_RUNTIME_DIR: it may be a small tmpfs, and each login session has another one.
        self.root = Path("/tmp") / f"yoke-lab-{os.getuid()}-{name}"
        self.config = self.root / "config.json"
        self.supervisor_socket = self.root / "supervisor.sock"
        self.disks = Path("/var/tmp") / self.root.name

    def node(self, node: str) -> Path:
        return self.root / "nodes" / node

    def qmp(self, node: str) -> Path:
        return self.node(node) / "qmp.sock"

    def lan(self, node: str) -> Path:
        return self.node(node) / "lan.sock"

    def share(self, node: str) -> Path:
        """Seen by the machine at /run/lab."""
        return self.node(node) / "share"

    def port(self, node: str) -> Path:
        """Holds the TCP port of the agent on the loopback, once the machine has one."""
        return self.node(node) / "port"

    def wire(self, wire: Wire, machine: str) -> Path:
        """The socket of one of its ends."""
        return self.node(machine) / f"wire{wire.number}.sock"

    def link(self, link: str) -> Path:
        return self.root / "links" / link

    def side(self, link: str, number: int) -> Path:
        return self.link(link) / f"side{number}.sock"

    def control(self, link: str) -> Path:
        return self.link(link) / "control.sock"

    def logs(self, config: LabConfig) -> Path:
        return Path(config.log_dir) if config.log_dir else self.root / "logs"

    def console(self, config: LabConfig, node: str, boot: int) -> Path:
        """Boots are numbered from 1."""
        return self.logs(config) / f"{node}.boot{boot}.console.log"


def parse_size(text: str) -> int:
    """Bytes, with suffix K, M or G."""
    match = re.fullmatch(r"(\d{1,15})([KMG]?)", text.strip().upper())
    if not match or int(match[1]) == 0:
        raise LabError(f"{text!r} is not a size", "write it like 512M or 1G")
    return int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]]
