// SPDX-License-Identifier: GPL-2.0
//! Who owns the volume: the node blocks on the disk, taking over, the leases, and giving the volume away.

pub mod cycle;
mod lease_length;
pub mod leaving;
mod modes;
mod node_blocks;
mod opening;
mod outbid;
mod owner;
mod rights;
mod scanning;
pub mod takeover;
mod taking;

use super::config::Config;
use super::states::RoleEvent;
use super::status::{Reason, Role};
use crate::disk::node_block::NodeBlock;
use crate::ids::{Generation, NodeId};
use crate::owner::survey::Survey;
use cycle::Cycle;
use leaving::{Leaving, LeavingEvent};
use outbid::Outbid;
use taking::Taking;

/// What this controller knows and does about the ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ownership {
    pub(crate) cycle: Cycle,
    pub(crate) survey: Option<Survey>,
    pub(crate) role: Role,
    /// Owner: the generation in which this ownership began. The one of its record is higher where a claim was outbid.
    pub(crate) began: Generation,
    /// Counts changes of the right to serve: what was begun in another term is not finished in this one.
    pub(crate) term: u32,
    pub(crate) taking: Taking,
    /// A claim above the own record: nothing is answered or thrown away until it is gone or has won.
    pub(crate) claimant: Option<NodeId>,
    /// What is done about a claim.
    pub(crate) outbid: Outbid,
    /// When the last read of all blocks was issued that showed nothing above the own record.
    pub(crate) clean_at: Option<u64>,
    /// How long the next disk lease is to be: a whole number of milliseconds.
    pub(crate) lease_ns: u64,
    /// Until when the disk lease lasts.
    pub(crate) lease_until: Option<u64>,
    /// Nothing is answered before.
    pub(crate) serve_from: u64,
    /// The disk is not written before.
    pub(crate) write_from: u64,
    /// Whether it gives the volume away on purpose.
    pub(crate) leaving: Leaving,
    /// When this controller released the volume.
    pub(crate) released_at: Option<u64>,
    /// The partner has released the volume for us.
    pub(crate) offered: bool,
    pub(crate) wanted: Option<Wanted>,
    /// When the blocks were read last for want of anything else to do.
    pub(crate) looked_at: Option<u64>,
    /// When the blocks were read for the first time.
    pub(crate) opened_at: Option<u64>,
    pub(crate) reason: Option<Reason>,
}

/// What a person wants of a controller that does not own the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wanted {
    TakeOver {
        /// Until when a live owner is asked for the volume.
        until: Option<u64>,
    },
    /// The owner has stopped, and said so.
    Rescue,
    Force,
    Close {
        /// When the last of its words was changed: none that was changed for an earlier wish counts.
        voided_at: Option<u64>,
    },
}

impl Ownership {
    pub(crate) fn new(config: &Config, now: u64) -> Self {
        let mut cycle = Cycle::new(NodeBlock::blank(config.node, 0));
        cycle.read(now);
        Self {
            cycle,
            survey: None,
            role: Role::Opening,
            began: Generation::NONE,
            term: 0,
            taking: Taking::NONE,
            claimant: None,
            outbid: Outbid::None,
            clean_at: None,
            lease_ns: config.disk_lease_ns,
            lease_until: None,
            serve_from: 0,
            write_from: 0,
            leaving: Leaving::Stays,
            released_at: None,
            offered: false,
            wanted: None,
            looked_at: None,
            opened_at: None,
            reason: None,
        }
    }

    /// The one place where the role changes.
    pub(crate) fn go(&mut self, event: RoleEvent) {
        self.role = self.role.on(event).after(self.role);
    }

    /// The one place where it changes whether this controller gives the volume away.
    pub(crate) fn leave(&mut self, event: LeavingEvent) {
        self.leaving = self.leaving.on(event).after(self.leaving);
    }
}
