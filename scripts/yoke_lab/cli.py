# SPDX-License-Identifier: GPL-2.0
"""The virtual appliance: two controllers that are QEMU machines, joined by emulated NTB links, sharing disks."""

from __future__ import annotations

import argparse
import json
import os
import sys
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .config import DEBUG_MEMORY_MIB, TREE, parse_size, wants_debug
from .default import default_config
from .errors import ControllerGone, LabError
from .initiator import Initiator
from .lab import Lab
from .shelf import Shelf

GONE_STATUS = 255
LAB_SCRIPT = "scripts/lab"

NEXT = """next:
  {lab} shell {a}              a shell in a controller (the tree is there, build/modules too)
  {lab} exec {a} -- dmesg      one command
  {lab} kill {a}; {lab} start {a}
  {lab} cut {link}; {lab} mend {link}
  {lab} status
  {lab} down"""

EXAMPLES = """
examples:
  lab up                          boot controllers a and b, links ntb0 and ntb1, one shared disk
  lab exec a -- dmesg             run a command in controller a; streams and exit status are its own
  lab shell a                     a shell in controller a
  lab kill a; lab start a         SIGKILL the machine, boot it again: same node number, same link ids
  lab cut ntb0; lab mend ntb0     pull and plug the cable
  lab status                      what is alive, paused, panicked, cut
  lab down                        end everything

Several labs at once: --name NAME, or LAB_NAME. Slow machine: YOKE_TIMEOUT_FACTOR=3.
"""


