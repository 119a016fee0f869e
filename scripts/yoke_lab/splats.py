#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What a kernel says when something is wrong with it. The one place that knows, for consoles and for dmesg.

As a program it reads a log from its standard input, prints the lines that count, and exits with 1 if there are any; it
needs nothing of the tree, so that it runs in a machine too: `dmesg | python3 -I scripts/yoke_lab/splats.py`.
"""

from __future__ import annotations

import re
import sys

PATTERN = re.compile(
    r"""
      \bBUG:\ .*                                 # oopses, KASAN, KFENCE, atomic sleep, soft lockup, workqueue lockup, lockdep
    | \bkernel\ BUG\ at\ .*
    | \bBUG\ [^ ]+\ \((Not\ tainted|Tainted).*   # SLUB: BUG kmalloc-64 (Not tainted): Poison overwritten
    | \bWARNING:\ .*                             # WARN(), and all of lockdep but what is below
    | \bOops\b.*
    | \b(KASAN|KCSAN|UBSAN|KFENCE|KMSAN):\ .*
    | \bINFO:\ trying\ to\ register\ non-static\ key.*
    | \bINFO:\ lockdep\ is\ turned\ off.*        # it found something before, or has no room: from then on it proves nothing
    | \bINFO:\ [^ ]+\ (self-)?detected\ (expedited\ )?stalls?\b.*
    | \b[^ ]+\ kthread\ (starved|timer\ wakeup\ didn't\ happen)\ for\ .*
    | \bINFO:\ task\ .*\bblocked\b.*             # hung tasks: "blocked for", "blocked in I/O wait for", "blocked on a mutex"
    | \bWatchdog\ detected\ hard\ LOCKUP\b.*
    | \bkmemleak:\ [1-9]\d*\ new\ suspected\ memory\ leaks.*
    | \bkmemleak:\ (Memory\ pool\ empty|Cannot\ allocate|Kernel\ memory\ leak\ detector\ disabled).*
    | \bunreferenced\ object\b.*                 # kmemleak's own file
    | \blist_(add|del)\ corruption\b.*
    | \brefcount_t:\ .*
    | \bODEBUG:\ .*
    | \bDMA-API:\ .*\b(device\ driver|cacheline\ tracking)\b.*
    | \brust_kernel:\ panicked\b.*
    | \bgeneral\ protection\ fault,\ .*          # a program's has an address in place of the comma
    | (?<!end\ )\bKernel\ panic\ -\ not\ syncing:\ (?!sysrq\ triggered\ crash).*   # that one was asked for
    """,
    re.VERBOSE,
)


# What lockdep finds in the kernel's own targets (7.3.4: the timer of LIO that ends a session, iscsi_target.c), which only shelves
# run. yoke is not loaded there.
OF_TARGETS = frozenset({"WARNING: possible irq lock inversion dependency detected"})


def find(text: str) -> list[str]:
    """The complaints in a log, a line each without what stands before them (time, level, module), in order."""
    matches = (PATTERN.search(line) for line in text.splitlines())
    return [match[0].strip() for match in matches if match]


def main() -> int:
    found = find(sys.stdin.read())
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
