// SPDX-License-Identifier: GPL-2.0
//! The destage runs that are in flight, and how long destaging rests after a failure.

use super::entry::{EntryId, NONE};
use crate::volume::plan::RunId;

/// Destage runs that can be in flight at a time.
pub const RUNS_MAX: usize = 16;

/// The longest rest after failures, in poll times.
const REST_MAX: u64 = 32;

/// A destage in flight: its entries hang together by `ready_next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Run {
    serial: u32,
    pub(super) first: EntryId,
    /// When it was issued, or was last about to be.
    pub(super) issued_ns: u64,
}

/// One bit for each run.
type Mask = u16;

const _: () = assert!(RUNS_MAX <= Mask::BITS as usize);

/// All of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Runs {
    table: [Run; RUNS_MAX],
    /// Those in flight. In a mask, as the next, since the whole machine is on a stack while it is made.
    active: Mask,
    /// Those during which the disk's cache was lost.
    lost: Mask,
    /// How long destaging rests after a failure; 0 after one that went well.
    rest_ns: u64,
    /// No destage before, after one that failed.
    not_before_ns: u64,
}

impl Runs {
    pub(super) const NONE: Self = Self {
        table: [Run {
            serial: 0,
            first: NONE,
            issued_ns: 0,
        }; RUNS_MAX],
        active: 0,
        lost: 0,
        rest_ns: 0,
        not_before_ns: 0,
    };

    /// No destage before.
    pub(crate) fn not_before_ns(&self) -> u64 {
        self.not_before_ns
    }

    /// Whether the last one failed.
    pub(crate) fn is_resting(&self) -> bool {
        self.rest_ns > 0
    }

    /// Whether one is in flight.
    pub(crate) fn any(&self) -> bool {
        self.active != 0
    }

    /// When the last one was issued of those in flight.
    pub(crate) fn last_issued_ns(&self) -> Option<u64> {
        self.active().map(|run| run.issued_ns).max()
    }

    /// When the first one was issued of those in flight.
    pub(crate) fn first_issued_ns(&self) -> Option<u64> {
        self.active().map(|run| run.issued_ns).min()
    }

    /// Those in flight.
    pub(super) fn active(&self) -> impl Iterator<Item = &Run> {
        let runs = self.table.iter().enumerate();
        runs.filter_map(|(index, run)| self.is_active(index).then_some(run))
    }

    /// Room for one more, if there is.
    pub(super) fn vacant(&self) -> Option<usize> {
        (0..RUNS_MAX).find(|index| !self.is_active(*index))
    }

    fn is_active(&self, index: usize) -> bool {
        self.active & bit(index) != 0
    }

    pub(super) fn at_mut(&mut self, index: usize) -> Option<&mut Run> {
        self.table.get_mut(index)
    }

    pub(super) fn find(&self, id: RunId) -> Option<Run> {
        let run = self.table.get(usize::from(id.index))?;
        (self.is_active(usize::from(id.index)) && run.serial == id.serial).then_some(*run)
    }

    /// A run that is in flight is issued only now.
    pub(super) fn issued(&mut self, id: RunId, now_ns: u64) {
        if self.find(id).is_some() {
            if let Some(run) = self.table.get_mut(usize::from(id.index)) {
                run.issued_ns = now_ns;
            }
        }
    }

    /// The disk's cache is lost, and with it perhaps what is in flight.
    pub(super) fn cache_lost(&mut self) {
        self.lost = self.active;
    }

    /// A run whose entries begin with `first` goes to the disk.
    pub(super) fn begin(&mut self, index: usize, first: EntryId, now_ns: u64) -> Option<RunId> {
        let run = self.table.get_mut(index)?;
        *run = Run {
            serial: run.serial.wrapping_add(1),
            first,
            issued_ns: now_ns,
        };
        self.active |= bit(index);
        self.lost &= !bit(index);
        Some(RunId {
            index: index as u8,
            serial: run.serial,
        })
    }

    /// A run is over; what it was, and whether the disk's cache was lost meanwhile.
    pub(super) fn end(&mut self, id: RunId) -> Option<(Run, bool)> {
        let found = self.find(id)?;
        let index = usize::from(id.index);
        self.table.get_mut(index)?.first = NONE;
        self.active &= !bit(index);
        Some((found, self.lost & bit(index) != 0))
    }

    /// One went well.
    pub(super) fn went_well(&mut self) {
        self.rest_ns = 0;
    }

    /// Destaging rests after a failure, the longer the more often one follows another, and goes on without end: the log
    /// may be the only copy. Runs that were in flight together are one failure. Whether it rests anew.
    pub(super) fn rest(&mut self, poll_ns: u64, now_ns: u64) -> bool {
        if now_ns < self.not_before_ns {
            return false;
        }
        let twice = self.rest_ns.saturating_mul(2);
        self.rest_ns = twice.clamp(poll_ns, poll_ns.saturating_mul(REST_MAX));
        self.not_before_ns = now_ns.saturating_add(self.rest_ns);
        true
    }
}

/// The bit of a run; none of one that there is not.
fn bit(index: usize) -> Mask {
    1_u16.checked_shl(index as u32).unwrap_or(0)
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_runs))]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_found_by_its_serial_number_while_it_is_in_flight() {
        let mut runs = Runs::NONE;
        let Some(first) = runs.begin(0, EntryId::new(7), 5) else {
            return;
        };
        assert_eq!(runs.find(first).map(|run| run.first), Some(EntryId::new(7)));
        assert!(runs.any() && runs.vacant() == Some(1));
        runs.issued(first, 9);
        assert_eq!(runs.find(first).map(|run| run.issued_ns), Some(9));
        let over = runs.end(first).map(|(run, lost)| (run.first, lost));
        assert_eq!(over, Some((EntryId::new(7), false)));
        assert!(runs.end(first).is_none() && !runs.any());
        let Some(second) = runs.begin(0, EntryId::new(8), 6) else {
            return;
        };
        assert!(runs.find(first).is_none() && runs.find(second).is_some());
    }

    #[test]
    fn what_is_in_flight_when_the_cache_is_lost_is_told_at_its_end() {
        let mut runs = Runs::NONE;
        let ids = [0, RUNS_MAX - 1].map(|index| runs.begin(index, EntryId::new(7), 5));
        let [Some(first), Some(last)] = ids else {
            return;
        };
        assert_eq!(runs.end(first).map(|(_, lost)| lost), Some(false));
        runs.cache_lost();
        let next = runs.begin(0, EntryId::new(8), 6);
        let lost = [next, Some(last)].map(|id| runs.end(id?).map(|(_, lost)| lost));
        assert_eq!(lost, [Some(false), Some(true)]);
    }

    #[test]
    fn destaging_rests_longer_after_each_failure_and_not_after_one_that_went_well() {
        let mut runs = Runs::NONE;
        assert!(runs.rest(10, 100) && !runs.rest(10, 105));
        assert_eq!(runs.not_before_ns(), 110);
        assert!(runs.rest(10, 110) && runs.is_resting());
        assert_eq!(runs.not_before_ns(), 130);
        for _ in 0..9 {
            let now_ns = runs.not_before_ns();
            assert!(runs.rest(10, now_ns));
            assert!(runs.not_before_ns() - now_ns <= 10 * REST_MAX);
        }
        runs.went_well();
        assert!(!runs.is_resting());
    }
}
