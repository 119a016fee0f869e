# SPDX-License-Identifier: GPL-2.0
"""The QEMU command line of a machine, and what is fixed about its devices."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from yoke_build.kernel import BOOT_WORDS

from .config import TREE, VECTORS, LabConfig, Paths, ShelfDisk
from .qmp import AGENT_PORT
from .timing import scaled

BINARY = "qemu-system-x86_64"
# A machine that is paused finds, when it goes on, that its clock has: what ran then "was stuck" for as long. So this bound grows
# with all others. Linux counts twice as much, and takes 60 at most.
WATCHDOG_SECONDS, WATCHDOG_MAX = 10, 60
# The first address that QEMU's user network gives out; it forwards to that one.
OUT_ADDRESS = "10.0.2.15"


def lan_address(node: int) -> str:
    """Of the network between the controllers."""
    return f"10.77.0.{node + 1}"


def lan_mac(node: int) -> str:
    return f"52:54:00:79:6b:{node:02x}"


def out_mac(node: int) -> str:
    """Of the card that leads to the agent's forwarded port only."""
    return f"52:54:00:79:6f:{node:02x}"


def disk_serial(index: int) -> str:
    """/dev/disk/by-id/virtio-SERIAL in the machine."""
    return f"shared{index}"


@dataclass(frozen=True)
class Disk:
    """An image, and what the machine calls it."""

    serial: str
    path: Path
    size: int


def disks(config: LabConfig, paths: Paths) -> list[Disk]:
    """Those that both controllers see."""
    place = Path(config.disk_dir) if config.disk_dir else paths.disks
    names = [disk_serial(index) for index in range(len(config.disk_bytes))]
    return [Disk(name, place / f"{name}.img", size) for name, size in zip(names, config.disk_bytes, strict=True)]


def shelf_serial(shelf: str, index: int) -> str:
    """/dev/disk/by-id/virtio-SERIAL in the shelf."""
    return f"{shelf}-{index}"


def shelf_disks(config: LabConfig, paths: Paths, shelf: str) -> list[Disk]:
    """Those of a shelf."""
    names = [shelf_serial(shelf, index) for index in range(len(config.shelf_disks))]
    sizes = [ShelfDisk.parse(text).size for text in config.shelf_disks]
    return [Disk(name, paths.disks / f"{name}.img", size) for name, size in zip(names, sizes, strict=True)]


def cards(config: LabConfig, machine: str) -> list[tuple[str, str]]:
    """Hardware address and IPv4 address of each network card of a machine."""
    number = config.machine_number(machine)
    found = [(out_mac(number), OUT_ADDRESS)]
    if machine in config.nodes:
        found.append((lan_mac(number), lan_address(number)))
    return found + [(wire.mac(machine), wire.address(machine)) for wire in config.wires() if machine in wire.ends()]


def hosts(config: LabConfig, machine: str) -> list[tuple[str, str]]:
    """Address and name of who is there for a machine. A shelf that is reached over several wires has as many addresses."""
    if machine in config.nodes:
        found = [(lan_address(number), node) for number, node in enumerate(config.nodes)]
        return found + [(wire.address(wire.shelf), wire.shelf) for wire in config.wires() if wire.node == machine]
    return [(wire.address(wire.node), wire.node) for wire in config.wires() if wire.shelf == machine]


def command(config: LabConfig, paths: Paths, node: str, boot: int) -> list[str]:
    """Everything on one command line, so that `ps` and the log tell what a machine is."""
    words = [BINARY, "-name", process_name(config, node), "-nodefaults", "-no-user-config", "-display", "none"]
    words += ["-machine", "q35", "-m", f"{config.memory_mib}M", "-no-reboot"]
    words += ["-chardev", f"file,id=console,path={paths.console(config, node, boot)}", "-serial", "chardev:console"]
    words += _share("root", Path("/"))
    words += devices(config, paths, node)
    root = "root=root rootfstype=9p rootflags=trans=virtio,version=9p2000.L,cache=loose,msize=524288,access=any ro"
    kernel = [root, f"init={config.agent}", *kernel_words(config, node)]
    return [*words, "-kernel", config.kernel, "-append", " ".join(kernel)]


def process_name(config: LabConfig, node: str) -> str:
    return f"yoke-{config.name}-{node}"


def devices(config: LabConfig, paths: Paths, node: str) -> list[str]:
    """What makes a machine one of the lab's: its processor and all that stands in it, but for its root and its console."""
    number = config.machine_number(node)
    words = _processor(config)
    if node in config.nodes:
        # Before all that take any slot.
        words += _links(config, paths, number)
    words += ["-qmp", f"unix:{paths.qmp(node)},server=on,wait=off", "-device", "virtio-rng-pci"]
    words += _file_systems(config, paths, node)
    words += _network(number)
    if node in config.nodes:
        words += _lan(paths, number, node, config.nodes[1 - number])
        words += _disks(disks(config, paths))
    else:
        words += _disks(shelf_disks(config, paths, node))
    words += _wires(config, paths, node)
    return words


