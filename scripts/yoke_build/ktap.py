# SPDX-License-Identifier: GPL-2.0
"""Reads the results of a KUnit suite: KTAP, as /sys/kernel/debug/kunit/SUITE/results holds it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

CASE = re.compile(r"^\s*(not ok|ok) (\d+) (\S+)(?:\s+#\s*(SKIP)\b.*)?")
FAILURE = re.compile(r"# \w+: (ASSERTION|EXPECTATION) FAILED at ")
PLAN = re.compile(r"^\s*1\.\.(\d+)\s*$")


@dataclass
class Suite:
    """What one suite reported: `messages` say where cases failed, `problems` are defects of the report itself."""

    name: str
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def ran(self) -> int:
        return len(self.passed) + len(self.failed) + len(self.skipped)


def parse(name: str, text: str) -> Suite:
    """The cases of suite `name`. A report without a plan, or with fewer cases than planned, is a problem.

    A suite's own line ("ok 1 SUITE", not indented below its cases) is not a case.
    """
    suite = Suite(name)
    planned: int | None = None
    for line in text.splitlines():
        if plan := PLAN.match(line):
            # The first plan counts suites or is the only one; the last one seen before cases is the suite's.
            planned = int(plan[1])
            continue
        if FAILURE.search(line):
            suite.messages.append(line.strip(" #"))
        case = CASE.match(line)
        if not case or case[3] == name:
            continue
        if case[4]:
            suite.skipped.append(case[3])
        elif case[1] == "ok":
            suite.passed.append(case[3])
        else:
            suite.failed.append(case[3])
    if planned is None:
        suite.problems.append("no plan: the suite did not run")
    elif planned != suite.ran:
        suite.problems.append(f"{planned} cases planned, {suite.ran} reported")
    if not suite.ran:
        suite.problems.append("no case ran")
    return suite
