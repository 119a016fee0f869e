# SPDX-License-Identifier: GPL-2.0
"""The kernel wrappers of rust/sys, tried from user space by their self-test module (rust/sys/selftest/run)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from yoke_build import kernel, toolchain
from yoke_lab.config import TREE, wants_debug
from yoke_lab.lab import Lab

LAB_OPTIONS = {"disk_bytes": [256 << 20], "links": ["ntb0"]}


@pytest.fixture(scope="module")
def selftest() -> Path:
    """The directory with the module, built against the lab's kernel."""
    work = TREE / "build/kbuild" / ("sys-selftest-debug" if wants_debug() else "sys-selftest")
    work.mkdir(parents=True, exist_ok=True)
    against = kernel.locate(kernel.DEBUG if wants_debug() else kernel.NORMAL).path
    command = [
        "make",
        "-C",
        str(against),
        *toolchain.make_arguments(),
        f"M={TREE}/rust/sys",
        f"MO={work}",
        "modules",
    ]
    log = TREE / "build/log/sys-selftest.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as output:
        result = subprocess.run(
            command,
            env=toolchain.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    assert result.returncode == 0, f"the self-test module does not build: see {log}"
    return work


def test_wrappers_serve_what_user_space_asks_of_them(lab: Lab, selftest: Path) -> None:
    run = [str(TREE / "rust/sys/selftest/run"), str(selftest), lab.disk_device()]
    result = lab.exec("a", run, timeout=900)
    assert result.code == 0, result.text
    assert result.text.splitlines()[-1].endswith("passed, 0 failed")
