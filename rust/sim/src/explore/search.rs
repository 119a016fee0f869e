// SPDX-License-Identifier: GPL-2.0
//! The breadth-first search. One level after the other; the states of a level
//! are shared out to the threads, which meet at its end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::visited::Visited;
use super::{fingerprint, Model};

/// When to give up.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Longest path.
    pub depth: usize,
    /// Most states visited.
    pub states: usize,
    /// Most states kept for the next level: bounds the memory.
    pub frontier: usize,
    /// Longest time.
    pub time: Duration,
    /// Threads.
    pub threads: usize,
}

/// How a search ended.
#[derive(Clone, Debug)]
pub enum Outcome<S> {
    /// Every state that can be reached was visited.
    Exhausted,
    /// A bound was met; which one.
    Bounded(&'static str),
    /// A checker objected: its words, and the shortest way there.
    Violated(String, Vec<S>),
}

/// What a search did.
#[derive(Clone, Debug)]
pub struct Report<S> {
    /// How it ended.
    pub outcome: Outcome<S>,
    /// States visited.
    pub states: usize,
    /// How many of them are such as the model counts.
    pub counted: usize,
    /// Steps taken: more than states, since states merge.
    pub steps: usize,
    /// Length of the longest path that was followed to its end.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
}

impl<S> Report<S> {
    /// The violation, if one was found.
    pub fn violation(&self) -> Option<(&str, &[S])> {
        match &self.outcome {
            Outcome::Violated(words, path) => Some((words, path)),
            _ => None,
        }
    }

    /// States visited each second.
    pub fn states_per_second(&self) -> u64 {
        (self.states as f64 / self.took.as_secs_f64().max(1e-6)) as u64
    }
}

/// How a state was reached: the place of its predecessor in the level before.
#[derive(Clone, Copy)]
struct Origin<S> {
    from: u32,
    step: S,
}

/// A new state and how it was reached.
struct Found<M: Model> {
    state: M::State,
    origin: Origin<M::Step>,
}

/// What one thread found in one level.
struct Harvest<M: Model> {
    found: Vec<Found<M>>,
    steps: usize,
    counted: usize,
    violation: Option<(String, Origin<M::Step>)>,
}

/// Visits every state of `model` within `bounds`, or until a checker objects.
pub fn search<M: Model>(model: &M, bounds: &Bounds) -> Report<M::Step> {
    let began = Instant::now();
    let visited = Visited::new();
    let start = model.start();
    visited.insert(fingerprint(&start));
    let mut level = vec![start];
    let mut origins: Vec<Vec<Origin<M::Step>>> = Vec::new();
    let mut depth = 0;
    let (mut steps, mut counted) = (0, 0);
    let outcome = loop {
        if level.is_empty() {
            break Outcome::Exhausted;
        }
        if let Some(bound) = bound_met(bounds, depth, visited.len(), level.len(), began) {
            break Outcome::Bounded(bound);
        }
        let (harvests, in_time) = expand(model, &level, &visited, bounds, began);
        let mut next = Vec::new();
        let mut next_origins = Vec::new();
        let mut violation = None;
        for harvest in harvests {
            violation = violation.or(harvest.violation);
            steps += harvest.steps;
            counted += harvest.counted;
            for found in harvest.found {
                next.push(found.state);
                next_origins.push(found.origin);
            }
        }
        if let Some((words, last)) = violation {
            break Outcome::Violated(words, path_to(&origins, last));
        }
        if !in_time {
            break Outcome::Bounded("time");
        }
        depth += 1;
        origins.push(next_origins);
        level = next;
    };
    Report {
        outcome,
        states: visited.len(),
        counted,
        steps,
        depth,
        took: began.elapsed(),
    }
}

fn bound_met(
    bounds: &Bounds,
    depth: usize,
    states: usize,
    frontier: usize,
    began: Instant,
) -> Option<&'static str> {
    if depth >= bounds.depth {
        Some("depth")
    } else if states >= bounds.states {
        Some("states")
    } else if frontier >= bounds.frontier {
        Some("frontier")
    } else if began.elapsed() >= bounds.time {
        Some("time")
    } else {
        None
    }
}

