# SPDX-License-Identifier: GPL-2.0
"""Bad values for attributes in configfs: what the tests of bad input share."""

from __future__ import annotations

import json

from yoke_lab.appliance import CONFIG, Node

# Writes each value to each file and tells the errno; runs in the machine, one start of Python for all of them.
WRITE = """
import errno, json, os, sys
for path, value in json.load(sys.stdin):
    try:
        fd = os.open(path, os.O_WRONLY)
        try:
            os.write(fd, bytes.fromhex(value))
            said = "OK"
        finally:
            os.close(fd)
    except OSError as error:
        said = errno.errorcode[error.errno]
    print(json.dumps(said))
"""

GARBAGE = [
    b"\0", b"\n", b" ", b"-1", b"1e9", b"0x10", b"99999999999999999999999", b"NaN", b"\xff\xfe", b"a" * 4095,
    b"%s%n", b"../../etc", b"1 2", b"1\0", "\u0661".encode(), b"true",
]  # fmt: skip


def write_all(node: Node, values: list[tuple[str, bytes]]) -> list[str]:
    """The errno's name, or OK, for each write."""
    words = json.dumps([(path, value.hex()) for path, value in values]).encode()
    done = node.lab.exec(node.name, ["python3", "-I", "-S", "-c", WRITE], stdin=words, check=True)
    return [json.loads(line) for line in done.text.splitlines()]


def assert_all(node: Node, errno: str, values: list[tuple[str, bytes]]) -> None:
    """Every one of these writes is answered so."""
    answers = write_all(node, values)
    assert set(answers) == {errno}, [(w, a) for w, a in zip(values, answers, strict=True) if a != errno]


def snapshot(node: Node) -> str:
    """Every value that is configured."""
    return node.sh(f"cd {CONFIG}; grep -rs '' . | sort")


def refused(node: Node, script: str) -> str:
    """A line of shell that has to fail with a reason and to change nothing; what it said."""
    before = snapshot(node)
    done = node.run(script)
    said = done.stderr.decode(errors="replace")
    assert done.code != 0 and said, (script, done)
    assert snapshot(node) == before, script
    return said
