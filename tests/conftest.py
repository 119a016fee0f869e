# SPDX-License-Identifier: GPL-2.0
"""Fixtures for every directory of tests."""

import signal
import sys
from pathlib import Path

# A shell has what it starts in the background ignore Ctrl-C, and children inherit that: theirs shall come through.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from yoke_lab.fixture import lab

__all__ = ["lab"]
