// SPDX-License-Identifier: GPL-2.0
//! One run: a scenario and a seed, to the end or to the first violation.

use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::check::{Kind, Violation};
use crate::driver::Driver;
use crate::plan;
use crate::scenario::{Plan, Scenario};
use crate::stats::Stats;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Its seed.
    pub seed: u64,
    /// What the checkers found, if anything.
    pub violation: Option<Violation>,
    /// What happened, counted.
    pub stats: Stats,
    /// How much virtual time it took, in nanoseconds.
    pub virtual_ns: u64,
    /// What happened, line by line, if that was asked for.
    pub trace: Vec<String>,
}

/// Runs `scenario` with `seed`. A panic of the core counts as a violation.
pub fn run(scenario: &Scenario, seed: u64, trace: bool) -> Verdict {
    let mut driver = Driver::new(*scenario, seed);
    if trace {
        driver.world.trace.begin();
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| match scenario.plan {
        Plan::Storm => plan::storm::run(&mut driver),
        Plan::Single => plan::single::run(&mut driver),
        Plan::Script(script) => plan::script::run(&mut driver, script),
    }));
    let stats = driver.stats();
    let world = driver.world;
    let panicked = outcome.err().map(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
        let words = format!("panic: {}", words.unwrap_or("without words"));
        Violation::new(Kind::Panic, words)
    });
    Verdict {
        seed,
        violation: world.violation.or(panicked),
        stats,
        virtual_ns: world.now_ns,
        trace: world.trace.lines().to_vec(),
    }
}
