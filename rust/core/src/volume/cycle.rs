// SPDX-License-Identifier: GPL-2.0
//! The own block is written and *then* all blocks are read, always in this order and never two at once (PROTOCOL P3).

use super::action::Token;
use crate::disk::node_block::{NodeBlock, Record};
use crate::terms::Terms;

/// Where a cycle stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Nothing is under way.
    Idle,
    /// The own block is to be written, not before this time.
    ToWrite { at: u64 },
    /// The own block is being written.
    Writing { token: Token },
    /// All blocks are to be read, not before this time.
    ToRead { at: u64 },
    /// All blocks are being read.
    Reading { token: Token },
}

/// What is known of the disk's node blocks, and what is being done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cycle {
    pub(crate) phase: Phase,
    /// The own block as it certainly landed last.
    pub(crate) mine: NodeBlock,
    /// The own block as it is being written.
    pub(crate) block: NodeBlock,
    /// Whether this cycle writes.
    pub(crate) writes: bool,
    /// A write of `block` was reported as failed: it may land yet, or may have landed.
    pub(crate) unsure: bool,
    /// When the write was issued.
    pub(crate) issued: u64,
    /// When the read was issued.
    pub(crate) read_issued: u64,
    /// `done_no` of the log when the write was issued: its PREFLUSH covers that.
    pub(crate) flushes: u64,
    /// The record that stands on the disk has been confirmed by a read that showed nothing above it.
    pub(crate) settled: bool,
}

impl Cycle {
    pub(crate) fn new(mine: NodeBlock) -> Self {
        Self {
            phase: Phase::Idle,
            mine,
            block: mine,
            writes: false,
            unsure: false,
            issued: 0,
            read_issued: 0,
            flushes: 0,
            settled: true,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// The records that may stand on the disk: what landed, and what may land.
    pub(crate) fn possible(&self) -> [Record; 2] {
        [
            self.mine.record,
            if self.is_pending() {
                self.block.record
            } else {
                self.mine.record
            },
        ]
    }

    /// What the record promises that stands on the disk, or may: the owner acts by no longer times.
    pub(crate) fn promised(&self) -> Terms {
        let mine = self.mine.record.terms;
        if self.is_pending() {
            mine.shorter(self.block.record.terms)
        } else {
            mine
        }
    }

    /// Whether the record in `block` may stand on the disk, beside the one that landed last.
    fn is_pending(&self) -> bool {
        let under_way = matches!(self.phase, Phase::ToWrite { .. } | Phase::Writing { .. });
        self.unsure || self.writes && under_way
    }

    /// Begins to write `block`; its sequence is set here.
    pub(crate) fn write(&mut self, mut block: NodeBlock, now: u64) {
        block.sequence = self.mine.sequence.wrapping_add(1);
        if self.unsure {
            // The failed write names this copy. Its other copy is the only one that is certainly good.
            block.sequence = self.block.sequence.wrapping_add(2);
        }
        if block.record != self.mine.record {
            self.settled = false;
        }
        self.block = block;
        self.writes = true;
        self.phase = Phase::ToWrite { at: now };
    }

    /// Begins to read all blocks.
    pub(crate) fn read(&mut self, now: u64) {
        self.writes = false;
        self.phase = Phase::ToRead { at: now };
    }
}
