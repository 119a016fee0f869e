# SPDX-License-Identifier: GPL-2.0
"""How much stack the functions of a module take: a kernel stack has 16 KiB, and no compiler warns for Rust."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

OBJDUMP = "llvm-objdump-19"
# Half of a stack, less what a system call takes on its way here.
LIMIT = 7168
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
FRAME = re.compile(r"\bsub[lq]?\s+\$0x([0-9a-f]+), %rsp")
PUSH = re.compile(r"\bpush[lq]?\s")
CALL = re.compile(r"\bcall[lq]?\s+0x[0-9a-f]+ <([^+>]+)(?:\+0x[0-9a-f]+)?>")
# Where a call goes to that the linker fills in: stands below it.
TARGET = re.compile(r"R_X86_64_(?:PLT32|PC32)\s+(\S+?)(?:[-+]0x[0-9a-f]+)?$")
# Of a path of calls within a module: the rest is for whoever calls it, and for what it calls in the kernel.
PATH_LIMIT = 11 * 1024


def frames(listing: str) -> dict[str, int]:
    """Function -> bytes of its largest single frame, from a disassembly."""
    found: dict[str, int] = {}
    function = ""
    for line in listing.splitlines():
        if match := FUNCTION.match(line):
            function = match[1]
        elif match := FRAME.search(line):
            found[function] = max(found.get(function, 0), int(match[1], 16))
    return found


def too_large(listing: str, limit: int = LIMIT) -> list[str]:
    """The functions over the limit, in words."""
    return [
        f"{name}: a stack frame of {size:,} bytes, {limit:,} at most"
        for name, size in sorted(frames(listing).items())
        if size > limit
    ]


def calls(listing: str) -> dict[str, set[str]]:
    """Function -> the functions that it calls by their names."""
    found: dict[str, set[str]] = {}
    function, called = "", ""
    for line in listing.splitlines():
        if match := FUNCTION.match(line):
            function, called = match[1], ""
        elif match := CALL.search(line):
            # Into itself at some offset: the linker's line, the next one, has the name.
            called = match[1]
            found.setdefault(function, set()).add(called)
        elif called and (match := TARGET.search(line)):
            found[function].discard(called)
            found[function].add(match[1])
            called = ""
        else:
            called = ""
    return found


def own_bytes(listing: str) -> dict[str, int]:
    """Function -> what one call of it takes: its frame, what it pushes, and the return address."""
    found: dict[str, int] = {}
    function = ""
    for line in listing.splitlines():
        if match := FUNCTION.match(line):
            function = match[1]
            found[function] = 8
        elif PUSH.search(line):
            found[function] = found.get(function, 8) + 8
    for name, size in frames(listing).items():
        found[name] = found.get(name, 8) + size
    return found


def deepest(listing: str) -> tuple[int, list[str]]:
    """The path of calls that takes most, and its bytes. A function that calls itself counts once."""
    sizes, edges = own_bytes(listing), calls(listing)
    known: dict[str, tuple[int, list[str]]] = {}

    def below(name: str, above: frozenset[str]) -> tuple[int, list[str]]:
        if name in known:
            return known[name]
        inner = above | {name}
        paths = [below(called, inner) for called in edges.get(name, set()) - inner if called in sizes]
        size, path = max(paths, default=(0, []))
        known[name] = sizes[name] + size, [name, *path]
        return known[name]

    return max((below(name, frozenset()) for name in sizes), default=(0, []))


def too_deep(listing: str, limit: int = PATH_LIMIT) -> list[str]:
    """The deepest path of calls if it is over the limit, in words."""
    size, path = deepest(listing)
    return [f"calls that take {size:,} bytes of stack, {limit:,} at most: {' > '.join(path)}"] if size > limit else []


def check(module: Path) -> list[str]:
    """What is too large in a module; nothing where it cannot be looked at."""
    if not shutil.which(OBJDUMP):
        return []
    done = subprocess.run(
        [OBJDUMP, "-dr", "--no-show-raw-insn", str(module)],
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    )
    return [f"{module.name}: {words}" for words in too_large(done.stdout) + too_deep(done.stdout)]
