# SPDX-License-Identifier: GPL-2.0
"""The partner takes over by itself: when it noticed, when it served, what it adopted."""

from __future__ import annotations

from .probe import Probe
from .scene import DISKS, Scene

STAGES = ("detected_ms", "claimed_ms", "serving_ms")


def watch(scene: Scene, probe: Probe, killed: float) -> None:
    """Waits for the first read and write that the partner serves. All times count from the kill, on the host's clock."""

    def since(moment: float) -> float:
        return round((moment - killed) * 1000, 1)

    try:
        with scene.story.step("takeover", "b has to notice and to take over by itself"):
            probe.wait(60)
    finally:
        probe.close()
    served = {event.name: since(event.arrived) for event in probe.first("read")}
    written = max(since(event.arrived) for event in probe.first("write"))
    volumes = {}
    for name in DISKS:
        place = scene.sysfs(scene.b, name)
        times, blocks = scene.b.sh(f"cat {place}/last_takeover {place}/adopted_blocks").splitlines()
        moments = [since(probe.host_time(int(word))) for word in times.split()]
        volumes[name] = dict(zip(STAGES, moments, strict=True))
        volumes[name] |= {"first_read_ms": served[name], "adopted_blocks": int(blocks)}
    detection = max(volume["detected_ms"] for volume in volumes.values())
    adopted = sum(int(volume["adopted_blocks"]) for volume in volumes.values())
    scene.report |= {
        "detection_ms": detection,
        "takeover_ms": max(served.values()),
        "first_write_ms": written,
        "adopted_blocks": adopted,
        "takeover": volumes,
        "clock_error_ms": round(probe.error * 1000, 2),
    }
    scene.story.tell(
        f"b noticed after {detection:.0f} ms, served its first read after {max(served.values()):.0f} ms, its first write "
        f"after {written:.0f} ms; {adopted} acknowledged blocks came from its memory, not from the disk"
    )
