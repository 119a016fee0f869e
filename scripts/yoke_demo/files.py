# SPDX-License-Identifier: GPL-2.0
"""Files that are written in a controller until it dies, and what of them has to be there afterwards."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from yoke_lab.appliance import Node
from yoke_lab.errors import ControllerGone, LabError
from yoke_lab.timing import scaled

from .tree import Tree

UNPACK = Path(__file__).resolve().parent / "guest" / "unpack.py"
BATCH = 48
# More than any run gets to see: the kill ends it.
COPIES = 40


class FileWriter:
    """Unpacks the tree again and again; each durable file's path comes out of the machine at once."""

    def __init__(self, node: Node, tree: Tree, mount: str) -> None:
        self.tree = tree
        self.durable: list[str] = []
        self.code: int | None = None
        self.gone = False
        self.errors = bytearray()
        self._tail = b""
        argv = ["python3", "-I", "-S", str(UNPACK), str(tree.tar), mount, str(COPIES), str(BATCH)]
        self._command = node.lab.command(node.name, argv)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._command.end_input()
            self.code = self._command.run(self._take, self.errors.extend)
        except ControllerGone:
            self.gone = True
        except LabError as error:
            self.errors.extend(str(error).encode())

    def _take(self, data: bytes) -> None:
        """A line that has not come whole was not said."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        self.durable.extend(line.decode() for line in lines if line)

    def check_alive(self) -> None:
        """LabError if it has ended, which only the kill may bring about."""
        if not self._thread.is_alive():
            said = self.errors.decode(errors="replace").strip()
            raise LabError(f"writing files ended before its time, status {self.code}: {said or 'no message'}")

    def join(self) -> None:
        """Waits for what was on its way when the machine died."""
        self._thread.join(scaled(30))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._command.close()
        self._thread.join(scaled(30))

    def manifest(self) -> bytes:
        """What has to be there, as sha256sum reads it. The sums are those of the source."""
        lines = [f"{self.tree.sums[path.partition('/')[2]]}  {path}" for path in self.durable]
        return ("\n".join(lines) + "\n").encode()


def check(node: Node, mount: str, manifest: bytes) -> tuple[int, list[str]]:
    """Compares files in a controller with the manifest, past its page cache; (files checked, what is bad)."""
    total = len(manifest.splitlines())
    done = node.run(
        f"cd {mount} && cat > /tmp/manifest && LC_ALL=C sha256sum -c --quiet /tmp/manifest", stdin=manifest, timeout=300
    )
    bad = [line for line in done.text.splitlines() if line.strip()]
    if done.code != 0 and not bad:
        bad = [f"sha256sum exits {done.code}: {done.stderr.decode(errors='replace').strip()}"]
    return total, bad
