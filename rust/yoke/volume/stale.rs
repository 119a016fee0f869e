// SPDX-License-Identifier: GPL-2.0

//! What the kernel has cached of `/dev/yokeN` and may not show any more (docs/openers.md). It is dropped step by step:
//! a step waits for no page, since whoever writes on may keep pages under way for ever.

use super::{front::Front, shared::Cache};
use yoke_core::openers::Fate;
use yoke_sys::disk::Disk;

/// How often a controller that owns the volume looks at pages that are always under way, at most: each one that is old was
/// free to go in one of so many looks.
const AS_OWNER: u32 = 20;

/// What is to go.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rest {
    #[default]
    Nothing,
    /// What was written or read. What is dirty will be written, or fail and be clean.
    Clean,
    /// Dirty pages, too: each page that is there when its turn comes, once. What is written after that is new.
    All,
}

/// What is left to be dropped. Belongs to the keeper.
#[derive(Default)]
pub(super) struct Stale {
    rest: Rest,
    /// The page whose turn it is.
    at: u64,
    /// Nobody was told yet.
    news: bool,
    /// [`Cache::asked`], as it was seen.
    seen: u32,
    /// Looks as an owner in vain.
    looks: u32,
}

impl Stale {
    /// More is to go: all of it for openers whose ownership is over, or that has to be over soon; else what is clean, if
    /// some of it is spoilt.
    pub(super) fn note(&mut self, fate: Fate, spoilt: bool, cache: Cache) {
        let asked = cache.asked != self.seen;
        self.seen = cache.asked;
        if fate == Fate::Moved || asked {
            (self.rest, self.at, self.news) = (Rest::All, 0, true);
        } else if spoilt {
            // All of it ends in this, too.
            self.rest = self.rest.max(Rest::Clean);
        } else {
            return;
        }
        self.looks = 0;
    }

    /// The device is gone, and what was cached of it.
    pub(super) fn gone(&mut self) {
        (self.rest, self.news) = (Rest::Nothing, false);
    }

    /// Whether something is left.
    pub(super) fn is_left(&self) -> bool {
        self.rest != Rest::Nothing
    }

    /// Drops what can be dropped now. Context: task; waits for no I/O, but for file systems that shut down.
    pub(super) fn step(&mut self, disk: &Disk<Front>, serves: bool) {
        if core::mem::take(&mut self.news) {
            disk.changed();
        }
        if self.rest == Rest::All {
            let before = self.at;
            let done = disk.drop_cache(&mut self.at);
            self.after_all(done, before, serves);
        }
        if self.rest == Rest::Clean {
            let done = disk.forget();
            self.after_clean(done, serves);
        }
    }

    /// Up to `at` all pages are gone that were there.
    fn after_all(&mut self, done: bool, before: u64, serves: bool) {
        if done {
            // What was spoilt meanwhile lies anywhere.
            (self.rest, self.looks) = (Rest::Clean, 0);
            return;
        }
        if self.at != before {
            self.looks = 0;
        }
        if self.is_vain(serves) {
            (self.at, self.looks) = (self.at.saturating_add(1), 0);
        }
    }

    fn after_clean(&mut self, done: bool, serves: bool) {
        if done || self.is_vain(serves) {
            self.rest = Rest::Nothing;
        }
    }

    /// One more look in vain: whether an owner looks no more.
    fn is_vain(&mut self, serves: bool) -> bool {
        self.looks = self.looks.saturating_add(u32::from(serves));
        self.looks >= AS_OWNER
    }
}

#[cfg(yoke_kunit)]
#[kernel::macros::kunit_tests(yoke_volume_stale)]
mod tests {
    use super::*;

    const ASKED: Cache = Cache {
        asked: 1,
        dropped: 0,
    };

    fn noted(fate: Fate, spoilt: bool, cache: Cache) -> Stale {
        let mut stale = Stale::default();
        stale.note(fate, spoilt, cache);
        stale
    }

    #[test]
    fn what_is_spoilt_costs_nobody_what_is_not_written_yet() {
        let mut stale = noted(Fate::Live, true, Cache::default());
        assert_eq!((stale.rest, stale.news), (Rest::Clean, false));
        stale.after_clean(false, false);
        assert_eq!(stale.rest, Rest::Clean);
        stale.after_clean(true, false);
        assert!(!stale.is_left());
        assert!(!noted(Fate::Live, false, Cache::default()).is_left());
    }

    #[test]
    fn every_page_has_one_turn_to_go_with_what_is_dirty() {
        for (fate, cache) in [(Fate::Moved, Cache::default()), (Fate::Live, ASKED)] {
            let mut stale = noted(fate, true, cache);
            assert_eq!((stale.rest, stale.at, stale.news), (Rest::All, 0, true));
            stale.at = 7;
            stale.after_all(false, 0, false);
            // What is spoilt meanwhile does not have it begin anew.
            stale.note(Fate::Live, true, cache);
            assert_eq!((stale.rest, stale.at), (Rest::All, 7));
            stale.after_all(true, 7, false);
            assert_eq!(stale.rest, Rest::Clean);
        }
    }

    #[test]
    fn it_is_asked_for_once() {
        let mut stale = noted(Fate::Live, false, ASKED);
        stale.after_all(true, 0, false);
        stale.after_clean(true, false);
        stale.note(Fate::Live, false, ASKED);
        assert!(!stale.is_left());
        stale.at = 9;
        let again = Cache {
            asked: 2,
            dropped: 1,
        };
        stale.note(Fate::Live, false, again);
        assert_eq!((stale.rest, stale.at), (Rest::All, 0));
    }

    #[test]
    fn an_owner_leaves_a_page_alone_in_the_end_and_no_more_than_that() {
        let mut stale = noted(Fate::Moved, false, Cache::default());
        stale.at = 3;
        for _ in 0..AS_OWNER {
            assert_eq!((stale.rest, stale.at), (Rest::All, 3));
            stale.after_all(false, 3, true);
        }
        assert_eq!((stale.rest, stale.at), (Rest::All, 4));
        // Where it comes on it looks as often as it takes.
        for _ in 0..3 * AS_OWNER {
            stale.at += 1;
            stale.after_all(false, stale.at - 1, true);
        }
        assert_eq!(
            (stale.rest, stale.at),
            (Rest::All, 4 + 3 * u64::from(AS_OWNER))
        );
        stale.after_all(true, stale.at, true);
        for _ in 0..AS_OWNER {
            assert_eq!(stale.rest, Rest::Clean);
            stale.after_clean(false, true);
        }
        assert!(!stale.is_left());
    }

    #[test]
    fn a_standby_looks_until_all_is_gone() {
        let mut stale = noted(Fate::Moved, false, Cache::default());
        for _ in 0..3 * AS_OWNER {
            stale.after_all(false, 0, false);
        }
        assert_eq!((stale.rest, stale.at), (Rest::All, 0));
    }
}
