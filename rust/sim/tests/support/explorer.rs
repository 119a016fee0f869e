// SPDX-License-Identifier: GPL-2.0
//! Appliances to be explored.

use std::time::Duration;

use yoke_sim::check::history::Request;
use yoke_sim::event::Ask;
use yoke_sim::explore::appliance::{small, Appliance, Budget, Step};
use yoke_sim::explore::settle::Choices;
use yoke_sim::explore::{search, Bounds, Model, Report};
use yoke_sim::scenario::MS;

use super::Progress;

pub const TICK: u64 = 10 * MS;

/// Where a search ends that would take too long.
pub const STATES: usize = 15_000;

pub const NONE: Budget = Budget {
    ticks: 0,
    crashes: 0,
    starts: 0,
    cuts: 0,
    mends: 0,
    pauses: 0,
    givebacks: 0,
    power: 0,
};

pub fn write(block: u32) -> Ask {
    Ask::Io(Request::Write {
        block,
        count: 1,
        value: 0,
        fua: false,
    })
}

pub fn appliance(choices: Choices, budget: Budget, script: &[Ask]) -> Appliance {
    Appliance {
        scenario: small(TICK),
        script: script.to_vec(),
        choices,
        budget,
        tick_ns: TICK,
        probes: &[0b01, 0b10],
        counts: |_| false,
    }
}

/// Visits what there is, up to about so many states, and says what came of it.
pub fn explore<M: Model<Step = Step>>(what: &str, model: &M, states: usize) -> Report<Step> {
    let progress = Progress::new(what);
    let bounds = Bounds {
        depth: 200,
        states,
        frontier: 100_000,
        time: Duration::from_secs(120),
        threads: 1,
    };
    let report = search(model, &bounds);
    let words = format!(
        "{} states, {} counted, {} steps, {} deep, {} a second",
        report.states,
        report.counted,
        report.steps,
        report.depth,
        report.states_per_second()
    );
    progress.done(&words);
    println!("{what}: {words}");
    report
}
