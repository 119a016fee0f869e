# SPDX-License-Identifier: GPL-2.0
"""Builds the kernel of the lab in the cache.

A build directory is named by everything that it depends on. A mark, made last, says that it is whole: a build that
was killed never looks complete, and goes on where it stopped. (It cannot be built elsewhere and renamed, since
Kbuild writes absolute paths into it.)
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import apt, cache, progress, toolchain
from .errors import BuildError

PACKAGE = "linux-source-7.3"
# Raised when this file changes what a build contains.
RECIPE = "1"
KEEP = 2
MARK = ".yoke-complete"
# What the kernel of every machine is told. An interrupt while it looks at its first processor finds it without features
# for a moment: KASAN then takes addresses of five levels for wild ones, and lockdep is off for the rest of that boot.
BOOT_WORDS = "console=ttyS0 panic=-1 oops=panic no5lvl"
SCRIPTS = Path(__file__).resolve().parent.parent
# Lines of make's output, measured; only the progress display depends on them.
STEPS = 2800
STEPS_DEBUG = 2900


@dataclass(frozen=True)
class Variant:
    """A kernel that can be built: its name and its fragments, the later one wins."""

    name: str
    fragments: tuple[Path, ...]
    steps: int


NORMAL = Variant("kernel", (SCRIPTS / "kernel.config",), STEPS)
DEBUG = Variant("kernel-debug", (SCRIPTS / "kernel.config", SCRIPTS / "kernel-debug.config"), STEPS_DEBUG)


@dataclass(frozen=True)
class Build:
    """One build directory, complete or not."""

    variant: Variant
    package: Path
    path: Path

    @property
    def complete(self) -> bool:
        return (self.path / MARK).is_file()

    @property
    def image(self) -> Path:
        return self.path / "arch/x86/boot/bzImage"

    @property
    def source(self) -> Path:
        """The kernel's source tree."""
        return cache.root() / "src" / self.package.stem.replace("_all", "")


def locate(variant: Variant, *, fetch: bool = False) -> Build:
    """The build of today's inputs, the source's version among them: without `fetch`, a BuildError if there is none."""
    package = _source_package(fetch=fetch)
    fragments = [path.read_text(encoding="utf-8") for path in variant.fragments]
    name = cache.key(RECIPE, package.name, *fragments, *toolchain.versions())
    return Build(variant, package, cache.root() / variant.name / name)


def build(variant: Variant) -> Build:
    """Makes sure that the kernel is built; two callers do not build it twice."""
    wanted = locate(variant, fetch=True)
    if not wanted.complete:
        with cache.locked(variant.name):
            if not wanted.complete:
                _build(wanted)
    cache.touch(wanted.path)
    return wanted


def _build(wanted: Build) -> None:
    _unpack_source(wanted)
    work = wanted.path
    work.mkdir(parents=True, exist_ok=True)
    env = toolchain.environment() | {
        "RUST_LIB_SRC": str(toolchain.rust_lib_src()),
        "KBUILD_BUILD_USER": "yoke",
        "KBUILD_BUILD_HOST": "lab",
    }
    logs = cache.root() / "log"
    configure(wanted.source, work, wanted.variant, env)
    make = ["make", "-C", work, *toolchain.make_arguments()]
    progress.run(
        [*make, "all"],
        title=f"building the {wanted.variant.name}",
        total=wanted.variant.steps,
        log=logs / f"{wanted.variant.name}.log",
        env=env,
    )
    modules = cache.fresh_dir(work / "root")
    progress.run(
        [*make, f"INSTALL_MOD_PATH={modules}", "modules_install"],
        title="installing its modules",
        log=logs / f"{wanted.variant.name}-modules.log",
        env=env,
    )
    (work / MARK).touch()
    _prune(wanted.path)


