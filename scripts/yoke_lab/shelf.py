# SPDX-License-Identifier: GPL-2.0
"""A shelf: a machine whose disks the controllers reach over wires, by NVMe over TCP or by iSCSI, with reservations.

Between each disk and its target stands a device-mapper table, which can be delayed, made to fail and made to hang while it is
in use; what is write protected is the target. All of it is made through the kernel's own interfaces, so nothing but the kernel stands between what
a controller asks and what the disk is told; nothing survives the shelf's death, so `serve` is called after each boot.
"""

from __future__ import annotations

import shlex
import uuid

from . import qemu
from .config import ShelfDisk
from .errors import LabError
from .lab import Finished, Lab

NVMET = "/sys/kernel/config/nvmet"
TARGET = "/sys/kernel/config/target"
NVME_PORT = 4420
ISCSI_PORT = 3260
SECTOR = 512
NAMES = "2026-11.org.yoke.lab"
# Without udev in the machine, the tools make the nodes themselves.
NO_UDEV = "export DM_DISABLE_UDEV=1"


def initiator(controller: str) -> str:
    """The name by which a controller logs in at an iSCSI target."""
    return f"iqn.{NAMES}:{controller}"


class Shelf:
    """One shelf of a lab. Its disks are numbered from 0."""

    def __init__(self, lab: Lab, name: str = "shelf0") -> None:
        self.lab = lab
        self.name = name
        config = lab.config()
        if name not in config.shelf_names():
            raise LabError(f"the lab has no shelf {name!r}", "lab up --shelf")
        self.disks = [ShelfDisk.parse(text) for text in config.shelf_disks]

    # ---- commands ----

    def run(self, script: str, *, timeout: float = 60) -> Finished:
        """A line of shell in the shelf to its end, whatever its status."""
        return self.lab.exec(self.name, ["bash", "-c", script], timeout=timeout)

    def sh(self, script: str, *, timeout: float = 60) -> str:
        """A line of shell that has to succeed; its output."""
        done = self.run(f"set -eu; {NO_UDEV}; {script}", timeout=timeout)
        if done.code != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise LabError(f"{self.name}: `{script}` exits {done.code}: {said}", f"lab logs {self.name}")
        return done.text

    # ---- names ----

    def nqn(self, disk: int) -> str:
        """The subsystem of a disk that is offered by NVMe."""
        return f"nqn.{NAMES}:{self.name}-{disk}"

    def iqn(self, disk: int) -> str:
        """The target of a disk that is offered by iSCSI."""
        return f"iqn.{NAMES}:{self.name}-{disk}"

    def raw(self, disk: int) -> str:
        """The disk itself, in the shelf."""
        return f"/dev/disk/by-id/virtio-{qemu.shelf_serial(self.name, disk)}"

    # ---- targets ----

    def serve(self) -> None:
        """Offers all disks to both controllers, whole."""
        self.sh(
            "modprobe -a nvmet nvmet-tcp target_core_mod target_core_iblock iscsi_target_mod dm-delay dm-flakey dm-dust; "
            # LIO keeps what it knows of reservations there, and complains of each registration where it cannot.
            "mkdir -p /var/target/pr /etc/target/pr; " + self._nvme_port()
        )
        for disk, about in enumerate(self.disks):
            mapped = self._mapped(disk)
            self.sh(f"dmsetup create {mapped} --table {shlex.quote(self._table(disk, 'linear'))}")
            self.sh(self._nvme(disk) if about.protocol == "nvme" else self._iscsi(disk))

    def _nvme_port(self) -> str:
        port = f"{NVMET}/ports/1"
        return (
            f"mkdir {port}; echo tcp > {port}/addr_trtype; echo ipv4 > {port}/addr_adrfam; "
            f"echo 0.0.0.0 > {port}/addr_traddr; echo {NVME_PORT} > {port}/addr_trsvcid"
        )

    def _nvme(self, disk: int) -> str:
        system, space = f"{NVMET}/subsystems/{self.nqn(disk)}", "namespaces/1"
        # What a host knows a disk by: the target would make up other names after a restart, for what is another disk then.
        name = uuid.uuid5(uuid.NAMESPACE_DNS, self.nqn(disk))
        return (
            f"mkdir {system}; echo 1 > {system}/attr_allow_any_host; echo {name.hex[:16]} > {system}/attr_serial; "
            f"mkdir {system}/{space}; cd {system}/{space}; echo {name} > device_uuid; "
            f"echo /dev/mapper/{self._mapped(disk)} > device_path; echo 1 > resv_enable; echo 1 > enable; "
            f"ln -s {system} {NVMET}/ports/1/subsystems/{self.nqn(disk)}"
        )

    def _iscsi(self, disk: int) -> str:
        store, group = f"{TARGET}/core/iblock_0/disk{disk}", f"{TARGET}/iscsi/{self.iqn(disk)}/tpgt_1"
        steps = [
            f"mkdir -p {store}",
            f"echo udev_path=/dev/mapper/{self._mapped(disk)} > {store}/control",
            f"echo 1 > {store}/enable",
            f"echo {self.name}-{disk} > {store}/wwn/vpd_unit_serial",
            f"mkdir -p {group}/lun/lun_0 {group}/np/0.0.0.0:{ISCSI_PORT}",
            f"ln -s {store} {group}/lun/lun_0/disk",
            f"echo 0 > {group}/attrib/authentication",
        ]
        # Each controller by name: a target forgets what it made up for a stranger, reservations too, when he logs out.
        for controller in self.lab.config().nodes:
            who = f"{group}/acls/{initiator(controller)}"
            steps += [f"mkdir -p {who}/lun_0", f"ln -s {group}/lun/lun_0 {who}/lun_0/disk"]
        return "; ".join([*steps, f"echo 1 > {group}/enable"])

    # ---- what a disk does ----

    def _mapped(self, disk: int) -> str:
        return f"disk{disk}"

    def _sectors(self, disk: int) -> int:
        return self.disks[disk].size // SECTOR

    def _table(self, disk: int, kind: str, words: str = "") -> str:
        place = f"{self.raw(disk)} 0"
        return f"0 {self._sectors(disk)} {kind} " + (words.format(place=place) if words else place)

    def _put(self, disk: int, table: str) -> None:
        """Puts another table in the place of the one that is. What is under way in the old one ends first."""
        name = self._mapped(disk)
        self.sh(
            f"dmsetup load {name} --table {shlex.quote(table)}; dmsetup suspend --nolockfs {name}; dmsetup resume {name}"
        )

    def heal(self, disk: int) -> None:
        """As a good disk, whatever it was; what has made a hung disk wait goes to it now."""
        self.unhang(disk)
        self._put(disk, self._table(disk, "linear"))

    def delay(self, disk: int, *, read_ms: int = 0, write_ms: int = 0) -> None:
        """Each command waits for so long before the disk gets it. It does not heal before they have ended."""
        self._put(disk, self._table(disk, "delay", f"{{place}} {read_ms} {{place}} {write_ms} {{place}} {write_ms}"))

    def fail(self, disk: int, what: str) -> None:
        """`writes`, `reads` or `all` fail, and the disk does not get them."""
        words = {"writes": "1 error_writes", "reads": "1 error_reads", "all": "2 error_reads error_writes"}[what]
        self._put(disk, self._table(disk, "flakey", f"{{place}} 0 1 {words}"))

    def write_protect(self, disk: int, on: bool = True) -> None:
        """The target refuses writes, and says that it is for this reason. Of iSCSI: an NVMe namespace is write protected by
        who uses it (`Initiator.write_protect`). A read-only table below a target would take what it writes."""
        group = f"{TARGET}/iscsi/{self.iqn(disk)}/tpgt_1"
        self.sh(f"for who in {group}/acls/*; do echo {int(on)} > $who/lun_0/write_protect; done")

    def hang(self, disk: int) -> None:
        """Takes commands, and answers none."""
        self.sh(f"dmsetup suspend --noflush --nolockfs {self._mapped(disk)}")

    def unhang(self, disk: int) -> None:
        """Answers what it has taken."""
        self.sh(f"dmsetup resume {self._mapped(disk)}")

    # ---- what happens to a shelf ----

    def restart(self) -> None:
        """Kills it, and boots it again: targets forget what they knew, disks keep what they hold."""
        if self.lab.node_status(self.name)["pid"] is not None:
            self.lab.kill(self.name)
        self.lab.start(self.name)
        self.serve()
