# SPDX-License-Identifier: GPL-2.0
"""What yoke needs on a machine: Debian packages, bindgen, Python tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import apt, cache, progress, toolchain
from .errors import BuildError

SCRIPTS = Path(__file__).resolve().parent.parent
BINDGEN = "0.73.2"
QEMU = "qemu-system-x86"
# 7.2 has ivshmem too, but its emulation is slower and virtme-ng wants 8.
QEMU_MIN = "1:8"


def read_list(path: Path) -> list[str]:
    """The lines of a list file without comments."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def installed() -> dict[str, str]:
    """Package -> version of everything that dpkg has installed."""
    command = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Package}\t${Version}\n"]
    text = subprocess.run(command, text=True, capture_output=True, check=True).stdout
    rows = (line.split("\t") for line in text.splitlines())
    return {row[1]: row[2] for row in rows if row[0].startswith("ii")}


def missing_packages() -> tuple[list[str], bool]:
    """(packages to install, whether QEMU is missing or too old)"""
    have = installed()
    missing = [name for name in read_list(SCRIPTS / "packages.txt") if name not in have]
    if not shutil.which("rustup"):
        # Debian's own Rust comes in pieces.
        pieces = {"rustfmt": "rustfmt", "cargo-clippy": "rust-clippy"}
        missing += [package for program, package in pieces.items() if not shutil.which(program)]
    version = have.get(QEMU)
    return missing, not version or _older(version, QEMU_MIN)


def _older(version: str, than: str) -> bool:
    """Debian's order of versions."""
    return subprocess.run(["dpkg", "--compare-versions", version, "lt", than], check=False).returncode == 0


def install_packages(missing: list[str], qemu: bool) -> None:
    """Installs what missing_packages() found; BuildError before anything is done if that cannot be."""
    names = [*missing, *([QEMU] if qemu else [])]
    if not names:
        return
    if os.geteuid() != 0:
        raise BuildError(
            f"{len(names)} Debian packages are not installed and this is not root: {' '.join(names)}",
            f"sudo {SCRIPTS / 'bootstrap'} --packages-only, then again without sudo",
        )
    archive = apt.own()
    if missing:
        archive.install(missing)
    if qemu:
        # Debian 12's own is too old; on Debian 13 the backports only matter where they are newer.
        archive.install([QEMU], suite=f"{apt.SUPPORTED['12']}-backports" if apt.release() == "12" else "")


def check_rust() -> None:
    """A Rust that can build the kernel, with cargo, rustfmt and clippy."""
    if not shutil.which("rustc") or not shutil.which("cargo"):
        raise BuildError(
            "Rust is not installed (rustc and cargo)", "install it with rustup, or on Debian 13: apt-get install cargo"
        )
    toolchain.rustc_version()
    if shutil.which("rustup"):
        _rustup_component("rustfmt", "cargo-fmt")
        _rustup_component("clippy", "cargo-clippy")


def _rustup_component(component: str, program: str) -> None:
    sysroot = Path(toolchain.output("rustc", "--print", "sysroot"))
    if (sysroot / "bin" / program).exists():
        return
    command = ["rustup", "component", "add", component]
    if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise BuildError(f"this Rust has no {component}", " ".join(command))


def install_bindgen() -> None:
    """bindgen of one pinned version, in the cache."""
    root = cache.root() / "tools"
    if _bindgen_version(root) == BINDGEN:
        return
    with cache.locked("bindgen"):
        if _bindgen_version(root) == BINDGEN:
            return
        command = ["cargo", "install", "--locked", "--force", "--root", root, "--version", BINDGEN, "bindgen-cli"]
        progress.run(
            command,
            title=f"building bindgen {BINDGEN}",
            total=55,
            step=r"\s+Compiling ",
            log=cache.root() / "log" / "bindgen.log",
        )


def _bindgen_version(root: Path) -> str:
    """From cargo's own record of what it installed whole."""
    try:
        record = (root / ".crates.toml").read_text(encoding="utf-8")
    except OSError:
        return ""
    match = re.search(r'"bindgen-cli (\S+) ', record)
    return match[1] if match and (root / "bin" / "bindgen").exists() else ""


def venv() -> Path:
    """Where the Python tools of today's requirements live; whole or absent."""
    requirements = (SCRIPTS / "requirements.txt").read_text(encoding="utf-8")
    return cache.root() / "venv" / cache.key(requirements, sys.version, _base_python())


def _base_python() -> str:
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def install_venv() -> None:
    """The Python tools, pinned, in the cache. A venv cannot be moved, so a mark says that it is whole."""
    path = venv()
    mark = path / "complete"
    if mark.exists():
        return
    with cache.locked("venv"):
        if mark.exists():
            return
        cache.fresh_dir(path)
        log = cache.root() / "log" / "venv.log"
        progress.run([_base_python(), "-m", "venv", path], title="making a Python environment", log=log)
        command = [path / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        progress.run(
            [*command, "-r", SCRIPTS / "requirements.txt"],
            title="installing the Python tools",
            step=r"(Collecting|Downloading|Using cached|Installing) ",
            log=log,
        )
        mark.touch()
