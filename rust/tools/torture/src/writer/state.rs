// SPDX-License-Identifier: GPL-2.0
//! What stands under the lock of a run: the record, what it says so far, and what is done next.

use std::io;
use std::time::Instant;

use super::Plan;
use crate::fault::Fault;
use crate::figures::Meter;
use crate::history::History;
use crate::pattern::Chooser;
use crate::record::{Frame, Recorder};
use crate::stamp::Found;

/// Faults and errors that are kept to be shown.
const FAULTS_SHOWN: usize = 20;

/// What a thread does next.
pub(super) enum Task {
    Write { seq: u64, block: u64, fua: bool },
    Read { id: u64, block: u64 },
    Flush { id: u64 },
}

/// What came of it.
pub(super) struct Answer {
    pub(super) task: Task,
    pub(super) result: io::Result<Option<Found>>,
    pub(super) latency: u64,
}

/// All of it.
pub(super) struct State {
    pub(super) plan: Plan,
    pub(super) recorder: Recorder,
    pub(super) history: History,
    pub(super) meter: Meter,
    chooser: Chooser,
    pub(super) started: Instant,
    next_seq: u64,
    next_id: u64,
    writes_issued: u64,
    acked_since_flush: u64,
    pub(super) stopping: bool,
    pub(super) ended: bool,
    pub(super) stopped: Option<String>,
    pub(super) record_error: Option<io::Error>,
    pub(super) faults: Vec<Fault>,
    pub(super) errors: Vec<String>,
    pub(super) threads: usize,
}

impl State {
    /// The state of a run whose header `history` has just taken.
    pub(super) fn new(
        plan: Plan,
        history: History,
        recorder: Recorder,
        started_unix_us: u64,
    ) -> Self {
        State {
            chooser: Chooser::new(plan.pattern, plan.first_block, plan.blocks, plan.seed),
            meter: Meter::new(started_unix_us),
            started: Instant::now(),
            next_seq: history.next_seq(),
            next_id: 1,
            writes_issued: 0,
            acked_since_flush: 0,
            stopping: false,
            ended: false,
            stopped: None,
            record_error: None,
            faults: Vec::new(),
            errors: Vec::new(),
            threads: plan.depth,
            plan,
            recorder,
            history,
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    /// Writes a line and draws its consequences.
    fn emit(&mut self, frame: &Frame) {
        if self.ended {
            return;
        }
        self.recorder.add(frame);
        match self.history.apply(frame) {
            Ok(None) => {}
            Ok(Some(fault)) => self.fault(fault),
            Err(error) => self.halt(format!("internal error: {error:#}")),
        }
    }

    pub(super) fn push_out(&mut self) {
        if let Err(error) = self.recorder.push_out() {
            self.stopping = true;
            self.record_error.get_or_insert(error);
        }
    }

    fn halt(&mut self, why: String) {
        self.stopping = true;
        self.stopped.get_or_insert(why);
    }

    fn fault(&mut self, fault: Fault) {
        self.meter.counts().bad_reads += 1;
        if self.plan.errors_allowed == 0 {
            self.halt(format!("block {}: {}", fault.block, fault.verdict.name()));
        }
        if self.faults.len() < FAULTS_SHOWN {
            self.faults.push(fault);
        }
    }

    pub(super) fn note(&mut self, answer: Answer) {
        let (at, latency) = (self.now(), answer.latency);
        self.meter.saw(at);
        match (answer.task, answer.result) {
            (Task::Write { seq, .. }, Ok(_)) => {
                self.meter.ack(at, latency);
                self.acked_since_flush += 1;
                self.emit(&Frame::Ack { seq, at, latency });
            }
            (Task::Write { seq, block, .. }, Err(error)) => {
                self.meter.counts().failed_writes += 1;
                let errno = self.io_error(&error, &format!("write {seq} to block {block}"), at);
                self.emit(&Frame::Error { seq, at, errno });
            }
            (Task::Flush { id }, Ok(_)) => {
                self.meter.counts().acked_flushes += 1;
                self.emit(&Frame::FlushAck { id, at, latency });
            }
            (Task::Flush { id }, Err(error)) => {
                let errno = self.io_error(&error, "flush", at);
                self.emit(&Frame::FlushError { id, at, errno });
            }
            (Task::Read { id, .. }, Ok(found)) => {
                self.meter.counts().reads += 1;
                let found = found.unwrap_or(Found::Nothing);
                self.emit(&Frame::ReadDone { id, at, found });
            }
            (Task::Read { id, block }, Err(error)) => {
                let errno = self.io_error(&error, &format!("read of block {block}"), at);
                self.emit(&Frame::ReadError { id, at, errno });
            }
        }
    }

    /// Counts an I/O error, ends the run if it was one too many, and returns its number.
    fn io_error(&mut self, error: &io::Error, what: &str, at: u64) -> i32 {
        self.meter.counts().io_errors += 1;
        let text = format!(
            "{what} after {}.{:06} s: {error}",
            at / 1_000_000,
            at % 1_000_000
        );
        if self.meter.counts().io_errors > self.plan.errors_allowed {
            self.halt(text.clone());
        }
        if self.errors.len() < FAULTS_SHOWN {
            self.errors.push(text);
        }
        error.raw_os_error().unwrap_or(5)
    }

    /// The next task, already announced in the record; `None` if the run is over.
    pub(super) fn choose(&mut self) -> Option<Task> {
        let over = self
            .plan
            .time_limit
            .is_some_and(|t| self.started.elapsed() >= t)
            || self
                .plan
                .write_limit
                .is_some_and(|n| self.writes_issued >= n);
        if self.stopping || over {
            return None;
        }
        let at = self.now();
        let id = self.next_id;
        if self
            .plan
            .flush_every
            .is_some_and(|n| self.acked_since_flush >= n)
        {
            self.acked_since_flush = 0;
            self.next_id += 1;
            self.emit(&Frame::FlushIssue { id, at });
            return Some(Task::Flush { id });
        }
        if self.plan.read_ratio > 0.0 && self.chooser.chance(self.plan.read_ratio) {
            self.next_id += 1;
            let block = self.chooser.pick();
            self.emit(&Frame::Read { id, block, at });
            return Some(Task::Read { id, block });
        }
        self.choose_write(at)
    }

    fn choose_write(&mut self, at: u64) -> Option<Task> {
        let (overlap, history) = (self.plan.overlap, &self.history);
        let block = self
            .chooser
            .pick_free(|block| overlap || !history.is_busy(block))?;
        let fua = self.plan.fua_ratio > 0.0 && self.chooser.chance(self.plan.fua_ratio);
        let seq = self.next_seq;
        self.next_seq += 1;
        self.writes_issued += 1;
        self.meter.counts().issued_writes += 1;
        self.emit(&Frame::Issue {
            seq,
            block,
            fua,
            at,
        });
        Some(Task::Write { seq, block, fua })
    }
}
