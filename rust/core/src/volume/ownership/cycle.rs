// SPDX-License-Identifier: GPL-2.0
//! The own block is written and *then* all blocks are read, always in this order and never two at once (PROTOCOL P3).

use crate::disk::node_block::{NodeBlock, Record};
use crate::terms::Terms;
use crate::volume::action::Token;
use crate::volume::states::Step;

/// Where a cycle stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing is under way.
    Idle,
    /// The own block is to be written, not before a certain time.
    ToWrite,
    /// The own block is being written.
    Writing,
    /// All blocks are to be read, not before a certain time.
    ToRead,
    /// All blocks are being read.
    Reading,
}

/// What can happen to a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CycleEvent {
    /// The own block is to be written, and then all are to be read.
    Write,
    /// All blocks are to be read.
    Read,
    /// The command was handed to the disk.
    Issued,
    /// The command was done.
    Done,
    /// The command failed, or nobody knows: again, later.
    Failed,
    /// Where a test leaves the read out.
    Skip,
    /// The own block is not to be written after all.
    GivenUp,
}

impl CycleEvent {
    /// All events.
    pub const ALL: [Self; 7] = [
        Self::Write,
        Self::Read,
        Self::Issued,
        Self::Done,
        Self::Failed,
        Self::Skip,
        Self::GivenUp,
    ];
}

impl Phase {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Idle,
        Self::ToWrite,
        Self::Writing,
        Self::ToRead,
        Self::Reading,
    ];

    /// The transition function.
    pub const fn on(self, event: CycleEvent) -> Step<Self> {
        use CycleEvent as E;
        use Step::{Invalid, NoOp, To};

        match (self, event) {
            (Self::Idle, E::Write) => To(Self::ToWrite),
            (Self::Idle, E::Read) => To(Self::ToRead),
            (Self::ToWrite, E::Issued) => To(Self::Writing),
            (Self::Writing, E::Done) => To(Self::ToRead),
            (Self::Writing, E::Failed) => To(Self::ToWrite),
            (Self::ToRead, E::Issued) => To(Self::Reading),
            (Self::Reading, E::Done) => To(Self::Idle),
            (Self::Reading, E::Failed) => To(Self::ToRead),
            (Self::ToRead, E::Skip) => To(Self::Idle),
            (Self::ToWrite, E::GivenUp) => To(Self::Idle),
            (_, E::GivenUp) => NoOp,
            _ => Invalid,
        }
    }
}

/// What is known of the disk's node blocks, and what is being done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cycle {
    phase: Phase,
    /// `ToWrite`, `ToRead`: not before this time.
    pub(crate) not_before_ns: u64,
    /// `Writing`, `Reading`: what the result will name.
    token: Option<Token>,
    /// The own block as it certainly landed last.
    pub(crate) mine: NodeBlock,
    /// The own block as it is being written.
    pub(crate) block: NodeBlock,
    /// Whether this cycle writes.
    pub(crate) writes: bool,
    /// A write of `block` was reported as failed: it may land yet, or may have landed.
    pub(crate) unsure: bool,
    /// When the write was issued.
    pub(crate) issued_ns: u64,
    /// When the read was issued.
    pub(crate) read_issued_ns: u64,
    /// `done_no` of the log when the write was issued: its PREFLUSH covers that.
    pub(crate) flushes: u64,
    /// The record that stands on the disk has been confirmed by a read that showed nothing above it.
    pub(crate) confirmed: bool,
    /// What the record promised that was confirmed last.
    confirmed_terms: Terms,
}

impl Cycle {
    pub(crate) fn new(mine: NodeBlock) -> Self {
        Self {
            phase: Phase::Idle,
            not_before_ns: 0,
            token: None,
            mine,
            block: mine,
            writes: false,
            unsure: false,
            issued_ns: 0,
            read_issued_ns: 0,
            flushes: 0,
            confirmed: true,
            confirmed_terms: mine.record.terms,
        }
    }

    /// The record is confirmed: a claim that landed before it did is seen, one that lands later sees it.
    pub(crate) fn confirm_record(&mut self) {
        self.confirmed = true;
        self.confirmed_terms = self.mine.record.terms;
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// The one place where the phase changes. What is to be done next is not done before `not_before_ns`.
    pub(crate) fn on(&mut self, event: CycleEvent, not_before_ns: u64) {
        self.phase = self.phase.on(event).after(self.phase);
        (self.not_before_ns, self.token) = (not_before_ns, None);
    }

    /// What is not on its way to the disk yet is not written any more.
    pub(crate) fn write_no_more(&mut self) {
        if self.phase == Phase::ToWrite {
            self.on(CycleEvent::GivenUp, 0);
        }
    }

    /// The command of this phase is handed to the disk.
    pub(crate) fn issue(&mut self, token: Token) {
        self.on(CycleEvent::Issued, 0);
        self.token = Some(token);
    }

    /// Whether this is the result of the command that is under way, in this phase.
    pub(crate) fn awaits(&self, phase: Phase, token: Token) -> bool {
        self.phase == phase && self.token == Some(token)
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

    /// What the record promises that stands on the disk, or may: the owner acts by no longer times. Longer ones count from
    /// its confirmation on: until then somebody may be taking over by the record before it.
    pub(crate) fn promised(&self) -> Terms {
        let mut mine = self.mine.record.terms;
        if !self.confirmed {
            mine = mine.shorter(self.confirmed_terms);
        }
        if self.is_pending() {
            mine.shorter(self.block.record.terms)
        } else {
            mine
        }
    }

    /// Whether the record in `block` may stand on the disk, beside the one that landed last.
    fn is_pending(&self) -> bool {
        let under_way = matches!(self.phase, Phase::ToWrite | Phase::Writing);
        self.unsure || self.writes && under_way
    }

    /// Begins to write `block`; its sequence is set here.
    pub(crate) fn write(&mut self, mut block: NodeBlock, now_ns: u64) {
        block.sequence = self.mine.sequence.wrapping_add(1);
        if self.unsure {
            // The failed write names this copy. Its other copy is the only one that is certainly good.
            block.sequence = self.block.sequence.wrapping_add(2);
        }
        if block.record != self.mine.record {
            self.confirmed = false;
        }
        self.block = block;
        self.writes = true;
        self.on(CycleEvent::Write, now_ns);
    }

    /// Begins to read all blocks.
    pub(crate) fn read(&mut self, now_ns: u64) {
        self.writes = false;
        self.on(CycleEvent::Read, now_ns);
    }
}
