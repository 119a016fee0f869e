// SPDX-License-Identifier: GPL-2.0
//! Thousands of appliances with faults, each from one seed: nothing is lost, nobody hangs, and a seed is all that is
//! needed to see a run again.

#[allow(dead_code, unreachable_pub)]
mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use support::Progress;
use yoke_core::guards::Guard;
use yoke_sim::campaign::{campaign, never_enough, Outcome, Span};
use yoke_sim::catalogue::{self, named, without};
use yoke_sim::check::Kind;
use yoke_sim::explore::fingerprint;
use yoke_sim::hunts;
use yoke_sim::run::run;
use yoke_sim::soak::{again, fresh_seed, Campaign};
use yoke_sim::stats::Stats;

/// Seeds of the general scenarios. Others begin elsewhere, so that no run is done twice.
const MIXED: u64 = 4_000;
const SINGLE: u64 = 3_000;
const STORM: u64 = 3_000;
const SEVERAL: u64 = 1_000;
const HALF_ARRIVED: u64 = 2_000;
/// Seeds of each of the others.
const DIRECTED: u64 = 60;
/// Seeds over all scenarios that are others in every run of the tests.
const FRESH: u64 = 3_000;

fn sweep(name: &str, from: u64, seeds: u64) -> Outcome {
    let progress = Mutex::new(Progress::new(&format!("{seeds} seeds of {name}")));
    let span = Span {
        from,
        seeds,
        threads: 1,
        limit: Duration::from_secs(600),
        stop: true,
        enough: never_enough,
    };
    let draw = named(name).expect("a scenario");
    let outcome = campaign(draw, span, |_, done| {
        if let Ok(mut progress) = progress.lock() {
            progress.tell(|| format!("{done} done"));
        }
    });
    if let Some(first) = outcome.failed.first() {
        panic!(
            "{}\nagain: cargo run -p yoke_sim --release -- replay {} --scenario {name} --trace",
            first.violation.as_ref().map_or("", |v| &v.words),
            first.seed
        );
    }
    assert_eq!(outcome.runs, seeds);
    let speed = outcome.runs as f64 / outcome.took.as_secs_f64();
    if let Ok(progress) = progress.lock() {
        progress.done(&format!("clean, {speed:.0} a second"));
    }
    outcome
}

/// What happens everywhere. Slots whose data never came are too rare: they have a scenario of their own.
fn common(stats: &Stats) -> Vec<(&'static str, u64)> {
    let mut list = stats.list();
    list.retain(|(name, _)| *name != "dropped");
    list
}

#[test]
fn mixed_appliances_lose_nothing() {
    let stats = sweep("mixed", 0, MIXED).stats;
    // What never happens is not tested.
    for (name, count) in common(&stats) {
        // A disk that fails stops service, not memory: nothing that is simulated stops a machine for good. And these
        // appliances have one volume each.
        assert_eq!(
            count > 0,
            !["stopped", "both_owned"].contains(&name),
            "there were {count} of: {name}"
        );
    }
    assert!(stats.writes > 20 * MIXED);
    assert!(stats.crashes + stats.pauses > MIXED);
}

#[test]
fn most_runs_are_worth_it() {
    let draw = named("mixed").expect("a scenario");
    let runs = 300;
    let (mut busy, mut broken) = (0, 0);
    for seed in 0..runs {
        let stats = run(&draw(seed), seed, false).stats;
        busy += u64::from(stats.writes > 5 && stats.reads > 0);
        broken += u64::from(stats.crashes + stats.pauses + stats.power_losses > 0);
    }
    assert!(busy > runs * 9 / 10, "{busy} of {runs} write and read");
    assert!(
        broken > runs * 7 / 10,
        "{broken} of {runs} die or stand still"
    );
}

#[test]
fn one_failure_at_a_time_stops_nobody() {
    let stats = sweep("single", 1_000_000, SINGLE).stats;
    assert!(stats.degraded > SINGLE / 4);
}

#[test]
fn storms_lose_nothing() {
    sweep("storm", 2_000_000, STORM);
}

#[test]
fn several_volumes_lose_nothing() {
    let stats = sweep("several", 4_000_000, SEVERAL).stats;
    assert!(stats.both_owned > SEVERAL / 2);
    for (name, count) in common(&stats) {
        assert_eq!(
            count > 0,
            name != "stopped",
            "there were {count} of: {name}"
        );
    }
}

/// Seldom else is there a slot whose data never came and that is found to be so only when it is used.
#[test]
fn slots_that_arrived_by_half_cost_nothing() {
    let stats = sweep("half-arrived", 5_000_000, HALF_ARRIVED).stats;
    assert!(stats.dropped > HALF_ARRIVED / 20, "{}", stats.dropped);
}

#[test]
fn directed_appliances_lose_nothing() {
    let general = ["mixed", "single", "storm", "several"];
    for (name, _) in catalogue::NAMED {
        if !general.contains(&name) {
            sweep(name, 3_000_000, DIRECTED);
        }
    }
}

/// What a preemption proves is known of a target, or it is not: taken for known, it costs data.
#[test]
fn a_target_that_lies_is_found_out() {
    let lies = (0..1_000).map(|seed| run(&catalogue::owners::lying(seed), seed, false));
    let mut kinds = lies.filter_map(|verdict| verdict.violation.map(|violation| violation.kind));
    assert_eq!(kinds.next(), Some(Kind::TwoOwners));
}

