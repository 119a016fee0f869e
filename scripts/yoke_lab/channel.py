# SPDX-License-Identifier: GPL-2.0
"""The host's end of a command in a controller; rust/tools/lab-agent is the other end and describes the frames (frame.rs)."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from .config import Paths
from .errors import ControllerGone, LabError
from .timing import FACTOR_VARIABLE, scaled

CHUNK = 1 << 16
CONNECT_SECONDS = 30.0
# A welcome takes a few milliseconds, unless the machine is paused or the connection is one of those lost.
WELCOME_SECONDS = 3.0
TURN_SECONDS = 10.0
FRAME_MAX = 1 << 20


def _within(deadline: float, seconds: float) -> float:
    """`seconds`, scaled, but not beyond the deadline."""
    return max(0.01, min(scaled(seconds), deadline - time.monotonic()))


@contextlib.contextmanager
def _turn(path: Path, seconds: float) -> Iterator[None]:
    """Waits for its turn among clients of one machine, but not for long: one that hangs holds nobody up."""
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        yield
        return
    with file:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.005)
        yield


def _welcomed(connection: socket.socket) -> bool:
    try:
        welcomed = connection.recv(1) == b"W"
    except OSError:
        welcomed = False
    if not welcomed:
        connection.close()
    return welcomed


class Command:
    """A command that runs in a controller. Closing it early kills what runs there."""

    def __init__(
        self,
        paths: Paths,
        node: str,
        argv: Sequence[str],
        *,
        cwd: str | None,
        env: Mapping[str, str],
        terminal: tuple[int, int] | None = None,
        timeout: float | None = None,
    ) -> None:
        """`timeout` in seconds, not scaled, bounds all of it: the connection, and reading to the end."""
        self.node = node
        self._received = bytearray()
        self._deadline = None if timeout is None else time.monotonic() + timeout
        token = self._connect(paths)
        self._lock = threading.Lock()
        hello = {"token": token, "argv": list(argv), "cwd": cwd, "env": dict(env), "terminal": terminal}
        self._send(b"H", json.dumps(hello).encode())

    def _connect(self, paths: Paths) -> str:
        """Connects and is welcomed; the machine's token.

        QEMU's user network lets one connection wait and resets or loses more, also after they seemed made: so
        clients come one at a time as far as they can, and try again as long as they have not been welcomed.
        """
        deadline = time.monotonic() + scaled(CONNECT_SECONDS)
        if self._deadline is not None:
            deadline = min(deadline, self._deadline)
        while True:
            try:
                port = int(paths.port(self.node).read_text(encoding="ascii"))
                token = (paths.share(self.node) / "token").read_text(encoding="ascii").strip()
            except FileNotFoundError:
                raise ControllerGone(f"controller {self.node} is not running", f"lab start {self.node}") from None
            try:
                with _turn(paths.port(self.node), _within(deadline, TURN_SECONDS)):
                    connection = socket.create_connection(
                        ("127.0.0.1", port), timeout=_within(deadline, WELCOME_SECONDS)
                    )
                    if _welcomed(connection):
                        break
            except OSError:
                # Refused, lost or reset: the machine has just gone, is paused, or others came first.
                pass
            if time.monotonic() > deadline:
                raise LabError(
                    f"the agent of controller {self.node} does not answer", f"lab status; lab logs {self.node}"
                )
            time.sleep(0.02)
        connection.settimeout(None)
        self._socket = connection
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return token

    def _send(self, kind: bytes, payload: bytes = b"") -> None:
        with self._lock:
            self._socket.sendall(struct.pack(">I", len(payload)) + kind + payload)

    def write(self, data: bytes) -> None:
        """Feeds the command's standard input. ControllerGone if nobody is there any more."""
        try:
            for start in range(0, len(data), CHUNK):
                self._send(b"I", data[start : start + CHUNK])
        except OSError as error:
            raise ControllerGone(f"controller {self.node} went away") from error

    def end_input(self) -> None:
        """The end of the standard input."""
        try:
            self._send(b"E")
        except OSError:
            # What has ended needs no end of input; reading tells how it ended.
            pass

    def set_timeout(self, seconds: float) -> None:
        """Bounds what is read from now on: LabError when the command has not ended after so many seconds."""
        self._deadline = time.monotonic() + seconds

    def feed(self, source: IO[bytes]) -> None:
        """Feeds the input from an unbuffered file, in a thread that the end of the program does not wait for."""

        def pump() -> None:
            try:
                while data := source.read(CHUNK):
                    self.write(data)
            except ControllerGone:
                # Whoever reads the output learns it there.
                return
            self.end_input()

        threading.Thread(target=pump, daemon=True).start()

    def feed_bytes(self, data: bytes) -> None:
        """Feeds all of the input."""
        if data:
            self.feed(io.BytesIO(data))
        else:
            self.end_input()

    def frames(self) -> Iterator[tuple[bytes, bytes]]:
        """(b"O" or b"R", bytes) as they come, and at last (b"X", JSON of the exit)."""
        while True:
            try:
                head = self._read(5)
                length = struct.unpack(">I", head[:4])[0]
                if length > FRAME_MAX:
                    raise LabError(f"the agent of controller {self.node} sent a frame of {length} bytes")
                payload = self._read(length)
            except OSError as error:
                raise ControllerGone(
                    f"controller {self.node} went away while a command ran", f"logs {self.node}"
                ) from error
            kind = head[4:5]
            if kind == b"F":
                raise LabError(f"controller {self.node}: {payload.decode(errors='replace')}")
            yield kind, payload
            if kind == b"X":
                return

    def _read(self, count: int) -> bytes:
        while len(self._received) < count:
            if self._deadline is not None:
                ready, _, _ = select.select([self._socket], [], [], max(0.0, self._deadline - time.monotonic()))
                if not ready:
                    raise LabError(
                        f"a command in controller {self.node} has not ended in time",
                        f"raise {FACTOR_VARIABLE} on a slow machine",
                    )
            data = self._socket.recv(CHUNK)
            if not data:
                raise ConnectionResetError("closed")
            self._received += data
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def run(self, out: Callable[[bytes], object], err: Callable[[bytes], object]) -> int:
        """Passes the output on as it comes; returns the exit status, 128 + N for signal N."""
        for kind, payload in self.frames():
            if kind == b"O":
                out(payload)
            elif kind == b"R":
                err(payload)
            else:
                how = json.loads(payload)
                return int(how["code"]) if "code" in how else 128 + int(how["signal"])
        raise AssertionError("frames end with X or an error")

    def close(self) -> None:
        """Lets go; a command that still runs is killed."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