def configure(source: Path, work: Path, variant: Variant, env: dict[str, str]) -> None:
    """tinyconfig plus the fragments; BuildError names each option that did not survive."""
    make = ["make", "-s", "-C", str(source), f"O={work}", *toolchain.make_arguments()]
    _quiet([*make, "rustavailable"], "checking the Rust toolchain for the kernel", env)
    _quiet([*make, "tinyconfig"], "configuring the kernel", env)
    merge = [str(source / "scripts/kconfig/merge_config.sh"), "-m", "-Q", "-O", str(work), str(work / ".config")]
    _quiet([*merge, *map(str, variant.fragments)], "merging the configuration", env)
    _quiet([*make, "olddefconfig"], "configuring the kernel", env)
    lost = lost_options(variant, (work / ".config").read_text(encoding="utf-8"))
    if lost:
        raise BuildError(
            "the kernel's configuration did not take: " + ", ".join(lost),
            f"look for what these options depend on, and mend {variant.fragments[-1].name}",
        )


def options(text: str) -> dict[str, str]:
    """Option -> value of a configuration or fragment; "n" where it says "is not set"."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"(CONFIG_\w+)=(.*)", line):
            found[match[1]] = match[2]
        elif match := re.fullmatch(r"# (CONFIG_\w+) is not set", line):
            found[match[1]] = "n"
    return found


def lost_options(variant: Variant, config: str) -> list[str]:
    """What the fragments ask for and the final configuration does not have."""
    asked: dict[str, str] = {}
    for fragment in variant.fragments:
        asked |= options(fragment.read_text(encoding="utf-8"))
    final = options(config)
    return [f"{name}={value}" for name, value in asked.items() if final.get(name, "n") != value]


def _quiet(command: list[str], doing: str, env: dict[str, str]) -> None:
    result = subprocess.run(
        command, env=dict(os.environ, **env), stdin=subprocess.DEVNULL, text=True, capture_output=True, check=False
    )
    if result.returncode != 0:
        raise BuildError(f"{doing} failed: {(result.stderr or result.stdout).strip()}", toolchain.HINT)


def _cached_package() -> Path | None:
    found = (cache.root() / "dl").glob(f"{PACKAGE}_*_all.deb")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _source_package(*, fetch: bool) -> Path:
    """The source package that came into the cache last, however old; fetched only if there is none."""
    if package := _cached_package():
        return package
    if not fetch:
        raise BuildError("the kernel is not built", "make kernel")
    with cache.locked("kernel-source"):
        if package := _cached_package():
            return package
        archive = apt.newer()
        candidates = archive.versions(PACKAGE)
        if not candidates:
            raise BuildError(
                f"Debian's archive has no {PACKAGE} any more",
                "build against an own tree of Linux 7.3 with CONFIG_RUST: make KDIR=...",
            )
        line = progress.Line(f"downloading {PACKAGE} {candidates[0]} (about 160 MB)")
        line.show("started")
        path = archive.download(PACKAGE, candidates[0], cache.root() / "dl")
        line.done("done")
        return path


def _unpack_source(wanted: Build) -> None:
    if wanted.source.is_dir():
        return
    with cache.locked("kernel-source"):
        if wanted.source.is_dir():
            return
        work = cache.fresh_dir(wanted.source.with_name(f".{wanted.source.name}.partial"))
        member = f"./usr/src/{PACKAGE}.tar.xz"
        script = 'set -o pipefail; dpkg-deb --fsys-tarfile "$1" | tar xO "$2" | tar xvJ -C "$3" --strip-components=1'
        progress.run(
            ["bash", "-c", script, "unpack", wanted.package, member, work],
            title="unpacking the kernel's source",
            total=100_000,
            step=".",
            log=cache.root() / "log" / "unpack.log",
        )
        work.rename(wanted.source)


def _prune(current: Path) -> None:
    """Deletes what was not used for longest, beyond the newest KEEP; and what is not whole."""
    others = [path for path in current.parent.iterdir() if path != current and path.is_dir()]
    whole = sorted((p for p in others if (p / MARK).is_file()), key=lambda p: p.stat().st_mtime)
    old = whole[: max(0, len(whole) - KEEP + 1)]
    for path in [*(p for p in others if p not in whole), *old]:
        # First the mark: a directory that is half deleted is not whole.
        (path / MARK).unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)
