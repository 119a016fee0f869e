# SPDX-License-Identifier: GPL-2.0
"""Links and sessions between two controllers: cut, mended, killed, started again, taken down in any order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from yoke_lab.appliance import CONFIG, LINK_CLASS, Appliance, Node
from yoke_lab.brittle import Brittle
from yoke_lab.host_tools import build
from yoke_lab.lab import Lab
from yoke_lab.torture import verify, writing

LAB_OPTIONS = {"disk_bytes": [64 << 20], "memory_mib": 512, "cpus": 2}
VOLUME = "vol0"
BLOCKS = 4096
TRACING = "/sys/kernel/tracing"
PAGE = 4096


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    return Appliance(lab)


@pytest.fixture
def appliance(whole: Appliance) -> Iterator[Appliance]:
    """Both controllers alive, links up, session ready, before each test; no kernel complains after it."""
    whole.restore()
    yield whole
    assert whole.splats() == []


def incarnations(appliance: Appliance) -> list[str]:
    """Of each controller, as the other one sees it."""
    return [appliance.partner(node).peer("incarnation") for node in appliance]


def test_both_links_carry_the_session(appliance: Appliance) -> None:
    for node in appliance:
        assert node.peer("links") == "ntb0 ntb1"
        assert node.peer("reason") == ""
        status = node.ask("status")
        assert status["degraded"] == []
        assert {link["name"]: (link["state"], link["peer"]) for link in status["links"]} == {
            name: ("up", str(1 - node.number)) for name in ("ntb0", "ntb1")
        }
    first, second = incarnations(appliance)
    assert first != second and "0" * 16 not in (first, second)


def mapped(node: Node) -> list[tuple[int, int, str]]:
    """What the kernel has mapped in a way of its own, in the order of the addresses: begin, end, way."""
    node.sh("mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug")
    ranges = re.findall(r"PAT: \[mem 0x(\w+)-0x(\w+)\] (\S+)", node.sh("cat /sys/kernel/debug/x86/pat_memtype_list"))
    return sorted((int(begin, 16), int(end, 16), way) for begin, end, way in ranges)


def test_what_is_read_through_a_link_is_mapped_uncached(appliance: Appliance) -> None:
    """All else is write-combining. A fence that waits in a buffer of the CPU, or is answered from one, proves nothing."""
    for node in appliance:
        for slot in ("10", "11"):
            bars = node.sh(f"cat /sys/bus/pci/devices/0000:00:{slot}.0/resource").splitlines()
            first, last = max(
                ((int(b, 16), int(e, 16)) for b, e, _ in map(str.split, bars)), key=lambda bar: bar[1] - bar[0]
            )
            inside = [part for part in mapped(node) if first <= part[0] <= last]
            # The part of the other controller, from its first page on; what is read stands in its second (interconnect.h).
            ((begin, middle, _),) = [
                part for part in inside if part[1] - part[0] == PAGE and part[2] == "write-combining"
            ]
            outbound = [part for part in inside if begin <= part[0] < begin + (last + 1 - first) // 2][:3]
            assert [(at - begin, way) for at, _, way in outbound] == [
                (0, "write-combining"),
                (PAGE, "uncached-minus"),
                (2 * PAGE, "write-combining"),
            ]
            assert [to for _, to, _ in outbound[:2]] == [middle, middle + PAGE] and outbound[2][1] > begin + (1 << 20)


def test_the_session_outlives_a_cut_link(appliance: Appliance) -> None:
    before = incarnations(appliance)
    downs = [int(node.link("ntb0", "down_count")) for node in appliance]
    appliance.lab.cut("ntb0")
    for node in appliance:
        node.wait_link("ntb0", "down")
        node.wait_session(links=1)
        assert node.peer("links") == "ntb1"
        assert "lost the connection" in node.link("ntb0", "reason")
        assert int(node.link("ntb0", "down_count")) == downs[node.number] + 1
        (degraded,) = node.ask("status")["degraded"]
        assert degraded.startswith("link ntb0 is down")
    appliance.lab.mend("ntb0")
    for node in appliance:
        node.wait_session(links=2)
        assert node.link("ntb0", "reason") == ""
    assert incarnations(appliance) == before


def test_the_session_ends_with_its_last_link_and_begins_anew(appliance: Appliance) -> None:
    before = incarnations(appliance)
    for link in ("ntb0", "ntb1"):
        appliance.lab.cut(link)
    for node in appliance:
        node.wait("the end of the session", f"grep -q absent /sys/class/yoke_peer/{1 - node.number}/state")
        assert node.peer("reason") == "no link leads to it"
    for link in ("ntb1", "ntb0"):
        appliance.lab.mend(link)
    for node in appliance:
        node.wait_session()
    assert incarnations(appliance) == before


def test_a_killed_controller_is_noticed_and_comes_back_as_another_life(appliance: Appliance) -> None:
    first, second = incarnations(appliance)
    appliance.lab.kill("b")
    appliance.a.wait("the end of the session", "grep -q absent /sys/class/yoke_peer/1/state")
    for link in ("ntb0", "ntb1"):
        assert "no heartbeat for" in appliance.a.link(link, "reason")
    appliance.lab.start("b")
    appliance.b.load()
    appliance.b.configure()
    for node in appliance:
        node.wait_session()
    again = incarnations(appliance)
    assert again[0] == first and again[1] != second


def test_a_paused_controller_meets_a_new_session(appliance: Appliance) -> None:
    appliance.lab.pause("b")
    try:
        appliance.a.wait("the end of the session", "grep -q absent /sys/class/yoke_peer/1/state")
    finally:
        appliance.lab.resume("b")
    for node in appliance:
        node.wait_session()


def test_modules_stay_while_links_need_them(appliance: Appliance) -> None:
    for module in ("ntb_hw_ivshmem", "yoke", "yoke_ntb"):
        done = appliance.a.run(f"rmmod {module}")
        assert done.code != 0 and b"in use" in done.stderr, module
    appliance.a.wait_session()


@pytest.mark.parametrize("peer", ["alive", "dead"])
def test_everything_goes_in_any_order_and_comes_back(appliance: Appliance, peer: str) -> None:
    a, b = appliance
    if peer == "dead":
        appliance.lab.kill("b")
    links = f"{CONFIG}/links"
    # Disabled and removed; removed while enabled; the device taken away under the link, and given back.
    a.sh(f'echo 0 > {links}/ntb0/enable; rmdir {links}/ntb0; rmdir {links}/ntb1; [ -z "$(ls {LINK_CLASS})" ]')
    a.sh("rmmod yoke_ntb; rmmod yoke; rmmod ntb_hw_ivshmem")
    for node in appliance:
        if appliance.lab.node_status(node.name)["pid"] is None:
            appliance.lab.start(node.name)
        node.load()
    a.configure()
    if peer == "dead":
        b.configure()
    for node in appliance:
        node.wait_session()


def test_a_device_that_goes_away_and_comes_back_takes_its_link_along(appliance: Appliance) -> None:
    """By its driver, then as hardware that is pulled out and put in: nobody configures anything."""
    a = appliance.a
    before = incarnations(appliance)
    driver, device = "/sys/bus/pci/drivers/ntb_hw_ivshmem", a.device("ntb0")
    away_and_back = (
        (f"echo {device} > {driver}/unbind", f"echo {device} > {driver}/bind"),
        (f"echo 1 > /sys/bus/pci/devices/{device}/remove", "echo 1 > /sys/bus/pci/rescan"),
    )
    for away, back in away_and_back:
        downs = int(a.link("ntb0", "down_count"))
        a.sh(away, timeout=30)
        for node in appliance:
            node.wait_session(links=1)
        assert a.link("ntb0", "state") == "down"
        assert a.link("ntb0", "reason") == "its device is not there: waiting for it"
        assert int(a.link("ntb0", "down_count")) == downs + 1
        a.sh("dmesg -C")
        a.sh(back, timeout=30)
        for node in appliance:
            node.wait_session(links=2)
        assert a.link("ntb0", "reason") == ""
        assert int(a.link("ntb0", "down_count")) == downs + 1
    assert incarnations(appliance) == before


def test_a_link_that_waits_holds_no_driver(appliance: Appliance) -> None:
    """The hardware's driver and the interconnect's can be unloaded under it, and loaded again."""
    a = appliance.a
    a.yokectl("link", "remove", "ntb1")
    a.sh(f"echo {a.device('ntb0')} > /sys/bus/pci/drivers/ntb_hw_ivshmem/unbind", timeout=30)
    a.wait("the driver is free", "rmmod yoke_ntb && rmmod ntb_hw_ivshmem")
    assert "waiting for it" in a.link("ntb0", "reason")
    a.load()
    a.yokectl("link", "add", "ntb1", "--device", a.device("ntb1"))
    for node in appliance:
        node.wait_session()


def test_a_device_that_comes_and_goes_while_its_link_does(appliance: Appliance) -> None:
    a = appliance.a
    driver, device, links = "/sys/bus/pci/drivers/ntb_hw_ivshmem", a.device("ntb0"), f"{CONFIG}/links"
    flicker = (
        f"echo ready; while :; do echo {device} > {driver}/unbind; echo {device} > {driver}/bind; done 2>/dev/null"
    )
    command = a.lab.command("a", ["bash", "-c", flicker])
    try:
        a.sh(
            f"for i in $(seq 40); do echo 0 > {links}/ntb0/enable; echo 1 > {links}/ntb0/enable || exit 1; done",
            timeout=120,
        )
    finally:
        command.close()
    a.sh(f"[ -e {driver}/{device} ] || echo {device} > {driver}/bind")
    for node in appliance:
        node.wait_session()


def test_a_link_is_taken_away_and_added_again_while_the_other_carries_on(appliance: Appliance) -> None:
    a = appliance.a
    before = incarnations(appliance)
    for _ in range(5):
        a.yokectl("link", "remove", "ntb1")
        appliance.b.wait_session(links=1)
        a.yokectl("link", "add", "ntb1", "--device", a.device("ntb1"))
        for node in appliance:
            node.wait_session()
    assert incarnations(appliance) == before


@pytest.fixture
def volume(appliance: Appliance) -> Iterator[str]:
    """A volume that a owns, mirrored over both links, for one test."""
    a, device = appliance.a, appliance.lab.disk_device()
    a.yokectl("volume", "create", VOLUME, "--device", device, "--force")
    for node in appliance:
        node.open_volume(VOLUME, None, "--home", "0")
    a.wait_volume(VOLUME, "mirrored")
    yield VOLUME
    appliance.restore()
    for node in appliance:
        if node.run(f"[ -e {CONFIG}/volumes/{VOLUME} ]").code == 0:
            node.yokectl("volume", "close", VOLUME)


def names(node: Node) -> list[str]:
    return list(node.lab.config().links)


def replace(node: Node, link: str) -> None:
    node.yokectl("link", "remove", link)
    node.yokectl("link", "add", link, "--device", node.device(link))


def test_links_come_and_go_under_an_open_volume(appliance: Appliance, volume: str, tmp_path: Path) -> None:
    """At the owner and at the holder, one and the last, while somebody writes; a CPU goes off-line and comes back."""
    torture, a = str(build("yoke-torture")[0]), appliance.a
    record, disk = tmp_path / "record", f"/dev/{a.disk_of(volume)}"
    words = [torture, "write", "--device", disk, "--record", "-", "--blocks", str(BLOCKS), "--depth", "4"]
    with writing(appliance.lab, "a", [*words, "--read-check", "0.1", "--flush-every", "500"], record) as stream:
        for node in appliance:
            for link in ("ntb1", "ntb0"):
                stream.wait_for(stream.acknowledged() + 100)
                replace(node, link)
                for end in appliance:
                    end.wait_session()
                a.wait_volume(volume, "mirrored")
            cpu = "/sys/devices/system/cpu/cpu1/online"
            node.sh(f"echo 0 > {cpu}; echo 1 > {cpu}")
            replace(node, "ntb1")
            # The last one too: then the owner is alone for a while.
            for link in names(node):
                node.yokectl("link", "remove", link)
            a.wait_volume(volume, "solo")
            stream.wait_for(stream.acknowledged() + 20)
            for link in names(node):
                node.yokectl("link", "add", link, "--device", node.device(link))
            a.wait_volume(volume, "mirrored")
            stream.wait_for(stream.acknowledged() + 100)
    code, report = verify(appliance.lab, "a", torture, disk, record)
    assert code == 0 and report["io_errors"] == 0, report
    a.yokectl("giveback", volume)
    appliance.b.wait_volume(volume, "mirrored")
    code, report = verify(appliance.lab, "b", torture, f"/dev/{appliance.b.disk_of(volume)}", record)
    assert code == 0, report
    appliance.b.yokectl("giveback", volume)
    a.wait_volume(volume, "mirrored")


def test_a_device_is_free_when_no_volume_needs_its_window(appliance: Appliance, volume: str) -> None:
    """Another user gets the device of a link that was disabled, though a volume is open."""
    for node in (appliance.b, appliance.a):
        node.yokectl("link", "remove", "ntb1")
        device = node.device("ntb1")
        node.wait(
            "the device's release",
            f"mkdir -p {CONFIG}/links/x && echo {device} > {CONFIG}/links/x/device && echo 1 > {CONFIG}/links/x/enable",
        )
        node.sh(f"rmdir {CONFIG}/links/x")
        # No other number, no window that is kept: a client of another kind can have it.
        node.sh(f"rmmod ntb_tool 2>/dev/null || :; modprobe ntb_tool; [ -e /sys/bus/ntb/devices/{device}/driver ]")
        node.sh("rmmod ntb_tool")
        node.yokectl("link", "add", "ntb1", "--device", device)
        for end in appliance:
            end.wait_session()
    appliance.a.wait_volume(volume, "mirrored")


@pytest.fixture
def brittle(appliance: Appliance) -> Iterator[Brittle]:
    """As `volume`; the survivor reaches the disk through a device that can be told to fail the writes of data."""
    a, b, device = *appliance, appliance.lab.disk_device()
    below = Brittle(b, "brittle", device)
    a.yokectl("volume", "create", VOLUME, "--device", device, "--force")
    for node, disk in ((a, device), (b, below.path)):
        node.open_volume(VOLUME, disk, "--home", "0")
    a.wait_volume(VOLUME, "mirrored")
    yield below
    appliance.restore()
    below.heal()
    for node in appliance:
        if node.has_volume(VOLUME):
            node.wait_volume(VOLUME, "mirrored standby solo")
            node.yokectl("volume", "close", VOLUME)
    below.remove()


def test_the_only_copy_outlives_its_link(appliance: Appliance, brittle: Brittle, tmp_path: Path) -> None:
    """The owner is dead, the disk does not take what the survivor adopted, and its link is replaced: all of it is there."""
    torture, lab, b = str(build("yoke-torture")[0]), appliance.lab, appliance.b
    record = tmp_path / "record"
    words = [torture, "write", "--device", f"/dev/{appliance.a.disk_of(VOLUME)}", "--record", "-"]
    with writing(lab, "a", [*words, "--blocks", str(BLOCKS), "--depth", "8"], record) as stream:
        stream.wait_for(500)
        brittle.fail_writes()
        lab.kill("a")
    for link in names(b):
        replace(b, link)
    b.wait_volume(VOLUME, "degraded")
    only_here = b.volume(VOLUME)["dirty_blocks"]
    assert only_here > 0
    for link in reversed(names(b)):
        replace(b, link)
    code, report = verify(lab, "b", torture, f"/dev/{b.disk_of(VOLUME)}", record)
    assert code == 0 and report["acked_writes"] >= 500, report
    volume = b.volume(VOLUME)
    assert (volume["state"], volume["dirty_blocks"]) == ("degraded", only_here), volume
    # And what they keep is whole: the disk gets it, and it is right there too.
    brittle.heal()
    b.wait_volume(VOLUME, "solo")
    b.sh("echo 3 > /proc/sys/vm/drop_caches")
    code, report = verify(lab, "b", torture, f"/dev/{b.disk_of(VOLUME)}", record)
    assert code == 0, report


def test_the_only_copy_that_goes_with_its_device_is_given_up(
    appliance: Appliance, brittle: Brittle, tmp_path: Path
) -> None:
    """As before, and the devices of the links that were disabled are taken away. What stood in their windows is lost, and
    that is said; the volume does not wait for it for ever."""
    torture, lab, b = str(build("yoke-torture")[0]), appliance.lab, appliance.b
    words = [torture, "write", "--device", f"/dev/{appliance.a.disk_of(VOLUME)}", "--record", "-"]
    with writing(lab, "a", [*words, "--blocks", str(BLOCKS), "--depth", "8"], tmp_path / "record") as stream:
        stream.wait_for(500)
        brittle.fail_writes()
        lab.kill("a")
    b.wait_volume(VOLUME, "degraded")
    only_here = b.volume(VOLUME)["dirty_blocks"]
    assert only_here > 0
    for link in names(b):
        b.yokectl("link", "remove", link)
    assert b.volume(VOLUME)["corrupt_blocks"] == 0
    driver = "/sys/bus/pci/drivers/ntb_hw_ivshmem"
    for link in names(b):
        b.sh(f"echo {b.device(link)} > {driver}/unbind", timeout=30)
    place = f"/sys/block/{b.disk_of(VOLUME)}/yoke"
    lost = f'[ "$(cat {place}/corrupt_blocks)" = {only_here} ]'
    b.wait("the loss of what was in the windows", lost, say=f"cd {place}; cat state reason dirty_blocks corrupt_blocks")
    b.yokectl("volume", "forget-corrupt", VOLUME, "--blocks", str(only_here))
    b.wait_volume(VOLUME, "solo")
    assert b.volume(VOLUME)["dirty_blocks"] == 0
    for link in names(b):
        b.sh(f"echo {b.device(link)} > {driver}/bind", timeout=30)
        b.yokectl("link", "add", link, "--device", b.device(link))


@contextmanager
def traced(node: Node, threads: tuple[str, ...]) -> Iterator[list[str]]:
    """What these threads allocate and print meanwhile, a line each. Every one of them is there."""
    pids = "; ".join(f"pgrep -x {name} || exit 1" for name in threads)
    node.sh(
        f"cd {TRACING} 2>/dev/null || {{ mount -t tracefs none {TRACING}; cd {TRACING}; }}; echo 8192 > buffer_size_kb;"
        f"echo > trace; pids=$({pids}); echo $pids > set_event_pid;"
        " for e in kmem/kmalloc kmem/kmem_cache_alloc kmem/mm_page_alloc printk/console; do"
        " echo 1 > events/$e/enable; done; echo 1 > tracing_on"
    )
    lines: list[str] = []
    try:
        yield lines
    finally:
        off = f"cd {TRACING}; echo 0 > tracing_on; echo 0 > events/enable; echo > set_event_pid"
        lost = int(node.sh(f"{off}; cat per_cpu/cpu*/stats | awk '/^overrun/ {{n += $2}} END {{print n + 0}}'"))
        seen = node.sh("cd " + TRACING + "; grep -v '^#' trace || :; echo 1408 > buffer_size_kb")
        lines += [line for line in seen.splitlines() if any(f"{name}-" in line for name in threads) and its_own(line)]
    assert lost == 0, f"the trace has lost {lost} events"


def its_own(line: str) -> bool:
    """Whether the thread itself did it, not an interrupt that met it: THREAD [CPU] FLAGS TIME ..., the third flag tells."""
    flags = line.split()[2]
    return flags[2] == "."


def test_heartbeats_and_volumes_wait_for_no_memory(appliance: Appliance, volume: str, tmp_path: Path) -> None:
    """Somebody writes and reads, links and the session come and go, the volume changes its state: the threads that keep all
    that, and those that hand I/O to the disk, allocate nothing that waits for memory, and the one that keeps heartbeats
    nothing at all; nor does it print."""
    a, lab, torture = appliance.a, appliance.lab, str(build("yoke-torture")[0])
    keepers = ("yoke_links", "yoke_clients", "yoke_volume", "yoke-worker", "yoke-io-meta", "yoke-io-data")
    # It tells user space, and may wait for memory: the trace shows who does.
    control = "yoke-keeper"
    a.sh("dmesg -C")
    words = [torture, "write", "--device", f"/dev/{a.disk_of(volume)}", "--record", "-", "--blocks", str(BLOCKS)]
    words += ["--depth", "4", "--read-check", "0.2", "--flush-every", "100"]
    with writing(lab, "a", words, tmp_path / "record") as stream:
        stream.wait_for(100)
        with traced(a, (*keepers, control)) as lines:
            stream.wait_for(stream.acknowledged() + 200)
            for link in names(a):
                lab.cut(link)
            a.wait_volume(volume, "solo")
            stream.wait_for(stream.acknowledged() + 50)
            for link in names(a):
                lab.mend(link)
            a.wait_volume(volume, "mirrored")
            stream.wait_for(stream.acknowledged() + 200)
    assert "session with node 1 is over" in a.dmesg()
    waits, mine = [line for line in lines if "GFP_KERNEL" in line], f"{control}-"
    assert any(mine in line for line in waits), "the trace shows no allocation that waits"
    assert [line for line in lines if "yoke_links-" in line or ("console:" in line and mine not in line)] == []
    assert [line for line in waits if mine not in line] == []


def uevents(node: Node, script: str, what: str) -> list[dict[str, str]]:
    """The uevents of yoke while a line of shell runs, until one has a state of `what`."""
    listen = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15); s.bind((0, 1)); s.settimeout(60)\n"
        "open('/run/listens', 'w').close()\n"
        "while True:\n"
        "    e = dict(x.split('=', 1) for x in s.recv(65536).decode(errors='replace').split(chr(0)) if '=' in x)\n"
        "    if 'YOKE_STATE' in e:\n"
        "        print('|'.join(f'{k}={v}' for k, v in e.items()), flush=True)\n"
        "        if e['YOKE_STATE'] == sys.argv[1] and e.get('DEVPATH', '').endswith(sys.argv[2]): break\n"
    )
    state, path = what.split()
    node.sh("rm -f /run/listens")
    out = node.sh(
        f'code=$(cat); python3 -I -S -c "$code" {state} {path} & while [ ! -e /run/listens ]; do sleep 0.02; done; {script}; wait $!',
        timeout=120,
        stdin=listen.encode(),
    )
    return [dict(field.split("=", 1) for field in line.split("|")) for line in out.splitlines()]


def test_every_change_of_a_link_is_a_uevent(appliance: Appliance) -> None:
    a = appliance.a
    enable = f"{CONFIG}/links/ntb0/enable"
    events = uevents(a, f"echo 0 > {enable}; echo 1 > {enable}", "up yoke_link/ntb0")
    chain = [(e["YOKE_OLD"], e["YOKE_STATE"]) for e in events if e["DEVPATH"].endswith("/yoke_link/ntb0")]
    # From the state before to up, without a gap.
    assert chain[0][0] == "down" and chain[-1][1] == "up"
    assert all(before[1] == after[0] for before, after in pairwise(chain)), chain


def test_nothing_is_left_of_a_session_that_ends_while_its_peer_races(appliance: Appliance) -> None:
    """The last link goes in every moment of a handshake: no peer stays in sysfs, and everything can be unloaded."""
    a = appliance.a
    for link in names(a):
        a.yokectl("link", "remove", link)
    link, device = f"{CONFIG}/links/ntb0", a.device("ntb0")
    a.sh(
        f"mkdir {link}; echo {device} > {link}/device; for i in $(seq 60); do"
        f" echo 1 > {link}/enable; sleep 0.$(printf %03d $((i * 37 % 400))); echo 0 > {link}/enable;"
        ' [ -z "$(ls /sys/class/yoke_peer)" ] || exit 1; done; rmdir ' + link,
        timeout=180,
    )
    a.sh("rmmod yoke_ntb yoke ntb_hw_ivshmem")
    a.load()
    a.configure()
    for node in appliance:
        node.wait_session()


def test_two_appliances_on_one_cable_do_not_speak(appliance: Appliance) -> None:
    b = appliance.b
    links = f"{CONFIG}/links"
    b.sh(f"rmdir {links}/ntb0 {links}/ntb1; echo 11111111-2222-3333-4444-555555555555 > {CONFIG}/appliance")
    try:
        b.yokectl("link", "add", "ntb0", "--device", b.device("ntb0"))
        for node in appliance:
            node.wait(
                "a refusal", f"grep -q 'cannot be worked with' {LINK_CLASS}/ntb0/reason", say=f"cat {LINK_CLASS}/ntb0/*"
            )
            assert node.link("ntb0", "state") != "up"
    finally:
        b.sh(f"rmdir {links}/ntb0")
        b.configure()
    for node in appliance:
        node.wait_session()
