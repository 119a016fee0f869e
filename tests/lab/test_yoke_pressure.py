# SPDX-License-Identifier: GPL-2.0
"""Volumes where processors and memory are short: CPUs that come and go under load, and swap on a volume whose partner
dies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from yoke_lab.appliance import Appliance
from yoke_lab.host_tools import build
from yoke_lab.lab import Finished, Lab
from yoke_lab.timing import is_long, scaled
from yoke_lab.torture import verify, writing

LAB_OPTIONS = {"disk_bytes": [320 << 20], "memory_mib": 512, "cpus": 2}
VOLUME = "vol0"
CPU = "/sys/devices/system/cpu/cpu1/online"
SAID = "/run/hog"
# Where everything stands that could keep memory from being swapped.
STANDS = (
    f"cat {SAID}; head -n 3 /proc/meminfo; grep -h . /proc/[0-9]*/comm | sort | uniq -c | sort -n | tail -n 3;"
    " for p in $(pgrep 'python3|kswapd|yoke'); do cat /proc/$p/comm /proc/$p/wchan /proc/$p/stack; echo; done 2>/dev/null;"
    " grep -H . /sys/block/yoke*/inflight /sys/block/yoke*/yoke/*; dmesg | tail -n 40"
)

TURNS = 2 if is_long() else 1
# Touches more pages than there is memory, so many times, says how far it is, and looks whether each is what it was.
HOG = """
import mmap, sys
more, said, turns = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
free = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemAvailable"))
pages = free // 4 + more * 256
memory = mmap.mmap(-1, pages * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
def stamp(page, turn):
    return (page * 2654435761 + turn).to_bytes(8, "little")
for turn in range(turns):
    for page in range(pages):
        memory[page * 4096 : page * 4096 + 8] = stamp(page, turn)
        if page % 1024 == 0:
            with open(said, "w") as file:
                file.write(f"{turn} {page * 100 // pages}")
wrong = sum(memory[page * 4096 : page * 4096 + 8] != stamp(page, turn) for page in range(pages))
with open(said, "w") as file:
    file.write("done")
print(pages, wrong)
"""


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Appliance:
    appliance = Appliance(lab)
    appliance.up()
    appliance.a.yokectl("volume", "create", VOLUME, "--device", lab.disk_device())
    for node in appliance:
        node.open_volume(VOLUME, None, "--home", "0")
    return appliance


@pytest.fixture
def appliance(whole: Appliance) -> Iterator[Appliance]:
    """Both alive, a as the owner, mirrored; no kernel complains after it."""
    for node in whole:
        if whole.lab.node_status(node.name)["pid"] is None:
            whole.lab.start(node.name)
            node.load()
            node.configure()
            node.open_volume(VOLUME, None, "--home", "0")
    for node in whole:
        node.wait_session()
    whole.a.wait_volume(VOLUME, "mirrored", 120)
    yield whole
    assert whole.splats() == []


def test_cpus_come_and_go_under_load(appliance: Appliance, tmp_path: Path) -> None:
    """At both ends; then the owner dies, and all is at the survivor."""
    torture, lab = str(build("yoke-torture")[0]), appliance.lab
    record, disk = tmp_path / "record", appliance.a.disk_of(VOLUME)
    words = [torture, "write", "--device", f"/dev/{disk}", "--record", "-", "--blocks", "8192", "--depth", "8"]
    with writing(lab, "a", [*words, "--read-check", "0.1", "--flush-every", "300"], record) as stream:
        stream.wait_for(100)
        for _ in range(6):
            for node in appliance:
                node.sh(f"echo 0 > {CPU}")
                stream.wait_for(stream.acknowledged() + 50)
                node.sh(f"echo 1 > {CPU}")
                stream.wait_for(stream.acknowledged() + 50)
        appliance.a.wait_volume(VOLUME, "mirrored")
        for node in appliance:
            assert node.peer("links_up") == "2"
        lab.kill("a")
    appliance.b.wait_volume(VOLUME, "degraded solo")
    code, report = verify(lab, "b", torture, f"/dev/{appliance.b.disk_of(VOLUME)}", record)
    assert code == 0 and report["io_errors"] == 0, report
    lab.start("a")
    appliance.a.load()
    appliance.a.configure()
    appliance.a.open_volume(VOLUME, None, "--home", "0")
    appliance.b.wait_volume(VOLUME, "mirrored", 120)
    appliance.b.yokectl("giveback", VOLUME)


@pytest.mark.parametrize("death", [pytest.param("links", marks=pytest.mark.long), "partner"])
def test_swap_on_a_volume_whose_partner_dies(appliance: Appliance, death: str) -> None:
    """More memory is used than there is; the volume is where it goes. It goes on, alone, and every page is right."""
    a, lab = appliance.a, appliance.lab
    disk = f"/dev/{a.disk_of(VOLUME)}"
    a.sh(f"rm -f {SAID}*; mkswap {disk} >/dev/null; swapon {disk}; echo 1 > /proc/sys/vm/overcommit_memory")
    ended: list[Finished] = []

    def hog() -> None:
        # It outlives every wait below, so that these find it where it stands.
        hogs = f'python3 -I -S -c "$(cat)" 64 {SAID} {TURNS}; code=$?; touch {SAID}.end; exit $code'
        ended.append(a.run(hogs, timeout=900, stdin=HOG.encode()))

    thread = threading.Thread(target=hog)
    thread.start()
    try:
        a.wait("memory that is swapped", "[ $(awk '$1 == \"SwapFree:\" {f = $2} $1 == \"SwapTotal:\" {t = $2}"
               " END {print t - f}' /proc/meminfo) -gt 16384 ]", 300, say=STANDS)  # fmt: skip
        if death == "partner":
            lab.kill("b")
        else:
            for link in lab.config().links:
                lab.cut(link)
        a.wait_volume(VOLUME, "solo", 120)
        a.wait("the end of it", f"[ -e {SAID}.end ]", 300, say=STANDS)
    finally:
        a.sh("pkill python3 || :")
        thread.join(scaled(60))
        for link in lab.status()["links"]:
            if link["state"] != "whole":
                lab.mend(link["name"])
    assert ended and ended[0].code == 0, (ended, a.sh(STANDS))
    pages, wrong = map(int, ended[0].text.split())
    assert pages > 65536 and wrong == 0
    a.sh(f"swapoff {disk}", timeout=300)
