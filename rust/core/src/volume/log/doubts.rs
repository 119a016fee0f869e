// SPDX-License-Identifier: GPL-2.0
//! Writes to the disk that failed, and may still land (PROTOCOL P5).
//!
//! A command that failed may land until T_io has passed since its issue: over whatever was written to its blocks in between.
//! So its entries stay busy until then, and no other version of their blocks is issued. They hang together in a list, and not
//! in the run, so that runs that failed take no place from those of other blocks.

use super::entry::{Entry, EntryId, List, NONE};
use super::state::Hand;
use super::{Log, Slab};

/// The entries whose write failed and may still land.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Doubts {
    /// In the order in which it was known.
    pub(super) list: List,
    /// Those that no region was proved to have.
    pub(super) unproved: u32,
    /// By then everything has landed that failed, or was in flight when an ownership ended.
    pub(super) until_ns: u64,
}

impl Doubts {
    pub(super) const NONE: Self = Self {
        list: List::EMPTY,
        unproved: 0,
        until_ns: 0,
    };

    /// Whether there are any.
    pub(crate) fn any(&self) -> bool {
        self.list.len > 0
    }

    /// Whether one is on its way to the disk, perhaps, that no region was proved to have.
    pub(crate) fn any_unproved(&self) -> bool {
        self.unproved > 0
    }

    /// By then everything has landed that failed, or was in flight when an ownership ended.
    pub(crate) fn until_ns(&self) -> u64 {
        self.until_ns
    }

    /// Something may land until then.
    pub(super) fn lasts(&mut self, until_ns: u64) {
        self.until_ns = self.until_ns.max(until_ns);
    }
}

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    /// The write of an entry that is in the log failed. It may land until then.
    pub(super) fn doubt(&mut self, entry: EntryId, until_ns: u64) {
        let mut list = self.doubts.list;
        self.link(&mut list, entry);
        self.doubts.list = list;
        self.doubts.lasts(until_ns);
        let at = self.at_mut(entry);
        at.state.give(Hand::Doubt);
        at.doubt_until_ns = until_ns;
        if at.proved == 0 {
            self.doubts.unproved = self.doubts.unproved.saturating_add(1);
        }
    }

    /// The write of the entry, if it is in doubt, does not count as being in flight any more.
    pub(super) fn settle(&mut self, entry: EntryId) {
        if !self.at(entry).is_in_doubt() {
            return;
        }
        let mut list = self.doubts.list;
        self.unlink(&mut list, entry);
        self.doubts.list = list;
        self.at_mut(entry).state.give(Hand::Nobody);
        self.set_block_busy(entry, NONE);
        if self.at(entry).proved == 0 {
            self.doubts.unproved = self.doubts.unproved.saturating_sub(1);
        }
    }

    /// When the first of them is over. One that is known later may be over before: it waits for those before it.
    pub(crate) fn doubt_over_ns(&self) -> Option<u64> {
        let head = self.doubts.list.head.some()?;
        Some(self.at(head).doubt_until_ns)
    }

    /// Those that are over by now may be written once more; `count` of them.
    pub(crate) fn settle_some(&mut self, now_ns: u64, count: u32) {
        for _ in 0..count {
            if self.doubt_over_ns().is_none_or(|over_ns| over_ns > now_ns) {
                return;
            }
            let entry = self.doubts.list.head;
            self.settle(entry);
            self.reconsider(entry);
        }
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_doubts))]
mod tests {
    use super::*;
    use crate::guards::Guards;
    use crate::volume::requests::tickets::NO_TICKET;

    const SLOTS: usize = 4;
    const LINK: u8 = 1;

    struct Storage([Entry; 2 * SLOTS], [u32; 8]);

    impl Storage {
        fn new() -> Self {
            Self([Entry::EMPTY; 2 * SLOTS], [0; 8])
        }

        fn log(&mut self) -> Log<&mut [Entry], &mut [u32]> {
            let (entries, buckets) = (&mut self.0[..], &mut self.1[..]);
            Log::new(entries, buckets, SLOTS as u32, Guards::ALL, 3)
        }
    }

    fn put(log: &mut Log<&mut [Entry], &mut [u32]>, block: u64) -> EntryId {
        let entry = log.take(block, 1, NO_TICKET).unwrap_or(NONE);
        log.prove(entry, LINK);
        log.filled(entry);
        entry
    }

    #[test]
    fn a_block_in_doubt_is_not_written_until_it_is_over() {
        let mut storage = Storage::new();
        let mut log = storage.log();
        let first = put(&mut log, 7);
        log.start(first);
        log.doubt(first, 50);
        let second = put(&mut log, 7);
        let other = put(&mut log, 8);
        log.start(other);
        log.doubt(other, 40);
        log.settle_some(49, 9);
        assert_eq!((log.ready_version(7), log.ready_version(8)), (None, None));
        log.settle_some(50, 1);
        assert_eq!(log.ready_version(7), Some(second));
        assert_eq!(log.doubt_over_ns(), Some(40));
        log.settle_some(50, 1);
        assert_eq!(log.ready_version(8), Some(other));
        assert!(!log.doubts().any() && log.doubts().until_ns() == 50);
    }

    #[test]
    fn what_is_in_doubt_and_nowhere_else_is_counted() {
        let mut storage = Storage::new();
        let mut log = storage.log();
        let entry = put(&mut log, 7);
        log.start(entry);
        log.doubt(entry, 50);
        assert!(log.doubts().any() && !log.destages_unproved());
        assert_eq!(log.forget_regions(LINK, 0, 9), None);
        assert!(log.destages_unproved());
        log.prove(entry, LINK);
        assert!(!log.destages_unproved());
    }

    #[test]
    fn an_ownership_that_ends_leaves_a_time_and_no_entries() {
        let mut storage = Storage::new();
        let mut log = storage.log();
        let entry = put(&mut log, 7);
        log.start(entry);
        log.doubt(entry, 50);
        let _ = put(&mut log, 8);
        let in_flight = log.begin_run(1, 64, 30);
        assert!(in_flight.is_some());
        log.disown_runs(25);
        assert_eq!(log.doubts().until_ns(), 55);
        log.begin_emptying();
        log.empty_some(u32::MAX);
        assert!(!log.doubts().any() && !log.is_live(entry));
        assert_eq!(log.free_slots(), SLOTS as u32 - 1);
    }
}
