# SPDX-License-Identifier: GPL-2.0
"""The torture writer in a machine that dies: its record is outside, and the other machine is judged by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from yoke_lab.host_tools import build
from yoke_lab.lab import Lab
from yoke_lab.timing import wait_for
from yoke_lab.torture import verify, writing

LAB_OPTIONS = {"disk_bytes": [64 << 20], "links": []}
BLOCKS = 2048


@pytest.fixture(scope="module")
def torture() -> str:
    return str(build("yoke-torture")[0])


def write_words(torture: str, device: str, *more: str) -> list[str]:
    return [torture, "write", "--device", device, "--record", "-", "--blocks", str(BLOCKS), *more]


def test_what_was_acknowledged_before_sigkill_is_there(lab: Lab, torture: str, tmp_path: Path) -> None:
    device, record = lab.disk_device(), tmp_path / "record"
    with writing(lab, "a", write_words(torture, device, "--depth", "8"), record) as stream:
        stream.wait_for(500)
        lab.kill("a")
    code, report = verify(lab, "b", torture, device, record)
    assert code == 0, report
    assert report["acked_writes"] >= 500 and not report["records"][0]["complete"]
    # The same check is not blind: a block that goes missing is found.
    written = next(line.split()[2] for line in reversed(record.read_text().splitlines()[:500]) if line.startswith("i "))
    zero = ["dd", "if=/dev/zero", f"of={device}", "bs=4k", "count=1", f"seek={written}", "oflag=direct", "status=none"]
    lab.exec("b", zero, check=True)
    code, report = verify(lab, "b", torture, device, record)
    assert (code, report["lost"]) == (1, 1), report
    lab.start("a")


def test_a_disk_that_lies_is_found(lab: Lab, torture: str, tmp_path: Path) -> None:
    """dm-flakey acknowledges the writes of every other second without doing them."""
    device, record = lab.disk_device(), tmp_path / "record"
    sectors = BLOCKS * 8
    table = f"0 {sectors} flakey {device} 0 1 1 1 drop_writes"
    # No udev runs in the machine: dmsetup makes the device's node itself.
    no_udev = {"DM_DISABLE_UDEV": "1"}
    lab.exec("b", ["sh", "-ec", f"modprobe dm_flakey; dmsetup create lies --table '{table}'"], check=True, env=no_udev)
    try:
        words = write_words(torture, "/dev/mapper/lies", "--depth", "4", "--seconds", "6", "--pattern", "seq")
        with writing(lab, "b", words, record) as stream:
            wait_for("the end of the run", lambda: not stream.thread.is_alive(), 60, 0.1)
            assert stream.code == 0, stream.errors.decode()
    finally:
        lab.exec("b", ["dmsetup", "remove", "lies"], env=no_udev)
    code, report = verify(lab, "a", torture, device, record)
    assert code == 1 and report["lost"] > 0, report
    assert report["torn"] == report["misplaced"] == 0
