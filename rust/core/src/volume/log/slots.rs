// SPDX-License-Identifier: GPL-2.0
//! How versions come into the log, and how they leave it.

use super::entry::{Entry, EntryId, NONE};
use super::lists::Which;
use super::sorting::Sorting;
use super::state::{Hand, Place, State};
use super::sweeps::Sweeps;
use super::{Log, Slab};
use crate::volume::requests::tickets::TicketIndex;

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    /// Takes a free own slot for the next version of `block`. The caller fills it.
    pub(crate) fn take(
        &mut self,
        block: u64,
        generation: u64,
        ticket: TicketIndex,
    ) -> Option<EntryId> {
        let slot = self.free.head.some()?;
        self.remove(Which::Free, slot);
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        *self.at_mut(slot) = Entry {
            block,
            generation,
            sequence,
            ticket,
            state: State::new(Place::Free, Hand::Filler),
            ..Entry::EMPTY
        };
        self.insert(slot);
        Some(slot)
    }

    /// Takes a free own slot for a tombstone that begins at `block`.
    pub(crate) fn take_tomb(&mut self, block: u64, generation: u64) -> Option<EntryId> {
        let slot = self.free.head.some()?;
        self.remove(Which::Free, slot);
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        *self.at_mut(slot) = Entry {
            block,
            generation,
            sequence,
            tomb: true,
            ..Entry::EMPTY
        };
        self.list(slot);
        Some(slot)
    }

    /// Adopts a tombstone of the old owner. Its place has to be free.
    pub(crate) fn adopt_tomb(&mut self, slot: u32, mut entry: Entry) -> Option<EntryId> {
        let index = self.adopted(slot);
        if slot >= self.slots || self.is_live(index) {
            return None;
        }
        entry.tomb = true;
        *self.at_mut(index) = entry;
        self.adopted_dirty = self.adopted_dirty.saturating_add(1);
        self.adopted_live = self.adopted_live.saturating_add(1);
        self.list(index);
        Some(index)
    }

    /// Adopts a slot of the old owner, unless a newer version of its block was adopted. Only while the log is empty
    /// otherwise.
    pub(crate) fn adopt(&mut self, slot: u32, entry: Entry) {
        let index = self.adopted(slot);
        if slot >= self.slots {
            return;
        }
        let there = self.at(index);
        if there.is_live() {
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
    fn insert(&mut self, entry: EntryId) {
        self.hook(entry);
        self.list(entry);
    }

    /// Puts an entry behind all that are not done.
    pub(super) fn list(&mut self, entry: EntryId) {
        self.stamp = self.stamp.wrapping_add(1);
        let stamp = self.stamp;
        let at = self.at_mut(entry);
        at.stamp = stamp;
        at.state.put(Place::Dirty);
        self.push(Which::Order, entry);
    }

    /// Takes an entry out of the index and of all lists. An own slot becomes free, unless somebody outside the lock
    /// still has it, or a write of it is in flight: then it is an orphan. One in doubt is none: nobody has its data, and who
    /// owns the volume next waits until nothing lands any more.
    pub(crate) fn discard(&mut self, entry: EntryId) {
        self.unready(entry);
        self.settle(entry);
        let at = *self.at(entry);
        if !at.is_live() {
            return;
        }
        if at.is_busy() {
            self.set_block_busy(entry, NONE);
        }
        if !at.tomb {
            self.unhook(entry);
        }
        if self.is_adopted(entry) {
            self.adopted_live = self.adopted_live.saturating_sub(1);
        }
        if at.is_freeing() {
            self.unset_freeing(at.block);
        }
        if at.is_done() {
            self.remove(Which::Done, entry);
        } else {
            self.undirty(entry);
        }
        if !at.is_filling() && !at.is_busy() {
            return self.release(entry);
        }
        let at = self.at_mut(entry);
        (at.carried, at.proved, at.tomb) = (0, 0, false);
        at.state.put(Place::Orphan);
    }

    /// Nothing in the log counts any more: all of it is to be discarded.
    pub(crate) fn begin_emptying(&mut self) {
        self.unproved_too = false;
        self.undoing = NONE;
        self.sorting = Sorting::NONE;
        self.sweeps = Sweeps::EMPTYING;
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
        self.sweeps.empties
    }

    /// Discards the next entries, `count` of them.
    pub(crate) fn empty_some(&mut self, count: u32) {
        if !self.sweeps.empties {
            return;
        }
        let first = self.sweeps.next;
        let all = self.slots.saturating_mul(2);
        let end = first.saturating_add(count).min(all);
        for entry in first..end {
            self.discard(EntryId::new(entry));
        }
        self.sweeps.next = end;
        if end >= all {
            self.sweeps = Sweeps::NONE;
        }
    }

    /// An entry came back from whoever had it in hand.
    pub(crate) fn returned(&mut self, entry: EntryId, from: Hand) {
        let at = self.at_mut(entry);
        if at.state.hand() != from {
            return;
        }
        if at.state.place() == Place::Orphan {
            return self.release(entry);
        }
        at.state.give(Hand::Nobody);
    }

    fn release(&mut self, entry: EntryId) {
        *self.at_mut(entry) = Entry::EMPTY;
        if !self.is_adopted(entry) {
            self.push(Which::Free, entry);
        }
    }
}
