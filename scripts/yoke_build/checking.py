# SPDX-License-Identifier: GPL-2.0
"""The frame of a check: it reads a tree and names violations; with --self-test it proves that it can fail."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .errors import main_wrapper

ROOT = Path(__file__).resolve().parents[2]
Check = Callable[[Path], list[str]]
# Path in the tree -> content.
Tree = Mapping[str, str]


def plant(root: Path, tree: Tree) -> None:
    """Writes the files of `tree`."""
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if text.startswith("#!"):
            path.chmod(0o755)


def run(check: Check, *, violations: Sequence[Tree], clean: Tree) -> None:
    """The main function of a check. Each tree of `violations` must be refused and `clean` accepted."""

    def main() -> int:
        parser = argparse.ArgumentParser()
        parser.add_argument("--self-test", action="store_true", help="check that planted violations are found")
        options = parser.parse_args()
        problems = _self_test(check, violations, clean) if options.self_test else check(ROOT)
        for problem in problems:
            print(problem)
        return 1 if problems else 0

    main_wrapper(main)


def _self_test(check: Check, violations: Sequence[Tree], clean: Tree) -> list[str]:
    wrong = []
    for number, tree in enumerate([*violations, clean]):
        with tempfile.TemporaryDirectory(prefix="yoke-check-") as directory:
            plant(Path(directory), tree)
            found = check(Path(directory))
        if tree is clean and found:
            wrong.append(f"self-test: a clean tree was refused: {found}")
        if tree is not clean and not found:
            wrong.append(f"self-test: planted violation {number + 1} ({', '.join(tree)}) was not found")
    return wrong


def tool(command: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None) -> list[str]:
    """Runs a tool; its output is the violation if it fails."""
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if result.returncode == 0:
        return []
    return [result.stdout.strip() or f"{command[0]} failed with status {result.returncode}"]
