// SPDX-License-Identifier: GPL-2.0
//! One volume on one controller: its log, its regions at the partner, the regions that it grants, its own block on the
//! shared disk, and its role. How an environment drives it stands in docs/protocol-mirror.md.
//!
//! A volume is four things, each with a folder, fields and methods of its own: the *ownership* (who owns it, and what
//! its permit allows), the *mirror* (links, and regions on either side), the *log* (what is not on the disk alone), and
//! the *requests* (the I/O that came in). Beside them are what the session says of the *partner*, and the *agenda* (when to
//! poll). What joins several of them is a method of [`Volume`], in the folder of the one that it is most about.
//!
//! Times are nanoseconds of one clock that never goes back, as plain `u64`; so are lengths of time. The name of every field,
//! parameter and function that is one ends in `_ns`.

pub mod action;
mod agenda;
pub mod config;
mod health;
pub mod log;
mod machine;
mod mirror;
mod ownership;
mod partner;
pub mod plan;
mod poll;
mod report;
mod requests;
pub mod states;
pub mod status;

pub use action::{Action, Command, Errand, Input, LongRange, Token, Told};
pub use config::{Config, PowerLoss, BLOCKS_MAX, NEVER_NS};
pub use log::{buckets_for, RUNS_MAX};
pub use machine::Volume;
pub use ownership::found_slot::{SlotAt, SlotCrc, LOOKS_MAX};
pub use ownership::reservation::Holder;
pub use ownership::{cycle, leaving, registration, takeover};
pub use plan::{
    DestageEnd, DestagePlan, FenceSample, LongBegin, PassOp, PostTo, Range, ReadBegin, ReadEnd,
    ReadPlan, ReadTicket, RunId, Source, TicketId, WriteBegin, WriteEnd, WritePlan,
};
pub use requests::pass::{PassEnd, PassId};
pub use requests::tickets::Ticket;
pub use requests::{desk, pass, stage};
pub use status::{Keep, Mode, Reason, Role, Status};
