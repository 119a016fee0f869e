# SPDX-License-Identifier: GPL-2.0
"""What the lab refuses before it starts anything, and what it makes of files that are there already."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from yoke_lab import accel, timing
from yoke_lab.config import LabConfig, Paths, modules_dir, parse_size, wants_debug
from yoke_lab.errors import LabError
from yoke_lab.lab import Lab

LAB = Path(__file__).resolve().parents[2] / "scripts" / "lab"


NAME = f"config-{os.getpid()}"


@pytest.fixture
def paths() -> Iterator[Paths]:
    yield Paths(NAME)
    Lab(NAME).down()


def config(**changes: object) -> LabConfig:
    made = LabConfig(name="x", kernel=sys.executable, modules=None, server=sys.executable, agent=sys.executable)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_sizes() -> None:
    assert (parse_size("4096"), parse_size("512m"), parse_size("1G")) == (4096, 512 << 20, 1 << 30)
    for bad in ("", "0", "-1", "1.5G", "1T", "G", "9" * 20):
        with pytest.raises(LabError, match="not a size"):
            parse_size(bad)


def test_a_config_survives_its_file() -> None:
    made = config(disk_bytes=[4096, 8192], tied_to=7)
    assert LabConfig.from_json(made.to_json()) == made
    made.check()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "../x"}, "not a lab name"),
        ({"name": ""}, "not a lab name"),
        ({"name": "n" * 33}, "not a lab name"),
        ({"nodes": ["a"]}, "two controllers"),
        ({"nodes": ["a", "a"]}, "two controllers"),
        ({"kernel": "/nonexistent"}, "no kernel image"),
        ({"insmod": ["/nonexistent.ko"]}, "no module"),
        ({"cpus": 0}, "CPUs"),
        ({"disk_bytes": [1000]}, "multiples of 4096"),
        ({"disk_bytes": [4096] * 17}, "up to 16 disks"),
        ({"shelves": 3}, "up to two shelves"),
        ({"shelves": 1, "shelf_wires": 3}, "one or two wires"),
        ({"shelves": 1, "shelf_disks": []}, "1 to 8 disks"),
        ({"shelves": 1, "shelf_disks": ["floppy:1M"]}, "not a disk of a shelf"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(LabError, match=reason):
        config(**changes).check()


def test_every_end_of_a_wire_has_its_own_address() -> None:
    made = config(shelves=2, shelf_wires=2)
    ends = [(wire, end) for wire in made.wires() for end in wire.ends()]
    assert len(ends) == 16
    assert len({wire.address(end) for wire, end in ends}) == len({wire.mac(end) for wire, end in ends}) == 16
    assert [wire.name for wire in made.wires()][:4] == ["shelf0-a0", "shelf0-a1", "shelf0-b0", "shelf0-b1"]
    assert [made.machine_number(name) for name in ("a", "b", "shelf0", "shelf1")] == [0, 1, 2, 3]
    with pytest.raises(LabError, match="no controller 'shelf0'"):
        made.node_number("shelf0")


def test_waiting_has_a_bound_and_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(timing.FACTOR_VARIABLE, "0.01")
    with pytest.raises(LabError, match="the second coming did not happen"):
        timing.wait_for("the second coming", lambda: None, 1)
    for bad in ("fast", "0", "-1", "1e9"):
        monkeypatch.setenv(timing.FACTOR_VARIABLE, bad)
        with pytest.raises(LabError, match="is not a number between"):
            timing.scaled(1)


def test_a_directory_that_others_can_read_is_not_used(paths: Paths) -> None:
    paths.root.mkdir(mode=0o755)
    try:
        with pytest.raises(LabError, match="belongs to somebody else"):
            Lab(NAME)._claim()
    finally:
        paths.root.rmdir()


def test_what_a_killed_lab_left_is_removed(paths: Paths) -> None:
    (paths.root / "nodes" / "a").mkdir(parents=True, mode=0o700)
    paths.root.chmod(0o700)
    paths.config.write_text(config().to_json())
    lab = Lab(NAME)
    with pytest.raises(LabError, match="is not up"):
        lab.status()
    held = lab._claim()
    assert list(paths.root.iterdir()) == []
    os.close(held)
    lab.down()
    assert not paths.root.exists()


def test_kvm_is_believed_only_when_a_guest_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(accel.os, "access", lambda *_: True)
    monkeypatch.setattr(accel, "probe_key", lambda: "this boot")
    for answer, accelerator, kept in ((None, "tcg", False), (False, "tcg", True), (True, "tcg", True)):
        monkeypatch.setattr(accel, "kvm_runs", lambda _kernel, answer=answer: answer)
        assert accel.choose("kernel") == accelerator
        assert accel.cache_path().exists() == kept
    # Another boot of the host asks again.
    monkeypatch.setattr(accel, "probe_key", lambda: "another boot")
    assert accel.choose("kernel") == "kvm"
    accel.cache_path().write_text("garbage")
    assert accel.choose("kernel") == "kvm"


def test_the_command_line_explains_itself() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, str(LAB), *words], capture_output=True, text=True, check=False)

    help_text = run("--help")
    assert help_text.returncode == 0
    assert "SIGKILL" in help_text.stdout
    down = run("--name", "no-such-lab", "status")
    assert (down.returncode, down.stderr) == (1, "lab: lab 'no-such-lab' is not up\n  try: lab up\n")
    assert run("--name", "no/such", "status").returncode == 1
    assert run("--name", "no-such-lab", "down").returncode == 0


def test_the_debug_kernel_has_its_own_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YOKE_MODULES", raising=False)
    monkeypatch.delenv("YOKE_DEBUG_KERNEL", raising=False)
    assert modules_dir().name == "modules" and not wants_debug()
    monkeypatch.setenv("YOKE_DEBUG_KERNEL", "1")
    assert modules_dir().name == "modules-debug" and wants_debug()
    monkeypatch.setenv("YOKE_MODULES", "/elsewhere")
    assert modules_dir() == Path("/elsewhere")