/// Seeds that no run ever had: what is found here is found anew every day.
#[test]
fn fresh_appliances_lose_nothing() {
    let progress = Mutex::new(Progress::new(&format!("{FRESH} fresh seeds")));
    let campaign = Campaign {
        from: fresh_seed().expect("random numbers"),
        seeds: FRESH,
        threads: 1,
        limit: Duration::from_secs(600),
        enough: never_enough,
        only: None,
    };
    println!("fresh seeds from {}", campaign.from);
    let soak = campaign.run(
        |_| {},
        |done, _| {
            if let Ok(mut progress) = progress.lock() {
                progress.tell(|| format!("{done} done"));
            }
        },
    );
    let failures: Vec<String> = soak
        .failures
        .values()
        .map(|alike| {
            format!(
                "{}\nagain: {}",
                alike.words,
                again(alike.seed, alike.scenario)
            )
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(soak.outcome.runs, FRESH);
    let progress = progress.into_inner().expect("one thread");
    progress.done(&format!("from {}: clean", campaign.from));
}

#[test]
fn a_seed_gives_one_run() {
    for (name, draw) in catalogue::NAMED {
        for seed in 0..20 {
            let trace = || fingerprint(&run(&draw(seed), seed, true).trace);
            assert_eq!(trace(), trace(), "{name} {seed}");
        }
    }
}

#[test]
fn other_seeds_give_other_runs() {
    let draw = named("mixed").expect("a scenario");
    let mut traces: Vec<u64> = (0..40)
        .map(|seed| fingerprint(&run(&draw(seed), seed, true).trace))
        .collect();
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 40);
}

#[test]
fn a_failure_is_the_same_when_it_is_watched() {
    let hunt = hunts::of(Guard::FreeProved).expect("a hunt");
    let draw = named(hunt.scenario).expect("a scenario");
    let first = hunt.search().pop();
    let first = first.expect("without the rule something is lost");
    let scenario = without(draw(first.seed), Some(Guard::FreeProved));
    let again = run(&scenario, first.seed, true);
    assert_eq!(first.violation, again.violation);
    assert_eq!(first.stats, again.stats);
    assert!(again.trace.iter().any(|line| line.contains("VIOLATION")));
}

/// Runs the command line; what it says.
fn cli(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_yoke_sim"))
        .args(arguments)
        .output()
        .expect("it was built");
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), words)
}

#[test]
fn a_soak_sums_up_and_can_be_repeated() {
    let clean = ["soak", "--seeds", "40", "--from", "1000", "--threads", "1"];
    let (good, words) = cli(&clean);
    assert!(good, "{words}");
    for part in [
        "seeds from 1000",
        "40 of 40 runs in",
        "0 failures of 0 kinds",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let (good, fresh) = cli(&["soak", "--seeds", "1", "--scenario", "single"]);
    assert!(good && !fresh.contains("seeds from 1000"), "{fresh}");
    let (good, _) = cli(&["soak", "--scenario", "nothing"]);
    assert!(!good);
}

/// What hours have brought is not lost when somebody has had enough.
#[test]
fn a_soak_that_is_interrupted_sums_up() {
    let mut soak = Command::new(env!("CARGO_BIN_EXE_yoke_sim"))
        .args(["soak", "--seeds", "1000000000", "--threads", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it was built");
    let mut said = BufReader::new(soak.stdout.take().expect("a pipe"));
    let mut words = String::new();
    said.read_line(&mut words).expect("its first line");
    let id = soak.id().to_string();
    let kill = Command::new("kill").args(["-INT", &id]).status();
    assert!(kill.expect("kill runs").success());
    said.read_to_string(&mut words).expect("the rest");
    assert!(soak.wait().expect("it ends").success(), "{words}");
    for part in ["of 1000000000 runs in", "0 failures of 0 kinds"] {
        assert!(words.contains(part), "{part}: {words}");
    }
}

/// A soak does not end at a failure, counts those that look alike, and says how to see one of them again.
#[test]
fn a_soak_counts_failures_by_kind() {
    let campaign = Campaign {
        from: 0,
        seeds: 60,
        threads: 1,
        limit: Duration::from_secs(600),
        enough: never_enough,
        only: Some(("broken", |seed| {
            without(catalogue::mixed(seed), Some(Guard::OwnBlock))
        })),
    };
    let told = Mutex::new(0);
    let soak = campaign.run(|_| *told.lock().expect("one thread") += 1, |_, _| {});
    assert_eq!(soak.outcome.runs, 60);
    let failed: u64 = soak.failures.values().map(|alike| alike.count).sum();
    assert_eq!(soak.scenarios["broken"], (60, failed));
    assert!(failed > 30, "{failed} of 60 without a rule");
    assert_eq!(told.into_inner().expect("one thread"), soak.failures.len());
    assert!(soak.failures.len() < 5, "{:#?}", soak.failures);
}

#[test]
fn the_printed_command_replays_a_failure() {
    let (good, words) = cli(&["run", "--guards-off", "FreeProved", "--seeds", "200"]);
    assert!(!good);
    let verdict = words
        .lines()
        .find(|line| line.starts_with("seed "))
        .expect("a verdict");
    let again = words
        .lines()
        .find_map(|line| line.split_once(" -- "))
        .expect("a command")
        .1;
    let arguments: Vec<&str> = again.split_whitespace().collect();
    let (good, words) = cli(&arguments);
    assert!(!good);
    assert_eq!(words.lines().last(), Some(verdict));
    assert!(words.contains("VIOLATION"));
}
