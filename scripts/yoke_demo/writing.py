# SPDX-License-Identifier: GPL-2.0
"""The owner at work: files, the torture writer, a link that is cut and mended, and the death of the controller."""

from __future__ import annotations

import contextlib
import time

from yoke_lab.timing import wait_for

from .files import FileWriter
from .probe import Probe
from .record import Writer
from .scene import DISKS, FILE_VOLUME, KILL_WITHIN_S, MOUNT, TORTURE_BLOCKS, TORTURE_VOLUME, Scene
from .tree import FILES_MIN

# Acknowledged before the kill, at least.
ACKED_MIN = 5000
# Before the cut, at least.
CUT_FROM = 1000
# What has to go on after a link was cut before it is mended.
AFTER_CUT = 400


class Work:
    """Both writers on the owner."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.story, self.lab = scene, scene.story, scene.lab
        # When the kill was asked for, on the host's clock.
        self.killed = 0.0
        self.files: FileWriter
        self.torture: Writer | None = None

    def until_the_kill(self) -> Probe:
        """All of it; what watches the partner since before the kill."""
        scene, plan, tree = self.scene, self.scene.plan, self.scene.plan.needs.tree
        owner, device = scene.a, scene.device(scene.a, FILE_VOLUME)
        with self.story.step("mkfs", f"making ext4 on {FILE_VOLUME}"):
            owner.sh(f"mkfs.ext4 -q {device} && mkdir -p {MOUNT} && mount {device} {MOUNT}", timeout=120)
        with contextlib.ExitStack() as stack:
            self.files = FileWriter(owner, tree, MOUNT)
            stack.callback(self.files.close)
            size = f"{len(tree.sums)} real files ({tree.size >> 20} MiB)"
            doing = f"a: unpacking {size} on {FILE_VOLUME}, again and again from now on"
            with self.story.step("unpack", doing, self._progress):
                wait_for("enough durable files", lambda: self._durable() >= FILES_MIN, 180)
            self.story.tell(f"a: torture writer on {TORTURE_VOLUME} beside it, {plan.depth} writes in flight")
            scene.records.append(plan.output / "torture.record")
            self.torture = Writer(owner, scene.torture_words(owner), scene.records[0])
            stack.callback(self.torture.close)
            self._until_acknowledged(CUT_FROM + scene.choices.cut_after_writes, "write")
            self._cut_and_mend(self.torture)
            self._until_acknowledged(ACKED_MIN, "write-on")
            scene.look_for_errors(owner)
            self._look_for_losses_of_the_mirror()
            probe = self._kill()
            stack.callback(self.torture.join)
            stack.callback(self.files.join)
        if not (self.torture.gone and self.files.gone):
            scene.problems.append("a writer had ended before its machine was killed")
        return probe

    def _progress(self) -> str:
        torture = f", {self.torture.acknowledged} writes acknowledged" if self.torture else ""
        return f"{len(self.files.durable)} files durable{torture}"

    def _durable(self) -> int:
        self.files.check_alive()
        return len(self.files.durable)

    def _acknowledged(self) -> int:
        """So far, by a writer that has not ended."""
        self.files.check_alive()
        if self.torture is None:
            return 0
        self.torture.check_alive()
        return self.torture.acknowledged

    def _until_acknowledged(self, goal: int, step: str) -> None:
        with self.story.step(step, f"writing on, until {goal} writes are acknowledged", self._progress):
            wait_for(f"{goal} acknowledged writes", lambda: self._acknowledged() >= goal, 120)

    def _cut_and_mend(self, torture: Writer) -> None:
        """Of all links that carry the session the first is the one that writes are posted over: that one."""
        scene, owner = self.scene, self.scene.a
        link = self.lab.config().links[0]
        copied, goal = self._copied(), self._acknowledged() + AFTER_CUT
        before = time.monotonic()
        self.lab.cut(link)
        with self.story.step("cut", f"CUT of link {link} in mid-write", self._progress):
            # Nothing else is asked of the controller until they are there: it would stand in the writers' way.
            wait_for("writes after the cut", lambda: self._acknowledged() >= goal, 60, 0.01)
            stall = torture.stall_ms(before, time.monotonic())
            for node in scene.appliance:
                node.wait_link(link, "down")
            scene.wait_all(owner, "mirrored")
        usual = torture.stall_ms(torture.arrivals[0][0], before)
        copied = self._copied() - copied
        scene.report |= {
            "cut_link": link,
            "link_cut_stall_ms": round(stall, 1),
            "usual_stall_ms": round(usual, 1),
            "cut_copied_blocks": copied,
        }
        self.story.tell(
            f"writes went on over the other link, longest pause {stall:.0f} ms (before the cut: {usual:.0f} ms); {copied} "
            f"blocks were copied to it; still mirrored"
        )
        self.lab.mend(link)
        with self.story.step("mend", f"mended {link}; it has to prove itself before it counts again", self._progress):
            for node in scene.appliance:
                node.wait_session()

    def _copied(self) -> int:
        """Blocks of both logs that were copied to another link because theirs died."""
        return sum(self.scene.stat(self.scene.a, name, "copied") for name in DISKS)

    def _look_for_losses_of_the_mirror(self) -> None:
        """A machine that stands still for longer than the silence loses its partner: on a busy host, for no fault."""
        losses = len(self.scene.a.run("dmesg | grep -E 'volume .*: mirrored -> '").text.splitlines())
        self.scene.report["mirror_losses"] = losses
        if losses:
            self.story.tell(
                f"a was without its mirror {losses} times so far: a machine had stood still, the host is busy"
            )

    def _kill(self) -> Probe:
        """SIGKILL at a moment of the seed's, with somebody at the partner's door since before."""
        scene = self.scene
        disks = {name: scene.device(scene.b, name) for name in DISKS}
        disks[TORTURE_VOLUME] += f":{TORTURE_BLOCKS}"
        probe = Probe(scene.b, disks, 60)
        moment = time.monotonic() + scene.choices.kill_after_s
        wait_for("the moment of the kill", lambda: time.monotonic() >= moment, 2 * KILL_WITHIN_S, 0.001)
        self._acknowledged()
        self.killed = time.monotonic()
        self.lab.kill("a")
        self.story.tell(f"KILLED controller a (SIGKILL) in mid-write: {self._progress()}")
        return probe
