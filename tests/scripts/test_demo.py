# SPDX-License-Identifier: GPL-2.0
"""The parts of the demo that need no machine: what is a good run, what it exits with, what its figures are made of."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from yoke_demo import cli, preflight, record, report
from yoke_demo.files import FileWriter
from yoke_demo.scene import Choices
from yoke_demo.story import Story
from yoke_demo.tree import FILES_MIN, Tree, pack
from yoke_demo.writing import ACKED_MIN
from yoke_lab.errors import LabError

GUEST = Path(cli.__file__).parent / "guest"
PROMISED = {
    "acked_writes", "lost", "torn", "resurrected", "files_checked", "files_bad", "link_cut_stall_ms", "io_errors",
    "takeover_ms", "detection_ms", "adopted_blocks", "rejoin_full_copy",
}  # fmt: skip


def good(**changes: Any) -> dict[str, Any]:
    """A run without fault."""
    made: dict[str, Any] = dict.fromkeys(report.NOTHING, 0) | dict.fromkeys(report.MOST, 10.0)
    made |= {
        "acked_writes": ACKED_MIN + 1,
        "files_checked": FILES_MIN + 1,
        "adopted_blocks": 7,
        "acked_writes_alone": 3,
    }
    made |= {"rejoin_full_copy": False, "rejoin_copied_blocks": 2, "fsck_clean": True, "seed": 1, "problems": []}
    return made | changes


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in good().items() if key != name}


def test_a_run_without_fault_is_good() -> None:
    assert report.judge(good()) == []


@pytest.mark.parametrize("name", report.NOTHING)
def test_one_of_anything_that_must_not_be_is_too_many(name: str) -> None:
    (wrong,) = report.judge(good(**{name: 1}))
    assert wrong == f"{name} is 1, not 0"


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_a_figure_that_was_not_measured_is_a_fault(name: str) -> None:
    (wrong,) = report.judge(without(name))
    assert name in wrong


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"acked_writes": ACKED_MIN - 1}, "acked_writes"),
        ({"files_checked": FILES_MIN - 1}, "files_checked"),
        ({"rejoin_full_copy": True}, "full copy"),
        ({"fsck_clean": False}, "not clean"),
        ({"problems": ["kernel: a: BUG: sleeping"]}, "BUG: sleeping"),
    ],
)
def test_what_else_is_wrong_with_a_run(changes: dict[str, Any], words: str) -> None:
    (wrong,) = report.judge(good(**changes))
    assert words in wrong


def test_of_several_runs_the_worst_counts() -> None:
    runs = [
        good(),
        good(acked_writes=6000, takeover_ms=900.0, adopted_blocks=2),
        good(acked_writes=5500, lost=2, torn=1, seed=9),
    ]
    whole = report.summarise(runs)
    assert (whole["acked_writes"], whole["lost"], whole["torn"], whole["takeover_ms"]) == (ACKED_MIN + 1, 2, 1, 900.0)
    assert (whole["runs"], whole["good_runs"], whole["adopted_blocks"]) == (3, 2, 2)
    assert whole["wrong"] == ["seed 9: lost is 2, not 0", "seed 9: torn is 1, not 0"]
    assert whole["each"] == runs
    assert set(whole) >= PROMISED


def test_a_run_that_broke_off_does_not_hide_behind_the_others() -> None:
    whole = report.summarise([good(), {"seed": 2, "problems": ["controller a does not answer"]}])
    assert whole["good_runs"] == 1
    assert "does not answer" in whole["wrong"][0] and "takeover_ms" in whole["wrong"][1]


def outcome(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runs: list[Any], *words: str
) -> tuple[int, dict[str, Any], list[int]]:
    """What the command exits with when its runs turn out like this, its report, and the seeds that it used."""
    seeds: list[int] = []

    def run(plan: Any, _story: Any) -> dict[str, Any]:
        seeds.append(plan.seed)
        made = runs[len(seeds) - 1]
        if isinstance(made, BaseException):
            raise made
        return dict(made, seed=plan.seed)

    output = tmp_path / "demo"
    monkeypatch.setattr(cli, "run", run)
    monkeypatch.setattr(cli.preflight, "check", lambda *_: None)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    code = cli.main([*words, "--runs", str(len(runs)), "--output", str(output)])
    path = output / "report.json"
    return code, json.loads(path.read_text()) if path.exists() else {}, seeds


def test_exit_status_of_a_good_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, whole, seeds = outcome(monkeypatch, tmp_path, [good()], "--seed", "77")
    assert (code, seeds, whole["seed"], whole["wrong"]) == (0, [77], 77, [])
    assert set(whole) >= PROMISED


@pytest.mark.parametrize(
    "bad", [{"lost": 1}, {"torn": 1}, {"resurrected": 1}, {"files_bad": 1}, {"io_errors": 1}, {"fsck_clean": False}]
)
def test_exit_status_of_a_bad_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bad: dict[str, Any]) -> None:
    assert outcome(monkeypatch, tmp_path, [good(**bad)])[0] == 1


def test_one_bad_run_of_several_is_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, whole, seeds = outcome(monkeypatch, tmp_path, [good(), good(lost=3), good()], "--seed", "5")
    assert (code, whole["lost"], whole["good_runs"], seeds) == (1, 3, 2, [5, 6, 7])
    said = capsys.readouterr().out
    assert "2 of 3 runs good" in said and "WRONG: seed 6: lost is 3, not 0" in said
    assert "scripts/demo --seed 5 --runs 3" in said


def test_what_cannot_begin_leaves_no_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures of an earlier demo must not pass for those of this one."""
    (tmp_path / "demo" / "run1").mkdir(parents=True)
    (tmp_path / "demo" / "report.json").write_text(json.dumps(good()))
    (tmp_path / "demo" / "mine").touch()
    code, whole, _ = outcome(monkeypatch, tmp_path, [LabError("there is no kernel", "make kernel")])
    assert (code, whole) == (1, {})
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["mine"]
    assert "there is no kernel\n  try: make kernel" in capsys.readouterr().err


