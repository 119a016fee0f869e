# SPDX-License-Identifier: GPL-2.0
"""Two controllers mirror a real file system; a link is cut, the owner is killed in mid-write, and nothing is lost."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from yoke_build.errors import BuildError
from yoke_lab.config import TREE
from yoke_lab.errors import LabError

from . import preflight, report
from .run import run
from .scene import Plan
from .story import Story

REPORT = "report.json"

EPILOG = """
Each run has a lab of its own, which is gone when the run ends, however it ends. The seed decides when the link is cut,
when the owner is killed, and what is written: with --runs N, run K has the seed SEED + K - 1, and --seed repeats it alone.
docs/demo.md says what each figure means.
"""


def main(arguments: list[str]) -> int:
    """Runs it: 0 if nothing was lost, bad or in error; 1 otherwise."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    reports: list[dict[str, Any]] = []
    interrupted = False
    try:
        _clear(options.output)
        needs = preflight.check(options.tree, options.name, Story("before "), options.patience)
        for number in range(options.runs):
            output = options.output / f"run{number + 1}"
            plan = Plan(seed + number, options.depth, options.shelf, options.vng, needs, output)
            one = Story(f"run {number + 1}/{options.runs} " if options.runs > 1 else "")
            reports.append(run(plan, one))
            wrong = report.judge(reports[-1])
            one.tell("GOOD" if not wrong else "NOT GOOD: " + "; ".join(wrong))
            _write(options.output, reports)
    except (LabError, BuildError) as error:
        print(f"demo: {error}" + (f"\n  try: {error.hint}" if error.hint else ""), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        print(f"demo: interrupted after {len(reports)} whole runs; nothing is left running", file=sys.stderr)
        return 130
    whole = _write(options.output, reports)
    _tell(whole, seed, options.output / REPORT)
    return 0 if whole["good_runs"] == len(reports) else 1


def _clear(output: Path) -> None:
    """The figures of an earlier demo must not pass for those of this one. Nothing else in the directory is touched."""
    (output / REPORT).unlink(missing_ok=True)
    for old in output.glob("run[0-9]*"):
        shutil.rmtree(old)


def _write(output: Path, reports: list[dict[str, Any]]) -> dict[str, Any]:
    whole = report.summarise(reports)
    output.mkdir(parents=True, exist_ok=True)
    (output / REPORT).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    return whole


def _tell(whole: dict[str, Any], seed: int, path: Path) -> None:
    several = whole["runs"] > 1
    print(f"\n{whole['good_runs']} of {whole['runs']} runs good; the worst of all runs:\n" if several else "")
    print(report.table(whole))
    for line in whole["wrong"][:20]:
        print(f"  WRONG: {line}")
    if path.is_relative_to(TREE):
        path = path.relative_to(TREE)
    kind = "".join(f" --{word}" for word in ("shelf", "vng") if whole.get(word))
    again = f"scripts/demo{kind} --seed {seed}" + (f" --runs {whole['runs']}" if several else "")
    print(f"\n{path} has it all; the same choices again: {again}")


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="demo", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument(
        "--runs", type=_positive, default=1, metavar="N", help="how often, each with another seed (default: 1)"
    )
    top.add_argument("--seed", type=int, help="of the (first) run (default: random, and printed)")
    top.add_argument(
        "--depth", type=_positive, default=8, help="torture writes in flight at once (default: %(default)s)"
    )
    top.add_argument(
        "--shelf",
        action="store_true",
        help="the disks stand in a third machine, and have reservations: t_io_ms is yoke's default, and a survivor does not wait for it",
    )
    top.add_argument("--vng", action="store_true", help="boot the machines as virtme-ng does (docs/lab.md)")
    top.add_argument(
        "--patience",
        type=_patience,
        metavar="FACTOR",
        help="how many times the usual silence of an emulated controller is taken for its death, 1 to 4 (default: by the load)",
    )
    top.add_argument(
        "--tree", type=Path, metavar="DIR", help="real files to unpack (default: part of the kernel's source)"
    )
    top.add_argument(
        "--output",
        type=lambda text: Path(text).resolve(),
        default=TREE / "build" / "demo",
        metavar="DIR",
        help="for the report, records and logs (default: build/demo)",
    )
    top.add_argument(
        "--name", default=os.environ.get("LAB_NAME", f"demo-{os.getpid()}"), help="name of the lab (default: LAB_NAME)"
    )
    return top


def _positive(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError("1 to 1000")
    return value


def _patience(text: str) -> float:
    value = float(text)
    if not 1 <= value <= preflight.BUSY_MAX:
        raise argparse.ArgumentTypeError(f"1 to {preflight.BUSY_MAX:.0f}")
    return value
