# SPDX-License-Identifier: GPL-2.0
"""Fixtures for every directory of tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from yoke_lab.fixture import lab

__all__ = ["lab"]
