// SPDX-License-Identifier: GPL-2.0
//! Every order of steps of very small appliances whose disk has reservations: what a preemption proves is not more than
//! what the target does.

#[allow(dead_code, unreachable_pub)]
mod support;

use support::explorer::{appliance, explore, write, NONE, STATES, TICK};
use yoke_sim::disk::target::Kind;
use yoke_sim::explore::appliance::{Appliance, Budget};
use yoke_sim::explore::settle::Choices;
use yoke_sim::world::World;

/// An owner that may stand still or die with a write in the disk's queue, and a survivor that writes.
fn reserved(target: Kind) -> Appliance {
    let choices = Choices {
        disk: true,
        polls: true,
        ..Choices::default()
    };
    let budget = Budget {
        pauses: 1,
        crashes: 1,
        ticks: 9,
        ..NONE
    };
    let mut model = appliance(choices, budget, &[write(0), write(0)]);
    model.scenario.reservations = true;
    model.scenario.target = target;
    model.scenario.io_life_ns = 8 * TICK;
    model.counts = is_cut_off;
    model
}

/// A dead or sleeping owner's commands were preempted.
fn is_cut_off(world: &World) -> bool {
    world.stats.preempts > 0
}

#[test]
fn what_a_preemption_proves_is_what_the_target_does() {
    for target in [Kind::Aborts, Kind::Waits, Kind::Forgets, Kind::Partly] {
        let report = explore(&format!("{target:?}"), &reserved(target), STATES);
        assert!(report.violation().is_none(), "{target:?}: {report:?}");
        assert!(
            report.counted > 0,
            "{target:?}: nobody was preempted: {report:?}"
        );
    }
}

#[test]
fn a_target_that_lies_is_found_out() {
    let report = explore("a liar", &reserved(Kind::Lies), STATES);
    let (words, path) = report.violation().expect("a write that lands on another");
    assert!(words.starts_with("two owners"), "{words}");
    assert!(path.len() <= 8, "{path:#?}");
}
