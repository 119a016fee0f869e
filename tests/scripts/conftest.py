# SPDX-License-Identifier: GPL-2.0
"""The scripts' own code is imported from scripts/."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
