# SPDX-License-Identifier: GPL-2.0
"""Raw rounds in, medians, ratios, the report and a table out."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from yoke_lab.errors import LabError

from .fio import DEEP_4K, SEQUENTIAL, SYNC_4K, Result


@dataclass(frozen=True)
class Sample:
    """One measurement of one round."""

    round: int
    device: str
    workload: str
    result: Result

    def to_json(self) -> dict[str, Any]:
        return {"round": self.round, "device": self.device, "workload": self.workload, **asdict(self.result)}


class Rounds:
    """All samples of a run."""

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self.samples = list(samples)
        self.windows_mib_s: list[float] = []

    def median(self, device: str, workload: str, value: str) -> float:
        """Of all rounds. LabError if there is none: no figure without a measurement."""
        values = [float(getattr(s.result, value)) for s in self.samples if (s.device, s.workload) == (device, workload)]
        if not values:
            raise LabError(f"nothing was measured for {workload} on {device}")
        return statistics.median(values)

    def best_drbd(self, workload: str, value: str, better: Callable[[Iterable[float]], float]) -> float:
        """The better of DRBD's transports, each by the median of its rounds."""
        devices = {s.device for s in self.samples if s.device.startswith("drbd over ")}
        if not devices:
            raise LabError(f"nothing was measured for {workload} on DRBD")
        return better(self.median(device, workload, value) for device in devices)

    def peers(self) -> dict[str, float]:
        """The figures that need no yoke."""
        if not self.windows_mib_s:
            raise LabError("the window was not measured")
        return {
            "brd_4k_p50_us": self.median("brd", SYNC_4K.name, "p50_us"),
            "drbd_c_4k_p50_us": self.best_drbd(SYNC_4K.name, "p50_us", min),
            "drbd_c_4k_p1_us": self.best_drbd(SYNC_4K.name, "p1_us", min),
            "drbd_c_4k_iops_qd32": self.best_drbd(DEEP_4K.name, "iops", max),
            "drbd_seq_mib_s": self.best_drbd(SEQUENTIAL.name, "mib_s", max),
            # A load is fast or slow by an accident of emulation, and so is a yoke volume: the usual one, and the best.
            "window_memcpy_mib_s": statistics.median(self.windows_mib_s),
            "window_memcpy_fastest_mib_s": max(self.windows_mib_s),
        }

    def yoke(self) -> dict[str, float]:
        """The figures of yoke."""
        return {
            "yoke_mirrored_4k_p50_us": self.median("yoke mirrored", SYNC_4K.name, "p50_us"),
            "yoke_mirrored_4k_p99_us": self.median("yoke mirrored", SYNC_4K.name, "p99_us"),
            "yoke_solo_4k_p50_us": self.median("yoke solo", SYNC_4K.name, "p50_us"),
            "yoke_4k_iops_qd32": self.median("yoke mirrored", DEEP_4K.name, "iops"),
            "yoke_seq_mib_s": self.median("yoke mirrored", SEQUENTIAL.name, "mib_s"),
        }


def ratios(figures: dict[str, float]) -> dict[str, float]:
    """The comparisons that matter; each says in its name which way it is read."""
    return {
        "yoke_p50_over_brd_p50": figures["yoke_mirrored_4k_p50_us"] / figures["brd_4k_p50_us"],
        "drbd_p50_over_yoke_p50": figures["drbd_c_4k_p50_us"] / figures["yoke_mirrored_4k_p50_us"],
        "yoke_qd32_over_drbd_qd32": figures["yoke_4k_iops_qd32"] / figures["drbd_c_4k_iops_qd32"],
        "yoke_seq_over_window": figures["yoke_seq_mib_s"] / figures["window_memcpy_mib_s"],
        "yoke_seq_over_fastest_window": figures["yoke_seq_mib_s"] / figures["window_memcpy_fastest_mib_s"],
        "yoke_seq_over_drbd_seq": figures["yoke_seq_mib_s"] / figures["drbd_seq_mib_s"],
    }


def build(rounds: Rounds, with_yoke: bool, settings: dict[str, Any]) -> dict[str, Any]:
    """The whole report, figures first."""
    figures = rounds.peers()
    if with_yoke:
        figures |= rounds.yoke()
    report: dict[str, Any] = {name: round(value, 2) for name, value in figures.items()}
    if with_yoke:
        report["ratios"] = {name: round(value, 3) for name, value in ratios(figures).items()}
    report["settings"] = settings
    report["window_loads_mib_s"] = [round(value, 1) for value in rounds.windows_mib_s]
    report["rounds"] = [sample.to_json() for sample in rounds.samples]
    return report


def table(rounds: Rounds) -> str:
    """A Markdown table, one line a device, medians of all rounds."""
    lines = [
        "| device | 4 KiB depth 1: p1 | p50 | p99 | 4 KiB depth 32 | sequential |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for device in dict.fromkeys(sample.device for sample in rounds.samples):
        cells = [f"{rounds.median(device, SYNC_4K.name, value):.0f} us" for value in ("p1_us", "p50_us", "p99_us")]
        for workload, value, unit in ((DEEP_4K, "iops", "IOPS"), (SEQUENTIAL, "mib_s", "MiB/s")):
            measured = any((s.device, s.workload) == (device, workload.name) for s in rounds.samples)
            cells.append(f"{rounds.median(device, workload.name, value):,.0f} {unit}" if measured else "-")
        lines.append(f"| {device} | {' | '.join(cells)} |")
    if rounds.windows_mib_s:
        loads = ", ".join(f"{value:,.0f}" for value in sorted(rounds.windows_mib_s))
        lines += ["", f"Raw copy into the peer's window, by load of ntb_perf: {loads} MiB/s."]
    return "\n".join(lines) + "\n"