def test_ctrl_c_is_no_success(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert outcome(monkeypatch, tmp_path, [good(), KeyboardInterrupt()])[0] == 130


def test_a_seed_decides_everything() -> None:
    assert vars(Choices(3)) == vars(Choices(3))
    for name in vars(Choices(3)):
        assert len({getattr(Choices(seed), name) for seed in range(50)}) > 40, name


def writer(path: Path, arrivals: list[tuple[float, int]]) -> record.Writer:
    """A writer that has ended, with what had arrived when."""
    made = object.__new__(record.Writer)
    made.record, made.arrivals = path, arrivals
    return made


def test_a_stall_is_told_by_the_clock_of_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "record"
    times = [1000, 2000, 3000, 53_000, 54_000, 55_000]
    lines = ["H {} c", *(f"a {number} {at} 9 c" for number, at in enumerate(times)), "f 1 60000 9 c", "a 7 99"]
    path.write_text("\n".join(lines))
    assert record.acknowledged_at(path) == times
    # The host saw them late and in two lots.
    made = writer(path, [(10.0, 2), (10.2, 3), (11.0, 6)])
    assert made.stall_ms(10.1, 12.0) == 50
    assert made.stall_ms(9.0, 10.1) == 1
    assert made.stall_ms(0.0, 5.0) == 0


def test_a_file_counts_once_its_line_came_whole() -> None:
    made = object.__new__(FileWriter)
    made.tree, made.durable, made._tail = Tree(Path(), {"x/y": "5" * 64, "z": "6" * 64}, 0), [], b""
    made._take(b"copy1/x/y\ncopy1")
    assert made.durable == ["copy1/x/y"]
    made._take(b"/z\n\ncopy2/x")
    assert made.manifest() == f"{'5' * 64}  copy1/x/y\n{'6' * 64}  copy1/z\n".encode()


def test_a_manifest_finds_a_bad_file(tmp_path: Path) -> None:
    """The very words that check a mounted file system, on files here."""
    (tmp_path / "good").write_bytes(b"")
    (tmp_path / "bad").write_bytes(b"changed")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    manifest = "".join(f"{empty}  {name}\n" for name in ("good", "bad", "gone"))
    done = subprocess.run(
        ["sha256sum", "-c", "--quiet"], input=manifest, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["bad", "gone"]


def test_unpacking_says_only_what_is_durable(tmp_path: Path) -> None:
    archive = tmp_path / "tree.tar"
    with tarfile.open(archive, "w") as tar:
        for number in range(7):
            info = tarfile.TarInfo(f"dir{number % 2}/file{number}")
            info.size = number
            tar.addfile(info, io.BytesIO(b"x" * number))
    words = [sys.executable, "-I", "-S", str(GUEST / "unpack.py"), str(archive), str(tmp_path), "2", "5"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    paths = done.stdout.split()
    assert len(paths) == len(set(paths)) == 14
    assert all((tmp_path / path).stat().st_size == int(path[-1]) for path in paths)


def test_a_tree_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "own").mkdir()
    with pytest.raises(LabError, match="has 0 files, the demo needs 3000"):
        pack(tmp_path / "own")
    for number in range(FILES_MIN):
        (tmp_path / "own" / f"f{number}").write_text(str(number))
    packed = pack(tmp_path / "own")
    assert len(packed.sums) == FILES_MIN and packed.tar.is_file()
    assert pack(tmp_path / "own") == packed


def test_a_busy_host_gets_longer_times_within_bounds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preflight.os, "cpu_count", lambda: 2)
    for load, factor in ((0.0, 1.0), (2.0, 1.0), (5.0, 2.5), (80.0, preflight.BUSY_MAX)):
        monkeypatch.setattr(preflight.os, "getloadavg", lambda load=load: (load / 2, load, 0.0))
        assert preflight.busy_factor(Story()) == factor
        assert ("this machine is busy" in capsys.readouterr().out) == (factor > 1)
