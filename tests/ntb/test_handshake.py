# SPDX-License-Identifier: GPL-2.0
"""The link handshake's own tests: all interleavings of two sides, cuts, restarts and time, on the host."""

import subprocess
from pathlib import Path

from yoke_lab.config import TREE


def test_every_interleaving(tmp_path: Path) -> None:
    program = tmp_path / "link"
    source = TREE / "drivers/ntb_hw_ivshmem/link.rs"
    subprocess.run(["rustc", "--edition", "2021", "--test", "-O", source, "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed; 0 failed" in done.stdout, done.stdout
