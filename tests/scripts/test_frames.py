# SPDX-License-Identifier: GPL-2.0
"""Stack frames are read out of a disassembly."""

from yoke_build.frames import frames, too_large

LISTING = """
0000000000000010 <small>:
      10: pushq	%rbp
      11: subq	$0x18, %rsp
      15: addq	$0x18, %rsp

0000000000000100 <_RNvNtNtCs5soj9GhKFqq_4main6volume4open7machine>:
     100: subq	$0x3798, %rsp           # imm = 0x3798
     107: subq	$0x8, %rsp
"""


def test_the_largest_frame_of_each_function_counts() -> None:
    assert frames(LISTING) == {"small": 0x18, "_RNvNtNtCs5soj9GhKFqq_4main6volume4open7machine": 14232}


def test_a_frame_that_takes_most_of_a_stack_is_named() -> None:
    (words,) = too_large(LISTING)
    assert words.startswith("_RNvNtNtCs5soj9GhKFqq_4main6volume4open7machine: a stack frame of 14,232 bytes")
    assert too_large(LISTING, 20_000) == []
