// SPDX-License-Identifier: GPL-2.0
//! What the disk's cache may have lost (PROTOCOL P10).
//!
//! A flush that failed says that something of the cache is lost, and a disk may say so once: the next flush is good. So what
//! was done and is not covered by an earlier good flush is not done any more: the log has it, and it is written once more.

use super::entry::{Entry, EntryId, NONE};
use super::lists::Which;
use super::state::Place;
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
    pub(crate) fn undo_some(&mut self, count: u32, mut redo: impl FnMut(EntryId) -> bool) {
        for _ in 0..count {
            let entry = self.undoing;
            if entry == NONE || self.flushes.covers(self.at(entry).done_no) {
                self.undoing = NONE;
                return;
            }
            let at = *self.at(entry);
            self.undoing = at.prev;
            if at.state.place() == Place::Done && (!at.tomb || redo(entry)) {
                self.undo(entry);
            }
        }
    }

    /// A done entry is not done any more. It stands behind all others that are not: whoever waits for what is not done waits
    /// anew.
    fn undo(&mut self, entry: EntryId) {
        self.remove(Which::Done, entry);
        let at = self.at_mut(entry);
        at.done_no = 0;
        if at.proved != 0 {
            self.proved_dirty = self.proved_dirty.saturating_add(1);
        }
        if self.is_adopted(entry) {
            self.adopted_dirty = self.adopted_dirty.saturating_add(1);
        }
        self.list(entry);
        self.consider(entry);
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_losses))]
mod tests {
    use super::*;
    use crate::guards::Guards;
    use crate::volume::requests::tickets::NO_TICKET;

    const SLOTS: usize = 4;

    #[test]
    fn nothing_goes_to_the_disk_while_an_older_version_still_counts_as_done() {
        let (mut entries, mut buckets) = ([Entry::EMPTY; 2 * SLOTS], [0; 8]);
        let (entries, buckets) = (&mut entries[..], &mut buckets[..]);
        let mut log = Log::new(entries, buckets, SLOTS as u32, Guards::ALL, 3);
        let mut put = || {
            let entry = log.take(7, 1, NO_TICKET).unwrap_or(NONE);
            log.prove(entry, 1);
            log.filled(entry);
            entry
        };
        let (older, newer) = (put(), put());
        log.start(newer);
        log.finish(newer, true, |_| ());
        log.begin_undoing();
        log.undo_some(1, |_| false);
        assert!(!log.at(newer).is_done() && log.at(older).is_done());
        assert!(log.first_ready().is_none() && log.begin_run(1, 64, 0).is_none());
        log.undo_some(2, |_| false);
        assert!(!log.is_undoing() && !log.at(older).is_done());
        assert_eq!(log.ready_version(7), Some(newer));
        assert_eq!((log.dirty(), log.proved_dirty()), (2, 2));
        assert!(log.begin_run(1, 64, 0).is_some());
    }
}
