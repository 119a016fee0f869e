# SPDX-License-Identifier: GPL-2.0
"""Bounds of waiting, all scaled by one factor, and the one way to wait."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from .errors import LabError

T = TypeVar("T")

FACTOR_VARIABLE = "YOKE_TIMEOUT_FACTOR"
LONG_VARIABLE = "YOKE_LONG"


def factor() -> float:
    """The factor from the environment; 1 is a machine of two CPUs without hardware virtualisation."""
    text = os.environ.get(FACTOR_VARIABLE, "1")
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 1000:
        raise LabError(f"{FACTOR_VARIABLE}={text!r} is not a number between 0.01 and 1000", f"unset {FACTOR_VARIABLE}")
    return value


def is_long() -> bool:
    """Whether this is a long campaign: every test, and those that repeat something as often as they can."""
    return os.environ.get(LONG_VARIABLE) == "1"


def scaled(seconds: float) -> float:
    """`seconds` times the factor."""
    return seconds * factor()


def wait_for(what: str, probe: Callable[[], T | None], seconds: float, interval: float = 0.05) -> T:
    """Calls `probe` until it returns something true; LabError naming `what` after `seconds` (scaled).

    For conditions that nothing announces; where there is a descriptor to wait on, wait on that.
    """
    limit = scaled(seconds)
    deadline = time.monotonic() + limit
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise LabError(f"{what} did not happen within {limit:.0f} s", f"raise {FACTOR_VARIABLE} on a slow machine")
        time.sleep(interval)