def main(arguments: list[str]) -> int:
    """Runs one command; its exit status."""
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except ControllerGone as error:
        complain(error)
        return GONE_STATUS
    except LabError as error:
        complain(error)
        return 1
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def complain(error: LabError) -> None:
    print(f"lab: {error}", file=sys.stderr)
    if error.hint:
        print(f"  try: {error.hint}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="lab", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument(
        "--name", default=os.environ.get("LAB_NAME", "main"), help="which lab (default: LAB_NAME, or main)"
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up_options(commands.add_parser("up", help="bring a lab up and wait until both controllers answer"))
    execute = commands.add_parser("exec", help="run a command in a controller")
    execute.add_argument("--cwd", help="directory to run it in")
    execute.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    execute.add_argument(
        "-n", "--no-input", action="store_true", help="give it no input, and take none from the caller's"
    )
    execute.add_argument("node")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD")
    execute.set_defaults(run=run_exec)
    shell = commands.add_parser("shell", help="open a shell in a controller")
    shell.add_argument("node")
    shell.set_defaults(run=run_shell)
    for verb, words in {
        "kill": "SIGKILL the machine's QEMU",
        "pause": "stop the whole machine (SIGSTOP)",
        "resume": "let a paused machine go on",
        "start": "boot a machine that is not running",
    }.items():
        one = commands.add_parser(verb, help=words)
        one.add_argument("node")
        one.set_defaults(run=run_start if verb == "start" else run_node, verb=verb)
    for verb, words in {"cut": "cut a link, or a wire of a shelf", "mend": "mend it"}.items():
        one = commands.add_parser(verb, help=words)
        one.add_argument("link")
        one.add_argument("--json", action="store_true", help="print the link's state as JSON")
        one.set_defaults(run=run_link, verb=verb)
    bells = commands.add_parser("doorbells", help="lose or delay a link's doorbells")
    bells.add_argument("link")
    what = bells.add_mutually_exclusive_group(required=True)
    what.add_argument("--drop", metavar="N|all|none", help="lose the next N")
    what.add_argument("--delay", metavar="MS", type=int, help="hold each back; 0 ends it")
    bells.set_defaults(run=run_doorbells)
    shelf_options(commands.add_parser("disk", help="make a disk of a shelf slow, sick or whole"))
    logs = commands.add_parser("logs", help="print a controller's console log")
    logs.add_argument("node")
    logs.add_argument("--boot", type=int, help="of an earlier boot (1 is the first)")
    logs.add_argument("--path", action="store_true", help="print where the file is instead")
    logs.set_defaults(run=run_logs)
    status = commands.add_parser("status", help="say how everything is")
    status.add_argument("--json", action="store_true")
    status.set_defaults(run=run_status)
    commands.add_parser("down", help="end everything and remove the files").set_defaults(
        run=lambda o: Lab(o.name).down()
    )
    return top


def up_options(up: argparse.ArgumentParser) -> None:
    up.add_argument("--kernel", help="bzImage to boot (default: the one that `make kernel` builds)")
    up.add_argument("--debug-kernel", action="store_true", help="the kernel with KASAN and lockdep instead")
    up.add_argument(
        "--disk", action="append", metavar="SIZE", help="a shared disk; may be repeated (default: one of 1G)"
    )
    up.add_argument("--disk-dir", help="keep the disks in this directory (default: temporary ones)")
    up.add_argument(
        "--shelf", action="count", default=0, help="a machine with disks, reached by network; twice for two"
    )
    up.add_argument(
        "--shelf-disk", action="append", metavar="HOW:SIZE", help="of each shelf (default: nvme:256M and iscsi:256M)"
    )
    up.add_argument("--wires", type=int, default=1, help="from each shelf to each controller, 1 or 2 (default: 1)")
    up.add_argument("--link", action="append", metavar="NAME", help="a link; may be repeated (default: ntb0 and ntb1)")
    up.add_argument("--link-size", default="64M", help="memory of a link, a power of two (default: 64M)")
    up.add_argument("--memory", type=int, default=1024, metavar="MIB", help="of each controller (default: 1024)")
    up.add_argument("--cpus", type=int, default=1, help="of each controller (default: 1)")
    up.add_argument(
        "--parallel", action="store_true", help="emulated CPUs of a machine run at the same time, at a risk"
    )
    up.add_argument("--vng", action="store_true", help="boot as virtme-ng does, with its process 1")
    up.add_argument("--append", default="", metavar="WORDS", help="more words for the kernel's command line")
    up.add_argument(
        "--insmod", action="append", default=[], metavar="KO", help="load a module at every boot; may be repeated"
    )
    up.add_argument("--log-dir", help="keep the logs in this directory, also after `down`")
    up.add_argument("--tied-to", type=int, metavar="PID", help="take the lab down when that process ends")
    up.add_argument("--json", action="store_true", help="print the state as JSON when it is up")
    up.set_defaults(run=run_up)


def shelf_options(disk: argparse.ArgumentParser) -> None:
    disk.add_argument("disk", metavar="SHELF-N", help="for example shelf0-1")
    disk.add_argument("state", choices=["whole", "slow", "failing", "hung", "protected", "unprotected"])
    disk.add_argument("--read-ms", type=int, default=0, help="slow: how long each read waits")
    disk.add_argument("--write-ms", type=int, default=1000, help="slow: how long each write waits (default: 1000)")
    disk.add_argument("--what", choices=["writes", "reads", "all"], default="writes", help="failing: what does")
    disk.set_defaults(run=run_disk)


def run_up(options: argparse.Namespace) -> None:
    begin = time.monotonic()

    def progress(text: str) -> None:
        print(f"[{time.monotonic() - begin:5.1f} s] {text}", file=sys.stderr, flush=True)

    progress("building the lab's tools, looking for the kernel and for KVM")
    config = default_config(options.name, debug_kernel=options.debug_kernel, kernel=options.kernel)
    config.disk_bytes = [parse_size(size) for size in options.disk or ["1G"]]
    config.disk_dir = options.disk_dir and str(Path(options.disk_dir).resolve())
    config.links = options.link or config.links
    config.shelves, config.shelf_wires = options.shelf, options.wires
    config.shelf_disks = options.shelf_disk or config.shelf_disks
    config.link_bytes = parse_size(options.link_size)
    config.memory_mib, config.append, config.vng = options.memory, options.append, options.vng
    config.cpus, config.parallel = options.cpus, options.parallel
    if options.debug_kernel or wants_debug():
        config.memory_mib = max(config.memory_mib, DEBUG_MEMORY_MIB)
    config.insmod = [str(Path(module).resolve()) for module in options.insmod]
    config.log_dir = options.log_dir and str(Path(options.log_dir).resolve())
    config.tied_to = options.tied_to
    lab = Lab(options.name)
    lab.up(config, progress)
    for name in config.shelf_names():
        progress(f"offering the disks of {name} to the controllers")
        shelf = Shelf(lab, name)
        shelf.serve()
        for node in config.nodes:
            Initiator(lab, node).attach(shelf)
    if options.json:
        print(json.dumps(lab.status(), indent=1))
    else:
        seconds = time.monotonic() - begin
        print(
            f"lab {options.name} is up after {seconds:.1f} s: {' and '.join(config.nodes)}, {config.accelerator}",
            file=sys.stderr,
        )
        print(
            NEXT.format(
                lab=LAB_SCRIPT + ("" if options.name == "main" else f" --name {options.name}"),
                a=config.nodes[0],
                link=config.links[0],
            ),
            file=sys.stderr,
        )


def run_exec(options: argparse.Namespace) -> int:
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        raise LabError("there is no command to run", f"lab exec {options.node} -- uname -r")
    env = dict(text.split("=", 1) for text in options.env if "=" in text)
    command = Lab(options.name).command(options.node, argv, cwd=options.cwd, env=env)
    try:
        if options.no_input:
            command.end_input()
        else:
            command.feed(open(0, "rb", buffering=0, closefd=False))
        return command.run(lambda data: write_all(1, data), lambda data: write_all(2, data))
    finally:
        command.close()


def run_shell(options: argparse.Namespace) -> int:
    if not (os.isatty(0) and os.isatty(1)):
        raise LabError("a shell needs a terminal", f"lab exec {options.node} -- sh -c 'COMMANDS'")
    columns, rows = os.get_terminal_size()
    env = {"TERM": os.environ.get("TERM", "dumb"), "PS1": f"{options.node}# "}
    argv = ["bash", "--norc", "-i"]
    command = Lab(options.name).command(options.node, argv, cwd=str(TREE), env=env, terminal=(rows, columns))
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        command.feed(open(0, "rb", buffering=0, closefd=False))
        return command.run(lambda data: write_all(1, data), lambda data: write_all(2, data))
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        command.close()


def write_all(fd: int, data: bytes) -> None:
    """Unbuffered: what has left the controller is in the reader's hands at once."""
    while data:
        data = data[os.write(fd, data) :]


def run_node(options: argparse.Namespace) -> None:
    getattr(Lab(options.name), options.verb)(options.node)


def run_start(options: argparse.Namespace) -> None:
    """A shelf offers its disks again, a controller connects to those that are offered."""
    lab = Lab(options.name)
    lab.start(options.node)
    shelves = lab.config().shelf_names()
    if options.node in shelves:
        Shelf(lab, options.node).serve()
        return
    for name in shelves:
        if lab.node_status(name)["state"] == "alive":
            Initiator(lab, options.node).attach(Shelf(lab, name))


def run_disk(options: argparse.Namespace) -> None:
    lab = Lab(options.name)
    name, _, number = options.disk.rpartition("-")
    shelf = Shelf(lab, name)
    if not number.isdigit() or int(number) >= len(shelf.disks):
        raise LabError(f"there is no disk {options.disk!r}", f"use one of: {name}-0 to {name}-{len(shelf.disks) - 1}")
    disk = int(number)
    acts: dict[str, Callable[[], None]] = {
        "whole": lambda: shelf.heal(disk),
        "slow": lambda: shelf.delay(disk, read_ms=options.read_ms, write_ms=options.write_ms),
        "failing": lambda: shelf.fail(disk, options.what),
        "hung": lambda: shelf.hang(disk),
        "protected": lambda: Initiator(lab, lab.config().nodes[0]).write_protect(shelf, disk),
        "unprotected": lambda: Initiator(lab, lab.config().nodes[0]).write_protect(shelf, disk, on=False),
    }
    acts[options.state]()


def run_link(options: argparse.Namespace) -> None:
    lab = Lab(options.name)
    status = getattr(lab, options.verb)(options.link)
    if options.verb == "mend" and "ends" in status:
        shelf, node = status["ends"]
        if lab.node_status(node)["state"] == "alive":
            Initiator(lab, node).reinstate(Shelf(lab, shelf))
    if options.json:
        print(json.dumps(status, indent=1))


def run_doorbells(options: argparse.Namespace) -> None:
    lab = Lab(options.name)
    if options.drop is not None:
        count: int | str = int(options.drop) if options.drop.isdigit() else options.drop
        lab.drop_doorbells(options.link, count)
    else:
        lab.delay_doorbells(options.link, options.delay)


def run_logs(options: argparse.Namespace) -> None:
    path = Lab(options.name).console(options.node, options.boot)
    if options.path:
        print(path)
        return
    try:
        write_all(1, path.read_bytes())
    except FileNotFoundError:
        raise LabError(f"controller {options.node} had no boot {options.boot}") from None


def run_status(options: argparse.Namespace) -> None:
    status = Lab(options.name).status()
    if options.json:
        print(json.dumps(status, indent=1))
        return
    print(f"lab {status['name']} ({status['accelerator']}), logs in {status['logs']}")
    for node in status["nodes"]:
        print(node_line(node))
    for link in status["links"]:
        print(link_line(link))
    for wire in status["wires"]:
        print(f"  wire {wire['name']}: {wire['state']}")
    for disk in status["disks"]:
        print(f"  disk {disk['name']}: {disk['bytes'] >> 20} MiB, {disk['device']}")


def node_line(node: dict[str, Any]) -> str:
    about = f"pid {node['pid']}" if node["pid"] else f"exit status {node['exit_status']}"
    who = f"controller {node['name']} (node {node['node']})" if node["is_controller"] else node["name"]
    line = f"  {who}: {node['state']}, boot {node['boot']}, {about}, {' '.join(node['addresses'])}"
    return line + "".join(f"\n    kernel says: {splat}" for splat in node["splats"])


def link_line(link: dict[str, Any]) -> str:
    if "sides" not in link:
        return f"  link {link['name']}: {link['state']}, exit status {link['exit_status']}"
    joined = ", ".join(f"side {s['side']} {'connected' if s['connected'] else 'absent'}" for s in link["sides"])
    bells = f"doorbells: {link['doorbells_passed']} passed, {link['doorbells_dropped']} lost"
    return f"  link {link['name']}: {link['state']}, cut {link['down_count']} times, {joined}, {bells}"
