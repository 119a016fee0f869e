# SPDX-License-Identifier: GPL-2.0
"""What counts as a complaint of a kernel, by the lines that Linux 7.3 prints, and in which boots it is looked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from yoke_build import kunit
from yoke_lab import splats
from yoke_lab.config import LabConfig, Paths
from yoke_lab.machine import Machine

SPLATS = [
    # mm/kasan/report.c, arch/x86/mm/fault.c, kernel/sched/core.c, lib/bug.c, mm/slub.c, mm/page_alloc.c
    "BUG: KASAN: slab-use-after-free in yoke_read+0x1a/0x40 [yoke]",
    "BUG: kernel NULL pointer dereference, address: 0000000000000008",
    "BUG: unable to handle page fault for address: ffffc90000a2d000",
    "BUG: sleeping function called from invalid context at include/linux/sched/mm.h:321",
    "BUG: scheduling while atomic: yoke_links/412/0x00000002",
    "BUG: spinlock bad magic on CPU#0, yoke_volume/91",
    "BUG: Bad page state in process dd  pfn:02a41",
    "BUG: KCSAN: data-race in a / b",
    "BUG kmalloc-64 (Not tainted): Poison overwritten",
    "BUG yoke_bio (Tainted: G           O       ): Redzone overwritten",
    "kernel BUG at mm/usercopy.c:102!",
    "rust_kernel: panicked at core/src/volume/tickets.rs:17:9:",
    # kernel/panic.c
    "WARNING: lib/refcount.c:28 at refcount_warn_saturate+0x94/0xf0, CPU#0: yoke_volume/91",
    "WARNING: at yoke_close+0x94/0xf0 [yoke], CPU#1: rmmod/801",
    "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
    "Kernel panic - not syncing: Fatal exception in interrupt",
    "Oops: general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] SMP KASAN",
    "Oops: invalid opcode: 0000 [#1] SMP",
    "general protection fault, maybe for address 0xffff888003a4c000: 0000 [#1] SMP",
    "KASAN: null-ptr-deref in range [0x0000000000000000-0x0000000000000007]",
    # lib/ubsan.c
    "UBSAN: array-index-out-of-bounds in drivers/x.c:10:5",
    "UBSAN: shift-out-of-bounds in net/x.c:11:22",
    # kernel/locking/lockdep.c
    "WARNING: possible circular locking dependency detected",
    "WARNING: possible recursive locking detected",
    "WARNING: inconsistent lock state",
    "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
    "WARNING: suspicious RCU usage",
    "WARNING: bad unlock balance detected!",
    "WARNING: yoke_volume/91 still has locks held!",
    "[ BUG: Invalid wait context ]",
    "BUG: MAX_LOCKDEP_CHAINS too low!",
    "INFO: trying to register non-static key.",
    "INFO: lockdep is turned off.",
    # kernel/rcu
    "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 0-...D } 6 jiffies s: 149 root: 0x1/.",
    "rcu: INFO: rcu_preempt detected stall, but suppressed full report due to a stuck CSD-lock.",
    "INFO: rcu_tasks detected stalls on tasks:",
    "rcu: rcu_preempt kthread starved for 15002 jiffies! g4725 f0x0 RCU_GP_WAIT_FQS(5) ->state=0x402 ->cpu=0",
    # kernel/hung_task.c, kernel/watchdog.c, kernel/workqueue.c
    "INFO: task jbd2/yoke0-8:412 blocked for more than 122 seconds.",
    "INFO: task dd:513 blocked in I/O wait for more than 122 seconds.",
    "INFO: task kworker/u4:1 flush:77 blocked for more than 241 seconds.",
    "INFO: task rmmod:801 is blocked on a mutex likely owned by task yoke_volume:91.",
    "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [yoke_links:90]",
    "watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 0",
    "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!",
    # mm/kmemleak.c, lib/debugobjects.c, lib/list_debug.c, lib/refcount.c, kernel/dma/debug.c
    "kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "kmemleak: 23 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "kmemleak: Memory pool empty, consider increasing CONFIG_DEBUG_KMEMLEAK_MEM_POOL_SIZE",
    "kmemleak: Kernel memory leak detector disabled",
    "unreferenced object 0xffff888003a4c000 (size 64):",
    "unreferenced object (percpu) 0x607f8e1a2b40 (size 8):",
    "ODEBUG: free active (active state 0) object: ffff888 object type: timer_list hint: yoke_tick+0x0/0x10 [yoke]",
    "list_del corruption. prev->next should be ffff888, but was dead000000000122. (prev=ffff888).",
    "refcount_t: underflow; use-after-free.",
    "DMA-API: ntb_hw_ivshmem 0000:00:10.0: device driver frees DMA memory with different size",
]

FINE = [
    "Linux version 7.3.4-yoke-debug (build@host) (clang 19) #1 SMP PREEMPT_LAZY",
    "kasan: KernelAddressSanitizer initialized (generic)",
    "kmemleak: Kernel memory leak detector initialized (mem pool available: 15871)",
    "kmemleak: Automatic memory scanning thread started",
    "Kernel panic - not syncing: sysrq triggered crash",
    "---[ end Kernel panic - not syncing: Attempted to kill init! ]---",
    "sysrq: Trigger a crash",
    "[Firmware Bug]: TSC doesn't count with P0 frequency!",
    "ACPI BIOS Error (bug): Could not resolve symbol",
    "Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar",
    "rcu: RCU lockdep checking is enabled.",
    "rcu: \tTasks-RCU CPU stall warnings timeout set to 600000 (rcu_task_stall_timeout).",
    "traps: fio[912] general protection fault ip:7f3a12 sp:7ffd11 error:0 in libc.so.6[7f3a10+150000]",
    "yoke: volume vol0: holding -> solo: the partner is gone",
    "yoke: vol0: INFO: none of these words is a complaint: task, blocked",
    "workqueue: yoke_work hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND",
    "Buffer I/O error on dev yoke0, logical block 3, async page read",
    "CPU: 0 UID: 0 PID: 91 Comm: yoke_volume Tainted: G           O        7.3.4-yoke #1 PREEMPT(lazy)",
    "DMA-API: preallocated 65536 debug entries",
    "DEBUG: nothing",
]
# Levels and times as consoles and dmesg show them.
PREFIXES = ["", "[   12.345678] ", "[   12.345678][   T91] ", "<4>[    1.000000] "]


@pytest.mark.parametrize("line", SPLATS)
def test_complaints_are_found(line: str) -> None:
    for prefix in PREFIXES:
        text = f"[    0.1] before\r\n{prefix}{line}\r\n[   99.9] after\r\n"
        (found,) = splats.find(text)
        assert found in line and len(found) > len(line) / 2, found


@pytest.mark.parametrize("line", FINE)
def test_what_is_no_complaint_is_left_alone(line: str) -> None:
    assert [splats.find(prefix + line) for prefix in PREFIXES] == [[]] * len(PREFIXES)


def test_every_complaint_is_told_in_order() -> None:
    assert splats.find("\n".join(SPLATS + FINE)) == [splats.find(line)[0] for line in SPLATS]


def test_as_a_program() -> None:
    """As machines run it: alone, without the tree."""

    def run(text: str) -> tuple[int, str]:
        words = [sys.executable, "-I", "-S", splats.__file__]
        done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert run("\n".join(FINE)) == (0, "")
    assert run(f"{FINE[0]}\n[ 1.0] {SPLATS[0]}\n") == (1, SPLATS[0] + "\n")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine that has booted twice and is not running."""
    config = LabConfig(name="splats", kernel="", modules=None, server="", agent="", log_dir=str(tmp_path))
    paths = Paths("splats")
    paths.root = tmp_path / "root"
    made = Machine(config, paths, "a")
    for boot in (1, 2):
        paths.console(config, "a", boot).write_text(f"[ 0.1] boot {boot}\n")
    made.boot = 2
    yield made


