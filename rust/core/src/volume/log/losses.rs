// SPDX-License-Identifier: GPL-2.0
//! What the disk's cache may have lost (PROTOCOL P10).
//!
//! A flush that failed says that something of the cache is lost, and a disk may say so once: the next flush is good. So what
//! was done and is not covered by an earlier good flush is not done any more: the log has it, and it is written once more.

use super::entry::{Entry, DONE, FREEING, GIVEN_UP, NONE, TOMB};
use super::lists::Which;
use super::{Log, Slab};

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    /// The disk's cache may be lost. What is in flight may have been in it, and counts as not written when it ends.
    pub(crate) fn begin_undoing(&mut self) {
        self.flushes.lost(self.done_no);
        self.done_no = self.done_no.wrapping_add(1);
        self.undoing = self.done.tail;
        self.runs.cache_lost();
    }

    /// Whether entries that may be lost still count as done.
    pub(crate) fn is_undoing(&self) -> bool {
        self.undoing != NONE
    }

    /// Looks at the next `count` entries that were done last. `redo` says of a tombstone whether it is to be done again.
    pub(crate) fn undo_some(&mut self, count: u32, mut redo: impl FnMut(u32) -> bool) {
        for _ in 0..count {
            let entry = self.undoing;
            if entry == NONE || self.flushes.covers(self.at(entry).done_no) {
                self.undoing = NONE;
                return;
            }
            let at = *self.at(entry);
            self.undoing = at.prev;
            if !at.is(FREEING | GIVEN_UP) && (!at.is(TOMB) || redo(entry)) {
                self.undo(entry);
            }
        }
    }

    /// A done entry is not done any more. It stands behind all others that are not: whoever waits for what is not done waits
    /// anew.
    fn undo(&mut self, entry: u32) {
        self.remove(Which::Done, entry);
        let at = self.at_mut(entry);
        at.unset(DONE);
        at.done_no = 0;
        if at.proved != 0 {
            self.proved_dirty = self.proved_dirty.saturating_add(1);
        }
        if entry >= self.slots {
            self.adopted_dirty = self.adopted_dirty.saturating_add(1);
        }
        self.list(entry);
        self.consider(entry);
    }
}
