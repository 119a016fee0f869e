# SPDX-License-Identifier: GPL-2.0
"""What is done in a controller of the lab: commands, modules, NTB devices, fio."""

from __future__ import annotations

from pathlib import Path

from yoke_lab.errors import LabError
from yoke_lab.lab import Lab
from yoke_lab.timing import wait_for

from .fio import Result, Workload, parse


class Controller:
    """One controller of a lab that is up."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name

    def run(self, *argv: str, timeout: float = 60) -> str:
        """A command's standard output; LabError with its error output if it fails."""
        return self.lab.exec(self.name, list(argv), check=True, timeout=timeout).text

    def try_run(self, *argv: str, timeout: float = 60) -> bool:
        """Whether a command succeeds."""
        return self.lab.exec(self.name, list(argv), timeout=timeout).code == 0

    def shell(self, script: str, timeout: float = 60) -> str:
        """The same for a line of shell."""
        return self.run("sh", "-euc", script, timeout=timeout)

    def read(self, path: str) -> str:
        return self.run("cat", path)

    def write(self, path: str, text: str) -> None:
        """Writes a control file with one write."""
        self.shell(f"printf %s {text!r} > {path}")

    def insmod(self, module: Path) -> None:
        """Loads a module of the tree unless it is loaded."""
        if not self.loaded(module.stem):
            self.run("insmod", str(module))

    def modprobe(self, module: str, *options: str) -> None:
        self.run("modprobe", module, *options)

    def loaded(self, module: str) -> bool:
        return self.try_run("test", "-d", f"/sys/module/{module}")

    def fio(self, workload: Workload, device: str, seconds: float, ramp: float = 1.0) -> Result:
        """Runs a workload on a device. Its time is bounded by a kill."""
        output = self.run(*workload.argv(device, seconds, ramp), timeout=60 + 4 * (seconds + ramp))
        return parse(output)

    def fill(self, device: str, mebibytes: int) -> None:
        """Writes the first part of a device once, so that nothing allocates while it is measured."""
        self.run("dd", "if=/dev/zero", f"of={device}", "bs=1M", f"count={mebibytes}", "oflag=direct", "status=none")

    def wait(self, what: str, probe: str, seconds: float) -> None:
        """Waits until a shell condition holds in the controller."""

        def holds() -> bool:
            return self.try_run("sh", "-c", probe)

        wait_for(f"controller {self.name}: {what}", holds, seconds, 0.2)


class NtbDevices:
    """The NTB devices of a controller: which client has which link.

    The NTB bus gives every device to the first client that comes. Here each client is given its links by name.
    """

    def __init__(self, controller: Controller, hardware: Path) -> None:
        self.controller = controller
        self.hardware = hardware

    def load(self) -> None:
        """Loads the hardware driver, and ends the automatic giving."""
        self.controller.modprobe("ntb")
        self.controller.write("/sys/bus/ntb/drivers_autoprobe", "0")
        self.controller.insmod(self.hardware)

    def device(self, link: str) -> str:
        """The link's name in /sys/bus/ntb/devices."""
        index = self.controller.lab.config().links.index(link)
        # The lab puts link N at this place on the bus.
        return f"0000:00:{0x10 + index:02x}.0"

    def give(self, link: str, client: str) -> None:
        """Binds the link to a client driver that is loaded."""
        self.controller.write(f"/sys/bus/ntb/drivers/{client}/bind", self.device(link))
        driver = self.controller.run("readlink", f"/sys/bus/ntb/devices/{self.device(link)}/driver")
        if driver.rsplit("/", 1)[-1] != client:
            raise LabError(f"controller {self.controller.name}: link {link} is bound to {driver}, not to {client}")

    def take(self, link: str, client: str) -> None:
        """Unbinds it."""
        self.controller.write(f"/sys/bus/ntb/drivers/{client}/unbind", self.device(link))
