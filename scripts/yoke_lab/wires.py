# SPDX-License-Identifier: GPL-2.0
"""The cables of the wires between shelves and controllers: pulled, and plugged again."""

from __future__ import annotations

from .config import LabConfig, Wire
from .errors import LabError
from .machine import Machine


class Wires:
    """All wires of a lab, as the supervisor sees them. One that is cut has no carrier at either end."""

    def __init__(self, config: LabConfig, machines: dict[str, Machine]) -> None:
        self._wires = {wire.name: wire for wire in config.wires()}
        self._machines = machines
        # A cable stays pulled when a machine at its end boots anew.
        self._cut: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._wires

    def command(self, name: str, cmd: str) -> dict[str, object]:
        """The words that a link knows too, as far as a cable can: `cut`, `mend`, `status`. Its status."""
        wire = self._wires[name]
        if cmd == "cut":
            self._cut.add(name)
        elif cmd == "mend":
            self._cut.discard(name)
        elif cmd != "status":
            raise LabError(f"{name} is a wire: it can be cut and mended only")
        for end in wire.ends():
            if cmd != "status" and self._machines[end].running:
                self._set_carrier(wire, end)
        return self._state(wire)

    def pull_at(self, machine: str) -> None:
        """After the start of a machine: pulls what is cut."""
        for wire in self._wires.values():
            if machine in wire.ends() and wire.name in self._cut:
                self._set_carrier(wire, machine)

    def status(self) -> list[dict[str, object]]:
        return [self._state(wire) for wire in self._wires.values()]

    def _state(self, wire: Wire) -> dict[str, object]:
        return {"name": wire.name, "state": "cut" if wire.name in self._cut else "whole", "ends": wire.ends()}

    def _set_carrier(self, wire: Wire, end: str) -> None:
        with self._machines[end].monitor() as monitor:
            monitor.execute("set_link", name=f"{wire.name}-card", up=wire.name not in self._cut)
