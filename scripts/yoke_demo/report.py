# SPDX-License-Identifier: GPL-2.0
"""Whether a run was good, and what several runs amount to."""

from __future__ import annotations

from typing import Any

from .tree import FILES_MIN
from .writing import ACKED_MIN

# Each has to be there, and to be nothing.
NOTHING = (
    "lost", "torn", "resurrected", "misplaced", "foreign", "unreadable", "found_by_reads",
    "files_bad", "io_errors", "writer_errors",
)  # fmt: skip
SUMS = (*NOTHING, "acked_writes_alone")
LEAST = ("acked_writes", "files_checked", "adopted_blocks")
MOST = (
    "link_cut_stall_ms", "takeover_ms", "detection_ms", "first_write_ms", "rejoin_ms", "rejoin_copied_blocks",
    "giveback_ms", "clock_error_ms",
)  # fmt: skip


def judge(report: dict[str, Any]) -> list[str]:
    """What is wrong with a run, a sentence each; nothing if it was good. A figure that is missing is wrong."""
    wrong = list(report["problems"])
    unknown = [name for name in (*NOTHING, *LEAST, *MOST, "rejoin_full_copy", "fsck_clean") if name not in report]
    if unknown:
        wrong.append("the run did not get to its end; not known: " + ", ".join(unknown))
    wrong += [f"{name} is {report[name]}, not 0" for name in NOTHING if report.get(name)]
    for name, least in (("acked_writes", ACKED_MIN), ("files_checked", FILES_MIN)):
        if report.get(name, least) < least:
            wrong.append(f"{name} is {report[name]}, fewer than {least}")
    if report.get("rejoin_full_copy", False):
        wrong.append("the rejoin needed a full copy")
    if not report.get("fsck_clean", True):
        wrong.append("the file system is not clean")
    return wrong


def summarise(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """One report of all runs: the least of what is to be much, the most of what is to be short, the sum of what is to be nothing."""
    if len(reports) == 1:
        return reports[0] | {"runs": 1, "good_runs": int(not judge(reports[0])), "wrong": judge(reports[0])}
    whole: dict[str, Any] = {}
    for names, combine in ((LEAST, min), (SUMS, sum), (MOST, max)):
        for name in names:
            values = [report[name] for report in reports if name in report]
            if values:
                whole[name] = combine(values)
    whole["rejoin_full_copy"] = any(report.get("rejoin_full_copy", False) for report in reports)
    whole |= {word: reports[0].get(word, False) for word in ("shelf", "vng")}
    whole["runs"] = len(reports)
    whole["good_runs"] = sum(not judge(report) for report in reports)
    whole["wrong"] = [f"seed {report['seed']}: {line}" for report in reports for line in judge(report)]
    whole["each"] = reports
    return whole


def table(whole: dict[str, Any]) -> str:
    """The figures for a person."""
    lines = []
    for name, words in (
        ("acked_writes", "writes acknowledged before the kill"),
        ("lost", "of them lost"),
        ("torn", "torn"),
        ("resurrected", "resurrected"),
        ("files_checked", "durable files compared"),
        ("files_bad", "of them bad"),
        ("io_errors", "I/O errors"),
        ("link_cut_stall_ms", "ms: longest pause of writes at the cut of a link"),
        ("detection_ms", "ms: from the kill until the partner noticed"),
        ("takeover_ms", "ms: from the kill to the first I/O that the partner served"),
        ("first_write_ms", "ms: from the kill to the first write"),
        ("adopted_blocks", "blocks adopted from the partner's memory"),
        ("rejoin_ms", "ms: from opening the volumes again to two copies of everything"),
        ("rejoin_copied_blocks", "blocks copied for that"),
        ("rejoin_full_copy", "was it a full copy"),
    ):
        lines.append(f"  {_shown(whole.get(name, '?')):>10}  {words}")
    return "\n".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
