# SPDX-License-Identifier: GPL-2.0
"""Machines as virtme-ng boots them, with the lab's devices among its QEMU options.

`vng` is asked for its QEMU command, and the lab runs that: `vng` would stand between the lab and QEMU, and a machine that is
killed, paused or dies has to be the lab's own child (docs/lab.md).
"""

from __future__ import annotations

import os
import shlex
import subprocess

from yoke_build.tools import venv

from . import qemu
from .config import LabConfig, Paths
from .errors import LabError

# Where `vng` has QEMU write what the kernel says.
ITS_CONSOLE = "file,id=console,path=/proc/self/fd/2"
# Of the root these can be written to; nothing of that reaches the host.
WRITABLE = ("/mnt", "/root")


def command(config: LabConfig, paths: Paths, node: str, boot: int) -> list[str]:
    """QEMU's command line. LabError if `vng` does not make one."""
    programs = venv() / "bin"
    ask = [
        str(programs / "vng"),
        "--dry-run",
        "--verbose",
        "--run",
        config.kernel,
        "--disable-microvm",
        "--disable-monitor",
    ]
    ask += [
        "--force-9p",
        "--user",
        "root",
        "--cwd",
        "/",
        "--cpus",
        str(config.cpus),
        "--memory",
        f"{config.memory_mib}M",
    ]
    ask += [] if config.accelerator == "kvm" else ["--disable-kvm"]
    ask += [word for place in WRITABLE for word in ("--overlay-rwdir", place)]
    ask += ["--name", qemu.process_name(config, node)]
    ask += [word for words in qemu.kernel_words(config, node) for word in ("--append", words)]
    ask += [f"--qemu-opts={shlex.join(qemu.devices(config, paths, node))}", "--exec", f"{config.agent} join"]
    # It looks for its own programs there, and leaves a file for the status of what it runs in the machine.
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(paths.root)}
    try:
        done = subprocess.run(ask, capture_output=True, text=True, check=False, env=environment, timeout=60)
    except FileNotFoundError:
        raise LabError("there is no vng", "make bootstrap") from None
    words = shlex.split(done.stdout)
    if done.returncode != 0 or qemu.BINARY not in (words[0] if words else "") or ITS_CONSOLE not in words:
        raise LabError(f"vng does not say how to boot: {done.stderr.strip() or done.stdout.strip()}", shlex.join(ask))
    words[words.index(ITS_CONSOLE)] = f"file,id=console,path={paths.console(config, node, boot)}"
    return words
