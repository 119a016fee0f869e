# SPDX-License-Identifier: GPL-2.0
"""A controller that does not boot: what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from yoke_lab import lab as module
from yoke_lab import qemu, vng
from yoke_lab.config import LabConfig, Paths
from yoke_lab.errors import LabError
from yoke_lab.lab import Lab


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Controllers boot for ever; the console of each."""
    console = tmp_path / "console"
    monkeypatch.setattr(module, "BOOT_SECONDS", 0.05)
    monkeypatch.setattr(Lab, "node_status", lambda _lab, _node: {"pid": 1, "state": "booting", "boot": 1})
    monkeypatch.setattr(Lab, "console", lambda _lab, _node, _boot=None: console)
    config = LabConfig("stuck", "kernel", None, "server", "agent")
    monkeypatch.setattr(Lab, "config", lambda _lab: config)
    return console


def test_a_boot_that_does_not_end_says_where_it_stands(stuck: Path) -> None:
    stuck.write_text("".join(f"[ {line}.0] line {line}\n\n" for line in range(1, 50)), encoding="utf-8")
    with pytest.raises(
        LabError, match=r"did not happen within .*said last:(\n.*)*line 30\n(.*\n)*.*line 49$"
    ) as caught:
        Lab("stuck").wait_ready("a")
    assert "line 29" not in str(caught.value)


def test_nor_need_it_have_said_anything(stuck: Path) -> None:
    with pytest.raises(LabError, match="console cannot be read"):
        Lab("stuck").wait_ready("a")
    stuck.write_text("\n", encoding="utf-8")
    with pytest.raises(LabError, match="console is empty"):
        Lab("stuck").wait_ready("a")


@pytest.mark.parametrize(("parallel", "threads"), [(False, "single"), (True, "multi")])
def test_emulated_cpus_run_in_turns_unless_told_otherwise(parallel: bool, threads: str) -> None:
    config = LabConfig("turns", "kernel", None, "server", "agent", links=[], disk_bytes=[], cpus=2, parallel=parallel)
    words = qemu.command(config, Paths("turns"), "a", 1)
    assert f"tcg,thread={threads}" in words and words[words.index("-smp") + 1] == "2"


def test_what_vng_cannot_boot_is_said_in_its_words() -> None:
    config = LabConfig("none", "/there/is/none", None, "server", "agent", links=[], disk_bytes=[])
    with pytest.raises(LabError, match=r"vng does not say how to boot: .*/there/is/none") as caught:
        vng.command(config, Paths("none"), "a", 1)
    assert "--dry-run" in caught.value.hint
