// SPDX-License-Identifier: GPL-2.0
//! The right to answer, and the right to touch the disk (PROTOCOL P3).

use crate::disk::node_block::{Record, RecordState};
use crate::guards::Guard;
use crate::terms::Terms;
use crate::volume::config::Config;
use crate::volume::log::entry::{Entry, DONE, FILLING, NONE};
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::ownership::Ownership;
use crate::volume::partner::Partner;
use crate::volume::requests::tickets::Ticket;
use crate::volume::status::{Mode, Reason, Role};

impl Ownership {
    pub(crate) fn mode(&self) -> Option<Mode> {
        match self.role {
            Role::Owner(mode) => Some(mode),
            _ => None,
        }
    }

    /// The times that both controllers agree on, as far as this one knows.
    pub(crate) fn agreed(&self, config: &Config, partner: &Partner) -> Terms {
        let mine = config.terms();
        // Until the two have met, what they agreed on last counts: it stands in the record.
        let top = self.survey.and_then(|survey| survey.top);
        let recorded = top.map_or(Terms::NONE, |top| top.record.terms);
        mine.longer(partner.terms().unwrap_or(recorded))
    }

    /// Why this controller, in its role, serves nothing.
    pub(crate) fn not_owner(&self) -> Reason {
        match self.role {
            Role::Opening => Reason::Opening,
            Role::Closed => Reason::Leaving,
            Role::Stopped => self.reason.unwrap_or(Reason::NotOwner),
            _ => Reason::NotOwner,
        }
    }

    /// Whether a record names a shadow at the partner.
    pub(crate) fn names_partner(&self, config: &Config, record: &Record) -> bool {
        matches!(record.state, RecordState::Shadow(shadow) if shadow.holder == config.partner)
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Whether the partner may find its name in the record now.
    fn partner_may_take(&self) -> bool {
        let [landed, pending] = self.ownership.cycle.possible();
        self.ownership.names_partner(&self.config, &landed)
            || self.ownership.names_partner(&self.config, &pending)
    }

    /// Until when the last good fence is a right to answer.
    pub(crate) fn link_lease_until(&self) -> u64 {
        self.mirror.proved_at().map_or(0, |at| {
            at.saturating_add(self.ownership.cycle.promised().link_lease_ns())
        })
    }

    fn link_lease(&self, now: u64) -> Result<(), Reason> {
        if now < self.link_lease_until() {
            Ok(())
        } else {
            Err(Reason::NoLinkLease)
        }
    }

    fn disk_lease(&self, now: u64) -> Result<(), Reason> {
        if self.ownership.lease_until.is_some_and(|until| now < until) {
            Ok(())
        } else {
            Err(Reason::NoDiskLease)
        }
    }

    /// The lease that stands behind everything in this mode. Under a record that names the partner it is the link
    /// lease, whatever the disk lease says: the partner does not look at that one.
    fn lease(&self, mode: Mode, now: u64) -> Result<(), Reason> {
        if let Some(claimant) = self.ownership.claimant {
            return Err(Reason::ClaimPending(claimant));
        }
        match mode {
            Mode::Mirrored => self.link_lease(now),
            Mode::Holding => Err(Reason::NoLinkLease),
            Mode::Solo | Mode::Joining | Mode::Degraded => {
                if self.partner_may_take() {
                    self.link_lease(now)?;
                }
                self.disk_lease(now)
            }
        }
    }

    /// Whether what was sampled before `now` may be told.
    pub(crate) fn right_to_read(&self, now: u64) -> Result<(), Reason> {
        let mode = self
            .ownership
            .mode()
            .ok_or_else(|| self.ownership.not_owner())?;
        if self.ownership.leaving.is_releasing() {
            return Err(Reason::Leaving);
        }
        if now < self.ownership.serve_from {
            return Err(Reason::OldCommands);
        }
        if mode == Mode::Holding && !self.guards.on(Guard::HoldWhileAlone) {
            return Ok(());
        }
        self.lease(mode, now)
    }

    /// Whether a safe write may be acknowledged. While a record is being changed nothing is.
    pub(crate) fn right_to_acknowledge(&self, now: u64) -> Result<(), Reason> {
        self.right_to_read(now)?;
        if !self.ownership.cycle.settled && self.guards.on(Guard::QuietWhileRecording) {
            return Err(Reason::Recording);
        }
        Ok(())
    }

    /// Whether there is a right; an expired lease counts for nothing where its guard is off.
    pub(crate) fn granted(&self, right: Result<(), Reason>, guard: Guard) -> bool {
        match right {
            Ok(()) => true,
            Err(Reason::NoLinkLease | Reason::NoDiskLease) => {
                !self.guards.on(guard) && self.ownership.mode() != Some(Mode::Holding)
            }
            Err(_) => false,
        }
    }

    /// Whether a command to the disk's data may be issued.
    ///
    /// An owner that holds has no lease that its partner respects. It may issue commands for L after a read of all
    /// blocks that showed no claim: so they are issued at most L after a claim has landed, and a partner that takes
    /// over waits for L and T_io before it writes.
    pub(crate) fn right_to_io(&self, now: u64) -> Result<(), Reason> {
        let mode = self
            .ownership
            .mode()
            .ok_or_else(|| self.ownership.not_owner())?;
        if now < self.ownership.write_from {
            return Err(Reason::OldCommands);
        }
        if !self.guards.on(Guard::LeaseForIo) {
            return Ok(());
        }
        if mode == Mode::Holding {
            let window = self.ownership.cycle.promised().link_lease_ns();
            let clean = self
                .ownership
                .clean_at
                .is_some_and(|at| now < at.saturating_add(window));
            return match self.ownership.claimant {
                Some(claimant) => Err(Reason::ClaimPending(claimant)),
                None if clean => Ok(()),
                None => Err(Reason::NoDiskLease),
            };
        }
        self.lease(mode, now)
    }

    /// Whether a version is safe: proved to be in two memories, or on the disk by a completed write. Under a record
    /// that names the partner the disk alone is not enough: the shadow may have an older version of the block.
    pub(crate) fn is_safe(&self, entry: u32) -> bool {
        let at = self.log.at(entry);
        if at.is(FILLING) {
            return false;
        }
        match self.ownership.mode() {
            Some(Mode::Mirrored) => at.proved != 0,
            Some(Mode::Joining) => {
                at.is(DONE)
                    || at.proved != 0
                        && !(self.guards.on(Guard::JoinBoth)
                            && self.guards.on(Guard::ShadowBeforeAck))
            }
            Some(_) => at.is(DONE),
            None => false,
        }
    }

    /// Whether a read may be served from a version: it was acknowledged, or could be now, or was adopted.
    pub(crate) fn is_acknowledgeable(&self, entry: u32, now: u64) -> bool {
        let at = self.log.at(entry);
        let answered = at.ticket == NONE && !at.is(FILLING);
        answered
            || !self.guards.on(Guard::ReadAcknowledged)
            || self.is_safe(entry) && self.right_to_acknowledge(now).is_ok()
    }
}