/// Takes every step of every state of a level. Also says whether it was finished in time.
fn expand<M: Model>(
    model: &M,
    level: &[M::State],
    visited: &Visited,
    bounds: &Bounds,
    began: Instant,
) -> (Vec<Harvest<M>>, bool) {
    const CHUNK: usize = 64;
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let late = AtomicBool::new(false);
    let work = || {
        let mut harvest = Harvest {
            found: Vec::new(),
            steps: 0,
            counted: 0,
            violation: None,
        };
        let mut steps = Vec::new();
        loop {
            let from = next.fetch_add(CHUNK, Ordering::Relaxed);
            if from >= level.len() || stop.load(Ordering::Relaxed) {
                return harvest;
            }
            if began.elapsed() >= bounds.time {
                late.store(true, Ordering::Relaxed);
                return harvest;
            }
            for (at, state) in level.iter().enumerate().skip(from).take(CHUNK) {
                visit(model, state, at, visited, &mut steps, &mut harvest);
            }
            if harvest.violation.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    let harvests = std::thread::scope(|scope| {
        let others: Vec<_> = (1..bounds.threads).map(|_| scope.spawn(work)).collect();
        let mut all = vec![work()];
        for other in others {
            match other.join() {
                Ok(harvest) => all.push(harvest),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    (harvests, !late.load(Ordering::Relaxed))
}

fn visit<M: Model>(
    model: &M,
    state: &M::State,
    at: usize,
    visited: &Visited,
    steps: &mut Vec<M::Step>,
    harvest: &mut Harvest<M>,
) {
    steps.clear();
    model.steps(state, steps);
    harvest.steps += steps.len();
    for &step in steps.iter() {
        let mut next = state.clone();
        let origin = Origin {
            from: at as u32,
            step,
        };
        if let Err(words) = model.take(&mut next, step) {
            harvest.violation.get_or_insert((words, origin));
            return;
        }
        if visited.insert(fingerprint(&next)) {
            harvest.counted += usize::from(model.counts(&next));
            harvest.found.push(Found {
                state: next,
                origin,
            });
        }
    }
}

fn path_to<S: Copy>(origins: &[Vec<Origin<S>>], last: Origin<S>) -> Vec<S> {
    let mut path = vec![last.step];
    let mut at = last.from as usize;
    for level in origins.iter().rev() {
        let origin = level[at];
        path.push(origin.step);
        at = origin.from as usize;
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two counters that must not both be `limit`.
    struct Counters {
        limit: u8,
    }

    impl Model for Counters {
        type State = [u8; 2];
        type Step = usize;

        fn start(&self) -> [u8; 2] {
            [0; 2]
        }

        fn steps(&self, state: &[u8; 2], steps: &mut Vec<usize>) {
            steps.extend((0..2).filter(|i| state[*i] < 5));
        }

        fn take(&self, state: &mut [u8; 2], step: usize) -> Result<(), String> {
            state[step] += 1;
            if *state == [self.limit; 2] {
                return Err("both".into());
            }
            Ok(())
        }
    }

    fn bounds() -> Bounds {
        Bounds {
            depth: 100,
            states: 1000,
            frontier: 1000,
            time: Duration::from_secs(10),
            threads: 2,
        }
    }

    #[test]
    fn a_search_ends_when_everything_was_seen() {
        let report = search(&Counters { limit: 9 }, &bounds());
        assert!(matches!(report.outcome, Outcome::Exhausted));
        assert_eq!((report.states, report.steps, report.depth), (36, 60, 11));
    }

    #[test]
    fn the_first_violation_is_a_shortest_one() {
        let report = search(&Counters { limit: 3 }, &bounds());
        let (words, path) = report.violation().expect("one exists");
        assert_eq!(words, "both");
        assert_eq!(path.len(), 6);
        assert_eq!(path.iter().filter(|s| **s == 0).count(), 3);
    }

    #[test]
    fn bounds_end_a_search() {
        let report = search(
            &Counters { limit: 9 },
            &Bounds {
                depth: 4,
                ..bounds()
            },
        );
        assert!(matches!(report.outcome, Outcome::Bounded("depth")));
        assert_eq!(report.states, 15);
    }
}
