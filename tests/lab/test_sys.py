# SPDX-License-Identifier: GPL-2.0
"""The kernel wrappers of rust/sys, tried from user space by their self-test module (rust/sys/selftest/run)."""

from __future__ import annotations

from pathlib import Path

import pytest
from yoke_build import kernel
from yoke_build.selftest import build
from yoke_lab.config import TREE, wants_debug
from yoke_lab.lab import Lab

LAB_OPTIONS = {"disk_bytes": [256 << 20], "links": ["ntb0"]}


@pytest.fixture(scope="module")
def selftest() -> Path:
    """The directory with the module."""
    return build(kernel.DEBUG if wants_debug() else kernel.NORMAL)


def test_wrappers_serve_what_user_space_asks_of_them(lab: Lab, selftest: Path) -> None:
    run = [str(TREE / "rust/sys/selftest/run"), str(selftest), lab.disk_device()]
    result = lab.exec("a", run, timeout=900)
    assert result.code == 0, result.text
    assert result.text.splitlines()[-1].endswith("passed, 0 failed")
