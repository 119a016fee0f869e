# SPDX-License-Identifier: GPL-2.0
"""Runs the KUnit suites of the modules in a machine of their own: an initramfs, two serial ports, no disk, no network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from yoke_lab import splats

from . import cache, ktap, progress
from .errors import BuildError
from .kernel import BOOT_WORDS

ROOT = Path(__file__).resolve().parents[2]
SUITE = re.compile(r"kunit_tests\((\w+)\)")
LIMIT_S = 600
MEMORY_MIB = 512


@dataclass
class Report:
    """What the machine said."""

    suites: list[ktap.Suite]
    loaded: list[str]
    problems: list[str] = field(default_factory=list)


def expected_suites(root: Path = ROOT) -> dict[str, Path]:
    """Suite -> source file of every KUnit suite that the sources of the modules declare."""
    found: dict[str, Path] = {}
    for directory in ("rust/core/src", "rust/sys", "rust/yoke", "drivers"):
        for file in sorted((root / directory).rglob("*.rs")):
            for match in SUITE.finditer(file.read_text(encoding="utf-8")):
                if match[1] in found:
                    raise BuildError(
                        f"two KUnit suites are named {match[1]}: in {found[match[1]]} and in {file}", "rename one"
                    )
                found[match[1]] = file
    return found


def load_order(modules: list[Path], kernel: Path) -> list[Path]:
    """`modules` with the modules that they depend on, each after what it needs."""
    ours = {module.stem.replace("-", "_"): module for module in modules}
    theirs = {
        Path(line).stem.replace("-", "_"): (kernel / line).with_suffix(".ko")
        for line in (kernel / "modules.order").read_text(encoding="utf-8").split()
    }
    order: list[Path] = []

    def visit(name: str, wanted_by: str) -> None:
        path = ours.get(name) or theirs.get(name)
        if not path:
            raise BuildError(f"{wanted_by} needs the module {name}, which is neither ours nor the kernel's")
        if path in order:
            return
        command = ["/sbin/modinfo", "-F", "depends", str(path)]
        depends = subprocess.run(command, text=True, capture_output=True, check=True).stdout.strip()
        for dependency in filter(None, depends.split(",")):
            visit(dependency.replace("-", "_"), name)
        order.append(path)

    for name in ours:
        visit(name, name)
    return order


def initramfs(order: list[Path], work: Path) -> Path:
    """An archive with busybox, kunit/init and the modules, numbered in their order."""
    tree = cache.fresh_dir(work / "initramfs")
    busybox = shutil.which("busybox")
    if not busybox:
        raise BuildError("busybox is not installed", "scripts/bootstrap")
    for name in ("bin", "dev", "proc", "sys", "modules"):
        (tree / name).mkdir()
    shutil.copy2(busybox, tree / "bin/busybox")
    for applet in ("sh", "mount", "insmod", "rmmod", "cat", "tr", "sort", "grep", "stty", "sync", "poweroff"):
        (tree / "bin" / applet).symlink_to("busybox")
    shutil.copy2(ROOT / "kunit/init", tree / "init")
    for number, module in enumerate(order):
        shutil.copy2(module, tree / "modules" / f"{number:03d}-{module.name}")
    archive = work / "initramfs.cpio"
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    with open(archive, "wb") as sink:
        command = ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"]
        subprocess.run(command, cwd=tree, input=names.encode(), stdout=sink, check=True)
    return archive


def run(image: Path, archive: Path, work: Path, wanted: Collection[str], memory_mib: int = MEMORY_MIB) -> Report:
    """Boots `image` and reads what the suites `wanted` report; the kernel has some of its own. The machine is gone when this returns or raises."""
    console, results = work / "console.log", work / "results.ktap"
    results.unlink(missing_ok=True)
    command = [
        "qemu-system-x86_64",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-machine",
        "q35",
        "-accel",
        "tcg",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        f"{memory_mib}M",
        "-chardev",
        f"file,id=console,path={console}",
        "-serial",
        "chardev:console",
        "-chardev",
        f"file,id=results,path={results}",
        "-serial",
        "chardev:results",
        "-kernel",
        str(image),
        "-initrd",
        str(archive),
        "-append",
        BOOT_WORDS,
    ]
    limit = LIMIT_S * float(os.environ.get("YOKE_TIMEOUT_FACTOR", "1"))
    line = progress.Line("running the KUnit suites")
    line.show("booting")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        status = process.wait(timeout=limit)
        problems = [] if status == 0 else [f"QEMU ended with status {status}"]
    except subprocess.TimeoutExpired:
        problems = [f"the machine was not done after {limit:.0f} s"]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    line.done("done")
    return _read(results, console, wanted, problems)


def _read(results: Path, console: Path, wanted: Collection[str], problems: list[str]) -> Report:
    text = results.read_text(encoding="utf-8", errors="replace") if results.exists() else ""
    report = Report([], [], problems)
    sections = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    for section in sections:
        head, _, body = section.partition("\n")
        kind, _, name = head.strip().rpartition(" ")
        if kind == "suite":
            if name in wanted:
                report.suites.append(ktap.parse(name, body))
        elif kind == "loaded":
            report.loaded.append(name)
        elif kind:
            report.problems.append(f"{kind}: {name}")
    if not sections or sections[-1].strip() != "end":
        report.problems.append("the machine did not get to its end")
    found = splats.find(console.read_text(encoding="utf-8", errors="replace"))
    report.problems += [f"kernel: {line}" for line in found[:5]]
    return report