def _processor(config: LabConfig) -> list[str]:
    if config.accelerator == "kvm":
        return ["-accel", "kvm", "-cpu", "host", "-smp", str(config.cpus)]
    threads = "multi" if config.parallel else "single"
    # Emulated, the CRC instructions of SSE 4.2 take longer than the kernel's table: 24 against 17 us for 4 KiB.
    return ["-accel", f"tcg,thread={threads}", "-cpu", "max,-sse4.2", "-smp", str(config.cpus)]


def _file_systems(config: LabConfig, paths: Paths, node: str) -> list[str]:
    """Read-only views of the host: the tree (never stale), the lab's words, the kernel's modules."""
    words = [*_share("tree", TREE), *_share("lab", paths.share(node))]
    if config.modules:
        words += _share("modules", Path(config.modules) / "lib" / "modules")
    return words


def _share(tag: str, path: Path) -> list[str]:
    words = ["-fsdev", f"local,id={tag},path={path},security_model=none,readonly=on,multidevs=remap"]
    return [*words, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


def _network(number: int) -> list[str]:
    """A card that only carries the agent's channel."""
    out = f"user,id=out,restrict=on,hostfwd=tcp:127.0.0.1:0-:{AGENT_PORT}"
    return ["-netdev", out, "-device", f"virtio-net-pci,netdev=out,mac={out_mac(number)},romfile="]


def _lan(paths: Paths, number: int, node: str, peer: str) -> list[str]:
    """A card to the other controller."""
    return [
        "-netdev",
        _datagrams("lan", paths.lan(node), paths.lan(peer)),
        "-device",
        f"virtio-net-pci,netdev=lan,mac={lan_mac(number)},romfile=",
    ]


def _wires(config: LabConfig, paths: Paths, machine: str) -> list[str]:
    """A card for each wire, that is called as the wire."""
    words = []
    for wire in config.wires():
        if machine in wire.ends():
            other = wire.node if machine == wire.shelf else wire.shelf
            words += ["-netdev", _datagrams(wire.name, paths.wire(wire, machine), paths.wire(wire, other))]
            words += [
                "-device",
                f"virtio-net-pci,id={wire.name}-card,netdev={wire.name},mac={wire.mac(machine)},romfile=",
            ]
    return words


def _datagrams(name: str, local: Path, remote: Path) -> str:
    """A network of two. Datagrams between Unix sockets have no connection that could break: either machine may go and
    come back."""
    return f"dgram,id={name},local.type=unix,local.path={local},remote.type=unix,remote.path={remote}"


def _links(config: LabConfig, paths: Paths, number: int) -> list[str]:
    words = []
    for index, link in enumerate(config.links):
        words += ["-chardev", f"socket,id={link},path={paths.side(link, number)}"]
        # A fixed place on the bus, so that link N has the same PCI address in every boot.
        words += ["-device", f"ivshmem-doorbell,id={link}-dev,chardev={link},vectors={VECTORS},addr=0x{0x10 + index:x}"]
    return words


def _disks(all_disks: list[Disk]) -> list[str]:
    words = []
    for disk in all_disks:
        path, name = disk.path, disk.serial
        # Raw, so QEMU itself caches nothing; without locks, so that both machines may open it.
        direct = "on" if supports_direct(path) else "off"
        words += [
            "-blockdev",
            f"driver=file,node-name={name}-file,filename={path},locking=off,cache.direct={direct},aio=threads",
            "-blockdev",
            f"driver=raw,node-name={name},file={name}-file,cache.direct={direct}",
            "-device",
            f"virtio-blk-pci,drive={name},serial={name},share-rw=on,write-cache=on",
        ]
    return words


def supports_direct(path: Path) -> bool:
    """Whether the file system of `path` takes O_DIRECT."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True


def kernel_words(config: LabConfig, node: str) -> list[str]:
    """For the kernel's command line, however the machine finds its root."""
    hung = config.hung_task_seconds
    watchdog = min(WATCHDOG_MAX, max(WATCHDOG_SECONDS, round(scaled(WATCHDOG_SECONDS))))
    words = [
        BOOT_WORDS,
        f"yoke.lab_node={config.machine_number(node)}",
        f"sysctl.kernel.hung_task_timeout_secs={hung}" if hung else "",
        f"sysctl.kernel.watchdog_thresh={watchdog}",
        config.append,
    ]
    return [word for word in words if word]
