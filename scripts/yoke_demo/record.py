# SPDX-License-Identifier: GPL-2.0
"""The torture writer's record as it arrives, with the host's time of each arrival; and the stalls in it."""

from __future__ import annotations

import bisect
import itertools
import json
import threading
import time
from pathlib import Path
from typing import Any

from yoke_lab.appliance import Node
from yoke_lab.errors import ControllerGone, LabError
from yoke_lab.timing import scaled

PID = "/tmp/torture.pid"


class Writer:
    """yoke-torture in a controller. Its record is on the host, so it survives the controller."""

    def __init__(self, node: Node, argv: list[str], record: Path) -> None:
        self.record = record
        self.code: int | None = None
        self.gone = False
        self.errors = bytearray()
        self.acknowledged = 0
        # (host's time of arrival, acknowledgements so far), in that order.
        self.arrivals: list[tuple[float, int]] = []
        self._tail = b""
        self._node = node
        # So that it can be told to end, and then ends in order.
        begin = ["sh", "-c", f'echo $$ > {PID}; exec "$@"', "sh"]
        self._command = node.lab.command(node.name, [*begin, *argv])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with open(self.record, "wb", buffering=0) as out:

            def take(data: bytes) -> None:
                now = time.monotonic()
                out.write(data)
                whole, _, self._tail = (self._tail + data).rpartition(b"\n")
                self.acknowledged += whole.startswith(b"a ") + whole.count(b"\na ")
                self.arrivals.append((now, self.acknowledged))

            try:
                self._command.end_input()
                self.code = self._command.run(take, self.errors.extend)
            except ControllerGone:
                self.gone = True
            except LabError as error:
                self.errors.extend(str(error).encode())

    def check_alive(self) -> None:
        """LabError if it has ended, which only the kill may bring about."""
        if not self._thread.is_alive():
            said = self.errors.decode(errors="replace").strip()
            raise LabError(f"the torture writer ended before its time, status {self.code}: {said or 'no message'}")

    def stop(self) -> None:
        """Tells it to end; LabError if it does not, or not well. Its record is whole then."""
        self.check_alive()
        self._node.sh(f"kill -TERM $(cat {PID})")
        self._thread.join(scaled(60))
        if self._thread.is_alive():
            where = self._node.run(f"cat /proc/$(cat {PID})/task/*/stack").text
            raise LabError(f"the torture writer does not end; its threads are at: {where}")
        if self.code != 0:
            raise LabError(f"the torture writer ended with {self.code}: {self.errors.decode(errors='replace').strip()}")

    def join(self) -> None:
        """Waits for what was on its way when the machine died."""
        self._thread.join(scaled(30))

    def close(self) -> None:
        self._command.close()
        self._thread.join(scaled(30))

    def count_at(self, moment: float) -> int:
        """How many acknowledgements had arrived at a time of the host's."""
        at = bisect.bisect_right(self.arrivals, (moment, 1 << 62))
        return self.arrivals[at - 1][1] if at else 0

    def stall_ms(self, begin: float, end: float) -> float:
        """The longest time without an acknowledgement among those that arrived between two times of the host's.

        Its length is by the writer's own clock, in the machine: the way out adds nothing to it. The last one before
        and the first one after belong to it.
        """
        times = acknowledged_at(self.record)
        window = sorted(times[max(0, self.count_at(begin) - 1) : self.count_at(end) + 1])
        return max((later - earlier for earlier, later in itertools.pairwise(window)), default=0) / 1000


def acknowledged_at(record: Path) -> list[int]:
    """Time of every acknowledgement, in microseconds since the start of the run, in the order of the record."""
    with open(record, "rb") as lines:
        return [int(line.split(b" ", 3)[2]) for line in lines if line.startswith(b"a ") and line.endswith(b"\n")]


def send(node: Node, records: list[Path]) -> list[str]:
    """Carries records into a controller; their paths there."""
    paths = []
    for path in records:
        place = f"/tmp/{path.name}"
        node.sh(f"cat > {place}", stdin=path.read_bytes(), timeout=120)
        paths.append(place)
    return paths


def verify(node: Node, torture: Path, device: str, records: list[Path], observe: Path | None) -> dict[str, Any]:
    """Holds a volume against a chain of records; the report. What was seen goes to `observe`, as one more record."""
    words = [word for path in send(node, records) for word in ("--record", path)]
    if observe:
        words += ["--observe", "/tmp/observed"]
    done = node.run(f"rm -f /tmp/observed; {torture} verify --device {device} --json {' '.join(words)}", timeout=300)
    if done.code not in (0, 1) or not done.stdout:
        said = done.stderr.decode(errors="replace").strip()
        raise LabError(
            f"controller {node.name}: the torture volume cannot be verified: {said or f'status {done.code}'}"
        )
    if observe:
        observe.write_bytes(node.run("cat /tmp/observed", timeout=120).stdout)
    return dict(json.loads(done.stdout))
