// SPDX-License-Identifier: GPL-2.0
//! One volume on one controller: its log, its regions at the partner, the regions that it grants, its own block on the
//! shared disk, and its role. How an environment drives it stands in docs/protocol-mirror.md.

pub mod action;
mod adopting;
pub mod config;
mod copying;
pub mod cycle;
pub mod desk;
mod destage;
mod disk;
mod doubt;
mod fit;
mod flush;
mod freeing;
mod going;
mod holding;
mod leases;
pub mod leaving;
mod lending;
mod machine;
mod modes;
mod opening;
mod outbid;
mod owning;
pub mod pass;
mod passing;
pub mod plan;
mod poll;
mod read;
mod regions;
mod report;
mod scanning;
mod standing;
pub mod states;
pub mod status;
pub mod takeover;
mod taking;
mod tickets;
mod write;

pub use action::{Action, Command, Input, LongRange, Token};
pub use config::{Config, PowerLoss, BLOCKS_MAX};
pub use machine::{Volume, RUNS_MAX};
pub use pass::{PassEnd, PassId};
pub use plan::{
    DestageEnd, DestagePlan, FenceSample, LongBegin, PassOp, PostTo, Range, ReadBegin, ReadEnd,
    ReadPlan, ReadTicket, RunId, Source, TicketId, WriteBegin, WriteEnd, WritePlan,
};
pub use status::{Keep, Mode, Reason, Role, Status};
pub use tickets::Ticket;
