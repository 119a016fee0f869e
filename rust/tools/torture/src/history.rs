// SPDX-License-Identifier: GPL-2.0
//! What each block may hold, after all that the records tell.
//!
//! A block has *versions*, one for each write to it, and version 0: what was there before. Each version has a place in
//! the order of events: `issued` before it was submitted, `done` after its answer came back. A version is *dead* once
//! a write that was submitted after its answer was itself acknowledged, or once a read that was submitted after its
//! answer returned another version. Everything else is *alive* and may be found. A write that failed, or whose answer
//! never came, may have happened or not: it is alive until one of the two settles it.
//!
//! With one write in flight to a block this says: the last acknowledged write, or a later one without an answer. With
//! several (`--overlap`) it says: any of those that nothing orders.

mod block;
mod judge;

use std::collections::HashMap;

use anyhow::{bail, Result};

use self::block::{BlockHistory, Version};
pub use self::judge::Judgement;
use self::judge::PendingRead;
use crate::fault::Fault;
use crate::record::{Frame, Header, Kind};

/// Sequences of one run: the next run of a chain begins at the next multiple of this. So a run whose record lost its
/// tail and the run after it never use one sequence twice.
pub const RUN_SPAN: u64 = 1 << 32;

/// A place in the order of events of the whole chain of records.
type Position = u64;

/// What happened to the volume after the last record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// At most a single failure: every acknowledged write must be there.
    #[default]
    SingleFailure,
    /// All power was lost: what was flushed, or written with FUA, must be there.
    PowerLoss,
}

#[derive(Clone, Debug)]
struct Run {
    first_seq: u64,
    last_issued: u64,
    /// Where its record ends; `None` while it is being written or read.
    ended: Option<Position>,
    complete: bool,
}

/// Everything that a chain of records says.
pub struct History {
    rule: Rule,
    position: Position,
    blocks: HashMap<u64, BlockHistory>,
    runs: HashMap<u64, Run>,
    current_run: Option<u64>,
    last_record: Option<u64>,
    last_issued: u64,
    in_flight: HashMap<u64, (u64, bool)>,
    busy: HashMap<u64, u32>,
    reads: HashMap<u64, PendingRead>,
    flushes: HashMap<u64, Position>,
    /// Acknowledged writes that no flush covers, in order. Kept only where power may be lost.
    volatile: Vec<(u64, u64)>,
}

impl History {
    /// An empty history.
    pub fn new(rule: Rule) -> Self {
        History {
            rule,
            position: 0,
            blocks: HashMap::new(),
            runs: HashMap::new(),
            current_run: None,
            last_record: None,
            last_issued: 0,
            in_flight: HashMap::new(),
            busy: HashMap::new(),
            reads: HashMap::new(),
            flushes: HashMap::new(),
            volatile: Vec::new(),
        }
    }

    /// True while a write to `block` is in flight.
    pub fn is_busy(&self, block: u64) -> bool {
        self.busy.contains_key(&block)
    }

    /// Writes without an answer so far in the current run.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Blocks that at least one write was issued to.
    pub fn known_blocks(&self) -> usize {
        self.blocks.len()
    }

    /// True if a write was ever issued to `block`.
    pub fn knows(&self, block: u64) -> bool {
        self.blocks.contains_key(&block)
    }

    /// Identity of the last record of the chain.
    pub fn last_record(&self) -> Option<u64> {
        self.last_record
    }

    /// The next sequence of the current run.
    pub fn next_seq(&self) -> u64 {
        self.last_issued + 1
    }

    /// The first sequence that the next run of this chain may use.
    pub fn next_run_seq(&self) -> u64 {
        match self.runs.is_empty() {
            true => 1,
            false => (self.last_issued / RUN_SPAN + 1) * RUN_SPAN,
        }
    }

    /// Takes the next line of a record. A line that shows a read of what may not be there returns that fault.
    ///
    /// # Errors
    /// The line contradicts the lines before it: records of another chain, or in the wrong order.
    pub fn apply(&mut self, frame: &Frame) -> Result<Option<Fault>> {
        self.position += 1;
        match frame {
            Frame::Header(header) => self.begin(header)?,
            Frame::Issue {
                seq, block, fua, ..
            } => self.issue(*seq, *block, *fua)?,
            Frame::Ack { seq, .. } => self.ack(*seq)?,
            Frame::Error { seq, .. } => {
                self.answered(*seq)?;
            }
            Frame::FlushIssue { id, .. } => {
                self.flushes.insert(*id, self.position);
            }
            Frame::FlushAck { id, .. } => self.flushed(*id)?,
            Frame::FlushError { id, .. } => {
                self.flushes.remove(id);
            }
            Frame::Read { id, block, .. } => {
                let read = self.begin_read(*block);
                self.reads.insert(*id, read);
            }
            Frame::ReadDone { id, found, .. } => {
                let Some(read) = self.reads.remove(id) else {
                    bail!("read {id} came back and was never issued");
                };
                return Ok(self.observe(&read, found));
            }
            Frame::ReadError { id, .. } => {
                self.reads.remove(id);
            }
            Frame::Observed { block, found } => {
                let read = self.begin_read(*block);
                return Ok(self.observe(&read, found));
            }
            Frame::End(_) => {}
        }
        Ok(None)
    }

