// SPDX-License-Identifier: GPL-2.0
//! What verify found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::fault::{Fault, Verdict};
use crate::figures::Figures;

/// One record of the chain.
#[derive(Clone, Debug, Serialize)]
pub struct RecordPart {
    /// Identity of the run, or of the verify that made the record.
    pub run: u64,
    /// False if the record was cut off.
    pub complete: bool,
    /// Writes without an answer when it ended.
    pub unanswered_writes: u64,
    /// The first I/O errors, as recorded.
    pub errors: Vec<RecordedError>,
    /// The rest.
    #[serde(flatten)]
    pub figures: Figures,
}

/// An I/O error that the record tells of.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedError {
    /// `write`, `flush` or `read`.
    pub what: &'static str,
    /// Microseconds since the start of that run.
    pub at_us: u64,
    /// The error number.
    pub errno: i32,
}

/// The whole answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// True if nothing is wrong.
    pub clean: bool,
    /// Blocks that were read and judged.
    pub blocks_checked: u64,
    /// Of these, blocks that some run wrote to.
    pub blocks_written: u64,
    /// Blocks that hold a write which a cut-off record does not tell of.
    pub beyond_record: u64,
    /// Over all runs: writes acknowledged.
    pub acked_writes: u64,
    /// Over all runs: writes, flushes and reads that failed.
    pub io_errors: u64,
    /// Count of each verdict, every verdict present.
    #[serde(flatten)]
    pub counts: BTreeMap<Verdict, u64>,
    /// Of these counts, those that reads in the records already showed.
    pub found_by_reads: u64,
    /// The first bad blocks.
    pub examples: Vec<Fault>,
    /// The chain, oldest first.
    pub records: Vec<RecordPart>,
}

impl Report {
    /// A report that has nothing in it.
    pub fn new() -> Self {
        Report {
            counts: Verdict::ALL.iter().map(|v| (*v, 0)).collect(),
            ..Report::default()
        }
    }

    /// Counts a fault and keeps it if fewer than `keep` are kept.
    pub fn add(&mut self, fault: Fault, keep: usize) {
        *self.counts.entry(fault.verdict).or_default() += 1;
        if self.examples.len() < keep {
            self.examples.push(fault);
        }
    }

    /// How many blocks or reads have this verdict.
    pub fn count(&self, verdict: Verdict) -> u64 {
        self.counts.get(&verdict).copied().unwrap_or(0)
    }

    /// Draws the sum.
    pub fn conclude(&mut self) {
        self.clean = self.counts.values().all(|count| *count == 0);
        self.acked_writes = self.records.iter().map(|r| r.figures.acked_writes).sum();
        self.io_errors = self.records.iter().map(|r| r.figures.io_errors).sum();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.records {
            let (figures, stall) = (&part.figures, &part.figures.stall);
            let end = if part.complete {
                "complete"
            } else {
                "cut off, good up to its last whole line"
            };
            writeln!(
                f,
                "run {}: {} writes acknowledged, {} failed, {} unanswered, {} flushes, {} reads; record {end}",
                part.run, figures.acked_writes, figures.failed_writes, part.unanswered_writes,
                figures.acked_flushes, figures.reads
            )?;
            writeln!(
                f,
                "  latency p50 {} us, p99 {} us, max {} us; longest stall {}.{:03} ms, {}.{:03} s into the run",
                figures.latency_p50_us, figures.latency_p99_us, figures.latency_max_us,
                stall.us / 1000, stall.us % 1000, stall.from_us / 1_000_000, stall.from_us / 1000 % 1000
            )?;
            for error in &part.errors {
                writeln!(
                    f,
                    "  I/O error {} on a {} at {} us",
                    error.errno, error.what, error.at_us
                )?;
            }
        }
        let counts: Vec<String> = Verdict::ALL
            .iter()
            .map(|v| format!("{} {}", self.count(*v), v.name()))
            .collect();
        writeln!(
            f,
            "{} blocks checked, {} of them written to: {}",
            self.blocks_checked,
            self.blocks_written,
            counts.join(", ")
        )?;
        if self.beyond_record > 0 {
            writeln!(
                f,
                "{} blocks hold writes that the cut-off record does not tell of; that is no fault",
                self.beyond_record
            )?;
        }
        for fault in &self.examples {
            let number = |n: Option<u64>| n.map_or("none".to_string(), |n| n.to_string());
            writeln!(
                f,
                "  block {}: {}: expected write {}, found {}: {}",
                fault.block,
                fault.verdict.name(),
                number(fault.expected_seq),
                number(fault.found_seq),
                fault.detail
            )?;
        }
        write!(f, "{}", if self.clean { "CLEAN" } else { "BAD" })
    }
}
