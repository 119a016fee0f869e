// SPDX-License-Identifier: GPL-2.0
//! Who reads which blocks: a slot is freed when nobody is left who may copy from it, or for whose sake it says that its
//! block was written under a read.
//!
//! Reads are counted by groups of neighbouring blocks, and groups share a word where their hashes meet. So a read that
//! hangs on the disk keeps the slots of its own blocks, and of a few more, and no others. In a group a read is on one of two
//! *sides*. When entries of the group begin to be freed the sides are flipped, and they are free when nobody is left on
//! the old one; until all of them are, no others begin. So reads that keep coming put nothing off for ever.

use super::entry::{Entry, EntryId};
use super::state::Place;
use super::{Log, Slab};
use crate::ids::mix;
use crate::volume::config::BLOCKS_MAX;
use crate::volume::plan::Range;

/// Blocks of a group.
const GROUP: u64 = 8;

/// Groups that one read can touch.
const GROUPS_MAX: u32 = (BLOCKS_MAX as u64 / GROUP) as u32 + 1;

/// On which side a read is, in each of the groups that it touches: one bit for each.
type SideBits = u16;

const _: () = assert!(GROUPS_MAX <= SideBits::BITS);

/// Bits of a count of reads in a word.
const COUNT_BITS: u32 = 12;
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;
const FREEING_MAX: u32 = (1 << 7) - 1;

/// Words that a small volume should have too.
const WORDS_MIN: usize = 4096;

/// How many buckets a volume with so many slots should have: with fewer, more slots are kept for a read that hangs.
pub const fn buckets_for(slots: u32) -> usize {
    let buckets = (slots as usize).saturating_mul(4);
    if buckets > 2 * WORDS_MIN {
        buckets.next_power_of_two()
    } else {
        2 * WORDS_MIN
    }
}

/// On which side of each of its groups a read began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sides(SideBits);

/// What the end of a read means for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReadOver {
    /// It was the last one on the old side of a group: freeing may go on.
    pub(crate) last: bool,
    /// A group had as many reads as can be counted: others may have been turned away.
    pub(crate) was_full: bool,
}

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    /// Reads on either side.
    reads: (u32, u32),
    /// Whether reads begin on the second side.
    second: bool,
    /// Entries that are being freed.
    freeing: u32,
}

impl Group {
    const fn unpack(word: u32) -> Self {
        Self {
            reads: (word & COUNT_MAX, word >> COUNT_BITS & COUNT_MAX),
            second: word >> 31 != 0,
            freeing: word >> (2 * COUNT_BITS) & FREEING_MAX,
        }
    }

    const fn pack(self) -> u32 {
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

    const fn old(&self) -> u32 {
        if self.second {
            self.reads.0
        } else {
            self.reads.1
        }
    }

    /// Whether one read more, in whatever groups, can be counted.
    const fn has_room(&self) -> bool {
        self.reads.0 + GROUPS_MAX <= COUNT_MAX && self.reads.1 + GROUPS_MAX <= COUNT_MAX
    }

    /// A read begins; says whether on the second side.
    fn begin(&mut self) -> bool {
        let second = self.second;
        let count = self.on_side(second);
        *count = count.saturating_add(1).min(COUNT_MAX);
        second
    }

    /// A read is handed back. Whether it was the last one on the old side.
    fn end(&mut self, second: bool) -> bool {
        let count = self.on_side(second);
        *count = count.saturating_sub(1);
        second != self.second && self.old() == 0
    }

    /// Whether entries may begin to be freed: those that began before are free.
    const fn is_open(&self) -> bool {
        self.freeing == 0 && self.old() == 0
    }

    /// One more entry begins to be freed, together with the first of them.
    fn mark(&mut self) {
        // Where nobody reads there is nobody to wait for.
        if self.freeing == 0 && self.reads != (0, 0) {
            self.second = !self.second;
        }
        self.freeing = self.freeing.saturating_add(1).min(FREEING_MAX);
    }

    fn unmark(&mut self) {
        self.freeing = self.freeing.saturating_sub(1);
    }
}

impl Sides {
    /// Whether the read is on the second side in the group of this number among its groups.
    const fn second(self, number: u32) -> bool {
        self.0 >> number & 1 != 0
    }
}

/// The groups of a range, and their numbers among them.
fn groups(range: Range) -> impl Iterator<Item = (u32, u64)> {
    let first = range.block / GROUP;
    let last = range
        .block
        .saturating_add(u64::from(range.count.max(1)) - 1)
        / GROUP;
    (0..GROUPS_MAX).zip(first..=last)
}

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    /// The words stand behind the buckets of the index, and there are as many.
    fn word_of(&self, group: u64) -> usize {
        let half = self.buckets.len() / 2;
        half.wrapping_add(mix(group ^ !self.salt) as usize & half.wrapping_sub(1))
    }

