# SPDX-License-Identifier: GPL-2.0
"""The compilers of the kernel and its modules: where they are, their versions, the sources of `core`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from . import apt, cache
from .errors import BuildError

LLVM = "19"
RUST_MIN = (1, 85)
RUSTUP_TIMEOUT_S = 90
HINT = "run scripts/bootstrap"


def environment() -> dict[str, str]:
    """Variables that every kernel make needs: bindgen on the PATH, and the libclang that it loads."""
    tools = cache.root() / "tools" / "bin"
    return {
        "PATH": f"{tools}:{os.environ.get('PATH', '')}",
        "LIBCLANG_PATH": f"/usr/lib/llvm-{LLVM}/lib",
        # Of the caller's make, not of the kernel's.
        "MAKEFLAGS": "",
        "MAKELEVEL": "0",
    }


def make_arguments() -> list[str]:
    return [f"LLVM=-{LLVM}", f"-j{os.cpu_count() or 1}"]


def output(*command: str) -> str:
    """Standard output of a tool; BuildError if it is not there or fails."""
    path = environment()["PATH"]
    if not shutil.which(command[0], path=path):
        raise BuildError(f"{command[0]} is not installed", HINT)
    result = subprocess.run(command, env=dict(os.environ, **environment()), text=True, capture_output=True, check=False)
    if result.returncode != 0:
        raise BuildError(f"{' '.join(command)}: {result.stderr.strip()}", HINT)
    return result.stdout.strip()


def versions() -> list[str]:
    """What the key of a kernel build depends on."""
    return [
        output("rustc", "--version"),
        output("bindgen", "--version"),
        output(f"clang-{LLVM}", "--version").splitlines()[0],
    ]


def rustc_version() -> str:
    match = re.match(r"rustc (\d+)\.(\d+)\.(\d+)", output("rustc", "--version"))
    if not match:
        raise BuildError("rustc --version says nothing that can be read", "install Rust, for example with rustup")
    if (int(match[1]), int(match[2])) < RUST_MIN:
        raise BuildError(
            f"rustc {match[0]} is too old for the kernel, which needs {RUST_MIN[0]}.{RUST_MIN[1]}",
            "rustup update stable",
        )
    return f"{match[1]}.{match[2]}.{match[3]}"


def rust_lib_src() -> Path:
    """The sources of the standard library of exactly this rustc: its own, rustup's, or Debian's."""
    version = rustc_version()
    own = Path(output("rustc", "--print", "sysroot")) / "lib/rustlib/src/rust/library"
    unpacked = cache.root() / "src" / f"rust-{version}"
    debian = Path(f"/usr/src/rustc-{version}/library")
    for path in (own, unpacked / "library", debian):
        if (path / "core/src/lib.rs").is_file():
            return path
    with cache.locked("rust-src"):
        if _rustup_has_it() and (own / "core/src/lib.rs").is_file():
            return own
        if not (unpacked / "library").is_dir():
            _unpack_debian(version, unpacked)
    return unpacked / "library"


def _rustup_has_it() -> bool:
    if not shutil.which("rustup"):
        return False
    try:
        command = ["rustup", "component", "add", "rust-src"]
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=RUSTUP_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0


def _unpack_debian(version: str, into: Path) -> None:
    package = _debian_package(version)
    work = cache.fresh_dir(into.with_name(f".{into.name}.partial"))
    result = subprocess.run(["dpkg-deb", "-x", package, work], text=True, capture_output=True, check=False)
    library = work / f"usr/src/rustc-{version}/library"
    if result.returncode != 0 or not library.is_dir():
        raise BuildError(f"{package.name} has no {library.name}: {result.stderr.strip()}", f"delete {package}")
    into.mkdir(parents=True, exist_ok=True)
    library.rename(into / "library")
    shutil.rmtree(work)


def _debian_package(version: str) -> Path:
    downloads = cache.root() / "dl"
    for found in sorted(downloads.glob(f"rust-src_{version}+*.deb")):
        return found
    archive = apt.newer()
    for candidate in archive.versions("rust-src"):
        if candidate.startswith(f"{version}+"):
            return archive.download("rust-src", candidate, downloads)
    raise BuildError(
        f"neither rustup nor Debian has the sources of the standard library of rustc {version}",
        "rustup component add rust-src, or use a stable rustc of rustup",
    )
