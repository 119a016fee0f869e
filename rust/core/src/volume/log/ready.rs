// SPDX-License-Identifier: GPL-2.0
//! Which version of a block goes to the disk next (PROTOCOL P5).
//!
//! Of one block at most one write is in flight, and always the newest version that may go: the older ones are dropped
//! when it is there. So versions reach the disk in order.

use super::entry::{Entry, EntryId, List, NONE};
use super::state::{Hand, Place};
use super::{Log, Slab};
use crate::guards::Guard;
use crate::volume::requests::tickets::TicketIndex;

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    pub(super) fn is_eligible(&self, entry: EntryId) -> bool {
        let at = self.at(entry);
        let safe = self.unproved_too || at.proved != 0 || !self.guards.on(Guard::DestageProved);
        at.state.place() == Place::Dirty
            && matches!(at.state.hand(), Hand::Nobody | Hand::Ready)
            && !at.tomb
            && safe
    }

    /// Somebody outside the lock has handed the entry back: its data is in the log.
    pub(crate) fn filled(&mut self, entry: EntryId) {
        self.returned(entry, Hand::Filler);
        self.consider(entry);
    }

    /// Puts an entry where it can be destaged, if it may be, and if it is the newest of its block that may be.
    pub(crate) fn consider(&mut self, entry: EntryId) {
        if !self.is_eligible(entry) || self.at(entry).is_ready() {
            return;
        }
        if self.guards.on(Guard::DestageOrder) {
            let (ready, busy) = self.block_state(entry);
            let newer = ready != NONE && self.at(ready).version() > self.at(entry).version();
            if busy != NONE || newer {
                return;
            }
            // A newer one that is done has made this one done, too.
            self.unready(ready);
        }
        self.make_ready(entry);
    }

    fn ready_list(&mut self, entry: EntryId) -> &mut List {
        if self.is_adopted(entry) {
            &mut self.ready_adopted
        } else {
            &mut self.ready
        }
    }

    fn make_ready(&mut self, entry: EntryId) {
        let mut list = *self.ready_list(entry);
        self.link(&mut list, entry);
        *self.ready_list(entry) = list;
        self.at_mut(entry).state.give(Hand::Ready);
        self.set_block_ready(entry, entry);
    }

    /// Takes an entry out of what may be destaged.
    pub(super) fn unready(&mut self, entry: EntryId) {
        if !self.at(entry).is_ready() {
            return;
        }
        let mut list = *self.ready_list(entry);
        self.unlink(&mut list, entry);
        *self.ready_list(entry) = list;
        self.at_mut(entry).state.give(Hand::Nobody);
        self.set_block_ready(entry, NONE);
    }

    /// The block whose entry has waited longest to be destaged: of the own ones, for which a client waits where there are adopted
    /// ones, and of the adopted ones in turn, so that neither waits for all of the others. None while some of what may be lost still counts as done:
    /// if a newer version were done again by then, an older one would follow it. Nor while it is being sorted out what may
    /// go: some of what may not is still there.
    pub(crate) fn first_ready(&self) -> Option<u64> {
        if self.is_undoing() || self.is_sorting() {
            return None;
        }
        let (own, adopted) = (self.ready.head.some(), self.ready_adopted.head.some());
        let head = if self.adopted_next {
            adopted.or(own)
        } else {
            own.or(adopted)
        };
        Some(self.at(head?).block)
    }

    /// The version of this block that may be destaged.
    pub(crate) fn ready_version(&self, block: u64) -> Option<EntryId> {
        self.at(self.newest(block)?).block_ready.some()
    }

    /// A write of the entry to the disk begins.
    pub(crate) fn start(&mut self, entry: EntryId) {
        self.unready(entry);
        self.at_mut(entry).state.give(Hand::Disk);
        self.set_block_busy(entry, entry);
    }

    /// The write of the entry is over. Of each entry that is done now `each` is told the ticket.
    pub(crate) fn finish(
        &mut self,
        entry: EntryId,
        written: bool,
        mut each: impl FnMut(TicketIndex),
    ) {
        if !self.is_live(entry) {
            return self.returned(entry, Hand::Disk);
        }
        self.returned(entry, Hand::Disk);
        self.set_block_busy(entry, NONE);
        if written {
            let mut done = entry;
            if self.guards.on(Guard::DestageOrder) {
                // Oldest first, so that the list of what is done has older versions before newer ones.
                while self.at(done).older != NONE && !self.at(self.at(done).older).is_done() {
                    done = self.at(done).older;
                }
            }
            loop {
                self.mark_done(done);
                each(self.at(done).ticket);
                if done == entry {
                    break;
                }
                done = self.at(done).newer;
            }
        }
        self.reconsider(entry);
    }

    /// No write of the block of this entry is in flight any more: the newest version that may go is next.
    pub(super) fn reconsider(&mut self, entry: EntryId) {
        let mut newer = self.at(entry).newer;
        let mut newest = entry;
        while newer != NONE {
            if self.is_eligible(newer) {
                newest = newer;
            }
            newer = self.at(newer).newer;
        }
        self.consider(newest);
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_mirror_log))]
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
            Log::new(
                &mut self.0[..],
                &mut self.1[..],
                SLOTS as u32,
                Guards::ALL,
                3,
            )
        }
    }

    fn put(log: &mut Log<&mut [Entry], &mut [u32]>, block: u64, proved: bool) -> EntryId {
        let entry = log.take(block, 1, NO_TICKET).unwrap_or(NONE);
        if proved {
            log.prove(entry, LINK);
        }
        log.filled(entry);
        entry
    }

    #[test]
    fn the_newest_proved_version_goes_and_the_older_is_dropped() {
        let mut storage = Storage::new();
        let mut log = storage.log();
        let first = put(&mut log, 7, true);
        assert_eq!(log.ready_version(7), Some(first));
        let second = put(&mut log, 7, true);
        let third = put(&mut log, 7, false);
        assert_eq!(log.newest(7), Some(third));
        assert_eq!(log.ready_version(7), Some(second));
        log.start(second);
        assert_eq!(log.ready_version(7), None);
        log.finish(second, true, |_| ());
        assert!(log.at(first).is_done() && log.at(second).is_done());
        assert!(!log.at(third).is_done());
        assert_eq!(log.first_done(), Some(first));
        assert_eq!((log.dirty(), log.proved_dirty()), (1, 0));
        log.set_unproved_too(true);
        assert!(log.is_sorting() && log.first_ready().is_none());
        log.sort_some(9);
        assert_eq!(log.ready_version(7), Some(third));
    }

    #[test]
    fn one_write_of_a_block_is_in_flight() {
        let mut storage = Storage::new();
        let mut log = storage.log();
        let first = put(&mut log, 7, true);
        log.start(first);
        let second = put(&mut log, 7, true);
        assert_eq!(log.ready_version(7), None);
        log.finish(first, false, |_| ());
        assert_eq!(log.ready_version(7), Some(second));
        assert!(!log.at(first).is_done());
    }

    #[test]
    fn what_somebody_has_is_not_free() {
        let mut storage = Storage::new();
        let mut log = storage.log();
        let filling = log.take(1, 1, NO_TICKET).unwrap_or(NONE);
        let busy = put(&mut log, 2, true);
        log.start(busy);
        let idle = put(&mut log, 3, true);
        log.begin_emptying();
        while log.is_emptying() {
            log.empty_some(3);
        }
        assert_eq!(log.free_slots(), SLOTS as u32 - 2);
        assert_eq!(
            (log.newest(1), log.newest(2), log.newest(3)),
            (None, None, None)
        );
        assert!(!log.is_live(idle));
        log.returned(filling, Hand::Filler);
        log.finish(busy, true, |_| ());
        assert_eq!(log.free_slots(), SLOTS as u32);
        assert_eq!((log.dirty(), log.proved_dirty()), (0, 0));
    }

    #[test]
    fn a_hot_block_has_one_version_that_may_go_whatever_comes_and_goes() {
        let mut storage = Storage::new();
        let mut log = storage.log();
        let first = put(&mut log, 7, true);
        let second = put(&mut log, 7, true);
        assert_eq!(log.block_state(first), (second, NONE));
        log.start(second);
        let third = put(&mut log, 7, true);
        assert_eq!(log.block_state(first), (NONE, second));
        log.finish(second, true, |_| ());
        assert_eq!(log.block_state(first), (third, NONE));
        // The newest goes, as when all is discarded: what it knew of its block goes to the next.
        log.start(third);
        log.discard(third);
        assert_eq!(log.newest(7), Some(second));
        assert_eq!(log.block_state(first), (NONE, NONE));
    }

    #[test]
    fn of_adopted_slots_the_newest_version_stays() {
        let mut storage = Storage::new();
        let mut log = storage.log();
        let version = |block, sequence| Entry {
            block,
            generation: 1,
            sequence,
            ..Entry::EMPTY
        };
        log.adopt(0, version(7, 5));
        log.adopt(1, version(7, 4));
        log.adopt(2, version(7, 6));
        log.adopt(2, version(7, 6));
        log.adopt(3, version(8, 1));
        log.adopt(9, version(9, 1));
        assert_eq!(log.newest(7), Some(EntryId::new(SLOTS as u32 + 2)));
        assert_eq!((log.adopted_live(), log.adopted_dirty()), (2, 2));
        assert_eq!(log.newest(9), None);
    }

    #[test]
    fn a_lost_region_proves_nothing() {
        let mut storage = Storage::new();
        let mut log = storage.log();
        let entry = put(&mut log, 7, true);
        assert_eq!(log.proved_dirty(), 1);
        assert_eq!(log.forget_regions(LINK, 0, 3), Some(3));
        assert_eq!(log.forget_regions(LINK, 3, 3), None);
        assert_eq!(log.proved_dirty(), 0);
        assert_eq!(log.at(entry).proved, 0);
    }

    #[test]
    fn a_write_of_a_client_does_not_wait_for_all_that_was_adopted_nor_that_for_all_writes() {
        let mut storage = Storage::new();
        let mut log = storage.log();
        log.set_unproved_too(true);
        while log.is_sorting() {
            log.sort_some(9);
        }
        for (slot, block) in [(0, 10), (1, 20)] {
            let adopted = Entry {
                block,
                generation: 1,
                sequence: 1,
                ..Entry::EMPTY
            };
            log.adopt(slot, adopted);
        }
        put(&mut log, 30, false);
        put(&mut log, 40, false);
        for block in [30, 10, 40, 20] {
            let run = log.begin_run(1, 64, 0);
            assert_eq!(run.map(|run| run.range.block), Some(block));
        }
    }
}
