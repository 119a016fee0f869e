// SPDX-License-Identifier: GPL-2.0
//! Counts, latencies and the longest stall of a run.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Latencies above this are counted as this: 10 minutes, in microseconds.
const LATENCY_LIMIT_US: u64 = 600_000_000;

/// The longest time without an acknowledgement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// Its length in microseconds.
    pub us: u64,
    /// The acknowledgement (or the start) before it, microseconds since the start of the run.
    pub from_us: u64,
    /// The acknowledgement (or the end of what the record tells) that ended it.
    pub to_us: u64,
    /// The same two on the wall clock, microseconds since 1970.
    pub from_unix_us: u64,
    /// See `from_unix_us`.
    pub to_unix_us: u64,
}

/// What a run amounted to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Writes submitted.
    pub issued_writes: u64,
    /// Writes acknowledged.
    pub acked_writes: u64,
    /// Writes that failed.
    pub failed_writes: u64,
    /// Flushes acknowledged.
    pub acked_flushes: u64,
    /// Writes, flushes and reads that failed.
    pub io_errors: u64,
    /// Checking reads that came back.
    pub reads: u64,
    /// Checking reads that returned what they must not.
    pub bad_reads: u64,
    /// Time from the start to the last line, in microseconds.
    pub run_us: u64,
    /// Write latency in microseconds: median.
    pub latency_p50_us: u64,
    /// 99 in 100 were not slower.
    pub latency_p99_us: u64,
    /// The slowest.
    pub latency_max_us: u64,
    /// The longest time without an acknowledged write.
    pub stall: Stall,
}

/// Gathers [`Figures`] while a run goes on, or while its record is read.
pub struct Meter {
    figures: Figures,
    latencies: Histogram<u32>,
    started_unix_us: u64,
    last_ack: u64,
}

impl Meter {
    /// A meter for a run that started at this time of the wall clock.
    pub fn new(started_unix_us: u64) -> Self {
        Meter {
            figures: Figures::default(),
            // The bounds are constants that the crate accepts: 1 us to 10 min at three digits.
            latencies: Histogram::new_with_bounds(1, LATENCY_LIMIT_US, 3).expect("constant bounds"),
            started_unix_us,
            last_ack: 0,
        }
    }

    /// The counters, to count what needs no arithmetic.
    pub fn counts(&mut self) -> &mut Figures {
        &mut self.figures
    }

    /// Notes that the run lasted at least until `at`.
    pub fn saw(&mut self, at: u64) {
        self.figures.run_us = self.figures.run_us.max(at);
    }

    /// Counts an acknowledged write.
    pub fn ack(&mut self, at: u64, latency: u64) {
        self.figures.acked_writes += 1;
        self.latencies.saturating_record(latency.max(1));
        self.gap(at);
        self.last_ack = self.last_ack.max(at);
    }

    fn gap(&mut self, until: u64) {
        let us = until.saturating_sub(self.last_ack);
        if us > self.figures.stall.us {
            self.figures.stall = Stall {
                us,
                from_us: self.last_ack,
                to_us: until,
                from_unix_us: self.started_unix_us.saturating_add(self.last_ack),
                to_unix_us: self.started_unix_us.saturating_add(until),
            };
        }
    }

    /// The figures as they stand. Time without acknowledgements up to the last event counts as a stall too:
    /// a run that hangs at its end stalled.
    pub fn figures(&mut self) -> Figures {
        let until = self.figures.run_us;
        self.gap(until);
        let mut figures = self.figures.clone();
        figures.latency_p50_us = self.latencies.value_at_quantile(0.5);
        figures.latency_p99_us = self.latencies.value_at_quantile(0.99);
        figures.latency_max_us = self.latencies.max();
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_the_stall() {
        let mut meter = Meter::new(1_000_000);
        for at in [10, 20, 500, 510, 700] {
            meter.ack(at, 5);
        }
        let stall = meter.figures().stall;
        assert_eq!((stall.us, stall.from_us, stall.to_us), (480, 20, 500));
        assert_eq!(stall.from_unix_us, 1_000_020);
    }

    #[test]
    fn a_run_that_hangs_at_its_end_stalled() {
        let mut meter = Meter::new(0);
        meter.ack(10, 5);
        meter.saw(9_000);
        assert_eq!(meter.figures().stall.us, 8_990);
    }

    #[test]
    fn latencies_are_ranked() {
        let mut meter = Meter::new(0);
        for latency in 1..=100 {
            meter.ack(latency, latency);
        }
        meter.ack(200, u64::MAX);
        let figures = meter.figures();
        assert_eq!(figures.latency_p50_us, 51);
        assert!(figures.latency_max_us >= LATENCY_LIMIT_US);
    }
}
