# SPDX-License-Identifier: GPL-2.0
"""A lab of the tree's own kernel and tools."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from . import accel
from .config import TREE, LabConfig, wants_debug
from .errors import LabError


def default_config(name: str, *, debug_kernel: bool = False, kernel: str | None = None) -> LabConfig:
    """A lab of the tree's own kernel and server; LabError where one is missing."""
    debug_kernel = debug_kernel or wants_debug()
    modules = None
    if kernel is None:
        kernel = kernel_path("image", debug_kernel)
        modules = kernel_path("modules", debug_kernel)
    server, agent = build_tools()
    config = LabConfig(name=name, kernel=str(Path(kernel).resolve()), modules=modules, server=server, agent=agent)
    config.accelerator = accel.choose(config.kernel)
    return config


def kernel_path(what: str, debug: bool) -> str:
    script = [str(TREE / "scripts" / "kernel"), *(["--debug"] if debug else []), what]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"there is no kernel to boot: {done.stderr.strip() or 'scripts/kernel fails'}", "make kernel")
    return done.stdout.strip()


def build_tools() -> tuple[str, str]:
    """The server and the agent, built if the tree has changed since."""
    packages = ("yoke-ivshmem-server", "yoke-lab-agent")
    words = ["cargo", "build", "--release", "--quiet", "--manifest-path", str(TREE / "Cargo.toml")]
    for package in packages:
        words += ["-p", package]
    try:
        done = subprocess.run(words, stdout=sys.stderr, check=False)
    except FileNotFoundError:
        raise LabError("there is no cargo to build the lab's tools with", "install Rust (rustup.rs)") from None
    if done.returncode != 0:
        raise LabError("the lab's tools cannot be built", " ".join(words))
    target = Path(os.environ.get("CARGO_TARGET_DIR", TREE / "target")) / "release"
    server, agent = (str((target / package).resolve()) for package in packages)
    return server, agent
