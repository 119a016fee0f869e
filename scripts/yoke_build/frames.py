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


def check(module: Path) -> list[str]:
    """What is too large in a module; nothing where it cannot be looked at."""
    if not shutil.which(OBJDUMP):
        return []
    done = subprocess.run(
        [OBJDUMP, "-d", "--no-show-raw-insn", str(module)], capture_output=True, text=True, errors="replace", check=True
    )
    return [f"{module.name}: {words}" for words in too_large(done.stdout)]
