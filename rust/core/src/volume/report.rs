// SPDX-License-Identifier: GPL-2.0
//! What people are told (DESIGN rule 8: degraded is said aloud).

use super::machine::Volume;
use super::status::{Mode, Reason, Role, Status};
use crate::disk::node_block::RecordState;
use crate::ids::Generation;
use crate::openers::Tenure;
use crate::owner::verdict::Base;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::mirror::regions::{HeldState, Lent};
use crate::volume::requests::tickets::Ticket;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// A look at the machine.
    pub fn status(&self, now_ns: u64) -> Status {
        let top = self.ownership.survey().and_then(|survey| survey.top);
        let live = self
            .mirror
            .all_held()
            .filter(|held| held.state == HeldState::Live);
        let owner = match self.ownership.role() {
            Role::Owner(_) => Some(self.config.node),
            _ => {
                let says = self.partner_serves().then_some(self.config.partner);
                top.map(|top| top.node).or(says)
            }
        };
        Status {
            role: self.ownership.role(),
            record: *self.ownership.stands(),
            generation: self
                .ownership
                .known_generation()
                .max(self.ownership.generation()),
            owner,
            serving: self.permit().may_acknowledge(now_ns),
            takeover: self.takeover(now_ns),
            dirty: self.log.dirty(),
            adopted: self.log.adopted_dirty(),
            adopted_total: self.log.adopted_total(),
            condemned: self.log.condemned(),
            dropped: self.log.dropped(),
            free: self.log.free_slots(),
            regions: u8::try_from(live.count()).unwrap_or(u8::MAX),
            keep: self.obligations().forget().err(),
            reason: self.why(),
        }
    }

    /// As [`Status::serving`] in [`Self::status`], for those who ask often.
    ///
    /// # Errors
    ///
    /// Why nothing is served.
    pub fn serving(&self, now_ns: u64) -> Result<(), Reason> {
        self.permit().may_acknowledge(now_ns)
    }

    /// As [`Status::dirty`] in [`Self::status`], for those who ask often.
    pub fn dirty(&self) -> u32 {
        self.log.dirty()
    }

    /// The generation of the own record, for those who ask often.
    pub fn own_generation(&self) -> Generation {
        self.ownership.generation()
    }

    /// What keeps it from being all that it should be.
    pub(crate) fn why(&self) -> Option<Reason> {
        if self.log.condemned() > 0 {
            return Some(Reason::Corrupt);
        }
        let resting = self.log.runs().is_resting() && self.log.dirty() > 0;
        self.ownership.reason().or(resting.then_some(Reason::Disk))
    }

    /// What this controller is to the volume, for those who have its disk open. One that has stopped may have been
    /// replaced by its partner, so its openers must not rely on it any more.
    pub fn tenure(&self) -> Tenure {
        match self.ownership.role() {
            Role::Opening => Tenure::Unknown,
            Role::Owner(_) => Tenure::Owner {
                generation: self.ownership.began(),
                leaving: self.ownership.is_leaving(),
            },
            Role::Standby | Role::Taking | Role::Stopped | Role::Closed => Tenure::None,
        }
    }

    /// Whether the partner has what this controller acknowledged as an owner: in the life that its record names.
    fn partner_has_log(&self) -> bool {
        matches!(self.ownership.stands().state, RecordState::Shadow(shadow)
            if Some(shadow.holder_incarnation) == self.partner.life())
    }

    /// Whether acknowledged writes may be in this memory and nowhere else. The partner has what a mirrored owner has;
    /// an owner has what it acknowledged, as long as it answers in the life in which it was granted its region. Where
    /// the disk cannot be read nobody can tell whether a shadow is needed any more: then it is.
    pub(crate) fn is_only_copy(&self) -> bool {
        let kept = |lent: &Lent| {
            lent.is_intact() && (self.partner.life().is_none() || lent.owner != self.partner.life())
        };
        match self.ownership.role() {
            Role::Opening | Role::Closed | Role::Owner(Mode::Mirrored) => false,
            Role::Owner(_) => self.log.dirty() > 0 || self.log.adopted_dirty() > 0,
            Role::Standby | Role::Taking | Role::Stopped => {
                self.log.dirty() > 0 && !self.partner_has_log()
                    || self.log.adopted_dirty() > 0
                    || self.mirror.all_lent().any(kept)
            }
        }
    }

    /// Whether the volume would survive the loss of a controller now; if not, why.
    fn takeover(&self, now_ns: u64) -> Result<(), Reason> {
        match self.ownership.role() {
            Role::Opening => Err(Reason::Opening),
            Role::Taking => Err(Reason::Recording),
            Role::Stopped | Role::Closed => Err(self.ownership.not_owner()),
            Role::Owner(mode) => self.partner_could(mode, now_ns),
            Role::Standby => self.i_could(now_ns),
        }
    }

    /// On the owner: whether the partner could take over without losing anything.
    fn partner_could(&self, mode: Mode, now_ns: u64) -> Result<(), Reason> {
        if self.partner.life().is_none() {
            return Err(Reason::NoPartner);
        }
        self.partner_is_ready()?;
        match mode {
            Mode::Mirrored => self.permit().may_acknowledge(now_ns),
            // The record says `disk`: anybody can.
            Mode::Solo => Ok(()),
            Mode::Joining => Err(Reason::Copying),
            Mode::Degraded => Err(Reason::Destaging),
            Mode::Holding => Err(Reason::NoLinkLease),
        }
    }

    /// On another controller: whether this one could take over, the death of the owner apart.
    pub(crate) fn i_could(&self, now_ns: u64) -> Result<(), Reason> {
        self.disk_is_well(now_ns)?;
        let survey = self.ownership.survey().ok_or(Reason::Opening)?;
        let verdict = self
            .facts(false)
            .verdict(survey, |epoch| self.mirror.is_intact(epoch));
        match verdict? {
            Base::Released | Base::Disk { .. } | Base::Shadow => self.ownership.disk_lets_write(),
        }
    }
}
