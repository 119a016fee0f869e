// SPDX-License-Identifier: GPL-2.0
//! The log: every version of every block that is not (or not provably) on the disk alone.
//!
//! Entries `0..slots` are the own slots, numbered as the slots of the partner's regions; `slots..2 * slots` are the
//! adopted ones. Of each block the newest version is in a hash bucket, the older ones hang below it. An entry stands
//! in one of three lists: free, not done (in the order of insertion), done (in the order of having been done). All
//! operations take constant time but for walks over versions, each of which is taken once in the life of a version.

use core::ops::DerefMut;

pub(crate) mod checks;
mod destage;
mod doubts;
pub mod entry;
mod flushes;
mod lists;
mod losses;
mod marks;
pub(crate) mod readers;
mod ready;
mod runs;
mod slots;
mod sorting;
pub(crate) mod state;
mod sweeps;
mod versions;

pub use readers::buckets_for;
pub use runs::RUNS_MAX;

use crate::guards::Guards;
use doubts::Doubts;
use entry::{Entry, EntryId, List, NONE};
use flushes::Flushes;
use lists::Which;
use runs::Runs;
use sorting::Sorting;
use sweeps::Sweeps;

/// Storage that a machine is given: a vector of the host, or of the kernel.
pub trait Slab<T>: DerefMut<Target = [T]> {}

impl<T, S: DerefMut<Target = [T]>> Slab<T> for S {}

/// The log of one volume.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Log<E, B> {
    entries: E,
    /// One half: the index. The other: who reads ([`readers`]).
    buckets: B,
    guards: Guards,
    /// Spreads blocks over the buckets in a way that nobody knows: whoever writes chooses the blocks.
    salt: u64,
    slots: u32,
    free: List,
    /// Not done, oldest first.
    order: List,
    /// Done and not freed, in the order in which they were done.
    done: List,
    /// Own entries that may be destaged; at most one version of each block, in this list or the next.
    ready: List,
    /// The same of adopted ones.
    ready_adopted: List,
    /// The next run is for an adopted entry, if there is one.
    adopted_next: bool,
    /// Whether unproved entries may be destaged too.
    unproved_too: bool,
    sorting: Sorting,
    stamp: u64,
    sequence: u64,
    done_no: u64,
    /// The number of the last one that was done of those that a record names: adopted, or proved somewhere.
    named_no: u64,
    /// The next entry that may be lost and counts as done, while there are some; `NONE` otherwise.
    undoing: EntryId,
    /// Proved somewhere and not done.
    proved_dirty: u32,
    /// Adopted and not done.
    adopted_dirty: u32,
    adopted_live: u32,
    condemned: u32,
    sweeps: Sweeps,
    /// What an index beyond the storage reads as. There is no such index; a panic would be worse.
    spare: Entry,
    runs: Runs,
    doubts: Doubts,
    flushes: Flushes,
    /// Adopted slots of the last takeover.
    adopted_total: u32,
    /// Slots that it found, or adopted, and whose data turned out not to be there.
    dropped: u32,
}

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    pub(crate) fn new(entries: E, buckets: B, slots: u32, guards: Guards, salt: u64) -> Self {
        let mut log = Self {
            entries,
            buckets,
            guards,
            salt,
            slots,
            free: List::EMPTY,
            order: List::EMPTY,
            done: List::EMPTY,
            ready: List::EMPTY,
            ready_adopted: List::EMPTY,
            adopted_next: false,
            unproved_too: false,
            sorting: Sorting::NONE,
            stamp: 0,
            sequence: 0,
            done_no: 0,
            named_no: 0,
            undoing: NONE,
            proved_dirty: 0,
            adopted_dirty: 0,
            adopted_live: 0,
            condemned: 0,
            sweeps: Sweeps::NONE,
            spare: Entry::EMPTY,
            runs: Runs::NONE,
            doubts: Doubts::NONE,
            flushes: Flushes::NONE,
            adopted_total: 0,
            dropped: 0,
        };
        log.entries.fill(Entry::EMPTY);
        log.buckets.fill(0);
        let heads = log.heads();
        if let Some(heads) = log.buckets.get_mut(..heads) {
            heads.fill(NONE.index());
        }
        for slot in 0..slots {
            log.push(Which::Free, EntryId::new(slot));
        }
        log
    }

    #[inline]
    pub(crate) fn at(&self, entry: EntryId) -> &Entry {
        self.entries
            .get(entry.index() as usize)
            .unwrap_or(&self.spare)
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, entry: EntryId) -> &mut Entry {
        match self.entries.get_mut(entry.index() as usize) {
            Some(entry) => entry,
            None => {
                self.spare = Entry::EMPTY;
                &mut self.spare
            }
        }
    }

    pub(crate) fn free_slots(&self) -> u32 {
        self.free.len
    }

    /// Entries that are not done.
    pub(crate) fn dirty(&self) -> u32 {
        if self.is_emptying() {
            0
        } else {
            self.order.len
        }
    }

    pub(crate) fn proved_dirty(&self) -> u32 {
        self.proved_dirty
    }

    pub(crate) fn adopted_dirty(&self) -> u32 {
        if self.is_emptying() {
            0
        } else {
            self.adopted_dirty
        }
    }

    /// Adopted slots that are in use, done or not.
    pub(crate) fn adopted_live(&self) -> u32 {
        self.adopted_live
    }

    /// Adopted slots whose data is not what was adopted.
    pub(crate) fn condemned(&self) -> u32 {
        self.condemned
    }

    #[inline]
    pub(crate) fn is_live(&self, entry: EntryId) -> bool {
        self.at(entry).is_live()
    }

    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// The entry of an adopted slot.
    #[inline]
    pub(crate) fn adopted(&self, slot: u32) -> EntryId {
        EntryId::new(self.slots.saturating_add(slot))
    }

    /// Whether an entry is an adopted slot, not an own one.
    #[inline]
    pub(crate) fn is_adopted(&self, entry: EntryId) -> bool {
        entry.index() >= self.slots
    }

    /// Whether unproved entries may go to the disk too.
    pub(crate) fn unproved_too(&self) -> bool {
        self.unproved_too
    }

    /// The oldest entry that is not done.
    pub(crate) fn oldest_dirty(&self) -> Option<EntryId> {
        self.order.head.some()
    }

    /// The entry that was done first of those not freed.
    pub(crate) fn first_done(&self) -> Option<EntryId> {
        self.done.head.some()
    }

    pub(crate) fn done_no(&self) -> u64 {
        self.done_no
    }

    /// Whether all that is done of what a record names is on the disk for good.
    pub(crate) fn named_are_flushed(&self) -> bool {
        self.flushes.covers(self.named_no)
    }

    pub(crate) fn runs(&self) -> &Runs {
        &self.runs
    }

    pub(crate) fn doubts(&self) -> &Doubts {
        &self.doubts
    }

    pub(crate) fn flushes(&self) -> &Flushes {
        &self.flushes
    }

    pub(crate) fn flushes_mut(&mut self) -> &mut Flushes {
        &mut self.flushes
    }

    /// Adopted slots of the last takeover.
    pub(crate) fn adopted_total(&self) -> u32 {
        self.adopted_total
    }

    /// All regions that a takeover adopts are scanned.
    pub(crate) fn count_adopted(&mut self) {
        self.adopted_total = self.adopted_live;
    }

    /// The stamp that the next entry gets.
    pub(crate) fn stamp(&self) -> u64 {
        self.stamp
    }
}
