// SPDX-License-Identifier: GPL-2.0

//! What the kernel has cached of `/dev/yokeN` and may not show any more (docs/openers.md). It is dropped step by step:
//! a step waits for no page, since whoever writes on may keep pages under way for ever.

use super::{front::Front, shared::Cache};
use yoke_core::openers::Fate;
use yoke_sys::disk::{Disk, Left};

/// Steps on a controller that owns the volume, at most. There are always pages under way then, and each one that is old was
/// free to go in one of so many looks.
const AS_OWNER: u32 = 20;

/// What is to go.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rest {
    #[default]
    Nothing,
    /// What was written or read. What is dirty will be written, or fail and be clean.
    Clean,
    /// Dirty pages, too.
    All,
}

/// What is left to be dropped. Belongs to the keeper.
#[derive(Default)]
pub(super) struct Stale {
    rest: Rest,
    /// Nobody was told yet.
    news: bool,
    /// [`Cache::asked`], as it was seen.
    seen: u32,
    /// Steps that were made as an owner.
    steps: u32,
}

impl Stale {
    /// More is to go: all of it for openers whose ownership is over, or that has to be over soon; else what is clean, if
    /// writes have failed.
    pub(super) fn note(&mut self, fate: Fate, spoilt: bool, cache: Cache) {
        let asked = cache.asked != self.seen;
        self.seen = cache.asked;
        let rest = match (fate == Fate::Moved || asked, spoilt) {
            (true, _) => Rest::All,
            (false, true) => Rest::Clean,
            (false, false) => return,
        };
        self.news |= rest == Rest::All;
        self.rest = self.rest.max(rest);
        self.steps = 0;
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
        let left = match self.rest {
            Rest::Nothing => return,
            Rest::Clean => disk.forget(),
            Rest::All => disk.drop_cache(),
        };
        self.stepped(left, serves);
    }

    fn stepped(&mut self, left: Left, serves: bool) {
        self.steps = self.steps.saturating_add(u32::from(serves));
        self.rest = match left {
            Left::More => return,
            Left::Nothing => Rest::Nothing,
            Left::Busy if self.steps >= AS_OWNER => Rest::Nothing,
            // Nothing dirty of the past is left: what is dirty now is new, or will be clean.
            Left::Busy => Rest::Clean,
        };
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
    fn a_write_that_failed_costs_nobody_what_is_not_written_yet() {
        let mut stale = noted(Fate::Live, true, Cache::default());
        assert_eq!((stale.rest, stale.news), (Rest::Clean, false));
        stale.stepped(Left::Busy, false);
        assert_eq!(stale.rest, Rest::Clean);
        stale.stepped(Left::Nothing, false);
        assert!(!stale.is_left());
        assert!(!noted(Fate::Live, false, Cache::default()).is_left());
    }

    #[test]
    fn what_is_dirty_goes_once_and_not_what_others_write_afterwards() {
        for mut stale in [
            noted(Fate::Moved, false, Cache::default()),
            noted(Fate::Live, true, ASKED),
        ] {
            assert_eq!((stale.rest, stale.news), (Rest::All, true));
            stale.stepped(Left::More, false);
            stale.note(Fate::Live, true, ASKED);
            assert_eq!(stale.rest, Rest::All);
            stale.stepped(Left::Busy, false);
            assert_eq!(stale.rest, Rest::Clean);
        }
    }

    #[test]
    fn it_is_asked_for_once() {
        let mut stale = noted(Fate::Live, false, ASKED);
        stale.stepped(Left::Nothing, false);
        stale.note(Fate::Live, false, ASKED);
        assert!(!stale.is_left());
        let again = Cache {
            asked: 2,
            dropped: 1,
        };
        stale.note(Fate::Live, false, again);
        assert_eq!(stale.rest, Rest::All);
    }

    #[test]
    fn an_owner_with_pages_under_way_is_left_alone_in_the_end() {
        let mut stale = noted(Fate::Moved, false, Cache::default());
        for _ in 0..AS_OWNER {
            assert!(stale.is_left());
            stale.stepped(Left::Busy, true);
        }
        assert!(!stale.is_left());
    }
}
