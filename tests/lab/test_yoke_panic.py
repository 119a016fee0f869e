# SPDX-License-Identifier: GPL-2.0
"""A partner whose kernel panics and whose memory stays: it must not be taken for alive."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from yoke_lab.appliance import Appliance, Beats, Node
from yoke_lab.host_tools import build
from yoke_lab.lab import Lab
from yoke_lab.timing import wait_for
from yoke_lab.torture import verify, writing

LAB_OPTIONS = {"disk_bytes": [64 << 20], "memory_mib": 512}
VOLUME = "vol0"
# So slow that only a word of the dying kernel itself can be the news: silence counts from 30 s on.
BEATS = Beats(interval_us=100_000, missed=300)
# A third of it.
SOON = BEATS.silence_ms / 3000
LEASE_MS = 10_000


def join(node: Node) -> None:
    """Modules and links."""
    node.load()
    node.configure(BEATS)


@pytest.fixture(scope="module")
def appliance(lab: Lab) -> Appliance:
    whole = Appliance(lab)
    for node in whole:
        join(node)
    for node in whole:
        node.wait_session()
    whole.a.yokectl("volume", "create", VOLUME, "--device", lab.disk_device())
    for node in whole:
        node.open_volume(VOLUME, slots=256, lease_ms=LEASE_MS)
    whole.a.wait_volume(VOLUME, "mirrored")
    return whole


def panic(node: Node) -> float:
    """Has the kernel panic and stay as it is, in place of ending its machine; when it had."""
    node.sh("sysctl -q kernel.panic=0 kernel.sysrq=1")
    # Nobody is left who could answer the command, or end the connection.
    command = node.lab.command(node.name, ["sh", "-c", "echo c > /proc/sysrq-trigger"])
    wait_for("the panic", lambda: node.lab.node_status(node.name)["state"] == "panicked", 30, 0.02)
    now = time.monotonic()
    command.close()
    return now


def test_the_mirror_ends_with_the_panic_and_not_with_the_silence(appliance: Appliance, tmp_path: Path) -> None:
    a, b = appliance
    lab, record, torture = appliance.lab, tmp_path / "record", str(build("yoke-torture")[0])
    disk = f"/dev/{a.disk_of(VOLUME)}"
    words = [torture, "write", "--device", disk, "--record", "-", "--depth", "4", "--blocks", "2048"]
    with writing(lab, "a", words, record) as stream:
        stream.wait_for(200)
        begin = panic(b)
        a.wait_volume(VOLUME, "solo", SOON)
        took = time.monotonic() - begin
        # The links were none the wiser: it was not their silence.
        before, found, _ = a.dmesg("-> mirrored").partition("holding -> solo")
        assert found and "is down" not in before, before
        stream.wait_for(stream.acknowledged() + 200)
        lab.kill("b")
        lab.start("b")
        join(b)
        b.wait_session()
        b.open_volume(VOLUME, slots=256, lease_ms=LEASE_MS)
        a.wait_volume(VOLUME, "mirrored")
        stream.wait_for(stream.acknowledged() + 100)
    code, report = verify(lab, "a", torture, disk, record)
    assert code == 0 and report["io_errors"] == 0, report
    assert appliance.splats() == []
    print(f"solo {took:.2f} s after the panic; silence would have been noticed after {BEATS.silence_ms / 1000:.0f} s")
