// SPDX-License-Identifier: GPL-2.0
//! The readers of one group of blocks, in one word.

use super::GROUPS_MAX;

/// Bits of a count of reads in a word.
const COUNT_BITS: u32 = 12;
pub(super) const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;
const FREEING_MAX: u32 = (1 << 7) - 1;

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Reads on either side.
    reads: (u32, u32),
    /// Whether reads begin on the second side.
    pub(super) second: bool,
    /// Entries that are being freed.
    freeing: u32,
}

impl Group {
    pub(super) const fn unpack(word: u32) -> Self {
        Self {
            reads: (word & COUNT_MAX, word >> COUNT_BITS & COUNT_MAX),
            second: word >> 31 != 0,
            freeing: word >> (2 * COUNT_BITS) & FREEING_MAX,
        }
    }

    pub(super) const fn pack(self) -> u32 {
        let counts = self.reads.0 | self.reads.1 << COUNT_BITS | self.freeing << (2 * COUNT_BITS);
        // Where there is nothing to tell apart there is one word.
        counts | ((self.second && counts != 0) as u32) << 31
    }

    fn on_side(&mut self, second: bool) -> &mut u32 {
        if second {
            &mut self.reads.1
        } else {
            &mut self.reads.0
        }
    }

    pub(super) const fn old(&self) -> u32 {
        if self.second {
            self.reads.0
        } else {
            self.reads.1
        }
    }

    /// Whether one read more, in whatever groups, can be counted.
    pub(super) const fn has_room(&self) -> bool {
        self.reads.0 + GROUPS_MAX <= COUNT_MAX && self.reads.1 + GROUPS_MAX <= COUNT_MAX
    }

    /// A read begins; says whether on the second side.
    pub(super) fn begin(&mut self) -> bool {
        let second = self.second;
        let count = self.on_side(second);
        *count = count.saturating_add(1).min(COUNT_MAX);
        second
    }

    /// A read is handed back. Whether it was the last one on the old side.
    pub(super) fn end(&mut self, second: bool) -> bool {
        let count = self.on_side(second);
        *count = count.saturating_sub(1);
        second != self.second && self.old() == 0
    }

    /// Whether entries may begin to be freed: those that began before are free.
    pub(super) const fn is_open(&self) -> bool {
        self.freeing == 0 && self.old() == 0
    }

    /// One more entry begins to be freed, together with the first of them.
    pub(super) fn mark(&mut self) {
        // Where nobody reads there is nobody to wait for.
        if self.freeing == 0 && self.reads != (0, 0) {
            self.second = !self.second;
        }
        self.freeing = self.freeing.saturating_add(1).min(FREEING_MAX);
    }

    pub(super) fn unmark(&mut self) {
        self.freeing = self.freeing.saturating_sub(1);
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_readers_group))]
mod tests {
    use super::*;

    #[test]
    fn the_old_side_is_empty_when_its_last_read_is_handed_back() {
        let mut group = Group::unpack(0);
        let (first, second) = (group.begin(), group.begin());
        assert!(group.is_open());
        group.mark();
        assert!(!group.is_open() && group.old() == 2);
        let third = group.begin();
        assert!(third != first && !group.end(third) && !group.end(first));
        assert!(group.end(second) && group.old() == 0);
        // What began to be freed is not free yet.
        assert!(!group.is_open());
        group.unmark();
        assert!(group.is_open() && group.pack() == 0);
    }

    #[test]
    fn what_begins_to_be_freed_together_waits_for_the_same_reads() {
        let mut group = Group::unpack(0);
        let read = group.begin();
        group.mark();
        group.mark();
        assert!(group.end(read));
        group.unmark();
        assert!(!group.is_open());
        group.unmark();
        assert!(group.is_open());
    }

    #[test]
    fn a_word_keeps_what_a_group_says() {
        let group = Group {
            reads: (COUNT_MAX, 5),
            second: true,
            freeing: 3,
        };
        assert_eq!(Group::unpack(group.pack()), group);
        assert!(!group.has_room());
        let mut full = group;
        full.second = false;
        let _ = full.begin();
        assert_eq!(full.reads, (COUNT_MAX, 5));
    }
}
