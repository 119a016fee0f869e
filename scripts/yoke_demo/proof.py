# SPDX-License-Identifier: GPL-2.0
"""The proof: file system, files and torture volume, on the controller that owns them now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yoke_lab.appliance import Node

from . import files, record
from .scene import FILE_VOLUME, MOUNT, TORTURE_VOLUME, Scene

VERDICTS = ("lost", "torn", "resurrected", "misplaced", "foreign", "unreadable", "found_by_reads")


def prove(scene: Scene, node: Node, manifest: bytes, observe: Path | None = None) -> None:
    """Looks at everything. What was seen of the torture volume goes to `observe`, as one more record."""
    clean = _fsck(scene, node)
    bad = _compare(scene, node, manifest)
    with scene.story.step(f"verify-{node.name}", f"{node.name}: holding every block against the torture record"):
        device = scene.device(node, TORTURE_VOLUME)
        verdict = record.verify(node, scene.plan.needs.torture, device, scene.records, observe)
    _judge(scene, node, verdict)
    report = scene.report
    scene.story.tell(
        f"{node.name}: file system {'clean' if clean else 'NOT CLEAN'}; {report['files_checked']} durable files compared, "
        f"{bad} bad; {verdict['acked_writes']} acknowledged writes: {verdict['lost']} lost, {verdict['torn']} torn, "
        f"{verdict['resurrected']} resurrected"
    )


def _fsck(scene: Scene, node: Node) -> bool:
    device = scene.device(node, FILE_VOLUME)
    with scene.story.step(f"fsck-{node.name}", f"{node.name}: replaying the journal, then fsck.ext4 -fn"):
        node.sh(f"mkdir -p {MOUNT}; mount {device} {MOUNT} && umount {MOUNT}", timeout=180)
        done = node.run(f"fsck.ext4 -fn {device}", timeout=180)
    if done.code != 0:
        scene.problems.append(f"controller {node.name}: fsck.ext4 -fn exits {done.code}: {done.text[-500:]}")
    scene.report["fsck_clean"] = scene.report.get("fsck_clean", True) and done.code == 0
    return done.code == 0


def _compare(scene: Scene, node: Node, manifest: bytes) -> int:
    """How many files are bad."""
    device = scene.device(node, FILE_VOLUME)
    doing = f"{node.name}: comparing every file that was durable with its source"
    with scene.story.step(f"compare-{node.name}", doing):
        node.sh(f"mount {device} {MOUNT}", timeout=60)
        checked, bad = files.check(node, MOUNT, manifest)
        node.sh(f"umount {MOUNT}", timeout=60)
    scene.report["files_checked"] = checked
    scene.report["files_bad"] = max(len(bad), scene.report.get("files_bad", 0))
    scene.problems += [f"controller {node.name}: {line}" for line in bad[:5]]
    return len(bad)


def _judge(scene: Scene, node: Node, verdict: dict[str, Any]) -> None:
    """The worst of all looks counts."""
    report, before = scene.report, verdict["records"][0]
    for name in VERDICTS:
        report[name] = max(report.get(name, 0), verdict[name])
    report["acked_writes"] = before["acked_writes"]
    report["writer_errors"] = verdict["io_errors"]
    report["write_p50_us"], report["write_p99_us"] = before["latency_p50_us"], before["latency_p99_us"]
    if not verdict["clean"]:
        scene.problems.append(f"controller {node.name}: the torture volume is not clean: {verdict['examples'][:3]}")
