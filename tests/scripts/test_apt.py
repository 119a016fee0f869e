# SPDX-License-Identifier: GPL-2.0
"""Our apt sources are derived from the machine's, in both formats that apt knows."""

from pathlib import Path

import pytest
from yoke_build import apt
from yoke_build.errors import BuildError

DEB822 = """\
Types: deb
# a comment between fields
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/some.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/some.gpg] http://mirror.example/debian bookworm main
deb-src http://sources.example/debian bookworm main
"""


@pytest.fixture(autouse=True)
def bookworm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "release", lambda: "12")


def etc(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(("name", "text"), [("sources.list.d/debian.sources", DEB822), ("sources.list", ONE_LINE)])
def test_the_main_archive_is_found(tmp_path: Path, name: str, text: str) -> None:
    main, own = apt._of_this_release(etc(tmp_path, name, text))
    assert main.uri == "http://mirror.example/debian"
    assert main.signed_by == "/usr/share/keyrings/some.gpg"
    assert all(source.uri.startswith("http://mirror.example/") for source in own)


def test_security_updates_are_kept(tmp_path: Path) -> None:
    _, own = apt._of_this_release(etc(tmp_path, "sources.list.d/debian.sources", DEB822))
    assert [source.suites for source in own] == ["bookworm bookworm-updates", "bookworm-security"]


def test_a_machine_without_the_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="bookworm"):
        apt._of_this_release(etc(tmp_path, "sources.list", "deb http://other.example/ubuntu noble main\n"))


def test_a_stanza_reads_back(tmp_path: Path) -> None:
    source = apt.Source("http://mirror.example/debian", "bookworm bookworm-backports", "/k.gpg")
    main, _ = apt._of_this_release(etc(tmp_path, "sources.list.d/x.sources", source.stanza()))
    assert main == source
