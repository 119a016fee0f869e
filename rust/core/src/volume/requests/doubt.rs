// SPDX-License-Identifier: GPL-2.0
//! I/O that comes in where nothing is served, at a moment when nobody knows yet whether that will change.
//!
//! A controller that stands by cannot tell an owner that has just died from one that lives. So I/O waits for the next
//! sign of life of the partner, and fails then; if none comes, it waits for the takeover, or for the reason why there
//! is none. A fail-over is one long I/O to whoever has the disk open here, and not an error.

use crate::owner::verdict::Base;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::requests::tickets::Ticket;
use crate::volume::status::{Reason, Role};

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Why an I/O fails here that can only be served by an owner, and one that stays it; `None`: it is parked.
    pub(crate) fn turn_away(&mut self, now_ns: u64) -> Option<Reason> {
        if self.config.waits_in_doubt && self.is_in_doubt(now_ns) {
            self.requests.park();
            return None;
        }
        Some(self.ownership.not_owner())
    }

    fn is_in_doubt(&self, now_ns: u64) -> bool {
        match self.ownership.role() {
            Role::Taking => true,
            Role::Standby if self.ownership.is_closing() => false,
            Role::Standby if self.partner.life().is_some() => {
                // Who has just been heard lives: what comes in right after is answered at once, too.
                let fresh_ns = self.config.poll_ns / 2;
                let heard_at_ns = self.partner.heard_at_ns();
                heard_at_ns.is_none_or(|at_ns| now_ns >= at_ns.saturating_add(fresh_ns))
            }
            Role::Standby => self.is_about_to_take(),
            // It releases the volume: who owns it next will be known soon.
            Role::Owner(_) => true,
            Role::Opening | Role::Stopped | Role::Closed => false,
        }
    }

    /// Whether nothing that is known now is in the way of a takeover that nobody has to ask for.
    fn is_about_to_take(&self) -> bool {
        let verdict = self.ownership.survey().map(|survey| {
            self.facts(false)
                .verdict(survey, |epoch| self.mirror.is_intact(epoch))
        });
        match verdict {
            Some(Ok(Base::Released)) => self.ownership.is_offered() || self.config.home,
            Some(Ok(Base::Disk { .. } | Base::Shadow)) => self.config.auto_takeover,
            Some(Err(_)) | None => false,
        }
    }

    /// The partner has said something.
    pub(crate) fn heard(&mut self, now_ns: u64) {
        self.partner.heard(now_ns);
        if self.ownership.role() == Role::Standby {
            self.requests.retry_parked();
        }
    }
}
