# SPDX-License-Identifier: GPL-2.0
"""Controllers, links and disks: what a person does to them, and what then is true in the machines."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from yoke_lab.config import TREE
from yoke_lab.errors import ControllerGone, LabError
from yoke_lab.fixture import HUNG_TASK_SECONDS
from yoke_lab.lab import Lab
from yoke_lab.timing import scaled, wait_for

LAB_OPTIONS = {"disk_bytes": [256 << 20, 64 << 20]}

# Offsets of include/yoke/ivshmem_layout.h.
FLAGS, DOWN_COUNT = 0x0C, 0x10

# Reads bytes of a link's memory, or of its registers, through sysfs; runs in the machine.
PEEK = """
import mmap, os, sys
device, bar, offset, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
path = f"/sys/bus/pci/devices/{device}"
with open(f"{path}/enable", "w") as f: f.write("1")
with open(f"{path}/resource{bar}", "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
    v = memoryview(m)[offset:offset + count]
    sys.stdout.write((v.cast("I")[0].to_bytes(4, "little") if count == 4 else bytes(v)).hex())
    v.release()
"""


def link_devices(lab: Lab, node: str) -> list[str]:
    """PCI addresses of the links' devices, in the order of the links."""
    script = "grep -l 0x1110 /sys/bus/pci/devices/*/device | cut -d/ -f6 | sort"
    return lab.exec(node, ["sh", "-c", script], check=True).text.split()


def peek(lab: Lab, node: str, link: int, offset: int, count: int, bar: int = 2) -> bytes:
    device = link_devices(lab, node)[link]
    return bytes.fromhex(
        lab.exec(node, ["python3", "-I", "-S", "-c", PEEK, device, str(bar), str(offset), str(count)], check=True).text
    )


def peer_id(lab: Lab, node: str, link: int) -> int:
    """The IVPosition register."""
    return int(struct.unpack("<I", peek(lab, node, link, 8, 4, bar=0))[0])


def states(lab: Lab) -> list[str]:
    return [node["state"] for node in lab.status()["nodes"]]


def test_links_have_the_server_page_and_the_sides_their_ids(lab: Lab) -> None:
    for number, node in enumerate(("a", "b")):
        for link in (0, 1):
            assert peek(lab, node, link, 0, 8) == b"YOKEVSHM"
            assert peer_id(lab, node, link) == number
    for link in lab.status()["links"]:
        assert link["state"] == "whole"
        assert [side["pid"] for side in link["sides"]] == [node["pid"] for node in lab.status()["nodes"]]


def test_a_cut_is_seen_in_the_server_page_of_both_sides_and_of_one_link_only(lab: Lab) -> None:
    def page(node: str, link: int) -> tuple[int, int]:
        data = peek(lab, node, link, 0, 32)
        return struct.unpack_from("<I", data, FLAGS)[0] & 1, struct.unpack_from("<Q", data, DOWN_COUNT)[0]

    assert lab.cut("ntb0")["state"] == "cut"
    assert [page(node, link) for link in (0, 1) for node in "ab"] == [(1, 1), (1, 1), (0, 0), (0, 0)]
    assert lab.mend("ntb0")["state"] == "whole"
    assert [page(node, link) for link in (0, 1) for node in "ab"] == [(0, 1), (0, 1), (0, 0), (0, 0)]


def test_the_shared_disk_is_one_disk(lab: Lab) -> None:
    for index in (0, 1):
        device = lab.disk_device(index)
        for round_number, (writer, reader) in enumerate((("a", "b"), ("b", "a"), ("a", "b"))):
            text = f"round {round_number} of disk {index}".ljust(4096)
            write = [
                "dd",
                f"of={device}",
                "bs=4096",
                "count=1",
                "seek=5",
                "oflag=direct",
                "conv=notrunc",
                "iflag=fullblock",
            ]
            lab.exec(writer, write, stdin=text.encode(), check=True)
            read = ["dd", f"if={device}", "bs=4096", "count=1", "skip=5", "iflag=direct"]
            assert lab.exec(reader, read, check=True).stdout == text.encode()
    sizes = [lab.exec("a", ["blockdev", "--getsize64", lab.disk_device(index)], check=True).text for index in (0, 1)]
    assert sizes == [str(256 << 20), str(64 << 20)]


def test_the_tree_in_a_controller_is_never_stale(lab: Lab) -> None:
    file = TREE / "build" / "lab-logs" / f"stale-{lab.name}"
    try:
        for text in ("first", "other", "longer than before", ""):
            file.write_text(text)
            assert lab.exec("a", ["cat", str(file)], check=True).stdout.decode() == text
    finally:
        file.unlink()
    assert lab.exec("a", ["test", "-e", str(file)]).code == 1
    assert lab.exec("a", ["touch", str(TREE / "README.md")]).code != 0, "the tree can be written from a controller"


def test_a_controller_writes_what_it_likes_and_the_host_sees_none_of_it(lab: Lab) -> None:
    lab.exec(
        "a", ["sh", "-c", "echo changed > /etc/hostname; mkdir /srv/only-in-a; touch /var/tmp/x /tmp/x"], check=True
    )
    assert Path("/etc/hostname").read_text() != "changed\n"
    assert not Path("/srv/only-in-a").exists()
    assert lab.exec("b", ["test", "-e", "/srv/only-in-a"]).code == 1


def reaches_peer(lab: Lab) -> bool:
    """Whether a TCP connection from a gets an answer of b's kernel (that nobody listens)."""
    script = f"import socket; socket.create_connection(('{lab.node_status('b')['addresses'][0]}', 9), 20)"
    return b"ConnectionRefusedError" in lab.exec("a", ["python3", "-c", script]).stderr


def test_addresses_have_four_levels(lab: Lab) -> None:
    """With five, the debug kernel complains of itself in some boots, and lockdep is off (yoke_build.kernel.BOOT_WORDS)."""
    for node in ("a", "b"):
        assert "la57" not in lab.exec(node, ["cat", "/proc/cpuinfo"], check=True).text.split()


def test_the_controllers_have_a_network_between_them(lab: Lab) -> None:
    assert reaches_peer(lab)


def test_doorbell_faults_reach_the_server_by_the_command_line(lab: Lab) -> None:
    def link() -> dict[str, object]:
        return lab.status()["links"][0]

    def run(*words: str) -> int:
        command = [sys.executable, str(TREE / "scripts" / "lab"), "--name", lab.name, "doorbells", "ntb0", *words]
        return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode

    assert run("--drop", "3") == run("--delay", "7") == 0
    assert (link()["drop_doorbells"], link()["delay_doorbells_ms"]) == (3, 7)
    assert run("--drop", "most") == 1
    assert run("--drop", "none") == run("--delay", "0") == 0
    assert (link()["drop_doorbells"], link()["delay_doorbells_ms"]) == ("none", 0)


def test_a_pause_stops_the_whole_machine(lab: Lab) -> None:
    command = lab.command("a", ["sh", "-c", "echo before; read line; echo after $line"])
    frames = command.frames()
    assert next(frames) == (b"O", b"before\n")
    lab.pause("a")
    try:
        assert states(lab) == ["paused", "alive"]
        command.write(b"the pause\n")
        with pytest.raises(LabError, match="does not answer"):
            lab.exec("a", ["true"], timeout=1)
    finally:
        lab.resume("a")
    assert next(frames) == (b"O", b"after the pause\n")
    command.close()
    assert lab.exec("a", ["echo", "awake"]).text == "awake"
    assert states(lab) == ["alive", "alive"]


def test_a_killed_controller_comes_back_as_who_it_was(lab: Lab) -> None:
    device = lab.disk_device()
    lab.exec(
        "b",
        ["dd", f"of={device}", "bs=4096", "count=1", "oflag=direct"],
        stdin=b"before the kill".ljust(4096),
        check=True,
    )
    before = lab.status()["nodes"][1]
    places = link_devices(lab, "b")
    lab.kill("b")
    assert states(lab) == ["alive", "killed"]
    assert not Path(f"/proc/{before['pid']}").exists()
    assert [side["connected"] for side in lab.status()["links"][0]["sides"]] == [True, False]
    with pytest.raises(ControllerGone):
        lab.exec("b", ["true"])
    # What it had written is there.
    assert lab.exec("a", ["head", "-c", "15", device]).stdout == b"before the kill"

    lab.start("b")
    after = lab.status()["nodes"][1]
    assert (after["state"], after["node"], after["boot"]) == ("alive", 1, before["boot"] + 1)
    assert after["pid"] != before["pid"]
    assert link_devices(lab, "b") == places
    assert [peer_id(lab, "b", link) for link in (0, 1)] == [1, 1]
    assert reaches_peer(lab)
    assert lab.console("b", before["boot"]).stat().st_size > 1000, "the console log of the boot before"


def test_a_panic_is_told_from_a_death(lab: Lab) -> None:
    command = lab.command("a", ["sh", "-c", "echo c > /proc/sysrq-trigger"])
    with pytest.raises(ControllerGone):
        command.run(lambda _data: None, lambda _data: None)
    command.close()
    status = lab.node_status("a")
    assert status["state"] == "panicked"
    assert "Kernel panic" in lab.console("a").read_text(errors="replace")
    lab.start("a")
    assert states(lab) == ["alive", "alive"]
    assert re.search("yoke-lab: agent ready", lab.console("a").read_text(errors="replace"))


def test_a_task_that_hangs_is_found(lab: Lab) -> None:
    """By the lab, which names it, and after longer by its kernel."""
    bound = lab.exec("a", ["cat", "/proc/sys/kernel/hung_task_timeout_secs"], check=True).text
    assert int(bound) == max(1, round(scaled(HUNG_TASK_SECONDS)))
    assert lab.hung_tasks("a") == []
    no_udev, disk = {"DM_DISABLE_UDEV": "1"}, lab.disk_device(1)
    lab.exec("a", ["sh", "-ec", f'dmsetup create still --table "0 8 linear {disk} 0"'], check=True, env=no_udev)
    lab.exec("a", ["dmsetup", "suspend", "still"], check=True, env=no_udev)
    try:
        read = "dd if=/dev/mapper/still of=/dev/null bs=4k count=1 iflag=direct"
        lab.exec("a", ["sh", "-c", f"{read} > /dev/null 2>&1 &"], check=True)
        (hung,) = wait_for("a task that hangs", lambda: lab.hung_tasks("a", 1), 20)
        assert " dd: " in hung and "blkdev" in hung, hung
    finally:
        lab.exec("a", ["dmsetup", "resume", "still"], check=True, env=no_udev)
    assert lab.hung_tasks("a") == []
    lab.exec("a", ["dmsetup", "remove", "--retry", "still"], check=True, env=no_udev)


def test_mistakes_are_explained(lab: Lab) -> None:
    for mistake, words in (
        (lambda: lab.kill("c"), "no machine 'c'"),
        (lambda: lab.cut("ntb9"), "no link 'ntb9'"),
        (lambda: lab.start("a"), "running already"),
        (lambda: lab.drop_doorbells("ntb0", "some"), "expected a number"),
        (lambda: lab.delay_doorbells("ntb0", -1), "not a request"),
        (lambda: Lab(lab.name).up(lab.config()), "is up already"),
        (lambda: Lab("no-such-lab").status(), "is not up"),
    ):
        with pytest.raises(LabError, match=words):
            mistake()
    assert states(lab) == ["alive", "alive"]
