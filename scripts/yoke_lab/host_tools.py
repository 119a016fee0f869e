# SPDX-License-Identifier: GPL-2.0
"""The tree's own programs, built when they are wanted. Machines see them at the same path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .config import TREE
from .errors import LabError


def build(*packages: str) -> list[Path]:
    """Builds host crates whose program has the crate's name; the programs' paths, in the same order."""
    words = ["cargo", "build", "--release", "--quiet", "--manifest-path", str(TREE / "Cargo.toml")]
    for package in packages:
        words += ["-p", package]
    try:
        done = subprocess.run(words, stdout=sys.stderr, check=False)
    except FileNotFoundError:
        raise LabError(f"there is no cargo to build {', '.join(packages)} with", "install Rust (rustup.rs)") from None
    if done.returncode != 0:
        raise LabError(f"{', '.join(packages)} cannot be built", " ".join(words))
    target = Path(os.environ.get("CARGO_TARGET_DIR", TREE / "target")) / "release"
    return [(target / package).resolve() for package in packages]
