// SPDX-License-Identifier: GPL-2.0
//! What this controller says of itself to its partner, and what it makes of what the partner says.

use crate::mirror::message::Message;
use crate::mirror::standing::Standing;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;

use crate::volume::requests::tickets::Ticket;
use crate::volume::status::{Reason, Role};

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    fn standing(&self) -> Standing {
        match self.ownership.role() {
            Role::Opening => Standing::Opening,
            Role::Standby if self.ownership.is_closing() => Standing::Closing,
            Role::Standby if self.i_could().is_ok() => Standing::Ready,
            Role::Standby | Role::Taking => Standing::Blocked,
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
        let standing = self.standing();
        let again = match self.partner.standing_told {
            Some((told, at)) if told == standing => at.saturating_add(self.config.poll_ns),
            _ => now_ns,
        };
        if self.agenda.due(again, now_ns) && self.partner.send(Message::Standing(standing)) {
            self.partner.standing_told = Some((standing, now_ns));
            self.agenda
                .wake_at(now_ns.saturating_add(self.config.poll_ns));
        }
    }

    /// The partner says how it stands.
    pub(crate) fn partner_stands(&mut self, standing: Standing) {
        self.partner.standing = Some(standing);
        let rescue = standing == Standing::Stopped && self.config.auto_takeover;
        if rescue {
            self.ownership.rescue();
        }
    }

    /// Whether the partner said last that it could take over.
    pub(crate) fn partner_is_ready(&self) -> Result<(), Reason> {
        match self.partner.standing {
            Some(Standing::Ready) => Ok(()),
            Some(Standing::Opening) => Err(Reason::PartnerOpening),
            Some(Standing::Stopped) => Err(Reason::PartnerStopped),
            Some(Standing::Closing) => Err(Reason::PartnerCloses),
            Some(Standing::Blocked | Standing::Serving) => Err(Reason::PartnerBlocked),
            None => Err(Reason::PartnerSilent),
        }
    }
}
