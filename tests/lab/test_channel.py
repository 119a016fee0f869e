# SPDX-License-Identifier: GPL-2.0
"""Commands in a controller: streams, exit statuses, many at once, and what survives a SIGKILL."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from yoke_lab.errors import ControllerGone, LabError
from yoke_lab.lab import Lab
from yoke_lab.timing import scaled, wait_for

LAB = Path(__file__).resolve().parents[2] / "scripts" / "lab"


def test_both_controllers_answer_with_their_numbers(lab: Lab) -> None:
    for number, node in enumerate(("a", "b")):
        assert lab.exec(node, ["hostname"]).text == node
        assert lab.exec(node, ["sh", "-c", "echo $YOKE_LAB_NODE"]).text == str(number)
        assert f"yoke.lab_node={number}" in lab.exec(node, ["cat", "/proc/cmdline"]).text.split()


def test_exit_status_and_streams_are_the_commands_own(lab: Lab) -> None:
    done = lab.exec("a", ["sh", "-c", "echo out; echo err >&2; exit 42"])
    assert (done.code, done.stdout, done.stderr) == (42, b"out\n", b"err\n")
    assert lab.exec("a", ["sh", "-c", "kill -9 $$"]).code == 128 + 9
    assert lab.exec("a", ["no-such-program"]).code == 127
    assert lab.exec("a", ["/etc/hostname"]).code == 126
    with pytest.raises(LabError, match="exits 3: because"):
        lab.exec("a", ["sh", "-c", "echo because >&2; exit 3"], check=True)


def test_bytes_go_through_unchanged_both_ways(lab: Lab) -> None:
    data = random.Random(1).randbytes(3 << 20)
    done = lab.exec("b", ["cat"], stdin=data)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert lab.exec("b", ["sha256sum"], stdin=data).text.split()[0] == hashlib.sha256(data).hexdigest()
    # A command that does not read its input, or closes it, does not hold anybody up.
    assert lab.exec("b", ["true"], stdin=data).code == 0
    assert lab.exec("b", ["sh", "-c", "exec <&-; echo closed"], stdin=data).text == "closed"


def test_many_commands_at_once(lab: Lab) -> None:
    outcomes: dict[int, str] = {}

    def run(index: int) -> None:
        node = "ab"[index % 2]
        outcomes[index] = lab.exec(node, ["sh", "-c", f"head -c 200000 /dev/zero | wc -c; echo {index}"]).text

    threads = [threading.Thread(target=run, args=(index,)) for index in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(scaled(120))
    assert outcomes == {index: f"200000\n{index}" for index in range(12)}


def test_a_command_may_leave_something_in_the_background(lab: Lab) -> None:
    lab.exec("a", ["sh", "-c", "sleep 1000 & echo $! > /tmp/background"], timeout=30)
    assert lab.exec("a", ["sh", "-c", "kill -0 $(cat /tmp/background)"]).code == 0
    lab.exec("a", ["sh", "-c", "kill $(cat /tmp/background)"], check=True)


def test_letting_go_kills_the_command(lab: Lab) -> None:
    command = lab.command("a", ["sh", "-c", "echo $$; exec sleep 1000"])
    kind, line = next(command.frames())
    assert kind == b"O"
    command.close()
    gone = ["sh", "-c", f"! kill -0 {int(line)} 2>/dev/null"]
    wait_for("the end of the command", lambda: lab.exec("a", gone).code == 0, 10)


def test_a_wrong_token_runs_nothing(lab: Lab) -> None:
    token = lab.paths.share("a") / "token"
    right = token.read_text()
    token.write_text("0" * 64)
    try:
        with pytest.raises(LabError, match="token"):
            lab.exec("a", ["touch", "/tmp/should-not-be"])
    finally:
        token.write_text(right)
    assert lab.exec("a", ["test", "-e", "/tmp/should-not-be"]).code == 1


def test_the_command_line_passes_everything_through(lab: Lab) -> None:
    words = [sys.executable, str(LAB), "--name", lab.name, "exec", "b", "--", "sh", "-c", "cat; echo err >&2; exit 7"]
    done = subprocess.run(words, input=b"\x00\xff in", capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"\x00\xff in", b"err\n")


def test_output_that_left_before_a_kill_is_not_lost(lab: Lab) -> None:
    """Counts up in the machine; everything up to the last line that it saw acknowledged is here."""
    command = lab.command("a", ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; done"])
    received = bytearray()
    with pytest.raises(ControllerGone):
        for kind, data in command.frames():
            assert kind == b"O"
            received += data
            if len(received) > 20000 and lab.node_status("a")["pid"]:
                lab.kill("a")
    command.close()
    lines = received.split(b"\n")[:-1]
    assert lines == [str(number).encode() for number in range(1, len(lines) + 1)]
    lab.start("a")