@pytest.mark.parametrize("boot", [1, 2])
def test_every_boot_of_a_machine_is_looked_through(machine: Machine, boot: int) -> None:
    with machine.paths.console(machine.config, "a", boot).open("a") as console:
        console.write(f"[ 5.0] {SPLATS[0]}\n")
    # Twice: what is remembered of a boot that is over is the same.
    for _ in range(2):
        assert machine.status()["splats"] == [f"boot {boot}: {SPLATS[0]}"]


def test_the_present_boot_is_looked_at_afresh(machine: Machine) -> None:
    assert machine.status()["splats"] == []
    with machine.paths.console(machine.config, "a", 2).open("a") as console:
        console.write(f"[ 5.0] {SPLATS[0]}\n")
    assert machine.status()["splats"] == [f"boot 2: {SPLATS[0]}"]


@pytest.mark.parametrize(("node", "counts"), [("a", True), ("shelf0", False)])
def test_what_lockdep_finds_in_a_target_counts_on_controllers_only(machine: Machine, node: str, counts: bool) -> None:
    (complaint,) = splats.OF_TARGETS
    machine.config.shelves = 1
    other = Machine(machine.config, machine.paths, node) if node != "a" else machine
    other.boot = 1
    machine.paths.console(machine.config, node, 1).write_text(f"[ 5.0] {complaint}\n[ 6.0] {SPLATS[0]}\n")
    told = [f"boot 1: {complaint}"] if counts else []
    assert [line for line in other.splats() if line.startswith("boot 1")] == [*told, f"boot 1: {SPLATS[0]}"]


def test_a_console_that_is_gone_is_not_taken_for_a_quiet_one(machine: Machine) -> None:
    machine.paths.console(machine.config, "a", 1).unlink()
    assert machine.status()["splats"] == ["boot 1: its console log is gone"]


def test_the_console_of_kunit_is_looked_through(tmp_path: Path) -> None:
    console, results = tmp_path / "console", tmp_path / "results"
    results.write_text("### suite x\nKTAP version 1\n1..1\nok 1 x\n### end\n")
    console.write_text("[ 0.1] boot\n")
    assert kunit._read(results, console, [], []).problems == []
    console.write_text(f"[ 0.1] {SPLATS[33]}\n")
    assert kunit._read(results, console, [], []).problems == [f"kernel: {splats.find(SPLATS[33])[0]}"]
