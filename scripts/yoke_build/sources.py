# SPDX-License-Identifier: GPL-2.0
"""The files of the tree, and Rust source without what is not code."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

# In this order: a comment may hold quotes, a string may hold slashes.
NOT_CODE = re.compile(
    r"""
    //[^\n]* | /\*.*?\*/                     # comments
    | b?r(?P<hashes>\#*)".*?"(?P=hashes)     # raw strings
    | b?"(?:\\.|[^"\\])*"                    # strings
    | b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\])'  # characters, not lifetimes
    """,
    re.DOTALL | re.VERBOSE,
)


def files(root: Path) -> list[Path]:
    """Files that git tracks or would track; all files where there is no repository."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, text=True, capture_output=True, check=False)
    if result.returncode == 0:
        paths = (root / name for name in result.stdout.split("\0") if name)
    else:
        paths = (path for path in root.rglob("*") if "target" not in path.parts and "build" not in path.parts)
    return sorted(path for path in paths if path.is_file())


def under(root: Path, prefix: str, suffixes: tuple[str, ...]) -> list[Path]:
    """Files below the directory `prefix` whose names end with one of `suffixes`."""
    return [path for path in files(root) if path.is_relative_to(root / prefix) and path.name.endswith(suffixes)]


def code_lines(text: str) -> Iterator[tuple[int, str]]:
    """(line number, code) of Rust or C source; comments and the content of strings are gone."""

    def blank(match: re.Match[str]) -> str:
        newlines = "\n" * match[0].count("\n")
        return ('""' if '"' in match[0][:4] else " ") + newlines

    yield from enumerate(NOT_CODE.sub(blank, text).splitlines(), start=1)


def scripts(root: Path, interpreter: str, suffix: str) -> list[Path]:
    """Files with the suffix, or with the interpreter in their first line."""
    found = []
    for path in files(root):
        if path.suffix == suffix:
            found.append(path)
        elif not path.suffix:
            with open(path, "rb") as file:
                first = file.readline(80)
            if first.startswith(b"#!") and re.search(rb"\b" + interpreter.encode() + rb"\d?\s*$", first.rstrip()):
                found.append(path)
    return found
