// SPDX-License-Identifier: GPL-2.0
//! The flushes of the disk's cache: which is in flight, and what is on the disk for good.

use crate::volume::action::Token;

/// The flushes of the disk's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flushes {
    token: Option<Token>,
    /// When it was issued that is in flight, or was last.
    issued_ns: u64,
    /// Number of the flush that is, or was last, in flight.
    number: u64,
    /// How many entries were done when it was issued.
    covers: u64,
    /// Entries that were done up to here are on the disk for good.
    safe_upto: u64,
    /// What was done up to here, and is not on the disk for good, may be lost: no flush that was issued by then covers it.
    lost_upto: u64,
    /// Number of the last flush that succeeded.
    finished: u64,
    /// Not before, after one that failed.
    not_before_ns: u64,
    /// Nor, while nobody is in a hurry, before this.
    idle_until_ns: u64,
}

impl Flushes {
    pub(super) const NONE: Self = Self {
        token: None,
        issued_ns: 0,
        number: 0,
        covers: 0,
        safe_upto: 0,
        lost_upto: 0,
        finished: 0,
        not_before_ns: 0,
        idle_until_ns: 0,
    };

    /// The flush that somebody has to wait for who wants one now: the one in flight may have been issued too early.
    pub(crate) fn next_number(&self) -> u64 {
        self.number.wrapping_add(1)
    }

    /// Whether the flush of this number has been begun.
    pub(crate) fn has_begun(&self, number: u64) -> bool {
        number <= self.number
    }

    /// The number of the last flush that has succeeded.
    pub(crate) fn finished(&self) -> u64 {
        self.finished
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.token.is_some()
    }

    /// When the one was issued that is in flight.
    pub(crate) fn issued_ns(&self) -> Option<u64> {
        self.token.map(|_| self.issued_ns)
    }

    pub(crate) fn awaits(&self, token: Token) -> bool {
        self.token == Some(token)
    }

    /// When the next may be issued.
    pub(crate) fn not_before_ns(&self, urgent: bool) -> u64 {
        if urgent {
            self.not_before_ns
        } else {
            self.idle_until_ns
        }
    }

    /// A flush is issued; so many entries are done by now.
    pub(crate) fn begin(&mut self, token: Token, done_no: u64, idle_until_ns: u64, now_ns: u64) {
        (self.token, self.issued_ns) = (Some(token), now_ns);
        self.number = self.next_number();
        (self.covers, self.idle_until_ns) = (done_no, idle_until_ns);
    }

    /// The flush that was in flight failed; the next is not issued before this time.
    pub(crate) fn failed(&mut self, not_before_ns: u64) {
        self.token = None;
        self.not_before_ns = not_before_ns;
    }

    /// The flush that was in flight succeeded. False: that says nothing, since something was lost meanwhile, or may be: another
    /// one is under way (it is not `alone`).
    pub(crate) fn succeeded(&mut self, alone: bool) -> bool {
        self.token = None;
        let counts = alone && (self.covers > self.lost_upto || self.lost_upto == 0);
        if counts {
            self.finished = self.number;
            self.cover(self.covers);
        }
        counts
    }

    /// A flush succeeded that was issued when so many entries were done: they are on the disk for good.
    pub(crate) fn cover(&mut self, done_no: u64) {
        if done_no > self.lost_upto {
            self.safe_upto = self.safe_upto.max(done_no);
        }
    }

    /// What was done up to here may be lost, but for what a good flush has covered. Whatever is done from now on has a higher
    /// number, and a flush that is issued from now on covers a higher one.
    pub(super) fn lost(&mut self, done_no: u64) {
        self.lost_upto = done_no;
    }

    /// Whether the entry that was done with this number is on the disk for good.
    pub(crate) fn covers(&self, done_no: u64) -> bool {
        done_no <= self.safe_upto
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_flushes))]
mod tests {
    use super::*;

    #[test]
    fn a_flush_covers_what_was_done_when_it_was_issued() {
        let mut flushes = Flushes::NONE;
        let wanted = flushes.next_number();
        flushes.begin(Token(1), 5, 70, 0);
        assert!(flushes.awaits(Token(1)) && !flushes.awaits(Token(2)));
        assert!(flushes.has_begun(wanted) && flushes.finished() < wanted);
        assert!(!flushes.covers(5));
        assert!(flushes.succeeded(true));
        assert!(flushes.finished() >= wanted && !flushes.is_in_flight());
        assert!(flushes.covers(5) && !flushes.covers(6));
        assert_eq!(
            (flushes.not_before_ns(true), flushes.not_before_ns(false)),
            (0, 70)
        );
    }

    #[test]
    fn one_that_failed_covers_nothing() {
        let mut flushes = Flushes::NONE;
        flushes.begin(Token(1), 5, 0, 0);
        flushes.failed(30);
        assert!(!flushes.covers(1) && flushes.finished() == 0 && flushes.has_begun(1));
        assert_eq!(flushes.not_before_ns(true), 30);
        flushes.cover(4);
        flushes.cover(2);
        assert!(flushes.covers(4));
    }

    #[test]
    fn one_that_was_in_flight_when_something_was_lost_says_nothing() {
        let mut flushes = Flushes::NONE;
        flushes.begin(Token(1), 3, 0, 0);
        assert!(flushes.succeeded(true));
        flushes.begin(Token(2), 5, 0, 0);
        let wanted = flushes.next_number();
        flushes.lost(6);
        flushes.cover(6);
        assert!(!flushes.succeeded(true) && !flushes.is_in_flight());
        assert!(flushes.covers(3) && !flushes.covers(4));
        flushes.begin(Token(3), 7, 0, 0);
        assert!(!flushes.succeeded(false) && !flushes.covers(4));
        flushes.begin(Token(4), 7, 0, 0);
        assert!(flushes.succeeded(true));
        assert!(flushes.covers(7) && flushes.finished() >= wanted);
    }
}
