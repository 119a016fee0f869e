# SPDX-License-Identifier: GPL-2.0
"""Nothing is left: after down, after the owner of a lab is killed, after the supervisor itself is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from yoke_lab.config import Paths, wants_debug
from yoke_lab.default import kernel_path
from yoke_lab.errors import LabError
from yoke_lab.fixture import bring_up
from yoke_lab.lab import Lab
from yoke_lab.timing import wait_for

ROOT = Path(__file__).resolve().parents[2]

# A test run of its own, which says what it has started and then never ends.
OWNER = """
import json, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1] + "/scripts")
import pytest
TEST = '''
import json, signal
def test_that_never_ends(lab):
    print("OWNS " + json.dumps([lab.name, lab.status()]), flush=True)
    signal.pause()
'''
directory = Path(sys.argv[2])
(directory / "conftest.py").write_text("from yoke_lab.fixture import lab")
(directory / "test_owner.py").write_text(TEST)
sys.exit(pytest.main(["-q", "-s", "-p", "no:cacheprovider", "--rootdir", str(directory), str(directory)]))
"""


def processes_of(status: dict) -> list[int]:
    """Every process of a lab."""
    return [
        status["supervisor_pid"],
        *(node["pid"] for node in status["nodes"]),
        *(link["server_pid"] for link in status["links"]),
    ]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def name(what: str) -> str:
    return f"{what}-{os.getpid()}"


def start(what: str, tmp_path: Path) -> tuple[Lab, list[int]]:
    lab = bring_up(name(what), tmp_path / "logs")
    pids = processes_of(lab.status())
    assert len(pids) == 5 and alive(pids) == pids
    return lab, pids


def files_of(lab: Lab) -> list[Path]:
    return [path for path in (lab.paths.root, lab.paths.disks) if path.exists()]


def test_down_leaves_nothing_but_the_logs_asked_for(tmp_path: Path) -> None:
    lab, pids = start("down", tmp_path)
    lab.pause("b")
    lab.down()
    assert (alive(pids), files_of(lab)) == ([], [])
    assert (tmp_path / "logs" / "a.boot1.console.log").stat().st_size > 0
    lab.down()
    with pytest.raises(LabError, match="not up"):
        lab.status()


def test_nothing_outlives_a_test_run_that_is_killed(tmp_path: Path) -> None:
    words = [sys.executable, "-c", OWNER, str(ROOT), str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as owner:
        assert owner.stdout is not None
        said = []
        while not (said and said[-1].startswith("OWNS ")):
            said.append(owner.stdout.readline())
            assert said[-1], "the test run has not brought its lab up:\n" + "".join(said)
        line = said[-1]
        lab_name, status = json.loads(line.removeprefix("OWNS "))
        pids = processes_of(status)
        assert alive(pids) == pids
        owner.send_signal(signal.SIGKILL)
        wait_for("the end of the killed run's lab", lambda: not alive(pids), 20)
    paths = Paths(lab_name)
    wait_for("the removal of its files", lambda: not paths.root.exists() and not paths.disks.exists(), 10)


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    lab, pids = start("supervisor", tmp_path)
    os.kill(pids[0], signal.SIGKILL)
    wait_for("the end of the killed supervisor's children", lambda: not alive(pids[1:]), 20)
    with pytest.raises(LabError, match="not up"):
        lab.status()
    lab.down()
    assert files_of(lab) == []


def test_a_boot_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="while it booted"):
        bring_up(name("fails"), tmp_path / "logs", append="init=/nonexistent")
    lab = Lab(name("fails"))
    assert files_of(lab) == []
    assert "Kernel panic" in (tmp_path / "logs" / "a.boot1.console.log").read_text(errors="replace")


def test_a_module_that_cannot_be_loaded_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"cannot load /etc/hostname: .*[Ii]nvalid"):
        bring_up(name("insmod"), tmp_path / "logs", insmod=["/etc/hostname"])
    assert files_of(Lab(name("insmod"))) == []


def test_modules_are_loaded_at_every_boot(tmp_path: Path) -> None:
    root = Path(kernel_path("modules", debug=wants_debug()))
    (module,) = root.glob("lib/modules/*/kernel/drivers/block/brd.ko*")
    lab = bring_up(name("modules"), tmp_path / "logs", insmod=[str(module)])
    try:
        assert lab.exec("b", ["test", "-b", "/dev/ram0"]).code == 0
        lab.kill("b")
        lab.start("b")
        assert lab.exec("b", ["test", "-b", "/dev/ram0"]).code == 0
    finally:
        lab.down()


def test_interrupting_up_leaves_nothing(tmp_path: Path) -> None:
    words = [
        sys.executable,
        str(ROOT / "scripts" / "lab"),
        "--name",
        name("interrupt"),
        "up",
        "--log-dir",
        str(tmp_path),
    ]
    lab = Lab(name("interrupt"))
    try:
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as up:
            assert up.stderr is not None
            assert any("waiting for controller a" in line for line in up.stderr)
            pids = processes_of(lab.status())
            up.send_signal(signal.SIGINT)
            assert up.wait() == 130
        assert (alive(pids), files_of(lab)) == ([], [])
    finally:
        if files_of(lab):
            lab.down()
