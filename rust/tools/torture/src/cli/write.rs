// SPDX-License-Identifier: GPL-2.0
//! `yoke-torture write`.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use yoke_torture::history::Rule;
use yoke_torture::pattern::Pattern;
use yoke_torture::verify::Chain;
use yoke_torture::volume::PathVolume;
use yoke_torture::writer::{Outcome, Plan, Run};

/// How often the main thread looks at signals and shows progress.
const TICK: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, ValueEnum)]
enum OnError {
    Stop,
    Continue,
}

#[derive(Args)]
pub(crate) struct WriteArgs {
    /// The volume: a block device, or a file on a file system with direct I/O.
    #[arg(long)]
    device: PathBuf,
    /// Where to stream the record: a new file, or - for standard output.
    #[arg(long)]
    record: PathBuf,
    /// Writes in flight at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    depth: u16,
    /// Blocks to use, FIRST..END or COUNT, 4 KiB each [default: the whole volume].
    #[arg(long, value_parser = super::parse_blocks)]
    blocks: Option<Range<u64>>,
    /// Identity of the run, in every stamp [default: random].
    #[arg(long)]
    run_id: Option<u64>,
    /// End after this many seconds [default: at SIGINT or SIGTERM].
    #[arg(long)]
    seconds: Option<f64>,
    /// End after this many writes.
    #[arg(long)]
    writes: Option<u64>,
    /// Order of the blocks.
    #[arg(long, value_enum, default_value_t = Pattern::Random)]
    pattern: Pattern,
    /// Seed of all choices [default: random].
    #[arg(long)]
    seed: Option<u64>,
    /// Flush after every N acknowledged writes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    flush_every: Option<u64>,
    /// Share of the writes that have FUA, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = super::parse_ratio)]
    fua_ratio: f64,
    /// Share of the operations that read a block and check that it did not go back in time, 0 to 1.
    #[arg(long, value_name = "RATIO", default_value_t = 0.0, value_parser = super::parse_ratio)]
    read_check: f64,
    /// Allow several writes to one block in flight at once. Verify then accepts any of those that nothing orders.
    #[arg(long)]
    overlap: bool,
    /// After an I/O error, or a read that went back in time.
    #[arg(long, value_enum, default_value = "stop")]
    on_error: OnError,
    /// With --on-error continue: end the run after this many I/O errors all the same.
    #[arg(long, default_value_t = 1000)]
    max_errors: u64,
    /// Seconds to wait at the end for what is in flight.
    #[arg(long, default_value_t = 60.0)]
    drain: f64,
    /// An earlier record of this volume, oldest first; may be given several times. Sequences go on behind it, and
    /// reads are checked against it.
    #[arg(long = "continue", value_name = "RECORD")]
    continues: Vec<PathBuf>,
}

impl WriteArgs {
    /// Runs it. True if nothing went wrong.
    pub(crate) fn run(self) -> Result<bool> {
        let volume = PathVolume::open(&self.device, true)?;
        let plan = self.plan(volume.blocks())?;
        let chain = Chain::load(&self.continues, Rule::SingleFailure)?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, stop.clone())
                .context("cannot listen for signals")?;
        }
        let recorder = super::open_record(&self.record)?;
        let run = Run::start(plan, chain.history, recorder, Arc::new(volume))?;
        wait(&run, &stop, self.limit());
        let outcome = run.finish()?;
        tell(&outcome);
        Ok(outcome.stopped.is_none() && outcome.figures.bad_reads == 0 && outcome.unanswered == 0)
    }

    fn limit(&self) -> Option<Duration> {
        self.seconds.map(Duration::from_secs_f64)
    }

    fn plan(&self, volume_blocks: u64) -> Result<Plan> {
        let range = self.blocks.clone().unwrap_or(0..volume_blocks);
        if range.end > volume_blocks {
            bail!(
                "{} has {volume_blocks} blocks, the range ends at {}: choose a smaller --blocks",
                self.device.display(),
                range.end
            );
        }
        let blocks = range.end - range.start;
        if blocks < u64::from(self.depth) && !self.overlap {
            bail!(
                "{} blocks are too few for depth {}: give more --blocks, a smaller --depth, or --overlap",
                blocks,
                self.depth
            );
        }
        for seconds in self.seconds.iter().chain([&self.drain]) {
            if !(0.0..=1e6).contains(seconds) {
                bail!("{seconds} is no time in seconds: 0 to 1000000 is");
            }
        }
        Ok(Plan {
            run: self.run_id.unwrap_or_else(super::random_run),
            device: self.device.display().to_string(),
            first_block: range.start,
            blocks,
            depth: usize::from(self.depth),
            pattern: self.pattern,
            seed: self.seed.unwrap_or_else(super::random_run),
            time_limit: self.limit(),
            write_limit: self.writes,
            flush_every: self.flush_every,
            fua_ratio: self.fua_ratio,
            read_ratio: self.read_check,
            overlap: self.overlap,
            errors_allowed: match self.on_error {
                OnError::Stop => 0,
                OnError::Continue => self.max_errors,
            },
            drain: Duration::from_secs_f64(self.drain),
        })
    }
}

/// Waits until the run ends by itself, a signal comes, or its time is over though all its threads hang.
fn wait(run: &Run, stop: &AtomicBool, limit: Option<Duration>) {
    let bar = ProgressBar::new_spinner();
    let begun = std::time::Instant::now();
    while !run.wait(TICK) {
        let over = limit.is_some_and(|limit| begun.elapsed() > limit);
        if stop.load(Ordering::Relaxed) || over {
            break;
        }
        let figures = run.figures();
        bar.set_message(format!(
            "{} writes acknowledged, {} I/O errors, longest stall {} ms",
            figures.acked_writes,
            figures.io_errors,
            figures.stall.us / 1000
        ));
        bar.tick();
    }
    bar.finish_and_clear();
}

fn tell(outcome: &Outcome) {
    let figures = &outcome.figures;
    let seconds = figures.run_us as f64 / 1e6;
    eprintln!(
        "{} writes acknowledged in {seconds:.1} s ({:.0} a second), p50 {} us, p99 {} us, max {} us",
        figures.acked_writes,
        figures.acked_writes as f64 / seconds.max(1e-6),
        figures.latency_p50_us,
        figures.latency_p99_us,
        figures.latency_max_us
    );
    eprintln!(
        "longest stall {:.1} ms, {:.3} s into the run; {} flushes, {} I/O errors, {} reads, {} of them bad, {} writes unanswered",
        figures.stall.us as f64 / 1e3,
        figures.stall.from_us as f64 / 1e6,
        figures.acked_flushes,
        figures.io_errors,
        figures.reads,
        figures.bad_reads,
        outcome.unanswered
    );
    for error in &outcome.errors {
        eprintln!("  I/O error: {error}");
    }
    for fault in &outcome.faults {
        eprintln!(
            "  block {}: {}: {}",
            fault.block,
            fault.verdict.name(),
            fault.detail
        );
    }
    if let Some(why) = &outcome.stopped {
        eprintln!("ended early: {why}");
    }
}
