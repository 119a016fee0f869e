# SPDX-License-Identifier: GPL-2.0
"""Two machines with one emulated NTB between them, shared by all tests here; each leaves the driver loaded and no client."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from pair import MODULE, Pair
from yoke_lab.config import TREE
from yoke_lab.fixture import bring_up


@pytest.fixture(scope="session")
def whole_session() -> Iterator[Pair]:
    assert MODULE.is_file(), f"{MODULE} is missing: make modules"
    logs = TREE / "build" / "lab-logs" / "ntb"
    lab = bring_up(f"ntb-{os.getpid()}", logs, links=["ntb0"], memory_mib=512)
    try:
        yield Pair(lab)
    finally:
        lab.down()


@pytest.fixture
def pair(whole_session: Pair, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Both drivers loaded and no client, before and after; the kernels' logs are looked through in the end."""
    yield from whole_session.looked_after(request.node.name)
