# SPDX-License-Identifier: GPL-2.0
"""`--order`: the tests of a file in another order, the same for the same seed, and each of them once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = ("test_first.py", "test_second.py")
COUNT = 12


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    conftest = ROOT / "tests/conftest.py"
    (tmp_path / "conftest.py").write_text(conftest.read_text().replace("__file__", repr(str(conftest))))
    for name in FILES:
        (tmp_path / name).write_text("\n".join(f"def test_{number:02}(): pass" for number in range(COUNT)))
    return tmp_path


def order(directory: Path, *words: str) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", "--rootdir", directory]
    done = subprocess.run([*command, directory, *words], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if "::" in line]


def test_the_order_of_tests(directory: Path) -> None:
    stands = order(directory)
    assert stands == [f"{name}::test_{number:02}" for name in FILES for number in range(COUNT)]
    first, second = stands[:COUNT], stands[COUNT:]
    assert order(directory, "--order=reverse") == first[::-1] + second[::-1]
    shuffled = order(directory, "--order=5")
    assert shuffled == order(directory, "--order=5")
    assert shuffled not in (stands, order(directory, "--order=6"))
    assert sorted(shuffled[:COUNT]) == first and sorted(shuffled[COUNT:]) == second
    # One file alone has the same order as among all.
    (directory / FILES[0]).unlink()
    assert order(directory, "--order=5") == shuffled[COUNT:]
