# SPDX-License-Identifier: GPL-2.0
"""Fixtures for every directory of tests."""

import random
import signal
import sys
from pathlib import Path

import pytest

# A shell has what it starts in the background ignore Ctrl-C, and children inherit that: theirs shall come through.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from yoke_lab.fixture import lab
from yoke_lab.timing import is_long

__all__ = ["lab"]


def pytest_addoption(parser: pytest.Parser) -> None:
    words = "the order of the tests in each file: `reverse`, or a seed; by default they run as they stand"
    parser.addoption("--order", metavar="ORDER", default="", help=words)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    leave_out_long(config, items)
    put_in_order(config, items)


def leave_out_long(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What only long campaigns run."""
    if is_long():
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def put_in_order(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of a file run in any order: this shows it. Files stay together, since their tests share a lab."""
    order = config.getoption("order")
    if not order:
        return
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    for path, tests in files.items():
        if order == "reverse":
            tests.reverse()
        else:
            # The name, so that one file alone has the order that it has among all.
            random.Random(f"{order} {path.name}").shuffle(tests)
    items[:] = [item for tests in files.values() for item in tests]
