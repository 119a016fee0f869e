// SPDX-License-Identifier: GPL-2.0

//! When to try again what a bridge refuses, and when to say so. Pure.
//!
//! A bridge may refuse for a while: the firmware of a switch is busy, the peer's half is being set up. The link stays up
//! meanwhile, so no event would come that has it tried again.

/// Between two tries: doubled from the first to the last.
const WAIT_FIRST_MS: u32 = 100;
const WAIT_LAST_MS: u32 = 3200;
/// Between two complaints about one link: the peer may have it fail, and work in between, as often as it likes.
const QUIET_MS: i64 = 60_000;

/// The tries of one thing.
#[derive(Debug)]
pub(crate) struct Tries {
    wait_ms: u32,
    due_ms: i64,
}

impl Tries {
    pub(crate) const fn new() -> Self {
        Tries {
            wait_ms: WAIT_FIRST_MS,
            due_ms: 0,
        }
    }

    /// It failed: in how many milliseconds to try again.
    pub(crate) fn failed(&mut self, now_ms: i64) -> u32 {
        let wait_ms = self.wait_ms;
        self.due_ms = now_ms.saturating_add(i64::from(wait_ms));
        self.wait_ms = wait_ms.saturating_mul(2).min(WAIT_LAST_MS);
        wait_ms
    }

    /// Whether it is time to try again.
    pub(crate) fn are_due(&self, now_ms: i64) -> bool {
        now_ms >= self.due_ms
    }
}

/// What the log says of one link: that something is wrong, once, and that it is no more.
#[derive(Debug)]
pub(crate) struct Complaint {
    stands: bool,
    said_ms: Option<i64>,
}

impl Complaint {
    pub(crate) const fn new() -> Self {
        Complaint {
            stands: false,
            said_ms: None,
        }
    }

    /// Something is wrong, perhaps still. Whether to say so.
    #[must_use]
    pub(crate) fn is_new(&mut self, now_ms: i64) -> bool {
        let quiet = self
            .said_ms
            .is_none_or(|said_ms| now_ms.saturating_sub(said_ms) >= QUIET_MS);
        if self.stands || !quiet {
            return false;
        }
        (self.stands, self.said_ms) = (true, Some(now_ms));
        true
    }

    /// All is well. Whether to say so, since the opposite was said.
    #[must_use]
    pub(crate) fn is_over(&mut self) -> bool {
        core::mem::take(&mut self.stands)
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_ntb_tries))]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end_nowhere() {
        let mut tries = Tries::new();
        let waits: [u32; 8] = core::array::from_fn(|_| tries.failed(0));
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 3200, 3200]);
        assert!(Tries::new().are_due(0));
        assert!(!tries.are_due(3199) && tries.are_due(3200));
    }

    #[test]
    fn what_goes_on_is_said_once() {
        let mut complaint = Complaint::new();
        assert!(!complaint.is_over());
        assert!(complaint.is_new(0));
        for now_ms in 1..200 {
            assert!(!complaint.is_new(now_ms * 1000));
        }
        assert!(complaint.is_over() && !complaint.is_over());
        assert!(complaint.is_new(200_000));
    }

    #[test]
    fn what_comes_and_goes_is_said_now_and_then() {
        let mut complaint = Complaint::new();
        let mut said = 0;
        for now_ms in 0..600_000 {
            said += u32::from(complaint.is_new(now_ms));
            let _ = complaint.is_over();
        }
        assert_eq!(said, 10);
        // What was not said is said later, if it goes on.
        assert!(!complaint.is_new(600_000 - 1));
        assert!(complaint.is_new(600_000));
    }
}
