// SPDX-License-Identifier: GPL-2.0
//! What goes over the desk: I/O of the environment, where it is to be begun, and what is to be done with it.

use crate::volume::action::{Action, LongRange};
use crate::volume::plan::{PassOp, PostTo, Range, ReadPlan, WritePlan};
use crate::volume::status::Reason;

/// What an I/O asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Give the blocks.
    Read(Range),
    /// Store the blocks.
    Write {
        /// Which.
        range: Range,
        /// What was acknowledged before has to be on the disk first.
        preflush: bool,
        /// It has to be on the disk itself.
        fua: bool,
    },
    /// What was acknowledged before has to be on the disk.
    Flush,
    /// Past the log.
    Pass(PassOp, LongRange),
}

/// An I/O of the environment. It is not to be dropped, but answered.
pub trait Io {
    /// What it asks for. Always the same.
    fn ask(&self) -> Ask;
    /// For how long it has been here, in nanoseconds.
    fn age_ns(&self, now_ns: u64) -> u64;
}

/// A queue of any length that needs no memory of its own, first in, first out.
pub trait Line<I>: Default {
    /// Appends one.
    fn push(&mut self, io: I);
    /// Takes the oldest.
    fn pop(&mut self) -> Option<I>;
    /// How many there are.
    fn count(&self) -> usize;
}

/// Where an I/O is to be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// At the start.
    Start,
    /// The flush before a write is done: the write is next.
    Write,
    /// The write is done: the flush after it is next.
    Flush,
}

impl Step {
    /// All of them, in the order of [`Desk`](super::Desk)'s lines.
    pub const ALL: [Self; 3] = [Self::Start, Self::Write, Self::Flush];

    pub(super) const fn line(self) -> usize {
        match self {
            Self::Start => 0,
            Self::Write => 1,
            Self::Flush => 2,
        }
    }
}

/// What became of the attempt to get the data of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sampled {
    /// It is there.
    Good,
    /// The disk did not give it.
    Unreadable,
    /// The data of an adopted slot is not what its header says.
    Corrupt {
        /// Which block of the plan it is, counted from 0.
        at: u32,
    },
    /// Nobody tried: begin again when something changes.
    Later,
    /// Nobody tried: begin again elsewhere, at once.
    Again,
}

/// What to do, outside of the lock.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an I/O that is not answered hangs"]
#[allow(clippy::large_enum_variant)] // Lives on the stack of the caller; there is no allocator here.
pub enum Job<I> {
    /// Nothing: it waits.
    Kept,
    /// Answer it.
    End(I, Result<(), Reason>),
    /// Do what the plan of a write says, then [`Desk::wrote`](super::Desk::wrote).
    Write(I, WritePlan),
    /// Post the slots of the write in hand once more, here; then [`Desk::wrote`](super::Desk::wrote).
    Again(I, PostTo),
    /// Get the blocks from where the plan says, then [`Desk::sampled`](super::Desk::sampled).
    Read(I, ReadPlan),
}

/// What a poll of the machine brought.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an I/O that is not answered hangs"]
#[allow(clippy::large_enum_variant)] // As Job.
pub enum Polled<I> {
    /// Do this.
    Do(Action),
    /// An I/O that waited under a ticket.
    Job(Job<I>),
}
