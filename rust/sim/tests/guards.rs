// SPDX-License-Identifier: GPL-2.0
//! Every rule is needed: without it the simulator finds what it is there for, and with it the very same runs are clean.

#[allow(dead_code, unreachable_pub)]
mod support;

use support::Progress;
use yoke_core::guards::Guard;
use yoke_sim::check::Kind;
use yoke_sim::hunts::{Hunt, HUNTS};

fn search(hunt: &Hunt, failures: &mut Vec<String>) {
    for verdict in &hunt.clean().failed {
        failures.push(format!(
            "{:?} is in force, and {} {}: {:?}",
            hunt.guard, hunt.scenario, verdict.seed, verdict.violation
        ));
    }
    let without = hunt.search();
    let kinds = without.iter().flat_map(|v| &v.violation).map(|v| v.kind);
    if kinds.clone().next_back() != hunt.shows.first().copied() {
        failures.push(format!(
            "without {:?} there is no {:?} in {} of {}",
            hunt.guard, hunt.shows, hunt.seeds, hunt.scenario
        ));
    }
    // It is a violation of this kind that the rule keeps away. A panic, or anything else, is a fault of its own.
    for (verdict, kind) in without.iter().zip(kinds) {
        if !hunt.shows.contains(&kind) {
            failures.push(format!(
                "without {:?} there is something else in {} {}: {:?}",
                hunt.guard, hunt.scenario, verdict.seed, verdict.violation
            ));
        }
    }
}

/// Half of the searches; two tests, for two processors.
fn search_half(half: usize) {
    let mut progress = Progress::new(&format!("searches without a rule, half {half}"));
    let mut failures = Vec::new();
    for hunt in HUNTS.iter().skip(half).step_by(2) {
        progress.tell(|| format!("{:?}", hunt.guard));
        search(hunt, &mut failures);
    }
    progress.done("done");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn each_rule_is_needed_half_0() {
    search_half(0);
}

#[test]
fn each_rule_is_needed_half_1() {
    search_half(1);
}

#[test]
fn no_search_is_for_a_panic() {
    for hunt in HUNTS {
        let odd = [Kind::Panic, Kind::Endless, Kind::Ghost];
        let named = hunt.shows.iter().any(|kind| odd.contains(kind));
        assert!(!hunt.shows.is_empty() && !named, "{:?}", hunt.guard);
    }
}

#[test]
fn each_rule_has_one_search() {
    for guard in Guard::ALL {
        let searches = HUNTS.iter().filter(|hunt| hunt.guard == guard).count();
        assert_eq!(searches, 1, "{guard:?}");
    }
}
