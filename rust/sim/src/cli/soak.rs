// SPDX-License-Identifier: GPL-2.0
//! The long campaign.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use yoke_sim::catalogue::NAMED;
use yoke_sim::soak::{again, fresh_seed, Alike, Campaign, Soak};

/// How often it is said how far it is.
const TOLD: Duration = Duration::from_secs(10);

/// Somebody has had enough.
static ENOUGH: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// An interruption ends the campaign after the runs in hand, a second one at once.
fn listen() -> std::io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 1, ENOUGH.clone())?;
        flag::register(signal, ENOUGH.clone())?;
    }
    Ok(())
}

/// Runs a campaign and sums up, also when it is interrupted.
///
/// # Errors
/// When there is no such scenario, or no random numbers.
pub(super) fn run(
    seeds: u64,
    minutes: u64,
    threads: Option<u64>,
    scenario: Option<&str>,
    from: Option<u64>,
) -> anyhow::Result<ExitCode> {
    std::panic::set_hook(Box::new(|_| {}));
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let only = scenario.map(|name| {
        let found = NAMED.into_iter().find(|(n, _)| *n == name);
        found.with_context(|| format!("there is no scenario \"{name}\""))
    });
    let campaign = Campaign {
        from: from.map_or_else(fresh_seed, Ok)?,
        seeds,
        threads: threads.unwrap_or(processors).max(1),
        limit: Duration::from_secs(minutes.saturating_mul(60)),
        enough: || ENOUGH.load(Ordering::Relaxed),
        only: only.transpose()?,
    };
    listen()?;
    println!(
        "{seeds} runs of {}, {} at a time, seeds from {}",
        scenario.map_or_else(|| format!("{} scenarios", NAMED.len()), str::to_owned),
        campaign.threads,
        campaign.from
    );
    let began = Instant::now();
    let told = Mutex::new(began);
    let tick = |done: u64, failed: u64| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= TOLD {
            *told = Instant::now();
            let speed = done as f64 / began.elapsed().as_secs_f64();
            eprintln!("  {done} of {seeds}, {speed:.0} a second, {failed} failed");
        }
    };
    let soak = campaign.run(tell, tick);
    sum_up(&soak, seeds);
    Ok(if soak.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The first failure of its kind, when it is found.
fn tell(alike: &Alike) {
    println!("FAILED: {}", alike.words);
    println!("  again: {}", again(alike.seed, alike.scenario));
}

fn sum_up(soak: &Soak, wanted: u64) {
    let outcome = &soak.outcome;
    println!("what happened:");
    for (name, count) in outcome.stats.list() {
        let never = if count == 0 { "  NEVER" } else { "" };
        println!("  {name:<20}{count:>14}{never}");
    }
    println!("runs, and failures among them:");
    for (name, (runs, failed)) in &soak.scenarios {
        println!("  {name:<20}{runs:>14}{failed:>8}");
    }
    println!(
        "{} of {wanted} runs in {:.0} s: {:.0} a second a core ({:.0} s of processor time); {:.0} s of virtual time; \
         the longest run has {} events",
        outcome.runs,
        outcome.took.as_secs_f64(),
        outcome.runs_per_core_second(),
        outcome.cpu.as_secs_f64(),
        outcome.virtual_ns as f64 / 1e9,
        outcome.longest,
    );
    let failed: u64 = soak.failures.values().map(|alike| alike.count).sum();
    println!("{failed} failures of {} kinds", soak.failures.len());
    for ((kind, pattern), alike) in &soak.failures {
        println!("  {:>8} {kind:?}: {pattern}", alike.count);
        println!("           {}", again(alike.seed, alike.scenario));
    }
}
