// SPDX-License-Identifier: GPL-2.0
//! Campaigns over all scenarios, with seeds that were never used before; failures are counted by kind, and what never
//! happened is said.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::campaign::{campaign, Outcome, Span};
use crate::catalogue::{Draw, NAMED};
use crate::check::Kind;
use crate::rng::splitmix64;
use crate::run::Verdict;

/// Of a hundred runs so many are of `mixed`, the first scenario; the others share the rest.
const MIXED: u64 = 50;

/// A first seed that was never used before.
///
/// # Errors
/// When the system has no random numbers.
pub fn fresh_seed() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    // Short enough to be read aloud; a campaign does not get to its end.
    Ok(u64::from_le_bytes(bytes) >> 20)
}

/// Which scenario a seed gets in a campaign over all of them.
pub fn scenario_of(seed: u64) -> (&'static str, Draw) {
    let mut state = seed;
    let number = splitmix64(&mut state);
    let others = NAMED.len() as u64 - 1;
    let index = if number % 100 < MIXED {
        0
    } else {
        1 + number / 100 % others
    };
    NAMED[index as usize]
}

/// The command that shows a run again.
pub fn again(seed: u64, scenario: &str) -> String {
    format!("cargo run -p yoke_sim --release -- replay {seed} --scenario {scenario} --trace")
}

/// Failures that look alike.
#[derive(Clone, Debug)]
pub struct Alike {
    /// How many.
    pub count: u64,
    /// The seed of one of them, and its scenario.
    pub seed: u64,
    /// Its scenario.
    pub scenario: &'static str,
    /// What is wrong in that one.
    pub words: String,
}

/// What a campaign over all scenarios came to.
#[derive(Debug)]
pub struct Soak {
    /// The runs.
    pub outcome: Outcome,
    /// Of each scenario: runs, and failures among them.
    pub scenarios: BTreeMap<&'static str, (u64, u64)>,
    /// Failures that look alike.
    pub failures: BTreeMap<(Kind, String), Alike>,
}

/// Which runs.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// How many at a time.
    pub threads: u64,
    /// No new run begins after this time.
    pub limit: Duration,
    /// No new run begins when this says so.
    pub enough: fn() -> bool,
    /// One scenario instead of all.
    pub only: Option<(&'static str, Draw)>,
}

impl Campaign {
    /// The scenario of a seed.
    pub fn scenario(&self, seed: u64) -> (&'static str, Draw) {
        self.only.unwrap_or_else(|| scenario_of(seed))
    }

    /// Runs all of it, failures or not. `first` is told of the first failure of each kind when it is found, `tick` how
    /// many runs are done and how many of them failed.
    pub fn run(&self, first: impl Fn(&Alike) + Sync, tick: impl Fn(u64, u64) + Sync) -> Soak {
        let shared = Mutex::new((BTreeMap::new(), BTreeMap::new(), 0));
        let span = Span {
            from: self.from,
            seeds: self.seeds,
            threads: self.threads,
            limit: self.limit,
            stop: false,
            enough: self.enough,
        };
        let seen = |verdict: &Verdict, done: u64| {
            let (name, _) = self.scenario(verdict.seed);
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let (scenarios, failures, failed) = &mut *shared;
            let runs: &mut (u64, u64) = scenarios.entry(name).or_default();
            runs.0 += 1;
            if let Some(violation) = &verdict.violation {
                runs.1 += 1;
                *failed += 1;
                let alike = failures
                    .entry((violation.kind, violation.pattern()))
                    .or_insert_with(|| Alike {
                        count: 0,
                        seed: verdict.seed,
                        scenario: name,
                        words: violation.words.clone(),
                    });
                alike.count += 1;
                if alike.count == 1 {
                    first(alike);
                }
            }
            tick(done, *failed);
        };
        let outcome = campaign(|seed| (self.scenario(seed).1)(seed), span, seen);
        let (scenarios, failures, _) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        Soak {
            outcome,
            scenarios,
            failures,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_gets_its_share() {
        let mut shares: BTreeMap<&str, u64> = BTreeMap::new();
        for seed in 0..100_000 {
            *shares.entry(scenario_of(seed).0).or_default() += 1;
        }
        assert_eq!(shares.len(), NAMED.len());
        assert!(shares["mixed"].abs_diff(50_000) < 2_000);
        assert!(shares.values().all(|share| *share > 500), "{shares:?}");
    }

    #[test]
    fn fresh_seeds_are_fresh() {
        let seeds = [(); 4].map(|()| fresh_seed().expect("random numbers"));
        assert!(seeds[1..].iter().all(|seed| *seed != seeds[0]));
    }
}
