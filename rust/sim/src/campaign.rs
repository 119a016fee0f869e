// SPDX-License-Identifier: GPL-2.0
//! Many runs, on all processors, until one fails.

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
    /// The failed run with the lowest seed that was seen.
    pub failed: Option<Verdict>,
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

/// Runs `draw(seed)` for `count` seeds from `from` on. Stops soon after the first failure, and after `limit`.
pub fn campaign(
    draw: impl Fn(u64) -> Scenario + Sync,
    from: u64,
    count: u64,
    threads: u64,
    limit: Duration,
    tick: impl Fn(u64) + Sync,
) -> Outcome {
    let began = Instant::now();
    let cpu_before = cpu_time();
    let next = AtomicU64::new(from);
    let finished = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let totals: Mutex<(Stats, u64, Option<Verdict>)> = Mutex::new((Stats::default(), 0, None));
    let work = || {
        let mut stats = Stats::default();
        let mut virtual_ns = 0;
        while !stop.load(Ordering::Relaxed) && began.elapsed() < limit {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from.saturating_add(count) {
                break;
            }
            let verdict = run(&draw(seed), seed, false);
            stats.add(&verdict.stats);
            virtual_ns += verdict.virtual_ns;
            tick(finished.fetch_add(1, Ordering::Relaxed) + 1);
            if verdict.violation.is_some() {
                stop.store(true, Ordering::Relaxed);
                let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
                if totals.2.as_ref().is_none_or(|v| verdict.seed < v.seed) {
                    totals.2 = Some(verdict);
                }
            }
        }
        let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.0.add(&stats);
        totals.1 += virtual_ns;
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let (stats, virtual_ns, failed) = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    Outcome {
        runs: finished.into_inner(),
        stats,
        took: began.elapsed(),
        virtual_ns,
        cpu: cpu_time().saturating_sub(cpu_before),
        failed,
    }
}
