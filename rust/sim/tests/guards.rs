// SPDX-License-Identifier: GPL-2.0
//! Every rule is needed: without it the simulator finds what it is there for, and with it the very same runs are clean.

#[allow(dead_code, unreachable_pub)]
mod support;

use support::Progress;
use yoke_core::guards::Guard;
use yoke_sim::hunts::{Hunt, HUNTS};

fn search(hunt: &Hunt, failures: &mut Vec<String>) {
    let with = hunt.run(true, 1);
    for verdict in &with.failed {
        failures.push(format!(
            "{:?} is in force, and {} {}: {:?}",
            hunt.guard, hunt.scenario, verdict.seed, verdict.violation
        ));
    }
    let without = hunt.run(false, 1);
    if without.failed.is_empty() {
        failures.push(format!(
            "without {:?} nothing goes wrong in {} of {}",
            hunt.guard, without.runs, hunt.scenario
        ));
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
fn each_rule_has_one_search() {
    for guard in Guard::ALL {
        let searches = HUNTS.iter().filter(|hunt| hunt.guard == guard).count();
        assert_eq!(searches, 1, "{guard:?}");
    }
}
