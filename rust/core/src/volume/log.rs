// SPDX-License-Identifier: GPL-2.0
//! The log: every version of every block that is not (or not provably) on the disk alone.
//!
//! Entries `0..slots` are the own slots, numbered as the slots of the partner's regions; `slots..2 * slots` are the
//! adopted ones. Of each block the newest version is in a hash bucket, the older ones hang below it. An entry stands
//! in one of three lists: free, not done (in the order of insertion), done (in the order of having been done). All
//! operations take constant time but for walks over versions, each of which is taken once in the life of a version.

use core::ops::DerefMut;

mod destage;
mod doubts;
pub mod entry;
mod flushes;
mod lists;
mod losses;
mod ready;
mod runs;
mod versions;

pub use runs::RUNS_MAX;

use crate::guards::Guards;
use doubts::Doubts;
use entry::{
    Entry, List, BUSY, CONDEMNED, DONE, DOUBT, FILLING, FREEING, GIVEN_UP, LIVE, NONE, ORPHAN, TOMB,
};
use flushes::Flushes;
use lists::Which;
use runs::Runs;

/// Storage that a machine is given: a vector of the host, or of the kernel.
pub trait Slab<T>: DerefMut<Target = [T]> {}

impl<T, S: DerefMut<Target = [T]>> Slab<T> for S {}

