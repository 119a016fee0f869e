// SPDX-License-Identifier: GPL-2.0
//! Who reads which blocks: a slot is freed when nobody is left who may copy from it, or for whose sake it says that its
//! block was written under a read.
//!
//! Reads are counted by groups of neighbouring blocks, and groups share a word where their hashes meet. So a read that
//! hangs on the disk keeps the slots of its own blocks, and of a few more, and no others. In a group a read is on one of two
//! *sides*. When entries of the group begin to be freed the sides are flipped, and they are free when nobody is left on
//! the old one; until all of them are, no others begin. So reads that keep coming put nothing off for ever.

mod group;

use super::entry::{Entry, EntryId};
use super::state::Place;
use super::{Log, Slab};
use crate::ids::mix;
use crate::volume::config::BLOCKS_MAX;
use crate::volume::plan::Range;
use group::Group;

/// Blocks of a group.
const GROUP: u64 = 8;

/// Groups that one read can touch.
const GROUPS_MAX: u32 = (BLOCKS_MAX as u64 / GROUP) as u32 + 1;

/// On which side a read is, in each of the groups that it touches: one bit for each.
type SideBits = u16;

const _: () = assert!(GROUPS_MAX <= SideBits::BITS);

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
    use super::group::COUNT_MAX;
    use super::*;

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