    fn begin(&mut self, header: &Header) -> Result<()> {
        if self.last_record.is_some() && header.continues != self.last_record {
            bail!(
                "the record of run {} does not continue the record before it: give the records of one chain, oldest first",
                header.run
            );
        }
        if self.last_record.is_none() && header.continues.is_some() {
            bail!(
                "the record of run {} continues run {}: give that record too, before this one",
                header.run,
                header.continues.unwrap_or_default()
            );
        }
        if header.kind == Kind::Write {
            if self.runs.contains_key(&header.run) || header.first_seq < self.next_run_seq() {
                bail!(
                    "run {} uses an identity or sequences of an earlier run",
                    header.run
                );
            }
            let run = Run {
                first_seq: header.first_seq,
                last_issued: header.first_seq - 1,
                ended: None,
                complete: false,
            };
            self.runs.insert(header.run, run);
            self.current_run = Some(header.run);
            self.last_issued = header.first_seq - 1;
        }
        self.last_record = Some(header.run);
        Ok(())
    }

    /// Ends the current record. What is in flight will never be answered.
    pub fn end_record(&mut self, complete: bool) {
        self.position += 1;
        for (seq, (block, _)) in self.in_flight.drain() {
            if let Some(version) = self.blocks.get_mut(&block).and_then(|b| b.find(seq)) {
                version.done = self.position;
            }
        }
        self.busy.clear();
        self.reads.clear();
        self.flushes.clear();
        if let Some(run) = self.current_run.take().and_then(|r| self.runs.get_mut(&r)) {
            run.ended = Some(self.position);
            run.complete = complete;
        }
    }

    fn issue(&mut self, seq: u64, block: u64, fua: bool) -> Result<()> {
        let Some(run) = self.current_run.and_then(|run| self.runs.get_mut(&run)) else {
            bail!("a write outside a run");
        };
        if seq <= self.last_issued || seq - run.first_seq >= RUN_SPAN {
            bail!("sequence {seq} is out of order");
        }
        run.last_issued = seq;
        self.last_issued = seq;
        let version = Version {
            seq,
            issued: self.position,
            done: Position::MAX,
            acked: false,
        };
        self.blocks
            .entry(block)
            .or_insert_with(BlockHistory::new)
            .alive
            .push(version);
        self.in_flight.insert(seq, (block, fua));
        *self.busy.entry(block).or_default() += 1;
        Ok(())
    }

    /// Notes that write `seq` is not in flight any more. Returns its block and whether it had FUA.
    fn answered(&mut self, seq: u64) -> Result<(u64, bool)> {
        let Some((block, fua)) = self.in_flight.remove(&seq) else {
            bail!("write {seq} was answered and is not in flight");
        };
        if let Some(count) = self.busy.get_mut(&block) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(&block);
            }
        }
        if let Some(version) = self.blocks.get_mut(&block).and_then(|b| b.find(seq)) {
            version.done = self.position;
        }
        Ok((block, fua))
    }

    fn ack(&mut self, seq: u64) -> Result<()> {
        let (block, fua) = self.answered(seq)?;
        let Some(history) = self.blocks.get_mut(&block) else {
            return Ok(());
        };
        history.last_acked = history.last_acked.max(seq);
        if let Some(version) = history.find(seq) {
            version.acked = true;
        }
        match self.rule == Rule::SingleFailure || fua {
            true => self.counts(block, seq),
            false => self.volatile.push((block, seq)),
        }
        Ok(())
    }

    /// From here on, write `seq` must survive: what it superseded is dead.
    fn counts(&mut self, block: u64, seq: u64) {
        if let Some(history) = self.blocks.get_mut(&block) {
            if let Some(issued) = history.find(seq).map(|v| v.issued) {
                history.settle(issued, seq);
            }
        }
    }

    fn flushed(&mut self, id: u64) -> Result<()> {
        let Some(issued) = self.flushes.remove(&id) else {
            bail!("flush {id} was answered and never issued");
        };
        let done_before = |history: &Self, (block, seq): &(u64, u64)| {
            let block = history.blocks.get(block);
            block.is_none_or(|b| b.alive.iter().all(|v| v.seq != *seq || v.done < issued))
        };
        let covered = self
            .volatile
            .iter()
            .take_while(|write| done_before(self, write))
            .count();
        let writes: Vec<(u64, u64)> = self.volatile.drain(..covered).collect();
        for (block, seq) in writes {
            self.counts(block, seq);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
