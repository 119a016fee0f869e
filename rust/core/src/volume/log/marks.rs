// SPDX-License-Identifier: GPL-2.0
//! What becomes of an entry: proved in a region or not any more, done, or condemned; and what is counted of that.

use super::entry::{Entry, EntryId};
use super::lists::Which;
use super::state::Place;
use super::{Log, Slab};

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    /// The data of an adopted entry is not what was adopted. It waits for nothing any more: nobody can write it down.
    /// A tombstone has no data: all of it was read when it was adopted.
    pub(crate) fn condemn(&mut self, entry: EntryId) {
        let at = self.at(entry);
        if !self.is_adopted(entry) || at.state.place() != Place::Dirty || at.tomb {
            return;
        }
        self.unready(entry);
        self.remove(Which::Order, entry);
        self.at_mut(entry).state.put(Place::Condemned);
        self.condemned = self.condemned.saturating_add(1);
    }

    /// The entry leaves the list of what is not done, and what is counted of it.
    pub(super) fn undirty(&mut self, entry: EntryId) {
        if self.at(entry).is_condemned() {
            self.condemned = self.condemned.saturating_sub(1);
        } else {
            self.remove(Which::Order, entry);
        }
        if self.at(entry).proved != 0 {
            self.proved_dirty = self.proved_dirty.saturating_sub(1);
        }
        if self.is_adopted(entry) {
            self.adopted_dirty = self.adopted_dirty.saturating_sub(1);
        }
    }

    /// The entry was proved to be in the region of a link.
    pub(crate) fn prove(&mut self, entry: EntryId, link: u8) {
        let at = self.at_mut(entry);
        let first = at.proved == 0 && at.is_live() && !at.is_done();
        let doubted = at.proved == 0 && at.is_in_doubt();
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
            let at = self.at_mut(EntryId::new(entry));
            let was = at.proved != 0;
            at.carried &= !links;
            at.proved &= !links;
            if !was || at.proved != 0 {
                continue;
            }
            let (dirty, doubted) = (at.is_live() && !at.is_done(), at.is_in_doubt());
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
    pub(crate) fn mark_done(&mut self, entry: EntryId) {
        if self.at(entry).is_done() || !self.is_live(entry) {
            return;
        }
        self.unready(entry);
        self.undirty(entry);
        self.done_no = self.done_no.wrapping_add(1);
        let number = self.done_no;
        let at = self.at_mut(entry);
        at.state.put(Place::Done);
        at.done_no = number;
        let named = at.proved != 0;
        if named || self.is_adopted(entry) {
            self.named_no = number;
        }
        self.push(Which::Done, entry);
    }
}
