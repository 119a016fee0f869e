# SPDX-License-Identifier: GPL-2.0
"""Stack frames are read out of a disassembly."""

from yoke_build.frames import deepest, frames, too_deep, too_large

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


# A call into the same section, one that the linker fills in, and a function that calls itself.
CALLS = """
0000000000000010 <outer>:
      10: pushq	%rbp
      11: subq	$0x1000, %rsp
      18: callq	0x100 <inner>
      1d: callq	0x22 <outer+0x12>
		000000000000001e:  R_X86_64_PLT32	other-0x4
      22: callq	0x27 <outer+0x17>
		0000000000000023:  R_X86_64_PLT32	memcpy-0x4

0000000000000100 <inner>:
     100: subq	$0x100, %rsp
     107: callq	0x100 <inner>

0000000000000200 <other>:
     200: subq	$0x800, %rsp
     207: callq	0x100 <inner>
"""


def test_the_deepest_path_of_calls_is_added_up() -> None:
    size, path = deepest(CALLS)
    assert path == ["outer", "other", "inner"]
    assert size == (0x1000 + 8 + 8) + (0x800 + 8) + (0x100 + 8)
    assert too_deep(CALLS, size) == []
    assert too_deep(CALLS, size - 1) == [
        f"calls that take {size:,} bytes of stack, {size - 1:,} at most: outer > other > inner"
    ]
