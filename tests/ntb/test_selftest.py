# SPDX-License-Identifier: GPL-2.0
"""The kernel's own NTB selftest with its unmodified clients, in remote mode between the two machines."""

import re
import subprocess

from pair import GUEST, PCI, Pair
from yoke_lab.config import TREE

# The window is larger than what ntb_perf can allocate as its source.
PERF_WINDOW = 4 << 20
# 2^25 bytes a perf test: the rate does not depend on it.
PERF_ORDER = 25
EXPECTED = [
    "port tests", "link tests", "link tests", "db tests", "db tests", "spad tests", "spad tests", "msg tests",
    "msg tests", "mw0 tests", "mw0 tests", "ping pong tests", "local perf test", "remote perf test",
]  # fmt: skip


def test_ntb_test_sh(pair: Pair) -> None:
    source = subprocess.run([TREE / "scripts/kernel", "source"], capture_output=True, text=True, check=True)
    script = f"{source.stdout.strip()}/tools/testing/selftests/ntb/ntb_test.sh"
    words = ["bash", script, "-C", "-w", str(PERF_WINDOW), "-p", str(PERF_ORDER), "-r", "b", PCI, PCI]
    path = f"{GUEST}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    with pair.b.background(["python3", "-I", f"{GUEST}/remote_shell.py", pair.b.address]):
        done = pair.lab.exec("a", words, env={"PATH": path}, timeout=400)
    said = done.text
    print(said)
    assert done.code == 0, said + done.stderr.decode(errors="replace")
    assert re.findall(r"Running (.*? tests?)\b", said) == EXPECTED
    # Messages are optional in the NTB API, and this device has none.
    assert said.count("  Passed") == len(EXPECTED) - 2 and said.count("  Unsupported") == 2, said
    assert "did not match" not in said, said
