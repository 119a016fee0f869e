// SPDX-License-Identifier: GPL-2.0
//! The run: as many threads as writes may be in flight, one lock around the record.
//!
//! Each thread does, for ever: take the lock, note the answer to what it did last, choose what to do next, push the
//! lines of both out, let go of the lock, do it. So an acknowledgement has left the machine before its slot is used
//! again, and the intent to write has left it before the write is submitted. A stream that does not take lines any
//! more stops the run: nothing is written that is not recorded.

mod state;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use self::state::{Answer, State, Task};
use crate::fault::Fault;
use crate::figures::Figures;
use crate::history::History;
use crate::pattern::Pattern;
use crate::record::{Frame, Header, Kind, Recorder, VERSION};
use crate::stamp::{self, Block, Stamp};
use crate::volume::Volume;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Identity of the run.
    pub run: u64,
    /// Path of the volume, for the record.
    pub device: String,
    /// First block of the range.
    pub first_block: u64,
    /// Blocks in the range; at least `depth` unless `overlap`.
    pub blocks: u64,
    /// Operations in flight at once, 1 to 1024.
    pub depth: usize,
    /// Order of the blocks.
    pub pattern: Pattern,
    /// Seed of all choices.
    pub seed: u64,
    /// End after this time.
    pub time_limit: Option<Duration>,
    /// End after this many writes.
    pub write_limit: Option<u64>,
    /// Flush after every so many acknowledged writes.
    pub flush_every: Option<u64>,
    /// Share of the writes that have FUA, 0.0 to 1.0.
    pub fua_ratio: f64,
    /// Share of the operations that are checking reads, 0.0 to 1.0.
    pub read_ratio: f64,
    /// Allow several writes to one block at once.
    pub overlap: bool,
    /// Go on after so many I/O errors; the next one ends the run.
    pub errors_allowed: u64,
    /// How long to wait at the end for what is in flight.
    pub drain: Duration,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The figures, as they stand in the record's last line.
    pub figures: Figures,
    /// The first reads that returned what they must not.
    pub faults: Vec<Fault>,
    /// The first I/O errors, for people.
    pub errors: Vec<String>,
    /// Writes that were still in flight when the drain time was over.
    pub unanswered: u64,
    /// Why the run ended before its limits, if it did.
    pub stopped: Option<String>,
}

/// A run under way.
pub struct Run {
    state: Mutex<State>,
    changed: Condvar,
}

impl Run {
    /// Starts the threads. `history` is that of the earlier runs on the volume, or empty.
    ///
    /// # Errors
    /// The record cannot be begun, or threads cannot be started.
    pub fn start(
        plan: Plan,
        mut history: History,
        recorder: Recorder,
        volume: Arc<dyn Volume>,
    ) -> Result<Arc<Run>> {
        let started_unix_us = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_micros() as u64);
        let header = Frame::Header(Header {
            version: VERSION,
            kind: Kind::Write,
            run: plan.run,
            continues: history.last_record(),
            first_seq: history.next_run_seq(),
            first_block: plan.first_block,
            blocks: plan.blocks,
            overlap: plan.overlap,
            started_unix_us,
            device: plan.device.clone(),
        });
        history.apply(&header)?;
        let depth = plan.depth;
        let mut state = State::new(plan, history, recorder, started_unix_us);
        state.recorder.add(&header);
        state
            .recorder
            .push_out()
            .context("cannot write the record")?;
        let run = Arc::new(Run {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        for index in 0..depth {
            let (run, volume) = (run.clone(), volume.clone());
            thread::Builder::new()
                .name(format!("write-{index}"))
                .stack_size(256 * 1024)
                .spawn(move || run.work(&*volume))
                .context("cannot start a thread: choose a smaller --depth")?;
        }
        Ok(run)
    }

    /// Asks the run to end: nothing more is submitted.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    /// Figures so far.
    pub fn figures(&self) -> Figures {
        self.lock().meter.figures()
    }

    /// Waits at most `limit` for the end of all threads. True if they have ended.
    pub fn wait(&self, limit: Duration) -> bool {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), limit, |state| state.threads > 0)
            .unwrap_or_else(PoisonError::into_inner);
        state.threads == 0
    }

    /// Waits, at most for the plan's drain time, for what is in flight; then ends the record.
    ///
    /// # Errors
    /// The record's stream failed, now or earlier.
    pub fn finish(&self) -> Result<Outcome> {
        self.stop();
        let drain = self.lock().plan.drain;
        self.wait(drain);
        let mut state = self.lock();
        state.ended = true;
        let at = state.now();
        state.meter.saw(at);
        let figures = state.meter.figures();
        state.recorder.add(&Frame::End(figures.clone()));
        state.push_out();
        if let Some(error) = state.record_error.take() {
            return Err(error).context("the record's stream failed, so the run was ended");
        }
        Ok(Outcome {
            figures,
            faults: std::mem::take(&mut state.faults),
            errors: std::mem::take(&mut state.errors),
            unanswered: state.history.in_flight() as u64,
            stopped: state.stopped.take(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panicking thread leaves no half-done state behind that the record would not show.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, volume: &dyn Volume) {
        let mut buffer = Box::new(Block::default());
        let mut answer = None;
        loop {
            let mut state = self.lock();
            let run = state.plan.run;
            if let Some(answer) = answer.take() {
                state.note(answer);
            }
            let task = state.choose();
            state.push_out();
            // What could not be recorded must not be done.
            let task = task.filter(|_| state.record_error.is_none());
            let Some(task) = task else {
                state.threads -= 1;
                self.changed.notify_all();
                return;
            };
            drop(state);
            answer = Some(execute(task, run, volume, &mut buffer));
        }
    }
}

fn execute(task: Task, run: u64, volume: &dyn Volume, buffer: &mut Block) -> Answer {
    if let Task::Write { seq, block, .. } = task {
        Stamp { run, block, seq }.fill(buffer);
    }
    let begun = Instant::now();
    let result = match task {
        Task::Write { block, fua, .. } => volume.write(block, buffer, fua).map(|()| None),
        Task::Flush { .. } => volume.flush().map(|()| None),
        Task::Read { block, .. } => volume
            .read(block, buffer)
            .map(|()| Some(stamp::read(buffer))),
    };
    Answer {
        task,
        result,
        latency: begun.elapsed().as_micros() as u64,
    }
}
