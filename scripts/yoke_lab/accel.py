# SPDX-License-Identifier: GPL-2.0
"""Whether KVM really runs a guest here. The device node proves nothing: it is there, and even makes virtual
machines, on hosts that are themselves paravirtual and cannot run one instruction of a guest."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from pathlib import Path

from .qemu import BINARY
from .timing import scaled

# A guest that runs says something at once and ends in a second or two.
SILENCE_SECONDS = 4.0
PROBE_SECONDS = 20.0
# What a kernel without a root says once it has run thousands of lines of itself.
RAN_MARK = b"Kernel panic - not syncing"


def choose(kernel: str) -> str:
    """ "kvm" or "tcg", from the cache or by a probe."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    cache = cache_path()
    key = probe_key()
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
        if known["key"] == key:
            return str(known["accelerator"])
    except (OSError, ValueError, KeyError, TypeError):
        # No answer that can be used: ask again.
        pass
    runs = kvm_runs(kernel)
    if runs is None:
        return "tcg"
    accelerator = "kvm" if runs else "tcg"
    cache.parent.mkdir(parents=True, exist_ok=True)
    temporary = cache.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({"key": key, "accelerator": accelerator}), encoding="utf-8")
    temporary.rename(cache)
    return accelerator


def cache_path() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "yoke" / "kvm-probe.json"


def probe_key() -> str:
    """Another boot of the host, or another QEMU, may answer otherwise."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    version = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=False).stdout.partition("\n")[
        0
    ]
    return f"{boot} {version}"


def kvm_runs(kernel: str) -> bool | None:
    """Boots the kernel, without a root, until it panics for the lack of one: then KVM runs guests.

    None where QEMU ended by itself, which says nothing (a broken kernel image, say).
    """
    words = [
        BINARY,
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-machine",
        "q35",
        "-accel",
        "kvm",
        "-cpu",
        "host",
    ]
    words += ["-m", "512M", "-no-reboot", "-serial", "stdio", "-kernel", kernel, "-append", "console=ttyS0 panic=-1"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    deadline = time.monotonic() + scaled(PROBE_SECONDS)
    seen = b""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while RAN_MARK not in seen and b"KVM internal error" not in seen:
                left = deadline - time.monotonic()
                if not selector.select(max(0.0, min(left, scaled(SILENCE_SECONDS)))):
                    return False
                data = os.read(process.stdout.fileno(), 1 << 16)
                if not data:
                    return None
                seen += data
        return RAN_MARK in seen
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
