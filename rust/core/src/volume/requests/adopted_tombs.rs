// SPDX-License-Identifier: GPL-2.0
//! Tombstones of the old owner, found among the slots that a takeover adopts (PROTOCOL P12). What a peer has left there
//! is checked like everything that a peer writes: there is room for as many as an owner has, and no more.

use crate::volume::log::entry::{Entry, EntryId, NONE};
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::plan::PassOp;
use crate::volume::requests::pass::{Pass, PassStage};
use crate::volume::requests::tickets::Ticket;
use crate::volume::LongRange;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// A tombstone was found in a region that is scanned.
    pub(crate) fn adopt_tomb(&mut self, slot: u32, found: Entry, op: PassOp, count: u64) {
        let twin = |pass: &Pass| self.log.at(pass.entry).version() == found.version();
        if self.requests.passes.any(twin)
            || !self.make_way(slot, &found)
            || self.requests.passes.is_full()
        {
            return;
        }
        let block = found.block;
        self.log.discard(self.log.adopted(slot));
        if let Some(entry) = self.log.adopt_tomb(slot, found) {
            let range = LongRange { block, count };
            let _ = self
                .requests
                .passes
                .add(op, range, None, PassStage::Clearing, entry);
        }
    }

    /// A slot has one version: whether there is room for this one, if need be in the place of a tombstone.
    pub(crate) fn make_way(&mut self, slot: u32, found: &Entry) -> bool {
        let entry = self.log.adopted(slot);
        let at = self.log.at(entry);
        if !self.log.is_live(entry) {
            return true;
        }
        if at.version() >= found.version() {
            return false;
        }
        self.drop_tomb(entry);
        true
    }

    fn drop_tomb(&mut self, entry: EntryId) {
        if let Some(index) = self.requests.passes.of_entry(entry) {
            self.requests.passes.take(index);
            self.log.discard(entry);
        }
    }

    /// An adopted tombstone meets a version of a block of its range. No owner leaves both: the newer counts. Whether the
    /// version is gone now.
    pub(crate) fn is_outdone(&mut self, entry: EntryId, pass: &Pass) -> bool {
        if pass.entry == NONE {
            return false;
        }
        if self.log.at(entry).version() > self.log.at(pass.entry).version() {
            // One whose data nobody has looked at may turn out to hold nothing.
            if !self.log.is_unchecked(entry) {
                self.drop_tomb(pass.entry);
            }
            return false;
        }
        let at = self.log.at(entry);
        let free = !at.is_busy() && !at.is_freeing();
        if free {
            self.log.discard(entry);
        }
        free
    }
}