/// The log of one volume.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Log<E, B> {
    entries: E,
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
    /// May be destaged; at most one version of each block.
    ready: List,
    /// Whether unproved entries may be destaged too.
    unproved_too: bool,
    stamp: u64,
    sequence: u64,
    done_no: u64,
    /// The number of the last one that was done of those that a record names: adopted, or proved somewhere.
    named_no: u64,
    /// The next entry that may be lost and counts as done, while there are some; `NONE` otherwise.
    undoing: u32,
    /// Proved somewhere and not done.
    proved_dirty: u32,
    /// Adopted and not done.
    adopted_dirty: u32,
    adopted_live: u32,
    condemned: u32,
    /// The next entry to be discarded, while all of them are; `NONE` otherwise.
    emptying: u32,
    /// What an index beyond the storage reads as. There is no such index; a panic would be worse.
    spare: Entry,
    runs: Runs,
    doubts: Doubts,
    flushes: Flushes,
    /// Adopted slots of the last takeover.
    adopted_total: u32,
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
            unproved_too: false,
            stamp: 0,
            sequence: 0,
            done_no: 0,
            named_no: 0,
            undoing: NONE,
            proved_dirty: 0,
            adopted_dirty: 0,
            adopted_live: 0,
            condemned: 0,
            emptying: NONE,
            spare: Entry::EMPTY,
            runs: Runs::NONE,
            doubts: Doubts::NONE,
            flushes: Flushes::NONE,
            adopted_total: 0,
        };
        log.entries.fill(Entry::EMPTY);
        log.buckets.fill(NONE);
        for slot in 0..slots {
            log.push(Which::Free, slot);
        }
        log
    }

    #[inline]
    pub(crate) fn at(&self, entry: u32) -> &Entry {
        self.entries.get(entry as usize).unwrap_or(&self.spare)
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, entry: u32) -> &mut Entry {
        match self.entries.get_mut(entry as usize) {
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
    pub(crate) fn is_live(&self, entry: u32) -> bool {
        self.at(entry).is(LIVE)
    }

    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// Whether unproved entries may go to the disk too.
    pub(crate) fn unproved_too(&self) -> bool {
        self.unproved_too
    }

    /// The oldest entry that is not done.
    pub(crate) fn oldest_dirty(&self) -> Option<u32> {
        (self.order.head != NONE).then_some(self.order.head)
    }

    /// The entry that was done first of those not freed.
    pub(crate) fn first_done(&self) -> Option<u32> {
        (self.done.head != NONE).then_some(self.done.head)
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

    /// Takes a free own slot for the next version of `block`. The caller fills it.
    pub(crate) fn take(&mut self, block: u64, generation: u64, ticket: u32) -> Option<u32> {
        let slot = self.free.head;
        if slot == NONE {
            return None;
        }
        self.remove(Which::Free, slot);
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        *self.at_mut(slot) = Entry {
            block,
            generation,
            sequence,
            ticket,
            flags: FILLING,
            ..Entry::EMPTY
        };
        self.insert(slot);
        Some(slot)
    }

    /// Takes a free own slot for a tombstone that begins at `block`.
    pub(crate) fn take_tomb(&mut self, block: u64, generation: u64) -> Option<u32> {
        let slot = self.free.head;
        if slot == NONE {
            return None;
        }
        self.remove(Which::Free, slot);
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        *self.at_mut(slot) = Entry {
            block,
            generation,
            sequence,
            flags: TOMB,
            ..Entry::EMPTY
        };
        self.list(slot);
        Some(slot)
    }

    /// Adopts a tombstone of the old owner. Its place has to be free.
    pub(crate) fn adopt_tomb(&mut self, slot: u32, mut entry: Entry) -> Option<u32> {
        let index = self.slots.saturating_add(slot);
        if slot >= self.slots || self.is_live(index) {
            return None;
        }
        entry.set(TOMB);
        *self.at_mut(index) = entry;
        self.adopted_dirty = self.adopted_dirty.saturating_add(1);
        self.adopted_live = self.adopted_live.saturating_add(1);
        self.list(index);
        Some(index)
    }

    /// Adopts a slot of the old owner, unless a newer version of its block was adopted. Only while the log is empty
    /// otherwise.
    pub(crate) fn adopt(&mut self, slot: u32, entry: Entry) {
        let index = self.slots.saturating_add(slot);
        if slot >= self.slots {
            return;
        }
        let there = self.at(index);
        if there.is(LIVE) {
            if there.version() >= entry.version() {
                return;
            }
            self.discard(index);
        }
        if let Some(other) = self.newest(entry.block) {
            if self.at(other).version() >= entry.version() {
                return;
            }
            self.discard(other);
        }
        *self.at_mut(index) = entry;
        self.adopted_dirty = self.adopted_dirty.saturating_add(1);
        self.adopted_live = self.adopted_live.saturating_add(1);
        self.insert(index);
        self.consider(index);
    }

    /// Makes an entry the newest version of its block.
    fn insert(&mut self, entry: u32) {
        self.hook(entry);
        self.list(entry);
    }

    /// Puts an entry behind all that are not done.
    fn list(&mut self, entry: u32) {
        self.stamp = self.stamp.wrapping_add(1);
        let stamp = self.stamp;
        let at = self.at_mut(entry);
        at.stamp = stamp;
        at.set(LIVE);
        self.push(Which::Order, entry);
    }

    /// Takes an entry out of the index and of all lists. An own slot becomes free, unless somebody outside the lock
    /// still has it, or a write of it is in flight: then it is an orphan. One in doubt is none: nobody has its data, and who
    /// owns the volume next waits until nothing lands any more.
    pub(crate) fn discard(&mut self, entry: u32) {
        self.unready(entry);
        self.settle(entry);
        let at = *self.at(entry);
        if !at.is(LIVE) {
            return;
        }
        if at.is(BUSY) {
            self.set_block_busy(entry, NONE);
        }
        if !at.is(TOMB) {
            self.unhook(entry);
        }
        if entry >= self.slots {
            self.adopted_live = self.adopted_live.saturating_sub(1);
        }
        if at.is(DONE) {
            self.remove(Which::Done, entry);
        } else {
            self.undirty(entry);
        }
        let kept = at.flags & (FILLING | BUSY);
        let at = self.at_mut(entry);
        (at.carried, at.proved) = (0, 0);
        at.flags = kept;
        if kept != 0 {
            at.set(ORPHAN);
        } else {
            self.release(entry);
        }
    }

    /// Nothing in the log counts any more: all of it is to be discarded.
    pub(crate) fn begin_emptying(&mut self) {
        self.unproved_too = false;
        self.emptying = 0;
        self.undoing = NONE;
    }

    /// Discards all that is there, at once: only for what is empty already, but for a test or a mistake.
    pub(crate) fn empty_now(&mut self) {
        if self.is_emptying() || self.order.len > 0 || self.done.len > 0 || self.condemned > 0 {
            self.begin_emptying();
            self.empty_some(u32::MAX);
        }
    }

    /// Whether entries that do not count any more are still there.
    pub(crate) fn is_emptying(&self) -> bool {
        self.emptying != NONE
    }

    /// Discards the next entries, `count` of them.
    pub(crate) fn empty_some(&mut self, count: u32) {
        let all = self.slots.saturating_mul(2);
        let end = self.emptying.saturating_add(count).min(all);
        while self.emptying < end {
            self.discard(self.emptying);
            self.emptying = self.emptying.saturating_add(1);
        }
        if end == all {
            self.emptying = NONE;
        }
    }

    /// An orphan came back from whoever had it.
    pub(crate) fn returned(&mut self, entry: u32, flag: u16) {
        self.at_mut(entry).unset(flag);
        let at = self.at(entry);
        if at.is(ORPHAN) && !at.is(FILLING | BUSY) {
            self.release(entry);
        }
    }

    fn release(&mut self, entry: u32) {
        if entry < self.slots {
            *self.at_mut(entry) = Entry::EMPTY;
            self.push(Which::Free, entry);
        } else {
            *self.at_mut(entry) = Entry::EMPTY;
        }
    }

    /// The data of an adopted entry is not what was adopted. It waits for nothing any more: nobody can write it down.
    /// A tombstone has no data: all of it was read when it was adopted.
    pub(crate) fn condemn(&mut self, entry: u32) {
        let spared = self.at(entry).is(DONE | CONDEMNED | TOMB);
        if entry < self.slots || !self.is_live(entry) || spared {
            return;
        }
        self.unready(entry);
        self.remove(Which::Order, entry);
        self.at_mut(entry).set(CONDEMNED);
        self.condemned = self.condemned.saturating_add(1);
    }

    /// Condemns what was adopted from the region of a link, which is gone.
    pub(crate) fn condemn_link(&mut self, link: u8) {
        for entry in self.slots..self.slots.saturating_mul(2) {
            if self.at(entry).link == link {
                self.condemn(entry);
            }
        }
    }

    /// What was condemned is given up: of these blocks the disk's version is served.
    pub(crate) fn give_up_condemned(&mut self) {
        for entry in self.slots..self.slots.saturating_mul(2) {
            if self.at(entry).is(CONDEMNED) {
                self.mark_done(entry);
                self.at_mut(entry).set(GIVEN_UP);
            }
        }
    }

    /// The entry leaves the list of what is not done, and what is counted of it.
    fn undirty(&mut self, entry: u32) {
        if self.at(entry).is(CONDEMNED) {
            self.at_mut(entry).unset(CONDEMNED);
            self.condemned = self.condemned.saturating_sub(1);
        } else {
            self.remove(Which::Order, entry);
        }
        if self.at(entry).proved != 0 {
            self.proved_dirty = self.proved_dirty.saturating_sub(1);
        }
        if entry >= self.slots {
            self.adopted_dirty = self.adopted_dirty.saturating_sub(1);
        }
    }

    /// The entry was proved to be in the region of a link.
    pub(crate) fn prove(&mut self, entry: u32, link: u8) {
        let at = self.at_mut(entry);
        let first = at.proved == 0 && at.is(LIVE) && !at.is(DONE);
        let doubted = at.proved == 0 && at.is(DOUBT);
        at.proved |= link;
        if doubted {
            self.doubts.unproved = self.doubts.unproved.saturating_sub(1);
        }
        if first {
            self.proved_dirty = self.proved_dirty.saturating_add(1);
        }
        self.consider(entry);
    }

    /// The regions of these links are gone: what was in them counts for nothing any more. Looks at `count` own entries
    /// from `first` on, and says where to go on, if there are more.
    pub(crate) fn forget_regions(&mut self, links: u8, first: u32, count: u32) -> Option<u32> {
        let end = first.saturating_add(count).min(self.slots);
        for entry in first..end {
            let at = self.at_mut(entry);
            let was = at.proved != 0;
            at.carried &= !links;
            at.proved &= !links;
            if !was || at.proved != 0 {
                continue;
            }
            let (dirty, doubted) = (at.is(LIVE) && !at.is(DONE), at.is(DOUBT));
            if dirty {
                self.proved_dirty = self.proved_dirty.saturating_sub(1);
            }
            if doubted {
                self.doubts.unproved = self.doubts.unproved.saturating_add(1);
            }
        }
        (end < self.slots).then_some(end)
    }

    /// The entry, or a newer version of its block, is on the disk.
    pub(crate) fn mark_done(&mut self, entry: u32) {
        if self.at(entry).is(DONE) || !self.at(entry).is(LIVE) {
            return;
        }
        self.unready(entry);
        self.undirty(entry);
        self.done_no = self.done_no.wrapping_add(1);
        let number = self.done_no;
        let at = self.at_mut(entry);
        at.set(DONE);
        at.done_no = number;
        let named = at.proved != 0;
        if named || entry >= self.slots {
            self.named_no = number;
        }
        self.push(Which::Done, entry);
    }

    /// Begins to free an entry: it leaves the list of what is done.
    pub(crate) fn set_freeing(&mut self, entry: u32) {
        self.at_mut(entry).set(FREEING);
    }
}
