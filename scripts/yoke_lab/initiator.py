# SPDX-License-Identifier: GPL-2.0
"""A controller's side of a shelf: it reaches each disk over every wire, and calls it /dev/shelf/SHELF-NUMBER."""

from __future__ import annotations

import shlex
import uuid

from .config import Wire
from .errors import LabError
from .lab import Lab
from .shelf import ISCSI_PORT, NAMES, NO_UDEV, NVME_PORT, SECTOR, Shelf, initiator
from .timing import scaled

DIRECTORY = "/dev/shelf"
# How soon a path that is gone is tried again, and for how long commands wait for one, in seconds; less where there is another.
RECONNECT_S = 1
PATIENCE_S = 60
PATIENCE_OF_MANY_S = 2


class Initiator:
    """A controller of a lab that has shelves."""

    def __init__(self, lab: Lab, controller: str, *, keep_alive_s: int = 5) -> None:
        """`keep_alive_s`: after once or twice so long an NVMe target gives up a controller that says nothing; by default what
        Linux sets."""
        self.keep_alive_s = keep_alive_s
        self.lab = lab
        self.controller = controller
        # NVMe reservations belong to this id: it must outlive a boot.
        self.host_id = uuid.uuid5(uuid.NAMESPACE_DNS, f"{controller}.{NAMES}")

    def sh(self, script: str, *, timeout: float = 60) -> str:
        """A line of shell that has to succeed; its output."""
        done = self.lab.exec(self.controller, ["bash", "-c", f"set -eu; {script}"], timeout=timeout)
        if done.code != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise LabError(f"controller {self.controller}: `{script}` exits {done.code}: {said}")
        return done.text

    def device(self, shelf: Shelf, disk: int) -> str:
        """The disk, over all its paths."""
        return f"{DIRECTORY}/{shelf.name}-{disk}"

    def wires(self, shelf: Shelf) -> list[Wire]:
        config = self.lab.config()
        return [wire for wire in config.wires() if wire.ends() == (shelf.name, self.controller)]

    def attach(self, shelf: Shelf) -> None:
        """Connects to all disks of a shelf that serves, over all wires."""
        self.sh(f"mkdir -p {DIRECTORY}")
        for disk, about in enumerate(shelf.disks):
            if about.protocol == "nvme":
                self._attach_nvme(shelf, disk)
            else:
                self._attach_iscsi(shelf, disk)

    def write_protect(self, shelf: Shelf, disk: int, on: bool = True) -> None:
        """The target refuses writes of everybody, and says that it is for this reason; until its restart, or off again."""
        if shelf.disks[disk].protocol == "iscsi":
            shelf.write_protect(disk, on)
        else:
            # Namespace write protection is a feature of the namespace that a host sets.
            self.sh(f"nvme set-feature {self.device(shelf, disk)} --namespace-id 1 --feature-id 0x84 --value {int(on)}")

    def _attach_nvme(self, shelf: Shelf, disk: int) -> None:
        nqn = shelf.nqn(disk)
        self.sh("modprobe nvme-tcp")
        for wire in self.wires(shelf):
            self.sh(
                f"nvme connect -t tcp -a {wire.address(shelf.name)} -s {NVME_PORT} -n {nqn} "
                f"--hostnqn nqn.{NAMES}:{self.controller} --hostid {self.host_id} --nr-io-queues 1 "
                f"--reconnect-delay {RECONNECT_S} --ctrl-loss-tmo -1 --keep-alive-tmo {self.keep_alive_s}"
            )
        # The tool has no word for it in Debian 12.
        self.sh(
            f"for c in $(grep -lx {nqn} /sys/class/nvme/*/subsysnqn); do echo {PATIENCE_S} > ${{c%/*}}/fast_io_fail_tmo; done"
        )
        # The head of all paths, whose number is the subsystem's.
        found = f"s=$(grep -lx {nqn} /sys/class/nvme-subsystem/*/subsysnqn); ls -d ${{s%/*}}/nvme*n1"
        (head,) = self._find(shelf, found, 1)
        self._name(shelf, disk, head)

    def _attach_iscsi(self, shelf: Shelf, disk: int) -> None:
        iqn, name = shelf.iqn(disk), initiator(self.controller)
        self.sh(
            f"modprobe iscsi_tcp; mkdir -p /run/lock/iscsi; echo InitiatorName={name} > /etc/iscsi/initiatorname.iscsi; "
            "pidof iscsid > /dev/null || iscsid"
        )
        patience = PATIENCE_S if len(self.wires(shelf)) == 1 else PATIENCE_OF_MANY_S
        for wire in self.wires(shelf):
            node = f"iscsiadm -m node -T {iqn} -p {wire.address(shelf.name)}:{ISCSI_PORT}"
            self.sh(
                f"{node} -o new > /dev/null; {node} -o update -n node.session.timeo.replacement_timeout -v {patience}; "
                f"{node} --login > /dev/null"
            )
        found = f"for s in $(grep -lx {iqn} /sys/class/iscsi_session/*/targetname); do ls -d ${{s%/*}}/device/target*/*/block/*; done"
        paths = self._find(shelf, found, len(self.wires(shelf)))
        if len(paths) == 1:
            self._name(shelf, disk, paths[0])
            return
        name = f"{shelf.name}-{disk}"
        ways = " ".join(f"/dev/{path} 1" for path in paths)
        table = f"0 {shelf.disks[disk].size // SECTOR} multipath 1 queue_if_no_path 0 1 1 service-time 0 {len(paths)} 1 {ways}"
        self.sh(
            f"modprobe -a dm-multipath dm-service-time; {NO_UDEV}; dmsetup create {name} --table {shlex.quote(table)}"
        )
        self._name(shelf, disk, f"mapper/{name}")

    def reinstate(self, shelf: Shelf) -> None:
        """Tries the paths of iSCSI again that have failed: nobody else does."""
        for disk, about in enumerate(shelf.disks):
            if about.protocol == "iscsi" and len(self.wires(shelf)) > 1:
                name = f"{shelf.name}-{disk}"
                failed = self._failed(shelf, disk)
                self.sh(f"{NO_UDEV}; for path in $({failed}); do dmsetup message {name} 0 reinstate_path $path; done")

    def _failed(self, shelf: Shelf, disk: int) -> str:
        """A line of shell that tells the paths of a device-mapper table that have failed."""
        return f"dmsetup status {shelf.name}-{disk} | grep -oE '[0-9]+:[0-9]+ F' | cut -d' ' -f1"

    def wait_paths(self, shelf: Shelf, disk: int) -> None:
        """Waits until all paths to a disk can be used."""
        count = len(self.wires(shelf))
        if shelf.disks[disk].protocol == "nvme":
            live = f"for c in $(grep -lx {shelf.nqn(disk)} /sys/class/nvme/*/subsysnqn); do cat ${{c%/*}}/state; done | grep -cx live"
        elif count > 1:
            # A path that was tried too early has failed once more.
            again = f"for p in $({self._failed(shelf, disk)}); do dmsetup message {shelf.name}-{disk} 0 reinstate_path $p; done"
            live = f"{{ {NO_UDEV}; {again}; dmsetup status {shelf.name}-{disk} | grep -oE '[0-9]+:[0-9]+ A' | wc -l; }}"
        else:
            live = f"grep -lx {shelf.iqn(disk)} /sys/class/iscsi_session/*/targetname | xargs dirname | xargs -I% cat %/state | grep -cx LOGGED_IN"
        limit = round(scaled(60))
        self.sh(
            f"end=$((SECONDS + {limit})); until [ $({live}) = {count} ]; do ((SECONDS < end)) || exit 1; sleep 0.1; done",
            timeout=75,
        )

    def _find(self, shelf: Shelf, found: str, count: int) -> list[str]:
        """Waits for so many block devices, whose directories in sysfs a line of shell tells; their names."""
        seen = self.sh(
            f"end=$((SECONDS + {round(scaled(20))})); until d=$({found} 2> /dev/null) && [ $(echo $d | wc -w) = {count} ]; do "
            "((SECONDS < end)) || exit 0; sleep 0.05; done; for n in $d; do echo ${n##*/}; done"
        ).split()
        if len(seen) != count:
            raise LabError(f"controller {self.controller} does not see {count} paths to {shelf.name}", "lab logs")
        return seen

    def _name(self, shelf: Shelf, disk: int, name: str) -> None:
        self.sh(f"ln -sfn /dev/{shlex.quote(name)} {self.device(shelf, disk)}")
