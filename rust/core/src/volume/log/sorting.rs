// SPDX-License-Identifier: GPL-2.0
//! Whether unproved entries may go to the disk has changed: what may go is sorted out anew, piece by piece.
//!
//! First whatever may not go any more is taken out, then everything that may is considered: so of each block the newest
//! version that may go is left. Until then nothing goes.

use super::entry::{Entry, EntryId, NONE};
use super::{Log, Slab};

/// What is done to each entry that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pass {
    /// Nothing.
    Over,
    /// It is taken out if it may not go.
    TakeOut,
    /// It is considered.
    Consider,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sorting {
    pass: Pass,
    /// The next entry of this pass; `NONE`: the pass is done.
    next: EntryId,
}

impl Sorting {
    pub(super) const NONE: Self = Self {
        pass: Pass::Over,
        next: NONE,
    };

    /// An entry leaves the list that it stands in; this one comes after it there.
    pub(super) fn leaves(&mut self, entry: EntryId, next: EntryId) {
        if self.next == entry {
            self.next = next;
        }
    }
}

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    /// From now on unproved entries may (or may not) be destaged too. Nothing is destaged until [`Self::sort_some`] was
    /// called often enough.
    pub(crate) fn set_unproved_too(&mut self, unproved_too: bool) {
        if self.unproved_too == unproved_too {
            return;
        }
        self.unproved_too = unproved_too;
        if self.order.head != NONE {
            self.sorting = Sorting {
                pass: Pass::TakeOut,
                next: self.order.head,
            };
        }
    }

    /// Whether it is still being sorted out what may go.
    pub(crate) fn is_sorting(&self) -> bool {
        self.sorting.pass != Pass::Over
    }

    /// Sorts the next `count` entries.
    pub(crate) fn sort_some(&mut self, count: u32) {
        for _ in 0..count {
            let entry = self.sorting.next;
            if entry == NONE {
                self.next_pass();
                continue;
            }
            match self.sorting.pass {
                Pass::Over => return,
                Pass::TakeOut if self.is_eligible(entry) => (),
                Pass::TakeOut => self.unready(entry),
                Pass::Consider => self.consider(entry),
            }
            self.sorting.next = self.at(entry).next;
        }
    }

    fn next_pass(&mut self) {
        self.sorting = match self.sorting.pass {
            Pass::TakeOut => Sorting {
                pass: Pass::Consider,
                next: self.order.head,
            },
            Pass::Consider | Pass::Over => Sorting::NONE,
        };
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_sorting))]
mod tests {
    use super::*;
    use crate::guards::Guards;
    use crate::volume::requests::tickets::NO_TICKET;

    const SLOTS: usize = 4;

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

    fn put(log: &mut Log<&mut [Entry], &mut [u32]>, block: u64, proved: bool) -> EntryId {
        let entry = log.take(block, 1, NO_TICKET).unwrap_or(NONE);
        if proved {
            log.prove(entry, 1);
        }
        log.filled(entry);
        entry
    }

    /// Calls until it is sorted.
    fn calls(log: &mut Log<&mut [Entry], &mut [u32]>, count: u32) -> u32 {
        let mut calls = 0;
        while log.is_sorting() {
            assert!(log.first_ready().is_none());
            log.sort_some(count);
            calls += 1;
        }
        calls
    }

    #[test]
    fn one_call_looks_at_no_more_than_it_is_told_to() {
        let mut storage = Storage::new();
        let mut log = storage.log();
        for block in 0..SLOTS as u64 {
            let _ = put(&mut log, block, false);
        }
        assert_eq!(log.first_ready(), None);
        log.set_unproved_too(true);
        assert!(calls(&mut log, 1) > 2 * SLOTS as u32);
        assert_eq!(log.first_ready(), Some(0));
        log.set_unproved_too(false);
        assert!(calls(&mut log, 3) >= 3);
        assert_eq!(log.first_ready(), None);
    }

    #[test]
    fn the_proved_version_goes_when_the_newer_one_may_not_any_more() {
        let mut storage = Storage::new();
        let mut log = storage.log();
        let older = put(&mut log, 7, true);
        let newer = put(&mut log, 7, false);
        log.set_unproved_too(true);
        let _ = calls(&mut log, 9);
        assert_eq!(log.ready_version(7), Some(newer));
        log.set_unproved_too(false);
        let _ = calls(&mut log, 1);
        assert_eq!(log.ready_version(7), Some(older));
    }

    #[test]
    fn what_is_done_or_comes_meanwhile_is_no_obstacle() {
        let mut storage = Storage::new();
        let mut log = storage.log();
        let entries = [0, 1].map(|block| put(&mut log, block, false));
        log.set_unproved_too(true);
        log.sort_some(1);
        // The one that is next is done, and was the last.
        let [_, last] = entries;
        log.mark_done(last);
        let _ = put(&mut log, 2, false);
        let _ = calls(&mut log, 1);
        assert_eq!(log.first_ready(), Some(2));
        assert_eq!(log.ready_version(0), entries.first().copied());
        log.set_unproved_too(false);
        log.begin_emptying();
        log.empty_some(u32::MAX);
        assert!(!log.is_sorting());
    }
}
