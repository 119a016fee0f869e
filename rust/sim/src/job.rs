// SPDX-License-Identifier: GPL-2.0
//! A thread of a controller that carries one request of a client, and where it
//! stands between two calls of the machine.

use yoke_core::volume::desk::Sampled;
use yoke_core::volume::{FenceSample, PostTo, ReadPlan, TicketId, WritePlan};

use crate::check::register::OpId;
use crate::disk::Block;
use crate::event::Ask;

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// To begin (again).
    Begin,
    /// Parked until the machine says `Wake`.
    Parked,
    /// Copying block `block` into the log and posting part `part` of it.
    Store {
        /// What to do.
        plan: Box<WritePlan>,
        /// Where to post.
        to: Option<PostTo>,
        /// The block that is next.
        block: u32,
        /// 0 and 1: halves of the data; 2: the header.
        part: u8,
    },
    /// Everything is posted; the clock was read; the fence is to be read.
    Fence {
        /// What to do.
        plan: Box<WritePlan>,
        /// Where it was posted.
        to: PostTo,
        /// The clock before the fence.
        issued_ns: u64,
    },
    /// The word was read, the link-down counter not yet.
    Counter {
        /// What to do.
        plan: Box<WritePlan>,
        /// Where it was posted.
        to: PostTo,
        /// What was found so far.
        sample: FenceSample,
    },
    /// `write_finish` is next.
    Finish {
        /// What to do.
        plan: Box<WritePlan>,
        /// What the fence found.
        sample: Option<FenceSample>,
    },
    /// Copying block `block` from where it is.
    Fetch {
        /// What to do.
        plan: Box<ReadPlan>,
        /// The block that is next.
        block: u32,
        /// What was copied.
        data: Vec<Block>,
        /// The disk has given all of it, and the rest is laid over that.
        laid: bool,
    },
    /// The disk has given all of a read; what is in memory is to be laid over that.
    Lay {
        /// What to do.
        plan: Box<ReadPlan>,
        /// What the disk gave.
        data: Vec<Block>,
        /// Whether the disk failed.
        bad: bool,
    },
    /// Reads from the disk are under way.
    Disk {
        /// What to do.
        plan: Box<ReadPlan>,
        /// What was copied.
        data: Vec<Block>,
        /// How many commands are still to be answered.
        missing: u32,
        /// One of them failed.
        bad: bool,
    },
    /// `read_finish` is next.
    Check {
        /// What to do.
        plan: Box<ReadPlan>,
        /// What was read.
        data: Vec<Block>,
        /// Whether all of it was.
        sampled: Sampled,
    },
    /// The machine will answer.
    Wait(TicketId),
    /// A write with FUA is in the log; its FLUSH is to begin.
    Flush,
}

/// One request under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Its name in the history.
    pub op: OpId,
    /// What was asked.
    pub ask: Ask,
    /// The stamp of its data.
    pub stamp: u64,
    /// Where it stands.
    pub stage: Stage,
    /// A write with FUA that is in the log and waits for its FLUSH.
    pub written: bool,
}
