# SPDX-License-Identifier: GPL-2.0
"""Figures beside what was asked for: the rows of `targets` in the report."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from yoke_lab.errors import LabError


@dataclass(frozen=True)
class Target:
    """A figure that was measured, beside what was asked for. `spread`: the least and the most of all rounds."""

    name: str
    value: float
    op: str
    target: float
    ok: bool
    spread: tuple[float, float]

    @classmethod
    def of(cls, name: str, values: list[float], target: float) -> Target:
        """The median is to be at most `target`. LabError where nothing was measured."""
        if not values:
            raise LabError(f"nothing was measured for {name}")
        value = round(statistics.median(values), 3)
        return cls(name, value, "<=", target, value <= target, (round(min(values), 3), round(max(values), 3)))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
