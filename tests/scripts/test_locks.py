# SPDX-License-Identifier: GPL-2.0
"""A lock is held as long as anybody works under it, also when the script that took it is gone."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from yoke_lab.timing import scaled, wait_for

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from yoke_build import cache, progress
from yoke_build.errors import main_wrapper

def main():
    directory = Path(sys.argv[2])
    with cache.locked_file(directory / "lock", "test"):
        command = ["sh", "-c", "echo $$ > $0.new; mv $0.new $0; exec sleep 60", directory / "pid"]
        progress.run(command, title="working", log=directory / "log")
    return 0

main_wrapper(main)
"""
LIMIT_S = 20


def is_free(lock: Path) -> bool:
    with open(lock, "w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def worker(directory: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A script that holds the lock, and the process id of its command."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, SCRIPTS, directory], stderr=subprocess.DEVNULL)
    wait_for("the start of the command", (directory / "pid").exists, LIMIT_S)
    return process, int((directory / "pid").read_text())


def test_the_command_of_a_killed_script_keeps_the_lock(tmp_path: Path) -> None:
    process, command = worker(tmp_path)
    process.kill()
    process.wait()
    assert not is_free(tmp_path / "lock")
    os.kill(command, signal.SIGTERM)
    wait_for("the end of the lock", lambda: is_free(tmp_path / "lock"), LIMIT_S)


def test_a_script_that_is_told_to_end_takes_its_command_along(tmp_path: Path) -> None:
    process, command = worker(tmp_path)
    process.terminate()
    assert process.wait(scaled(LIMIT_S)) == 143
    assert is_free(tmp_path / "lock")
    with pytest.raises(ProcessLookupError):
        os.kill(command, 0)
