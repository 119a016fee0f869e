# SPDX-License-Identifier: GPL-2.0
"""The self-test module of rust/sys, which is built apart from the others."""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import kernel, toolchain
from .errors import BuildError

ROOT = Path(__file__).resolve().parents[2]


def build(variant: kernel.Variant) -> Path:
    """Builds it against the lab's kernel; the directory that has it."""
    name = "sys-selftest-debug" if variant is kernel.DEBUG else "sys-selftest"
    work = ROOT / "build/kbuild" / name
    work.mkdir(parents=True, exist_ok=True)
    tree, source = kernel.locate(variant).path, ROOT / "rust/sys"
    command = ["make", "-C", str(tree), *toolchain.make_arguments(), f"M={source}", f"MO={work}", "modules"]
    log = ROOT / "build/log/sys-selftest.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as output:
        result = subprocess.run(
            command, env=toolchain.environment(), stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if result.returncode != 0:
        raise BuildError(f"the self-test module does not build: see {log}")
    return work
