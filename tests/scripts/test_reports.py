# SPDX-License-Identifier: GPL-2.0
"""What runners report is counted right, above all when it is not there."""

from pathlib import Path

import pytest
from yoke_build import ktap, results

SUITE = """\
    KTAP version 1
    # Subtest: yoke_core_crc
    1..3
    ok 1 known_vectors
    # pieces: ASSERTION FAILED at rust/core/src/crc.rs:140
    not ok 2 pieces
    ok 3 wide # SKIP no such machine
# yoke_core_crc: pass:1 fail:1 skip:1 total:3
not ok 1 yoke_core_crc
"""


def test_ktap_sorts_cases() -> None:
    suite = ktap.parse("yoke_core_crc", SUITE)
    assert (suite.passed, suite.failed, suite.skipped) == (["known_vectors"], ["pieces"], ["wide"])
    assert suite.messages == ["pieces: ASSERTION FAILED at rust/core/src/crc.rs:140"]
    assert suite.problems == []


def test_ktap_misses_cases() -> None:
    suite = ktap.parse("yoke_core_crc", SUITE.replace("    ok 3 wide # SKIP no such machine\n", ""))
    assert suite.problems == ["3 cases planned, 2 reported"]


@pytest.mark.parametrize("text", ["", "KTAP version 1\n1..0\n", "ok 1 yoke_core_crc\n"])
def test_ktap_of_nothing_is_a_problem(text: str) -> None:
    assert ktap.parse("yoke_core_crc", text).problems


def test_cargo_summaries_are_added() -> None:
    text = (
        "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n"
        "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n"
    )
    assert results.of_cargo(text) == results.Count(15, 2, 1)
    assert results.of_cargo("error: could not compile") == results.Count()


def test_junit_errors_count_as_failures(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite tests="7" failures="1" errors="2" skipped="1"/></testsuites>')
    assert results.of_junit(report) == results.Count(3, 3, 1)
    report.write_text("<testsuites><testsui")
    assert results.of_junit(report) == results.Count()
    assert results.of_junit(tmp_path / "absent.xml") == results.Count()
