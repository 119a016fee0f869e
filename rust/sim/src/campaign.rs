// SPDX-License-Identifier: GPL-2.0
//! Many runs, on all processors, until one fails or to the end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::run::{run, Verdict};
use crate::scenario::Scenario;
use crate::stats::Stats;

/// What many runs came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Runs that were finished.
    pub runs: u64,
    /// What happened in them, counted.
    pub stats: Stats,
    /// How long they took.
    pub took: Duration,
    /// Processor time that they took, of all threads.
    pub cpu: Duration,
    /// Virtual time that passed in them, in nanoseconds.
    pub virtual_ns: u64,
    /// The runs that failed, by seed.
    pub failed: Vec<Verdict>,
    /// Most events in one run.
    pub longest: u64,
}

impl Outcome {
    /// Runs in a second of one core, others at work on the machine or not.
    pub fn runs_per_core_second(&self) -> f64 {
        self.runs as f64 / self.cpu.as_secs_f64().max(1e-6)
    }
}

/// Processor time of this process so far.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Which runs, and how.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// How many at a time.
    pub threads: u64,
    /// No new run begins after this time.
    pub limit: Duration,
    /// Stop soon after the first failure.
    pub stop: bool,
    /// No new run begins when this says so.
    pub enough: fn() -> bool,
}

/// Goes on to the end.
pub fn never_enough() -> bool {
    false
}

/// What the threads share.
#[derive(Default)]
struct Totals {
    stats: Stats,
    virtual_ns: u64,
    failed: Vec<Verdict>,
    longest: u64,
}

/// Failures that are kept, so that a campaign of any size has room. The others are told to `tick`, as all are.
const KEPT: usize = 10_000;

/// Runs `draw(seed)` for every seed of a span; tells `tick` of each run that is finished, and how many are.
pub fn campaign(
    draw: impl Fn(u64) -> Scenario + Sync,
    span: Span,
    tick: impl Fn(&Verdict, u64) + Sync,
) -> Outcome {
    let began = Instant::now();
    let cpu_before = cpu_time();
    let next = AtomicU64::new(span.from);
    let finished = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let totals = Mutex::new(Totals::default());
    let work = || {
        let mut mine = Totals::default();
        while !stop.load(Ordering::Relaxed) && began.elapsed() < span.limit && !(span.enough)() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= span.from.saturating_add(span.seeds) {
                break;
            }
            let verdict = run(&draw(seed), seed, false);
            mine.stats.add(&verdict.stats);
            mine.virtual_ns += verdict.virtual_ns;
            mine.longest = mine.longest.max(verdict.stats.events);
            tick(&verdict, finished.fetch_add(1, Ordering::Relaxed) + 1);
            if verdict.violation.is_some() {
                stop.store(span.stop, Ordering::Relaxed);
                if mine.failed.len() < KEPT {
                    mine.failed.push(verdict);
                }
            }
        }
        let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.stats.add(&mine.stats);
        totals.virtual_ns += mine.virtual_ns;
        totals.longest = totals.longest.max(mine.longest);
        totals.failed.append(&mut mine.failed);
    };
    std::thread::scope(|scope| {
        for _ in 1..span.threads {
            scope.spawn(work);
        }
        work();
    });
    let mut totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    totals.failed.sort_by_key(|verdict| verdict.seed);
    Outcome {
        runs: finished.into_inner(),
        stats: totals.stats,
        took: began.elapsed(),
        virtual_ns: totals.virtual_ns,
        cpu: cpu_time().saturating_sub(cpu_before),
        failed: totals.failed,
        longest: totals.longest,
    }
}
