// SPDX-License-Identifier: GPL-2.0
//! Who owns the volume: the node blocks on the disk, taking over, the leases, and giving the volume away.

mod closing;
pub mod cycle;
mod errands;
pub(super) mod found_slot;
mod handover;
mod issue;
mod lease_length;
pub mod leaving;
mod modes;
mod node_blocks;
pub(crate) mod obligations;
mod old_owner;
mod opening;
mod outbid;
mod owner;
pub(crate) mod permit;
pub mod registration;
pub(crate) mod reservation;
mod reserving;
mod scanning;
pub mod takeover;
mod taking;

use super::config::Config;
use super::states::RoleEvent;
use super::status::{Reason, Role};
use crate::disk::node_block::{NodeBlock, Record};
use crate::ids::{Generation, NodeId};
use crate::owner::survey::Survey;
use crate::terms::Terms;
use cycle::Cycle;
use leaving::{Leaving, LeavingEvent};
use outbid::Outbid;
use reservation::Reservation;
use taking::Taking;

/// What this controller knows and does about the ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ownership {
    cycle: Cycle,
    survey: Option<Survey>,
    role: Role,
    /// Owner: the generation in which this ownership began. The one of its record is higher where a claim was outbid.
    began: Generation,
    /// Counts changes of the right to serve: what was begun in another term is not finished in this one.
    term: u32,
    taking: Taking,
    /// A claim above the own record: nothing is answered or thrown away until it is gone or has won.
    claimant: Option<NodeId>,
    /// What is done about a claim.
    outbid: Outbid,
    /// When the last read of all blocks was issued that showed nothing above the own record.
    no_claim_seen_at_ns: Option<u64>,
    /// How long the next disk lease is to be: a whole number of milliseconds.
    lease_ns: u64,
    /// Until when the disk lease lasts.
    lease_until_ns: Option<u64>,
    /// The disk's reservation.
    reservation: Reservation,
    /// Nothing is answered before.
    serve_from_ns: u64,
    /// The disk is not written before.
    write_from_ns: u64,
    /// Whether it gives the volume away on purpose.
    leaving: Leaving,
    /// It holds since its disk does nothing. Until it owns the volume no more, or is alone.
    lets_go: bool,
    /// Until when it does, if only the partner has asked for it.
    asked_until_ns: Option<u64>,
    /// Until when a wish of the partner's counts for nothing, since a person has refused it.
    refused_until_ns: u64,
    /// When this controller released the volume.
    released_at_ns: Option<u64>,
    /// The partner has released the volume for us.
    offered: bool,
    wanted: Option<Wanted>,
    /// It is to be closed, and could not begin with that in the role that it had then.
    closes_later: bool,
    /// When the blocks were read last for want of anything else to do.
    surveyed_at_ns: Option<u64>,
    /// When the blocks were read for the first time.
    opened_at_ns: Option<u64>,
    reason: Option<Reason>,
}

/// What a person wants of a controller that does not own the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Wanted {
    TakeOver {
        /// Until when a live owner is asked for the volume.
        until_ns: Option<u64>,
    },
    /// What this controller has released, if nobody has claimed it since.
    Reclaim,
    /// The owner has stopped, or offers the volume, and said so.
    Rescue,
    Force,
    Close {
        /// When the last of its words was changed: none that was changed for an earlier wish counts.
        voided_at_ns: Option<u64>,
    },
}

impl Ownership {
    /// Inlined, so that a kernel's stack has one of it less (see [`crate::volume::Volume::make`]).
    #[inline(always)]
    pub(crate) fn new(config: &Config, now_ns: u64) -> Self {
        let mut cycle = Cycle::new(NodeBlock::blank(config.node, 0));
        cycle.read(now_ns);
        Self {
            cycle,
            survey: None,
            role: Role::Opening,
            began: Generation::NONE,
            term: 0,
            taking: Taking::NONE,
            claimant: None,
            outbid: Outbid::None,
            no_claim_seen_at_ns: None,
            lease_ns: config.disk_lease_ns,
            lease_until_ns: None,
            reservation: Reservation::new(config),
            serve_from_ns: 0,
            write_from_ns: 0,
            leaving: Leaving::Stays,
            lets_go: false,
            asked_until_ns: None,
            refused_until_ns: 0,
            released_at_ns: None,
            offered: false,
            wanted: None,
            closes_later: false,
            surveyed_at_ns: None,
            opened_at_ns: None,
            reason: None,
        }
    }

    /// The one place where the role changes.
    pub(crate) fn role_event(&mut self, event: RoleEvent) {
        self.role = self.role.on(event).after(self.role);
    }

    /// The one place where it changes whether this controller gives the volume away.
    pub(crate) fn leaving_event(&mut self, event: LeavingEvent) {
        self.leaving = self.leaving.on(event).after(self.leaving);
        self.asked_until_ns = self.asked_until_ns.filter(|_| self.leaving.is_under_way());
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// The generation of the record that stands on the disk.
    pub(crate) fn generation(&self) -> Generation {
        self.cycle.mine.record.generation
    }

    /// The own record, as it certainly landed last.
    pub(crate) fn stands(&self) -> &Record {
        &self.cycle.mine.record
    }

    /// What an owner acts by: see [`Cycle::promised`].
    pub(crate) fn promised(&self) -> Terms {
        self.cycle.promised()
    }

    /// The generation in which this ownership began.
    pub(crate) fn began(&self) -> Generation {
        self.began
    }

    /// What is begun now may be finished as long as this stays the same.
    pub(crate) fn term(&self) -> u32 {
        self.term
    }

    pub(crate) fn survey(&self) -> Option<&Survey> {
        self.survey.as_ref()
    }

    /// Whether the volume is being given away.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_under_way()
    }

    /// Whether others may own the volume as soon as the record lands that is being written.
    pub(crate) fn is_releasing(&self) -> bool {
        self.leaving.is_releasing()
    }

    /// Whether regions are asked for: not by one that gives the volume away, or that may have lost it.
    pub(crate) fn may_grow(&self) -> bool {
        !self.leaving.is_under_way() && self.claimant.is_none()
    }

    /// Nothing is answered before the first time, the disk is not written before the second.
    pub(crate) fn not_before_ns(&self) -> [u64; 2] {
        [self.serve_from_ns, self.write_from_ns]
    }

    /// Why it was stopped, or the last takeover was refused.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// For people: why something cannot be.
    pub(crate) fn say(&mut self, reason: Reason) {
        self.reason = Some(reason);
    }

    /// A reason that people are told for as long as `holds`.
    pub(crate) fn say_while(&mut self, reason: Reason, holds: bool) {
        if holds {
            self.reason = Some(reason);
        } else {
            self.reason = self.reason.filter(|said| *said != reason);
        }
    }

    /// Whether the disk takes what this controller writes.
    pub(crate) fn disk_lets_write(&self) -> Result<(), Reason> {
        self.reservation.lets_write()
    }

    /// Whether the end of the commands under way is waited for, to register this controller with the disk.
    pub(crate) fn waits_for_commands(&self) -> bool {
        self.reservation.is_quieting()
    }

    /// A command failed: it may have been refused for want of a registration.
    pub(crate) fn command_failed(&mut self) {
        self.reservation.look_soon();
    }

    /// The partner has released the volume for us.
    pub(crate) fn is_offered(&self) -> bool {
        self.offered
    }

    /// Another controller has claimed what this one released.
    fn forget_release(&mut self) {
        self.released_at_ns = None;
        if self.wanted == Some(Wanted::Reclaim) {
            self.wanted = None;
        }
    }
}
