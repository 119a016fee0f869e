// SPDX-License-Identifier: GPL-2.0
//! Every order of every step of very small appliances, within bounds: nothing is lost in any; and the explorer finds
//! what leaving a rule out costs, by a shortest way.

#[allow(dead_code, unreachable_pub)]
mod support;

use support::explorer::{appliance, explore, write, NONE, STATES, TICK};
use yoke_core::guards::{Guard, Guards};
use yoke_core::volume::PowerLoss;
use yoke_sim::check::history::Request;
use yoke_sim::event::Ask;
use yoke_sim::explore::appliance::Budget;
use yoke_sim::explore::settle::Choices;
use yoke_sim::explore::Outcome;

/// Posts and steps of requests in every order; one controller dies and starts again: all of it.
#[test]
fn a_death_at_any_step_loses_nothing() {
    let choices = Choices {
        posts: true,
        jobs: true,
        ..Choices::default()
    };
    let budget = Budget {
        crashes: 1,
        starts: 1,
        ticks: 2,
        ..NONE
    };
    let model = appliance(choices, budget, &[write(0), write(0)]);
    let report = explore("a death", &model, 100_000);
    assert!(matches!(report.outcome, Outcome::Exhausted), "{report:?}");
}

/// Disk commands in every order, and a pause that lasts: as far as the bound goes.
#[test]
fn a_pause_at_any_step_loses_nothing() {
    let choices = Choices {
        jobs: true,
        disk: true,
        node_blocks: true,
        ..Choices::default()
    };
    let budget = Budget {
        pauses: 1,
        ticks: 6,
        ..NONE
    };
    let report = explore("a pause", &appliance(choices, budget, &[write(0)]), STATES);
    assert!(report.violation().is_none(), "{:?}", report.violation());
}

/// A link that goes down and comes back at any step, and a death: as far as the bound goes.
#[test]
fn a_cut_at_any_step_loses_nothing() {
    let model = appliance(FLAPS, FLAP, &[write(0), write(0)]);
    let report = explore("a cut", &model, STATES);
    assert!(report.violation().is_none(), "{:?}", report.violation());
}

/// All power is lost at any step of a write and a FLUSH, and both controllers start again: what the FLUSH has covered is
/// there. Without the rule that a FLUSH destages it is not.
#[test]
fn a_loss_of_power_at_any_step_keeps_what_was_flushed() {
    let choices = Choices {
        jobs: true,
        disk: true,
        node_blocks: true,
        ..Choices::default()
    };
    let budget = Budget {
        power: 1,
        starts: 2,
        ticks: 2,
        ..NONE
    };
    let mut model = appliance(choices, budget, &[write(0), Ask::Io(Request::Flush)]);
    model.scenario.power_loss = PowerLoss::StartFromDisk;
    model.scenario.volatile_cache = true;
    // Both claim what nobody owns: one of them has to be the first.
    model.scenario.backoff_ns = 20 * TICK;
    model.probes = &[0b00];
    let with = explore("a loss of power", &model, STATES);
    assert!(with.violation().is_none(), "{:?}", with.violation());
    model.scenario.guards = Guards::ALL.without(Guard::FlushDestages);
    let without = explore("a FLUSH that destages nothing", &model, STATES);
    let (words, _) = without.violation().expect("a lost write");
    assert!(words.starts_with("lost"), "{words}");
}

/// What happens between a post and its fence, and whether the log goes to the disk.
const FLAPS: Choices = Choices {
    posts: false,
    disk: false,
    node_blocks: false,
    jobs: true,
    acts: false,
    news: false,
    polls: false,
    destage: true,
    links: true,
};

/// One flap.
const FLAP: Budget = Budget {
    cuts: 1,
    mends: 1,
    ticks: 1,
    ..NONE
};

/// The explorer finds what a rule is there for, by a shortest way; with it there is nothing to be found.
#[test]
fn without_a_rule_a_shortest_loss_is_found() {
    let mut model = appliance(FLAPS, FLAP, &[write(0)]);
    model.scenario.latches = false;
    let with = explore("a flap", &model, STATES);
    assert!(with.violation().is_none(), "{:?}", with.violation());
    model.scenario.guards = Guards::ALL.without(Guard::LinkLived);
    let without = explore("a flap that nobody counts", &model, STATES);
    let (words, path) = without.violation().expect("a lost write");
    assert!(words.starts_with("lost"), "{words}");
    // Ask, store, down, up, fence and count, finish, and look.
    assert!(path.len() <= 9, "{path:#?}");
}
