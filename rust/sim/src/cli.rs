// SPDX-License-Identifier: GPL-2.0
//! Commands.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, Context};
use clap::{Args, Parser, Subcommand};
use yoke_core::guards::Guard;
use yoke_sim::campaign::campaign;
use yoke_sim::catalogue;
use yoke_sim::run::{run, Verdict};
use yoke_sim::scenario::Scenario;

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
    /// List the guards.
    Guards,
}

#[derive(Args, Debug)]
struct What {
    /// The scenario: mixed, single, storm, or that of the guard which is off.
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
        let name = self.scenario.as_deref().unwrap_or("mixed");
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
            } => run_many(&what, from, seeds, threads, Duration::from_secs(seconds)),
            Command::Replay { seed, what, trace } => replay(&what, seed, trace),
            Command::Guards => {
                for guard in Guard::ALL {
                    println!("{guard:?}");
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn run_many(
    what: &What,
    from: u64,
    seeds: u64,
    threads: u64,
    limit: Duration,
) -> anyhow::Result<ExitCode> {
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = campaign(what.draw()?, from, seeds, threads, limit, |done| {
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
    match outcome.failed {
        None => Ok(ExitCode::SUCCESS),
        Some(verdict) => {
            report(&verdict);
            println!("again: {}", what.again(verdict.seed));
            Ok(ExitCode::FAILURE)
        }
    }
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
