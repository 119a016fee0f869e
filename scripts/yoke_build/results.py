# SPDX-License-Identifier: GPL-2.0
"""Counts of the test runners: each leaves build/results/NAME.json, and the sum is the last line of a run."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build/results"


@dataclass
class Count:
    """Outcomes of one runner. A test that was skipped is neither passed nor failed, and is told."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


def record(name: str, count: Count) -> None:
    """Leaves the counts of runner `name` for the sum."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(asdict(count)), encoding="utf-8")


def forget() -> None:
    """Deletes what earlier runs left."""
    for file in RESULTS.glob("*.json"):
        file.unlink()


def collect() -> dict[str, Count]:
    """What the runners left since forget()."""
    return {file.stem: Count(**json.loads(file.read_text(encoding="utf-8"))) for file in sorted(RESULTS.glob("*.json"))}


def of_cargo(text: str) -> Count:
    """Sums the summaries of `cargo test`: unit, integration and documentation tests."""
    total = Count()
    for match in re.finditer(r"^test result: .*? (\d+) passed; (\d+) failed; (\d+) ignored;", text, re.MULTILINE):
        total += Count(int(match[1]), int(match[2]), int(match[3]))
    return total


def of_junit(path: Path) -> Count:
    """Reads pytest's --junitxml. Errors of fixtures count as failures."""
    total = Count()
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return total
    for suite in root.iter("testsuite"):
        tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        total += Count(max(0, tests - failed - skipped), failed, skipped)
    return total
