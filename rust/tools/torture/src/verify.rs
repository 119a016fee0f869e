// SPDX-License-Identifier: GPL-2.0
//! Reads the volume and holds it against the records.

use std::path::{Path, PathBuf};

use anyhow::{bail, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::fault::{Fault, Verdict};
use crate::figures::Meter;
use crate::history::{History, Judgement, Rule};
use crate::reader::{self, Tail};
use crate::record::{Frame, Header, Kind, Recorder};
use crate::report::{RecordPart, RecordedError, Report};
use crate::stamp::{self, Block, Found};
use crate::volume::{PathVolume, Volume};

/// Blocks that are read at once.
const BATCH: u64 = 256;
/// I/O errors that are kept of each record.
const ERRORS_KEPT: usize = 20;

/// A chain of records, replayed.
pub struct Chain {
    /// What it says about each block.
    pub history: History,
    /// One part a record.
    pub parts: Vec<RecordPart>,
    /// Reads in it that returned what they must not.
    pub faults: Vec<Fault>,
    /// First block of all ranges.
    pub first_block: u64,
    /// One behind the last block of all ranges.
    pub end_block: u64,
}

impl Chain {
    /// Replays the records of one chain, oldest first.
    ///
    /// # Errors
    /// A record cannot be read, is damaged, or does not continue the one before it.
    pub fn load(paths: &[PathBuf], rule: Rule) -> Result<Chain> {
        let mut chain = Chain {
            history: History::new(rule),
            parts: Vec::new(),
            faults: Vec::new(),
            first_block: u64::MAX,
            end_block: 0,
        };
        for path in paths {
            chain.load_one(path)?;
        }
        Ok(chain)
    }

    /// Writes that were acknowledged, over all runs.
    pub fn acked_writes(&self) -> u64 {
        self.parts.iter().map(|p| p.figures.acked_writes).sum()
    }

    fn load_one(&mut self, path: &Path) -> Result<()> {
        let mut meter: Option<Meter> = None;
        let mut errors = Vec::new();
        let (history, faults) = (&mut self.history, &mut self.faults);
        let outline = reader::read(path, |header, frame| {
            if meter.is_none() {
                history.apply(&Frame::Header(header.clone()))?;
            }
            let meter = meter.get_or_insert_with(|| Meter::new(header.started_unix_us));
            measure(meter, &mut errors, &frame);
            if let Some(fault) = history.apply(&frame)? {
                meter.counts().bad_reads += 1;
                faults.push(fault);
            }
            Ok(())
        })?;
        let header = outline.header;
        if meter.is_none() {
            self.history.apply(&Frame::Header(header.clone()))?;
        }
        let unanswered_writes = self.history.in_flight() as u64;
        let complete = outline.tail == Tail::Complete;
        self.history.end_record(complete);
        self.first_block = self.first_block.min(header.first_block);
        self.end_block = self
            .end_block
            .max(header.first_block.saturating_add(header.blocks));
        self.parts.push(RecordPart {
            run: header.run,
            complete,
            unanswered_writes,
            errors,
            figures: meter
                .unwrap_or_else(|| Meter::new(header.started_unix_us))
                .figures(),
        });
        Ok(())
    }
}

/// Counts one line of a record.
fn measure(meter: &mut Meter, errors: &mut Vec<RecordedError>, frame: &Frame) {
    let mut failed = |what, at_us, errno| {
        if errors.len() < ERRORS_KEPT {
            errors.push(RecordedError { what, at_us, errno });
        }
    };
    let at = match frame {
        Frame::Issue { at, .. } => {
            meter.counts().issued_writes += 1;
            at
        }
        Frame::Ack { at, latency, .. } => {
            meter.ack(*at, *latency);
            at
        }
        Frame::Error { at, errno, .. } => {
            failed("write", *at, *errno);
            meter.counts().failed_writes += 1;
            meter.counts().io_errors += 1;
            at
        }
        Frame::FlushAck { at, .. } => {
            meter.counts().acked_flushes += 1;
            at
        }
        Frame::FlushError { at, errno, .. } => {
            failed("flush", *at, *errno);
            meter.counts().io_errors += 1;
            at
        }
        Frame::ReadDone { at, .. } => {
            meter.counts().reads += 1;
            at
        }
        Frame::ReadError { at, errno, .. } => {
            failed("read", *at, *errno);
            meter.counts().io_errors += 1;
            at
        }
        Frame::FlushIssue { at, .. } | Frame::Read { at, .. } => at,
        Frame::End(figures) => &figures.run_us,
        Frame::Header(_) | Frame::Observed { .. } => return,
    };
    meter.saw(*at);
}

/// Where to note what is seen, so that a later verify finds out if it changes back.
pub struct Observer {
    recorder: Recorder,
}

impl Observer {
    /// Begins an observation record that continues `chain`.
    ///
    /// # Errors
    /// The stream fails.
    pub fn begin(mut recorder: Recorder, run: u64, device: String, chain: &Chain) -> Result<Self> {
        recorder.add(&Frame::Header(Header {
            version: crate::record::VERSION,
            kind: Kind::Observation,
            run,
            continues: chain.history.last_record(),
            first_seq: chain.history.next_run_seq(),
            first_block: chain.first_block,
            blocks: chain.end_block - chain.first_block,
            overlap: false,
            started_unix_us: 0,
            device,
        }));
        recorder.push_out()?;
        Ok(Observer { recorder })
    }

    fn note(&mut self, block: u64, found: &Found) -> Result<()> {
        self.recorder.add(&Frame::Observed {
            block,
            found: found.clone(),
        });
        Ok(self.recorder.push_out()?)
    }

    fn end(mut self) -> Result<()> {
        self.recorder.add(&Frame::End(Default::default()));
        Ok(self.recorder.push_out()?)
    }
}

/// Reads every block of the chain's range and judges it. Keeps `examples` faults.
///
/// # Errors
/// The volume is smaller than the range, or the observation record cannot be written.
pub fn verify(
    volume: &PathVolume,
    chain: Chain,
    mut observer: Option<Observer>,
    examples: usize,
) -> Result<Report> {
    if volume.blocks() < chain.end_block {
        bail!(
            "the volume has {} blocks, the record tells of writes up to block {}: is it the right volume?",
            volume.blocks(),
            chain.end_block.saturating_sub(1)
        );
    }
    let mut report = Report::new();
    report.found_by_reads = chain.faults.len() as u64;
    for fault in chain.faults.iter().cloned() {
        report.add(fault, examples);
    }
    let bar = progress(chain.end_block - chain.first_block);
    let mut buffer = vec![Block::default(); BATCH as usize];
    let mut first = chain.first_block;
    while first < chain.end_block {
        let count = BATCH.min(chain.end_block - first);
        let batch = &mut buffer[..count as usize];
        let whole = volume.read_many(first, batch);
        for (block, data) in (first..).zip(batch.iter_mut()) {
            // After an error in a batch, each block gets its own chance.
            let single = if whole.is_err() {
                volume.read(block, data)
            } else {
                Ok(())
            };
            match single {
                Ok(()) => judge(
                    &chain.history,
                    block,
                    data,
                    &mut report,
                    &mut observer,
                    examples,
                )?,
                Err(error) => report.add(unreadable(block, &error), examples),
            }
        }
        report.blocks_checked += count;
        first += count;
        bar.inc(count);
    }
    bar.finish_and_clear();
    if let Some(observer) = observer {
        observer.end()?;
    }
    report.blocks_written = chain.history.known_blocks() as u64;
    report.records = chain.parts;
    report.conclude();
    Ok(report)
}

fn judge(
    history: &History,
    block: u64,
    data: &Block,
    report: &mut Report,
    observer: &mut Option<Observer>,
    examples: usize,
) -> Result<()> {
    let found = stamp::read(data);
    match history.judge(block, &found) {
        Judgement::Good | Judgement::Untouched => {}
        Judgement::BeyondRecord => report.beyond_record += 1,
        Judgement::Bad(fault) => {
            report.add(fault, examples);
            return Ok(());
        }
    }
    match observer {
        Some(observer) if history.knows(block) => observer.note(block, &found),
        _ => Ok(()),
    }
}

fn unreadable(block: u64, error: &std::io::Error) -> Fault {
    Fault {
        verdict: Verdict::Unreadable,
        block,
        expected_seq: None,
        found_seq: None,
        found_run: None,
        detail: error.to_string(),
    }
}

fn progress(blocks: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("verify {bar:30} {pos}/{len} blocks, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(blocks).with_style(style)
}
