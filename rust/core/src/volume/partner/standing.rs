// SPDX-License-Identifier: GPL-2.0
//! What this controller says of itself to its partner, and what it makes of what the partner says.

use crate::ids::Generation;
use crate::mirror::message::Message;
use crate::mirror::standing::Standing;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;

use crate::volume::requests::tickets::Ticket;
use crate::volume::status::{Reason, Role};

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    fn standing(&mut self, now_ns: u64) -> Standing {
        match self.ownership.role() {
            Role::Opening => Standing::Opening,
            Role::Standby if self.ownership.is_closing() => Standing::Closing,
            Role::Standby if self.i_could(now_ns).is_ok() => Standing::Ready,
            Role::Standby | Role::Taking => Standing::Blocked,
            Role::Owner(mode) if self.offers(mode, now_ns) => Standing::Offering,
            Role::Owner(_) => Standing::Serving,
            Role::Stopped => Standing::Stopped,
            Role::Closed => Standing::Closing,
        }
    }

    /// Tells the partner how this controller stands: when that has changed, and now and then.
    pub(crate) fn say_standing(&mut self, now_ns: u64) {
        if self.partner.life().is_none() {
            return;
        }
        let standing = self.standing(now_ns);
        let again = match self.partner.standing_told {
            Some((told, at)) if told == standing => at.saturating_add(self.config.poll_ns),
            _ => now_ns,
        };
        let message = Message::Standing {
            standing,
            generation: self.ownership.generation(),
        };
        if self.agenda.due(again, now_ns) && self.partner.send(message) {
            self.partner.standing_told = Some((standing, now_ns));
            self.agenda
                .wake_at(now_ns.saturating_add(self.config.poll_ns));
        }
    }

    /// The partner says how it stands.
    pub(crate) fn partner_stands(
        &mut self,
        standing: Standing,
        generation: Generation,
        now_ns: u64,
    ) {
        let before = self.partner.standing.replace(standing);
        if standing == Standing::Ready && before != Some(standing) {
            // Its disk is well since just now. The own one may be as well, and gets its time anew to show it.
            self.excuse_disk(now_ns);
        }
        match standing {
            Standing::Stopped | Standing::Offering => {
                if self.config.auto_takeover {
                    self.ownership.rescue();
                }
            }
            _ => self.ownership.forget_rescue(),
        }
        if standing == Standing::Serving {
            self.partner_owns(generation, now_ns);
        }
    }

    /// Whether the partner said last that it owns the volume and answers nothing, for want of its disk.
    pub(crate) fn partner_offers(&self) -> bool {
        self.partner.standing == Some(Standing::Offering)
    }

    /// Whether the partner said last that it owns the volume.
    pub(crate) fn partner_serves(&self) -> bool {
        self.partner.standing == Some(Standing::Serving)
    }

    /// Whether the partner said last that it could take over.
    pub(crate) fn partner_is_ready(&self) -> Result<(), Reason> {
        match self.partner.standing {
            Some(Standing::Ready) => Ok(()),
            Some(Standing::Opening) => Err(Reason::PartnerOpening),
            Some(Standing::Stopped) => Err(Reason::PartnerStopped),
            Some(Standing::Closing) => Err(Reason::PartnerCloses),
            Some(Standing::Blocked | Standing::Serving | Standing::Offering) => {
                Err(Reason::PartnerBlocked)
            }
            None => Err(Reason::PartnerSilent),
        }
    }
}
