// SPDX-License-Identifier: GPL-2.0
//! An owner that is to give its volume away, as a table (PROTOCOL P9), and what of that can be taken back. What it does
//! stands in modes.rs.

use super::{Ownership, Wanted};
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::requests::tickets::Ticket;
use crate::volume::states::Step;
use crate::volume::status::{Reason, Role};

/// Whether, and how, an owner lets go of the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leaving {
    /// It stays the owner.
    Stays,
    /// It empties its log, to give the volume to its partner. It answers what it has, and begins no write.
    GivingBack,
    /// It empties its log, to close the volume.
    Closing,
    /// The `released` record is being written, or was: nothing is answered any more. The partner is asked to claim.
    ReleasingToPartner,
    /// The same; nobody is asked, and the volume is closed.
    ReleasingToNobody,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeavingEvent {
    /// The volume is to be given to the partner.
    GiveBack,
    /// The volume is to be closed.
    Close,
    /// It is to stay, after all.
    Abort,
    /// Nothing is left to be done for the volume, and the commands of an earlier owner are over.
    Emptied,
    /// It has become the owner anew, or is the owner no more.
    Over,
}

impl LeavingEvent {
    /// All events.
    pub const ALL: [Self; 5] = [
        Self::GiveBack,
        Self::Close,
        Self::Abort,
        Self::Emptied,
        Self::Over,
    ];
}

impl Leaving {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Stays,
        Self::GivingBack,
        Self::Closing,
        Self::ReleasingToPartner,
        Self::ReleasingToNobody,
    ];

    /// The transition function.
    pub const fn on(self, event: LeavingEvent) -> Step<Self> {
        use LeavingEvent as E;
        use Step::{Invalid, NoOp, To};

        match (self, event) {
            (Self::Stays, E::GiveBack) => To(Self::GivingBack),
            (_, E::GiveBack) => NoOp,
            (Self::Stays | Self::GivingBack, E::Close) => To(Self::Closing),
            (Self::ReleasingToPartner, E::Close) => To(Self::ReleasingToNobody),
            (Self::Closing | Self::ReleasingToNobody, E::Close) => NoOp,
            (Self::GivingBack | Self::Closing, E::Abort) => To(Self::Stays),
            (_, E::Abort) => NoOp,
            (Self::GivingBack, E::Emptied) => To(Self::ReleasingToPartner),
            (Self::Closing, E::Emptied) => To(Self::ReleasingToNobody),
            (_, E::Emptied) => Invalid,
            (Self::Stays, E::Over) => NoOp,
            (_, E::Over) => To(Self::Stays),
        }
    }

    /// Whether the log is to be emptied, or was, so that no write is begun.
    pub(crate) const fn is_under_way(self) -> bool {
        !matches!(self, Self::Stays)
    }

    /// Whether the volume is to be closed in the end.
    pub(crate) const fn is_closing(self) -> bool {
        matches!(self, Self::Closing | Self::ReleasingToNobody)
    }

    /// Whether the `released` record is being written, or was: others may own the volume as soon as it lands.
    pub(crate) const fn is_releasing(self) -> bool {
        matches!(self, Self::ReleasingToPartner | Self::ReleasingToNobody)
    }
}

impl Ownership {
    /// Whether a giveback or a close is under way that can be taken back; if not, why.
    fn may_abort(&self) -> Result<(), Reason> {
        let under_way = match self.role {
            Role::Owner(_) if self.leaving.is_releasing() => return Err(Reason::Recording),
            Role::Owner(_) => self.leaving.is_under_way(),
            Role::Standby => {
                self.released_at_ns.is_some() || self.is_closing() || self.closes_later
            }
            Role::Stopped => self.is_closing() || self.closes_later,
            Role::Taking => self.closes_later,
            Role::Opening | Role::Closed => false,
        };
        under_way.then_some(()).ok_or(Reason::NotLeaving)
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Whether [`crate::volume::Command::AbortGiveBack`] takes something back now.
    ///
    /// # Errors
    ///
    /// Why not: [`Reason::NotLeaving`]; [`Reason::Recording`]: the release is on its way to the disk. When that has
    /// landed a giveback can be taken back again, until the partner has claimed the volume.
    pub fn may_abort(&self) -> Result<(), Reason> {
        self.ownership.may_abort()
    }

    /// The partner wants the volume. It says so again and again: when it does not any more for as long as it takes to give
    /// a volume back, it has given up, and nobody else wants that.
    pub(crate) fn partner_wants(&mut self, now_ns: u64) {
        if !matches!(self.ownership.role, Role::Owner(_)) || !self.hears_partner(now_ns) {
            return;
        }
        let stays = !self.ownership.leaving.is_under_way();
        if stays || self.ownership.asked_until_ns.is_some() {
            self.ownership.leaving_event(LeavingEvent::GiveBack);
            let until_ns = now_ns.saturating_add(self.config.giveback_ns);
            self.ownership.asked_until_ns = Some(until_ns);
        }
    }

    /// Whether a wish of the partner's for the volume counts. Not for as long as one may last that a person has refused.
    pub fn hears_partner(&self, now_ns: u64) -> bool {
        now_ns >= self.ownership.refused_until_ns
    }

    /// A person has an owner stay one. Where only the partner wanted the volume, it does not begin anew with the next time
    /// that it says so: its wish lasts for as long as it takes to give a volume back.
    pub(super) fn stay_after_all(&mut self, now_ns: u64) {
        if self.ownership.asked_until_ns.is_some() {
            self.ownership.refused_until_ns = now_ns.saturating_add(self.config.giveback_ns);
        }
        self.stay();
    }

    /// An owner does not give up a volume that only its partner wanted, and does not any more.
    pub(super) fn stay_if_not_asked(&mut self, now_ns: u64) {
        let until_ns = self.ownership.asked_until_ns;
        let over = until_ns.is_some_and(|until_ns| self.agenda.due(until_ns, now_ns));
        if over && self.ownership.leaving == Leaving::GivingBack {
            self.stay();
        }
    }

    /// An owner stays one. What waited for the end of that goes on.
    pub(super) fn stay(&mut self) {
        self.ownership.leaving_event(LeavingEvent::Abort);
        self.requests.retry_all();
    }

    /// One that does not serve neither closes nor waits for the partner to claim what it has released: it claims that itself.
    /// Where the partner was quicker, nothing is taken from it again.
    pub(super) fn stand_by_after_all(&mut self) {
        if self.ownership.is_closing() {
            self.ownership.wanted = None;
        }
        if self.ownership.released_at_ns.is_some() {
            self.ownership.wanted = Some(Wanted::Reclaim);
        }
        self.ownership.survey_soon();
    }
}
