# SPDX-License-Identifier: GPL-2.0
"""The three workloads, and what fio says about them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from yoke_lab.errors import LabError

# The part of every device that is written: it fits into the smallest of them, and into memory.
AREA_MIB = 64


@dataclass(frozen=True)
class Workload:
    """One fio job; the same words for every device."""

    name: str
    engine: str
    pattern: str
    block: str
    depth: int

    def argv(self, device: str, seconds: float, ramp: float) -> list[str]:
        """The command line. Direct I/O, so that every write is answered by the device."""
        return [
            "fio", f"--name={self.name}", f"--filename={device}", f"--ioengine={self.engine}", f"--rw={self.pattern}",
            f"--bs={self.block}", f"--iodepth={self.depth}", f"--size={AREA_MIB}M", "--direct=1", "--thread",
            "--norandommap", "--randrepeat=1", "--invalidate=0", "--time_based", f"--runtime={seconds:g}",
            f"--ramp_time={ramp:g}", "--percentile_list=1:50:99", "--output-format=json",
        ]  # fmt: skip


SYNC_4K = Workload("sync-4k", "psync", "randwrite", "4k", 1)
DEEP_4K = Workload("deep-4k", "libaio", "randwrite", "4k", 32)
SEQUENTIAL = Workload("sequential", "libaio", "write", "256k", 8)
WORKLOADS = (SYNC_4K, DEEP_4K, SEQUENTIAL)


@dataclass(frozen=True)
class Result:
    """What one job came to. Latencies in microseconds, from submission to completion."""

    p1_us: float
    p50_us: float
    p99_us: float
    iops: float
    mib_s: float


def parse(text: str) -> Result:
    """Reads fio's JSON. LabError if the job wrote nothing or saw an error."""
    # fio prints warnings before its JSON.
    start = text.find("{")
    try:
        job: dict[str, Any] = json.loads(text[start:])["jobs"][0]
        write = job["write"]
        percentiles = write["clat_ns"].get("percentile", {})
        if job["error"] or write["total_ios"] <= 0 or not percentiles:
            raise LabError(
                f"fio job {job['jobname']}: error {job['error']}, {write['total_ios']} writes: no measurement"
            )
        return Result(
            p1_us=percentiles["1.000000"] / 1000,
            p50_us=percentiles["50.000000"] / 1000,
            p99_us=percentiles["99.000000"] / 1000,
            iops=float(write["iops"]),
            mib_s=write["bw_bytes"] / (1 << 20),
        )
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise LabError(f"fio did not answer with a report: {text[:300].strip()!r} ({error!r})") from None
