// SPDX-License-Identifier: GPL-2.0
//! I/O that comes in where nothing is served, at a moment when nobody knows yet whether that will change.
//!
//! A controller that stands by cannot tell an owner that has just died from one that lives. So I/O waits for the next
//! sign of life of the partner, and fails then; if none comes, it waits for the takeover, or for the reason why there
//! is none. A fail-over is one long I/O to whoever has the disk open here, and not an error.

use super::machine::{Volume, Wanted};
use super::status::{Reason, Role};
use super::tickets::Ticket;
use crate::mirror::entry::Entry;
use crate::mirror::log::Slab;
use crate::owner::verdict::Base;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Why an I/O fails here that can only be served by an owner; `None`: it is parked.
    pub(crate) fn turn_away(&mut self, now: u64) -> Option<Reason> {
        if self.config.waits_in_doubt && self.is_in_doubt(now) {
            self.parked = true;
            return None;
        }
        Some(self.not_owner())
    }

    fn is_in_doubt(&self, now: u64) -> bool {
        match self.role {
            Role::Taking => true,
            Role::Standby if matches!(self.wanted, Some(Wanted::Close { .. })) => false,
            Role::Standby if self.peer.is_some() => {
                // Who has just been heard lives: what comes in right after is answered at once, too.
                let fresh = self.config.poll_ns / 2;
                self.heard_at
                    .is_none_or(|at| now >= at.saturating_add(fresh))
            }
            Role::Standby => self.is_about_to_take(),
            Role::Opening | Role::Owner(_) | Role::Stopped | Role::Closed => false,
        }
    }

    /// Whether nothing that is known now is in the way of a takeover that nobody has to ask for.
    fn is_about_to_take(&self) -> bool {
        let verdict = self.survey.as_ref().map(|survey| {
            self.facts(false)
                .verdict(survey, |epoch| self.is_intact(epoch))
        });
        match verdict {
            Some(Ok(Base::Released)) => self.offered || self.config.home,
            Some(Ok(Base::Disk { .. } | Base::Shadow)) => self.config.auto_takeover,
            Some(Err(_)) | None => false,
        }
    }

    /// The partner has said something.
    pub(crate) fn heard(&mut self, now: u64) {
        self.heard_at = Some(now);
        if self.role == Role::Standby {
            self.stir();
        }
    }
}
