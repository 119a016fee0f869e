# SPDX-License-Identifier: GPL-2.0
"""The runner of the tests: what cannot be had is skipped, and says so."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [ROOT / "scripts/test", *words]
    return subprocess.run(command, env=dict(os.environ, **environment), capture_output=True, text=True, check=False)


def test_miri_that_cannot_be_had_is_skipped_and_says_so() -> None:
    done = run("miri", YOKE_MIRI_TOOLCHAIN="yoke-no-such-toolchain")
    assert done.returncode == 0, done.stderr
    assert "miri: skipped, not passed: " in done.stdout and "yoke-no-such-toolchain" in done.stdout
    assert "0 passed, 0 failed, 1 skipped" in done.stdout, done.stdout
