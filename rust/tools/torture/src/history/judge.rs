// SPDX-License-Identifier: GPL-2.0
//! What a read may return, and what its answer settles.

use super::block::{BlockHistory, Version};
use super::{History, Position, Rule, Run, RUN_SPAN};
use crate::fault::{Fault, Verdict};
use crate::stamp::{Found, Stamp};

/// What the history says about a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It holds a version that is alive.
    Good,
    /// Nothing was acknowledged there, and nothing of these runs is there.
    Untouched,
    /// It holds a write of which a cut-off record does not tell any more.
    BeyondRecord,
    /// It is wrong.
    Bad(Fault),
}

/// What was known when a read was submitted: it may return anything that was alive then, or came since.
pub(super) struct PendingRead {
    block: u64,
    start: Position,
    alive: Vec<u64>,
    last_issued: u64,
}

impl History {
    pub(super) fn begin_read(&self, block: u64) -> PendingRead {
        let alive = match self.blocks.get(&block) {
            Some(history) => history.alive.iter().map(|v| v.seq).collect(),
            None => vec![0],
        };
        PendingRead {
            block,
            start: self.position,
            alive,
            last_issued: self.last_issued,
        }
    }

    pub(super) fn observe(&mut self, read: &PendingRead, found: &Found) -> Option<Fault> {
        let concurrent = self
            .blocks
            .get(&read.block)
            .is_some_and(|h| h.alive.iter().any(|v| v.done > read.start));
        if concurrent && matches!(found, Found::Torn(_)) {
            // A read beside a write to the same block may see some of each.
            return None;
        }
        match self.judge_at(read, found) {
            Judgement::Bad(fault) => return Some(fault),
            Judgement::BeyondRecord => self.adopt(read.block, found),
            Judgement::Good | Judgement::Untouched => {}
        }
        if self.rule == Rule::SingleFailure {
            if let Some(history) = self.blocks.get_mut(&read.block) {
                let seq = match found {
                    Found::Whole(stamp) if self.runs.contains_key(&stamp.run) => stamp.seq,
                    _ => 0,
                };
                let issued = history.find(seq).map_or(0, |v| v.issued);
                history.settle(read.start.max(issued), seq);
                history.highest_seen = history.highest_seen.max(seq);
            }
        }
        None
    }

    /// Takes in a write that only the volume tells of.
    fn adopt(&mut self, block: u64, found: &Found) {
        let Found::Whole(stamp) = found else { return };
        let Some(ended) = self.runs.get(&stamp.run).and_then(|run| run.ended) else {
            return;
        };
        let history = self.blocks.entry(block).or_insert_with(BlockHistory::new);
        if !history.is_alive(stamp.seq) {
            history.alive.push(Version {
                seq: stamp.seq,
                issued: ended,
                done: ended,
                acked: false,
            });
        }
    }

    /// Judges what `block` holds now, after all records.
    pub fn judge(&self, block: u64, found: &Found) -> Judgement {
        self.judge_at(&self.begin_read(block), found)
    }

    fn judge_at(&self, read: &PendingRead, found: &Found) -> Judgement {
        let untouched = read.alive.contains(&0);
        match found {
            Found::Torn(tear) => {
                let ours = tear.runs.iter().any(|run| self.runs.contains_key(run));
                if !ours && !self.knows(read.block) {
                    return Judgement::Untouched;
                }
                self.bad(read.block, Verdict::Torn, None, tear.text.clone())
            }
            Found::Nothing if untouched => Judgement::Untouched,
            Found::Nothing => self.bad(
                read.block,
                Verdict::Lost,
                None,
                "the block holds no stamp at all".into(),
            ),
            Found::Whole(stamp) => match self.runs.get(&stamp.run) {
                None if untouched => Judgement::Untouched,
                None => self.foreign(read.block, stamp, "the stamp of a run without a record"),
                Some(_) if stamp.block != read.block => self.bad(
                    read.block,
                    Verdict::Misplaced,
                    Some(stamp),
                    format!("what was written to block {}", stamp.block),
                ),
                Some(run) => self.judge_version(read, stamp, run),
            },
        }
    }

    fn judge_version(&self, read: &PendingRead, stamp: &Stamp, run: &Run) -> Judgement {
        let seq = stamp.seq;
        let history = self.blocks.get(&read.block);
        let alive_now = history.is_some_and(|h| h.is_alive(seq));
        let issued_since = seq > read.last_issued && seq <= run.last_issued;
        if seq != 0 && (alive_now || read.alive.contains(&seq) || issued_since) {
            return Judgement::Good;
        }
        if seq > run.last_issued && !run.complete && seq - run.first_seq < RUN_SPAN {
            if let Some(ended) = run.ended {
                return match history.is_none_or(|h| ended >= h.floor) {
                    true => Judgement::BeyondRecord,
                    false => self.bad(
                        read.block,
                        Verdict::Resurrected,
                        Some(stamp),
                        "a write of an earlier run that was never acknowledged came after what superseded it".into(),
                    ),
                };
            }
        }
        let Some(history) = history.filter(|_| seq >= run.first_seq && seq <= run.last_issued)
        else {
            return self.foreign(read.block, stamp, "a write that the record does not know");
        };
        if history.dead_unacked.contains(&seq) {
            let why = "a write that failed or was never answered came after what superseded it";
            return self.bad(read.block, Verdict::Resurrected, Some(stamp), why.into());
        }
        if seq < history.highest_seen {
            let why = format!(
                "write {} had already been read there; this older one came back",
                history.highest_seen
            );
            return self.bad(read.block, Verdict::Resurrected, Some(stamp), why);
        }
        let why = "an older version stands where an acknowledged write belongs";
        self.bad(read.block, Verdict::Lost, Some(stamp), why.into())
    }

    fn foreign(&self, block: u64, stamp: &Stamp, why: &str) -> Judgement {
        self.bad(block, Verdict::Foreign, Some(stamp), why.into())
    }

    fn bad(
        &self,
        block: u64,
        verdict: Verdict,
        found: Option<&Stamp>,
        detail: String,
    ) -> Judgement {
        Judgement::Bad(Fault {
            verdict,
            block,
            expected_seq: self
                .blocks
                .get(&block)
                .map(|h| h.last_acked)
                .filter(|seq| *seq != 0),
            found_seq: found.map(|s| s.seq),
            found_run: found.map(|s| s.run),
            detail,
        })
    }
}
