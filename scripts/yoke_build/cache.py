# SPDX-License-Identifier: GPL-2.0
"""The cache outside the tree: `${XDG_CACHE_HOME:-~/.cache}/yoke`, with locks and whole-or-absent entries."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path


def root() -> Path:
    """The cache directory; it is made when it is not there."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(base) / "yoke"
    path.mkdir(parents=True, exist_ok=True)
    return path


def key(*parts: str) -> str:
    """A short name for a set of inputs; each part is separated, so that no two lists collide."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:".encode())
        digest.update(part.encode())
    return digest.hexdigest()[:16]


# Descriptors of the locks that this process holds. Long commands inherit them, so that a lock outlives a script
# that was killed for as long as the command that it left behind is at work.
held: list[int] = []


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds a lock of the cache among processes."""
    directory = root() / "locks"
    directory.mkdir(exist_ok=True)
    with locked_file(directory / name, name):
        yield


@contextlib.contextmanager
def locked_file(path: Path, name: str) -> Iterator[None]:
    """Holds an exclusive lock on the file; it is free when all who have it open are gone."""
    with open(path, "w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another {name} job to finish ...", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        held.append(file.fileno())
        try:
            yield
        finally:
            held.remove(file.fileno())


def fresh_dir(path: Path) -> Path:
    """An empty directory at `path`, in place of whatever an interrupted run left there."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def touch(path: Path) -> None:
    """Marks a cache entry as used now; pruning goes by that time."""
    with contextlib.suppress(OSError):
        os.utime(path)
