# SPDX-License-Identifier: GPL-2.0
"""The parts of the benchmark that need no machine: what is read, what is summed up, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from yoke_bench import cli, fio, report, volume, window
from yoke_bench.fio import DEEP_4K, SEQUENTIAL, SYNC_4K, Result
from yoke_bench.report import Rounds, Sample
from yoke_bench.targets import Target
from yoke_lab.errors import LabError


def fio_report(**changes: Any) -> str:
    write = {
        "total_ios": 100,
        "iops": 50.5,
        "bw_bytes": 3 << 20,
        "clat_ns": {"percentile": {"1.000000": 1000, "50.000000": 16_500, "99.000000": 900_000}},
    }
    job = {"jobname": "sync-4k", "error": 0, "write": write | changes.pop("write", {})} | changes
    return "fio: a warning\n" + json.dumps({"jobs": [job]})


def test_fio_is_read() -> None:
    assert fio.parse(fio_report()) == Result(p1_us=1, p50_us=16.5, p99_us=900, iops=50.5, mib_s=3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fio: cannot open /dev/ram0",
        "{}",
        '{"jobs": []}',
        fio_report(error=5),
        fio_report(write={"total_ios": 0}),
        fio_report(write={"clat_ns": {}}),
    ],
)
def test_what_is_no_measurement_is_no_figure(text: str) -> None:
    with pytest.raises(LabError):
        fio.parse(text)


def test_every_device_gets_the_same_words() -> None:
    one, other = SYNC_4K.argv("/dev/one", 3, 1), SYNC_4K.argv("/dev/other", 3, 1)
    assert [a for a, b in zip(one, other, strict=True) if a != b] == ["--filename=/dev/one"]
    assert {"--ioengine=psync", "--bs=4k", "--iodepth=1", "--direct=1"} <= set(one)


def test_ntb_perf_is_read() -> None:
    text = "    Peer 0 test statistics:\n0: copied 268435456 bytes in 250000 usecs, 1073 MBytes/s\n"
    assert window.parse(text) == pytest.approx(1024)
    for bad in ("", "0: error status -4\n", "0: copied 5 bytes in 0 usecs"):
        with pytest.raises(LabError):
            window.parse(bad)


def samples(device: str, workload: fio.Workload, *results: Result) -> list[Sample]:
    return [Sample(number, device, workload.name, result) for number, result in enumerate(results, 1)]


def result(p50: float = 10, p1: float = 5, p99: float = 20, iops: float = 100, mib_s: float = 50) -> Result:
    return Result(p1, p50, p99, iops, mib_s)


def rounds(*, with_yoke: bool) -> Rounds:
    all_samples = samples("brd", SYNC_4K, result(p50=16), result(p50=99), result(p50=17))
    for device, slow in (("drbd over virtio-net", 1), ("drbd over ntb_netdev", 2)):
        all_samples += samples(device, SYNC_4K, result(p50=3000 / slow, p1=500 * slow))
        all_samples += samples(device, DEEP_4K, result(iops=1000 * slow))
        all_samples += samples(device, SEQUENTIAL, result(mib_s=60 / slow))
    if with_yoke:
        all_samples += samples("yoke mirrored", SYNC_4K, result(p50=51, p99=200))
        all_samples += samples("yoke mirrored", DEEP_4K, result(iops=10_000))
        all_samples += samples("yoke mirrored", SEQUENTIAL, result(mib_s=600))
        all_samples += samples("yoke solo", SYNC_4K, result(p50=80))
    made = Rounds(all_samples)
    made.windows_mib_s = [63, 1000, 64]
    return made


def test_medians_and_the_better_transport() -> None:
    made = report.build(rounds(with_yoke=True), True, {"rounds": 3})
    assert made["brd_4k_p50_us"] == 17
    # Each figure of DRBD is the better transport's, so that no transport's weakness counts.
    assert (made["drbd_c_4k_p50_us"], made["drbd_c_4k_p1_us"]) == (1500, 500)
    assert (made["drbd_c_4k_iops_qd32"], made["drbd_seq_mib_s"]) == (2000, 60)
    assert (made["window_memcpy_mib_s"], made["window_memcpy_fastest_mib_s"]) == (64, 1000)
    assert made["ratios"]["yoke_p50_over_brd_p50"] == 3
    assert made["ratios"]["yoke_seq_over_window"] == 9.375
    assert made["ratios"]["yoke_seq_over_fastest_window"] == 0.6
    assert len(made["rounds"]) == 3 + 6 + 4


def test_the_report_has_every_figure_that_is_promised() -> None:
    promised = {
        "brd_4k_p50_us", "yoke_mirrored_4k_p50_us", "yoke_mirrored_4k_p99_us", "yoke_solo_4k_p50_us", "drbd_c_4k_p50_us",
        "drbd_c_4k_p1_us", "drbd_c_4k_iops_qd32", "yoke_4k_iops_qd32", "yoke_seq_mib_s", "drbd_seq_mib_s",
        "window_memcpy_mib_s",
        "window_memcpy_fastest_mib_s",
    }  # fmt: skip
    assert promised <= set(report.build(rounds(with_yoke=True), True, {}))


def test_no_figure_without_a_measurement() -> None:
    with pytest.raises(LabError, match="nothing was measured for sync-4k on yoke mirrored"):
        report.build(rounds(with_yoke=False), True, {})
    without = report.build(rounds(with_yoke=False), False, {})
    assert not any("yoke" in name for name in without)
    with pytest.raises(LabError):
        report.build(Rounds(), False, {})


def test_the_table_has_a_line_for_each_device() -> None:
    lines = report.table(rounds(with_yoke=True)).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:7]] == [
        "brd", "drbd over virtio-net", "drbd over ntb_netdev", "yoke mirrored", "yoke solo"
    ]  # fmt: skip
    assert "63, 64, 1,000 MiB/s" in lines[-1]


def test_yoke_that_is_not_built_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    monkeypatch.setattr(volume, "MODULES", tmp_path)
    monkeypatch.setattr(cli, "OUTPUT", tmp_path / "out")
    assert cli.main([]) == 1
    said = capsys.readouterr().err
    assert "yoke.ko" in said and "make modules" in said
    assert not (tmp_path / "out").exists()


def test_the_page_keeps_everything_but_the_table(tmp_path: Path) -> None:
    page = tmp_path / "bench.md"
    page.write_text(f"head\n{cli.BEGIN}old\n{cli.END}tail\n", encoding="utf-8")
    cli.write_page(page, "new\n")
    assert page.read_text(encoding="utf-8") == f"head\n{cli.BEGIN}new\n{cli.END}tail\n"
    page.write_text("no marks\n", encoding="utf-8")
    with pytest.raises(LabError, match="lost its marks"):
        cli.write_page(page, "new\n")
    assert cli.BEGIN in cli.PAGE.read_text(encoding="utf-8"), "docs/bench.md"


def test_a_target_has_the_median_and_the_spread() -> None:
    row = Target.of("ms", [9.0, 1.0, 2.0], 2.0)
    assert (row.value, row.ok, row.spread) == (2.0, True, (1.0, 9.0))
    assert not Target.of("ms", [3.0], 2.0).ok
    with pytest.raises(LabError, match="nothing was measured for ms"):
        Target.of("ms", [], 2.0)
