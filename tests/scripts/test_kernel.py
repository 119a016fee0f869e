# SPDX-License-Identifier: GPL-2.0
"""The configuration of the kernel, and the order in which modules are loaded."""

from pathlib import Path

import pytest
from yoke_build import cache, kernel, kunit
from yoke_build.errors import BuildError


def variant(tmp_path: Path, *fragments: str) -> kernel.Variant:
    paths = []
    for number, text in enumerate(fragments):
        path = tmp_path / f"{number}.config"
        path.write_text(text)
        paths.append(path)
    return kernel.Variant("test", tuple(paths), 1)


def test_lost_options_are_named(tmp_path: Path) -> None:
    asked = variant(tmp_path, 'CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D="x"\n')
    assert kernel.lost_options(asked, 'CONFIG_A=y\nCONFIG_B=m\nCONFIG_D="x"\n') == []
    lost = kernel.lost_options(asked, 'CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y\nCONFIG_D="y"\n')
    assert lost == ["CONFIG_B=m", "CONFIG_C=n", 'CONFIG_D="x"']


def test_the_later_fragment_wins(tmp_path: Path) -> None:
    asked = variant(tmp_path, 'CONFIG_LOCALVERSION="-a"\n', 'CONFIG_LOCALVERSION="-b"\n')
    assert kernel.lost_options(asked, 'CONFIG_LOCALVERSION="-b"\n') == []
    assert kernel.lost_options(asked, 'CONFIG_LOCALVERSION="-a"\n') == ['CONFIG_LOCALVERSION="-b"']


def test_a_build_without_its_mark_is_not_complete(tmp_path: Path) -> None:
    build = kernel.Build(kernel.NORMAL, tmp_path / "linux-source-7.3_1_all.deb", tmp_path)
    assert not build.complete
    (tmp_path / kernel.MARK).touch()
    assert build.complete


def test_keys_do_not_collide() -> None:
    assert cache.key("ab", "c") != cache.key("a", "bc")
    assert cache.key("a") == cache.key("a")


def test_every_declared_suite_is_expected(tmp_path: Path) -> None:
    source = tmp_path / "rust/core/src/a.rs"
    source.parent.mkdir(parents=True)
    source.write_text("#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_a))]\nmod tests {}\n")
    assert kunit.expected_suites(tmp_path) == {"yoke_core_a": source}
    other = tmp_path / "rust/yoke/b.rs"
    other.parent.mkdir(parents=True)
    other.write_text("#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_a))]\nmod tests {}\n")
    with pytest.raises(BuildError, match="yoke_core_a"):
        kunit.expected_suites(tmp_path)
