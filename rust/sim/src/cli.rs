// SPDX-License-Identifier: GPL-2.0
//! Commands.

mod soak;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, Context};
use clap::{Args, Parser, Subcommand};
use yoke_core::guards::Guard;
use yoke_sim::campaign::{campaign, never_enough, Span};
use yoke_sim::catalogue;
use yoke_sim::hunts;
use yoke_sim::run::{run, Verdict};
use yoke_sim::scenario::Scenario;

/// Failures that are listed one by one.
const LISTED: usize = 10;

/// Simulates whole appliances on the real core, and explores small ones exhaustively.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run many seeds, until one fails.
    Run {
        #[command(flatten)]
        what: What,
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How many seeds.
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
        /// How many at a time.
        #[arg(long, default_value_t = 2)]
        threads: u64,
        /// Stop after this many seconds.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// Do not stop at the first failure: count them, and list the first.
        #[arg(long)]
        count: bool,
    },
    /// Run fresh seeds over all scenarios, go on after failures, and sum up.
    Soak {
        /// How many runs.
        #[arg(long, default_value_t = 100_000)]
        seeds: u64,
        /// Begin no run after this many minutes.
        #[arg(long, default_value_t = 24 * 60)]
        minutes: u64,
        /// How many at a time [default: one for each processor].
        #[arg(long)]
        threads: Option<u64>,
        /// Only this scenario.
        #[arg(long)]
        scenario: Option<String>,
        /// The first seed, to repeat a campaign [default: one that was never used before].
        #[arg(long)]
        from: Option<u64>,
    },
    /// Run one seed again, exactly as before.
    Replay {
        /// The seed.
        seed: u64,
        #[command(flatten)]
        what: What,
        /// Print everything that happened.
        #[arg(long)]
        trace: bool,
    },
    /// Leave out each guard where it is needed, and count the runs in which that shows.
    Hunt {
        /// Only this guard.
        guard: Option<String>,
    },
    /// List the guards.
    Guards,
}

#[derive(Args, Debug)]
struct What {
    /// The scenario: mixed, single, storm, or another of docs/simulation.md. By default that of the guard which is
    /// off, or mixed.
    #[arg(long)]
    scenario: Option<String>,
    /// Leave this rule out (see `guards`).
    #[arg(long, value_name = "NAME")]
    guards_off: Option<String>,
}

impl What {
    fn guard(&self) -> anyhow::Result<Option<Guard>> {
        let Some(name) = &self.guards_off else {
            return Ok(None);
        };
        let guard = catalogue::guard(name);
        guard
            .map(Some)
            .ok_or_else(|| anyhow!("there is no guard \"{name}\"; `guards` lists them"))
    }

    fn draw(&self) -> anyhow::Result<impl Fn(u64) -> Scenario + Sync> {
        let guard = self.guard()?;
        let own = guard.and_then(hunts::of).map(|hunt| hunt.scenario);
        let name = self.scenario.as_deref().or(own).unwrap_or("mixed");
        let draw =
            catalogue::named(name).with_context(|| format!("there is no scenario \"{name}\""))?;
        Ok(move |seed| catalogue::without(draw(seed), guard))
    }

    fn again(&self, seed: u64) -> String {
        let mut line = format!("cargo run -p yoke_sim --release -- replay {seed}");
        if let Some(name) = &self.scenario {
            line += &format!(" --scenario {name}");
        }
        if let Some(name) = &self.guards_off {
            line += &format!(" --guards-off {name}");
        }
        line + " --trace"
    }
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// When it says something that is not there.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run {
                what,
                from,
                seeds,
                threads,
                seconds,
                count,
            } => {
                let span = Span {
                    from,
                    seeds,
                    threads,
                    limit: Duration::from_secs(seconds),
                    stop: !count,
                    enough: never_enough,
                };
                run_many(&what, span)
            }
            Command::Soak {
                seeds,
                minutes,
                threads,
                scenario,
                from,
            } => soak::run(seeds, minutes, threads, scenario.as_deref(), from),
            Command::Replay { seed, what, trace } => replay(&what, seed, trace),
            Command::Hunt { guard } => hunt_all(guard.as_deref()),
            Command::Guards => {
                for guard in Guard::ALL {
                    let hunt = hunts::of(guard).map_or("", |hunt| hunt.scenario);
                    println!("{:<20} {hunt}", format!("{guard:?}"));
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn run_many(what: &What, span: Span) -> anyhow::Result<ExitCode> {
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = campaign(what.draw()?, span, |_, done| {
        if done % 1000 == 0 {
            eprint!("\r{done} seeds");
        }
    });
    eprintln!();
    println!(
        "{} seeds in {:.1} s: {:.0} a second a core ({:.1} s of processor time); {:.0} s of virtual time",
        outcome.runs,
        outcome.took.as_secs_f64(),
        outcome.runs_per_core_second(),
        outcome.cpu.as_secs_f64(),
        outcome.virtual_ns as f64 / 1e9,
    );
    for (name, count) in outcome.stats.list() {
        println!("  {name:<18}{count:>12}");
    }
    println!("  {:<18}{:>12}", "longest", outcome.longest);
    let Some(first) = outcome.failed.first() else {
        return Ok(ExitCode::SUCCESS);
    };
    if !span.stop {
        println!("{} runs failed", outcome.failed.len());
    }
    for verdict in outcome.failed.iter().take(LISTED) {
        report(verdict);
    }
    println!("again: {}", what.again(first.seed));
    Ok(ExitCode::FAILURE)
}

/// For each guard: of its runs without it, how many show that; what the first says; and the same runs with it.
fn hunt_all(only: Option<&str>) -> anyhow::Result<ExitCode> {
    std::panic::set_hook(Box::new(|_| {}));
    let mut good = true;
    for hunt in hunts::HUNTS {
        let name = format!("{:?}", hunt.guard);
        if only.is_some_and(|only| !only.eq_ignore_ascii_case(&name)) {
            continue;
        }
        let (without, with) = (hunt.count(false), hunt.count(true));
        let first = without.failed.first();
        let words = first.and_then(|verdict| verdict.violation.as_ref());
        println!(
            "{name:<20} {:<14} {:>5} of {:>5} runs, {:>2} with it; {:.1} s; {:.60}",
            hunt.scenario,
            without.failed.len(),
            hunt.seeds,
            with.failed.len(),
            (without.cpu + with.cpu).as_secs_f64(),
            words.map_or("nothing", |violation| &violation.words),
        );
        let mut kinds: Vec<_> = without.failed.iter().flat_map(|v| &v.violation).collect();
        kinds.sort_by_key(|violation| violation.kind);
        for alike in kinds.chunk_by(|a, b| a.kind == b.kind) {
            let odd = if hunt.shows.contains(&alike[0].kind) {
                ""
            } else {
                "  NOT EXPECTED"
            };
            println!("    {:>6} {:?}{odd}", alike.len(), alike[0].kind);
            good &= odd.is_empty();
        }
        good &= first.is_some() && with.failed.is_empty();
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn replay(what: &What, seed: u64, trace: bool) -> anyhow::Result<ExitCode> {
    let scenario = what.draw()?(seed);
    println!("{scenario:#?}");
    let verdict = run(&scenario, seed, trace);
    for line in &verdict.trace {
        println!("{line}");
    }
    report(&verdict);
    Ok(if verdict.violation.is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn report(verdict: &Verdict) {
    match &verdict.violation {
        Some(words) => println!("seed {}: {words}", verdict.seed),
        None => println!("seed {}: clean", verdict.seed),
    }
}
