# SPDX-License-Identifier: GPL-2.0
"""The real files that the demo writes: part of the kernel's source, packed once into the cache."""

from __future__ import annotations

import hashlib
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from yoke_build import cache, kernel
from yoke_build.errors import BuildError
from yoke_lab.errors import LabError

FILES_MIN = 3000
# Of the kernel's source; 3,800 files, 20 MB.
DIRECTORIES = ("include/linux", "include/uapi")
# Files beyond this are left out of a tree of the user's own: the copy has to fit on the volume several times.
FILE_MAX = 1 << 20
FILES_MAX = 6000


@dataclass(frozen=True)
class Tree:
    """A packed tree: its tar file, and the SHA-256 of each file by its path in it."""

    tar: Path
    sums: dict[str, str]
    size: int


def pack(own: Path | None = None) -> Tree:
    """The packed tree of today's kernel source, or of a directory of the user's own. LabError if there is none."""
    base, directories = (own, (".",)) if own else (_kernel_source(), DIRECTORIES)
    files = _files(base, directories)
    if len(files) < FILES_MIN:
        raise LabError(f"{base} has {len(files)} files, the demo needs {FILES_MIN}", "name a larger one with --tree")
    name = cache.key("2", str(base), *(f"{path}:{(base / path).stat().st_mtime_ns}" for path in files))
    directory = cache.root() / "demo"
    directory.mkdir(exist_ok=True)
    target = directory / f"{name}.tar"
    if not target.exists():
        with cache.locked("demo"):
            _write(base, files, target)
    return _read(target)


def _kernel_source() -> Path:
    try:
        source = kernel.locate(kernel.NORMAL).source
    except BuildError as error:
        raise LabError(str(error), error.hint) from error
    if not source.is_dir():
        raise LabError(f"the kernel's source is not at {source}", "make kernel; or name a directory with --tree")
    return source


def _files(base: Path, directories: tuple[str, ...]) -> list[str]:
    found = []
    for directory in directories:
        for place, names, entries in os.walk(base / directory):
            names.sort()
            for entry in sorted(entries):
                path = Path(place) / entry
                if path.is_file() and not path.is_symlink() and path.stat().st_size <= FILE_MAX:
                    found.append(str(path.relative_to(base)))
            if len(found) >= FILES_MAX:
                return found[:FILES_MAX]
    return found


def _write(base: Path, files: list[str], target: Path) -> None:
    """Whole or not at all; the tar files of other trees are deleted."""
    partial = target.with_suffix(".partial")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in files:
            info = tarfile.TarInfo(path)
            info.size = (base / path).stat().st_size
            with open(base / path, "rb") as content:
                tar.addfile(info, content)
    for old in target.parent.glob("*.tar"):
        old.unlink()
    partial.rename(target)


def _read(target: Path) -> Tree:
    """The sums are taken from the tar file: from what the controller reads, not from what it writes."""
    sums = {}
    with tarfile.open(target, "r:") as tar:
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            sums[member.name] = hashlib.sha256(content.read()).hexdigest()
    return Tree(target, sums, target.stat().st_size)
