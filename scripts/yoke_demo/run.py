# SPDX-License-Identifier: GPL-2.0
"""One run of the demo: a lab of its own, and everything that happens in it, in order."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from typing import Any

from yoke_lab.appliance import Appliance
from yoke_lab.errors import LabError
from yoke_lab.lab import Lab

from . import comeback, proof, takeover
from .scene import DISKS, Plan, Scene
from .story import Story
from .writing import Work


def run(plan: Plan, story: Story) -> dict[str, Any]:
    """One run; its report. What goes wrong is in `problems`, also when it did not get to its end."""
    shutil.rmtree(plan.output, ignore_errors=True)
    plan.output.mkdir(parents=True)
    report: dict[str, Any] = {
        "seed": plan.seed,
        "depth": plan.depth,
        "shelf": plan.shelf,
        "vng": plan.vng,
        "problems": [],
    }
    try:
        with lab_up(plan, story) as appliance:
            _play(Scene(plan, appliance, story), report)
    except LabError as error:
        report["problems"].append(f"{error}" + (f" (try: {error.hint})" if error.hint else ""))
    report |= {"timeline": story.events, "steps": story.steps, "took_s": round(story.now(), 1)}
    report["host_load"] = round(os.getloadavg()[0], 2)
    (plan.output / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


@contextlib.contextmanager
def lab_up(plan: Plan, story: Story) -> Iterator[Appliance]:
    """A lab that is gone afterwards, and when this process is, however it ends."""
    if plan.shelf:
        disks = {"disk_bytes": [], "shelves": 1, "shelf_disks": [f"nvme:{size >> 20}M" for size in DISKS.values()]}
        what = "two machines, two links, and a third with two disks, which they reach by NVMe over TCP"
    else:
        disks, what = {"disk_bytes": list(DISKS.values())}, "two machines, two links, two shared disks"
    config = dataclasses.replace(
        plan.needs.lab,
        **disks,
        vng=plan.vng,
        links=["ntb0", "ntb1"],
        tied_to=os.getpid(),
        log_dir=str(plan.output / "lab"),
    )
    lab = Lab(config.name)
    with story.step("boot", f"booting controllers a and b: {what}"):
        lab.up(config)
    try:
        yield Appliance(lab, plan.needs.parts)
    finally:
        lab.down()


def _play(scene: Scene, report: dict[str, Any]) -> None:
    """The whole story. The report has what is known also when it breaks off."""
    beats, choices = scene.beats, scene.choices
    report |= {"accelerator": scene.lab.config().accelerator, "silence_ms": beats.silence_ms}
    report |= {"kill_after_s": round(choices.kill_after_s, 3)}
    scene.story.tell(f"seed {scene.plan.seed}; a silence of {beats.silence_ms:.0f} ms is taken for a death")
    scene.problems = report["problems"]
    try:
        scene.set_up()
        work = Work(scene)
        probe = work.until_the_kill()
        takeover.watch(scene, probe, work.killed)
        manifest, observed = work.files.manifest(), scene.plan.output / "observed.record"
        proof.prove(scene, scene.b, manifest, observed)
        scene.records.append(observed)
        comeback.bring_back(scene)
        proof.prove(scene, scene.a, manifest)
        comeback.close(scene)
        scene.story.tell("controller a is back and owns its volumes")
    finally:
        scene.problems += [f"kernel: {line}" for line in scene.appliance.splats()]
        report |= scene.report
