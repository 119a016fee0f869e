# SPDX-License-Identifier: GPL-2.0
"""The dead controller boots, rejoins while its partner writes on, and gets its volumes back."""

from __future__ import annotations

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
        doing = "a: loading yoke, links, volumes; b copies its log to a"
        with story.step("rejoin", doing, lambda: f"{writer.acknowledged} more writes on b"):
            a.load()
            a.configure()
            a.wait_session()
            opened = time.monotonic()
            scene.open_volumes(a)
            for name in DISKS:
                b.wait_volume(name, "mirrored")
            scene.report["rejoin_ms"] = round((time.monotonic() - opened) * 1000)
        writer.check_alive()
    finally:
        writer.close()
    full = [b.sh(f"cat {scene.sysfs(b, name)}/full_copy") for name in DISKS]
    scene.report |= {"rejoin_full_copy": "yes" in full, "acked_writes_alone": writer.acknowledged}
    story.tell(
        f"mirrored again {scene.report['rejoin_ms']} ms after a opened the volumes, {'WITH' if 'yes' in full else 'without'} "
        f"a full copy; b acknowledged {writer.acknowledged} writes meanwhile"
    )
    scene.look_for_errors(b)
    _give_back(scene)


def _give_back(scene: Scene) -> None:
    with scene.story.step("giveback", "b gives both volumes back to a"):
        begun = time.monotonic()
        for name in DISKS:
            scene.b.yokectl("giveback", name)
            scene.a.wait_volume(name, "mirrored")
        scene.report["giveback_ms"] = round((time.monotonic() - begun) * 1000)


def close(scene: Scene) -> None:
    """Volumes, links, modules."""
    scene.look_for_errors(scene.a)
    with scene.story.step("close", "closing volumes, links, modules"):
        for node in scene.appliance:
            for name in DISKS:
                node.yokectl("volume", "close", name)
        for node in scene.appliance:
            node.unload()