    fn group(&self, group: u64) -> Group {
        let word = self.buckets.get(self.word_of(group)).copied();
        Group::unpack(word.unwrap_or(0))
    }

    fn edit_group<R>(&mut self, group: u64, edit: impl FnOnce(&mut Group) -> R) -> R {
        let mut found = self.group(group);
        let result = edit(&mut found);
        let at = self.word_of(group);
        if let Some(word) = self.buckets.get_mut(at) {
            *word = found.pack();
        }
        result
    }

    /// A read begins; `None`: there are more than can be counted.
    pub(crate) fn read_begins(&mut self, range: Range) -> Option<Sides> {
        if groups(range).any(|(_, group)| !self.group(group).has_room()) {
            return None;
        }
        let mut sides = 0;
        for (number, group) in groups(range) {
            let second = self.edit_group(group, Group::begin);
            sides |= SideBits::from(second) << number;
        }
        Some(Sides(sides))
    }

    /// A read is handed back.
    pub(crate) fn read_ends(&mut self, range: Range, sides: Sides) -> ReadOver {
        let mut over = ReadOver::default();
        for (number, group) in groups(range) {
            over.was_full |= !self.group(group).has_room();
            over.last |= self.edit_group(group, |group| group.end(sides.second(number)));
        }
        over
    }

    /// Whether no write of the block to the disk can have been under way during a read of `range` that found it on the
    /// disk alone. What began to be freed before the read did was written by then; what began later waits for the read.
    pub(crate) fn is_undisturbed(&self, block: u64, range: Range, sides: Sides) -> bool {
        let Some(newest) = self.newest(block) else {
            return true;
        };
        let group = block / GROUP;
        let number = group.wrapping_sub(range.block / GROUP) as u32;
        self.at(newest).is_freeing()
            && number < GROUPS_MAX
            && self.group(group).second == sides.second(number)
    }

    /// Whether the entry may begin to be freed, as far as reads are concerned.
    pub(crate) fn may_free(&self, entry: EntryId) -> bool {
        self.group(self.at(entry).block / GROUP).is_open()
    }

    /// Begins to free an entry: reads that begin from now on do not see it.
    pub(crate) fn set_freeing(&mut self, entry: EntryId) {
        self.at_mut(entry).state.put(Place::Freeing);
        self.edit_group(self.at(entry).block / GROUP, Group::mark);
    }

    /// An entry that was being freed is gone.
    pub(super) fn unset_freeing(&mut self, block: u64) {
        self.edit_group(block / GROUP, Group::unmark);
    }

    /// Whether nobody reads any more who began before the entry began to be freed.
    pub(crate) fn is_unread(&self, entry: EntryId) -> bool {
        self.group(self.at(entry).block / GROUP).old() == 0
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_readers))]
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

    #[test]
    fn more_reads_than_can_be_counted_are_turned_away() {
        let (mut entries, mut buckets) = ([Entry::EMPTY; 8], [0; 8]);
        let guards = crate::guards::Guards::ALL;
        let mut log = Log::new(&mut entries[..], &mut buckets[..], 4, guards, 3);
        let range = Range { block: 7, count: 1 };
        let mut last = None;
        let mut begun = 0;
        while let Some(sides) = log.read_begins(range) {
            (last, begun) = (Some(sides), begun + 1);
            if begun > COUNT_MAX {
                break;
            }
        }
        // A read of other groups may meet the same word in each of them.
        assert!(begun > COUNT_MAX / 2 && begun + GROUPS_MAX > COUNT_MAX && begun <= COUNT_MAX);
        if let Some(sides) = last {
            assert!(log.read_ends(range, sides).was_full);
        }
        assert!(log.read_begins(range).is_some());
    }

    #[test]
    fn a_read_touches_all_groups_of_its_range_and_no_others() {
        let touched = |block, count| {
            let range = Range { block, count };
            let mut ends = groups(range);
            let first = ends.next().map(|(_, group)| group);
            (first, ends.last().map(|(_, group)| group))
        };
        assert_eq!(touched(7, 1), (Some(0), None));
        assert_eq!(touched(7, 2), (Some(0), Some(1)));
        assert_eq!(touched(15, BLOCKS_MAX as u32), (Some(1), Some(9)));
        assert_eq!(touched(u64::MAX, 1), (Some(u64::MAX / GROUP), None));
    }
}
