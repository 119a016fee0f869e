// SPDX-License-Identifier: GPL-2.0
//! How much a peer may have us say: so many lines in a while, however often it gives cause.

/// So many in each stretch of time, and no more. What was left out is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Allowance {
    each_ns: u64,
    most: u32,
    /// When the present stretch began.
    since: Option<u64>,
    /// How many were allowed in it.
    used: u32,
    /// How many were left out since the last one that was allowed.
    missed: u64,
}

impl Allowance {
    /// `most` in each `each_ns` nanoseconds.
    pub const fn new(most: u32, each_ns: u64) -> Self {
        Self {
            each_ns,
            most,
            since: None,
            used: 0,
            missed: 0,
        }
    }

    /// Whether there may be one more at `now`: if so, how many were left out before it.
    pub fn take(&mut self, now: u64) -> Option<u64> {
        let fresh = self
            .since
            .is_none_or(|since| now.saturating_sub(since) >= self.each_ns);
        if fresh {
            (self.since, self.used) = (Some(now), 0);
        }
        if self.used >= self.most {
            self.missed = self.missed.saturating_add(1);
            return None;
        }
        self.used = self.used.saturating_add(1);
        Some(core::mem::take(&mut self.missed))
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_allowance))]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut allowance = Allowance::new(3, 100);
        for now in [0, 1, 99] {
            assert_eq!(allowance.take(now), Some(0));
        }
        for now in 0..1000u64 {
            assert_eq!(allowance.take(now % 100), None);
        }
        assert_eq!(allowance.take(100), Some(1000));
        assert_eq!(allowance.take(100), Some(0));
    }

    #[test]
    fn it_is_fresh_after_a_rest_and_the_end_of_time_is_no_fault() {
        let mut allowance = Allowance::new(1, 100);
        assert_eq!(allowance.take(5), Some(0));
        assert_eq!(allowance.take(104), None);
        assert_eq!(allowance.take(105), Some(1));
        assert_eq!(allowance.take(u64::MAX), Some(0));
        assert_eq!(allowance.take(0), None);
        assert_eq!(Allowance::new(0, 1).take(9), None);
    }
}
