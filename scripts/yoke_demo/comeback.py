# SPDX-License-Identifier: GPL-2.0
"""The dead controller boots, rejoins while its partner writes on, and gets its volumes back."""

from __future__ import annotations

import concurrent.futures
import time

from . import record
from .record import Writer
from .scene import DISKS, Scene


def bring_back(scene: Scene) -> None:
    """Until a owns both volumes again, mirrored."""
    a, b, story = scene.a, scene.b, scene.story
    chain = [word for name in record.send(b, scene.records) for word in ("--continue", name)]
    scene.records.append(scene.plan.output / "torture-alone.record")
    writer = Writer(b, scene.torture_words(b, *chain), scene.records[-1])
    try:
        with story.step("boot-a", "controller a boots again; b serves on, alone"):
            scene.lab.start("a")
            scene.attach(a)
        doing = "a: loading yoke, links, volumes; b copies its log to a"
        with story.step("rejoin", doing, lambda: f"{writer.acknowledged} more writes on b"):
            a.load()
            a.configure(scene.beats)
            a.wait_session()
            before = {name: scene.stat(b, name, "copied") for name in DISKS}
            scene.report["rejoin_ms"] = round(_reopen(scene) * 1000)
        writer.stop()
    finally:
        writer.close()
    copied = {name: scene.stat(b, name, "copied") - before[name] for name in DISKS}
    full = any(copied[name] >= scene.blocks(b, name) for name in DISKS)
    scene.report |= {
        "rejoin_full_copy": full,
        "rejoin_copied_blocks": sum(copied.values()),
        "acked_writes_alone": writer.acknowledged,
    }
    story.tell(
        f"mirrored again {scene.report['rejoin_ms']} ms after a opened the volumes, {sum(copied.values())} blocks were copied"
        f"{', A FULL COPY' if full else ''}; b acknowledged {writer.acknowledged} writes meanwhile"
    )
    scene.look_for_errors(b)
    _give_back(scene)


def _reopen(scene: Scene) -> float:
    """Opens the volumes on a; the time until both are mirrored, in seconds. Somebody at b looks since before."""
    with concurrent.futures.ThreadPoolExecutor(1) as other:
        begun = time.monotonic()

        def mirrored() -> float:
            scene.wait_all(scene.b, "mirrored")
            return time.monotonic()

        end = other.submit(mirrored)
        scene.open_volumes(scene.a)
        return end.result() - begun


def _give_back(scene: Scene) -> None:
    with scene.story.step("giveback", "b gives both volumes back to a"):
        begun = time.monotonic()
        for name in DISKS:
            scene.b.yokectl("giveback", name)
        scene.wait_all(scene.a, "mirrored")
        scene.report["giveback_ms"] = round((time.monotonic() - begun) * 1000)


def close(scene: Scene) -> None:
    """Volumes, links, modules."""
    scene.look_for_errors(scene.a)
    with scene.story.step("close", "closing volumes, links, modules"):
        for node in scene.appliance:
            for name in DISKS:
                scene.wait_unused(node, name)
                node.yokectl("volume", "close", name)
        for node in scene.appliance:
            node.unload()
