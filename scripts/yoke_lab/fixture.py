# SPDX-License-Identifier: GPL-2.0
"""The `lab` fixture of pytest: a lab for a file of tests, gone when pytest is, however that ends.

A file of tests says what it wants by a module variable, for example
`LAB_OPTIONS = {"disk_bytes": [1 << 30, 1 << 30], "insmod": [...]}` (fields of `config.LabConfig`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .config import DEBUG_MEMORY_MIB, TREE, wants_debug
from .default import default_config
from .errors import LabError
from .lab import Lab
from .timing import scaled

# Longer than any I/O of a test may take, and shorter than what anybody bears.
HUNG_TASK_SECONDS = 60


def bring_up(name: str, logs: Path, **options: object) -> Lab:
    """A lab that is tied to this process; its logs stay in `logs`."""
    shutil.rmtree(logs, ignore_errors=True)
    config = default_config(name)
    config.tied_to = os.getpid()
    config.log_dir = str(logs)
    config.hung_task_seconds = max(1, round(scaled(HUNG_TASK_SECONDS)))
    for key, value in options.items():
        if not hasattr(config, key):
            raise LabError(f"a lab has no option {key!r}")
        setattr(config, key, value)
    if wants_debug():
        config.memory_mib = max(config.memory_mib, DEBUG_MEMORY_MIB)
    lab = Lab(name)
    lab.up(config, print)
    return lab


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab that the tests of one file share. No kernel of it may have complained, in any boot, and nothing hangs at its end.

    A file whose tests leave tasks that hang says so by `LAB_OPTIONS = {"hung_task_seconds": 0}`.
    """
    file = request.path.stem
    logs = TREE / "build" / "lab-logs" / file
    running = bring_up(f"{file[:20]}-{os.getpid()}", logs, **getattr(request.module, "LAB_OPTIONS", {}))
    try:
        yield running
        complaints = running.splats()
        assert not complaints, "\n".join(complaints)
        if running.config().hung_task_seconds:
            alive = [node["name"] for node in running.status()["nodes"] if node["state"] == "alive"]
            hung = [f"{node}: {task}" for node in alive for task in running.hung_tasks(node)]
            assert not hung, "\n".join(hung)
    finally:
        running.down()
