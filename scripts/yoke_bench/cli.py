# SPDX-License-Identifier: GPL-2.0
"""Measures yoke beside a plain RAM disk and beside DRBD protocol C, in the same two machines (`make bench`)."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from yoke_lab.config import TREE
from yoke_lab.errors import LabError

from . import logs, report, takeovers
from .fio import AREA_MIB
from .run import Plan, run

OUTPUT = TREE / "build" / "bench"
PAGE = TREE / "docs" / "bench.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def main(arguments: list[str]) -> int:
    """Runs it; the exit status."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    begin = time.monotonic()

    def progress(text: str) -> None:
        print(f"[{time.monotonic() - begin:5.0f} s] {text}", file=sys.stderr, flush=True)

    try:
        plan = Plan(options.rounds, options.seconds, options.window_loads)
        load, cpus = os.getloadavg()[0], os.cpu_count() or 1
        if load > cpus / 2:
            progress(
                f"this machine is busy (load {load:.1f} on {cpus} CPUs): the figures will be those of a busy machine"
            )
        rounds, seconds = run(plan, options.peers_only, options.name, progress)
        settings = {
            "rounds": plan.rounds,
            "seconds_a_job": plan.seconds,
            "area_mib": AREA_MIB,
            "host_cpus": cpus,
            "host_load_before": round(load, 2),
            "machine": platform.machine(),
            "took_s": round(seconds),
        }
        result = report.build(rounds, not options.peers_only, settings)
        if not options.peers_only:
            targets = takeovers.run(options.takeovers, options.name, progress)
            targets += logs.run(options.logs, options.name, progress)
            result["targets"] = [row.to_json() for row in targets]
    except LabError as error:
        print(f"bench: {error}" + (f"\n  try: {error.hint}" if error.hint else ""), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; nothing was written", file=sys.stderr)
        return 130
    # An incomplete report must not pass for the whole one.
    path = OUTPUT / ("peers.json" if options.peers_only else "report.json")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    table = report.table(rounds)
    if options.update_docs:
        write_page(PAGE, table)
    print(table)
    for name, value in result.get("ratios", {}).items():
        print(f"{name}: {value}")
    for row in result.get("targets", []):
        least, most = row["spread"]
        met = "met" if row["ok"] else "NOT met"
        print(f"{row['name']}: {row['value']} ({least} to {most}), target {row['op']} {row['target']}: {met}")
    print(f"after {seconds:.0f} s: {path.relative_to(TREE)}")
    return 0


def write_page(page: Path, table: str) -> None:
    """Puts the table between the page's marks."""
    text = page.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise LabError(f"{page} has lost its marks {BEGIN.strip()!r} and {END.strip()!r}")
    page.write_text(head + begin + table + end + tail, encoding="utf-8")


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="bench", description=__doc__)
    top.add_argument(
        "--peers-only", action="store_true", help="leave yoke out: build/bench/peers.json instead of report.json"
    )
    top.add_argument(
        "--rounds", type=_positive, default=Plan.rounds, help="turns of every device (default: %(default)s)"
    )
    top.add_argument("--seconds", type=_positive, default=Plan.seconds, help="of each fio job (default: %(default)s)")
    top.add_argument(
        "--window-loads", type=_positive, default=Plan.window_loads, help="loads of ntb_perf (default: %(default)s)"
    )
    top.add_argument(
        "--takeovers",
        type=_count,
        default=3,
        help="deaths of an owner on a shelf, and losses of its disk, 0: none (default: %(default)s)",
    )
    top.add_argument(
        "--logs",
        type=_count,
        default=3,
        help="deaths of an owner with an empty and with a full log of each size, 0: none (default: %(default)s)",
    )
    top.add_argument("--update-docs", action="store_true", help="put the table into docs/bench.md")
    top.add_argument(
        "--name", default=os.environ.get("LAB_NAME", "bench"), help="name of the lab (default: LAB_NAME, or bench)"
    )
    return top


def _count(text: str) -> int:
    return 0 if text == "0" else _positive(text)


def _positive(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError("1 to 1000")
    return value
