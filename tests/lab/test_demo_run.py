# SPDX-License-Identifier: GPL-2.0
"""The demo as people start it: a whole run, and one that is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from yoke_lab.config import TREE, Paths
from yoke_lab.timing import scaled, wait_for

LOGS = TREE / "build" / "lab-logs" / "test_demo"
SEED = 20


def words(output: Path, name: str) -> list[str]:
    # The most patient: tests share their host with others.
    return [
        str(TREE / "scripts" / "demo"),
        "--patience",
        "4",
        "--seed",
        str(SEED),
        "--output",
        str(output),
        "--name",
        name,
    ]


def assert_nothing_is_left(name: str) -> None:
    paths = Paths(name)
    assert not paths.root.exists() and not paths.disks.exists()
    said = subprocess.run(["ps", "-e", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert f"yoke-{name}-" not in said and str(paths.root) not in said


def test_a_whole_run_on_machines_of_virtme_ng_loses_nothing() -> None:
    name = f"demo-test-{os.getpid()}"
    done = subprocess.run(
        [*words(LOGS, name), "--vng"], capture_output=True, text=True, check=False, timeout=scaled(600)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((LOGS / "report.json").read_text(encoding="utf-8"))
    assert (report["lost"], report["torn"], report["resurrected"]) == (0, 0, 0)
    assert (report["io_errors"], report["files_bad"]) == (0, 0)
    assert report["acked_writes"] >= 5000 and report["files_checked"] >= 3000
    # Each is an effect that was measured: there is an order between them, and none is a default.
    assert 0 < report["detection_ms"] < report["takeover_ms"] < scaled(60_000)
    assert report["detection_ms"] < report["first_write_ms"]
    assert report["link_cut_stall_ms"] > 0 and report["rejoin_ms"] > 0
    assert report["adopted_blocks"] > 0 and not report["rejoin_full_copy"]
    assert_nothing_is_left(name)


@pytest.mark.long
def test_a_survivor_on_a_shelf_writes_long_before_t_io(tmp_path: Path) -> None:
    name = f"demo-shelf-{os.getpid()}"
    argv = [*words(tmp_path, name), "--shelf"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=scaled(600))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["lost"], report["torn"], report["resurrected"], report["files_bad"]) == (0, 0, 0, 0)
    # Its t_io_ms is 30 s.
    assert report["takeover_ms"] < report["first_write_ms"] < 20_000
    assert_nothing_is_left(name)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_one_that_is_interrupted_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    name = f"demo-stop-{os.getpid()}"
    process = subprocess.Popen(
        words(tmp_path, name), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "booting" in line:
                break

        def booting() -> bool:
            assert process.poll() is None, "it ended by itself"
            return Paths(name).disks.exists()

        wait_for("the disks of the demo's lab", booting, 60)
        process.send_signal(number)
        _, said = process.communicate(timeout=scaled(60))
    finally:
        # Its lab ends with it.
        process.kill()
    assert process.returncode == 130, said
    assert "nothing is left running" in said
    assert not (tmp_path / "report.json").exists()
    assert_nothing_is_left(name)
