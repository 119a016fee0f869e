// SPDX-License-Identifier: GPL-2.0
//! Opening a volume, and standing by (PROTOCOL P7, P9, P11).

use super::action::Command;
use super::leaving::LeavingEvent;
use super::machine::{Volume, Wanted};
use super::states::RoleEvent;
use super::status::{Reason, Role};
use super::tickets::Ticket;
use crate::disk::node_block::{Lease, NodeBlock, RecordState};
use crate::ids::Generation;
use crate::mirror::entry::Entry;
use crate::mirror::log::Slab;
use crate::mirror::message::Message;
use crate::owner::survey::Survey;
use crate::owner::verdict::{Base, Facts};
use crate::terms::Terms;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// While opening, all blocks were read.
    ///
    /// An earlier life of this controller may have left a write of the own block in the disk's queue: the block is
    /// taken over only when that must have landed. Then the new incarnation goes into it, and the lease and the claim
    /// of the old one come out. The record stays: it says where the data is.
    pub(crate) fn opening_read(&mut self, survey: Survey, now: u64) {
        let own = survey.own.unwrap_or(NodeBlock::blank(self.config.node, 0));
        if own.incarnation == Some(self.config.incarnation) {
            if own == self.cycle.mine {
                self.go(RoleEvent::Opened);
                return self.standby_read(survey, now);
            }
            if self.cycle.mine.incarnation.is_some() {
                return self.stop(Reason::Identity);
            }
            // Closed and opened again: what was written then had ended before the disk was let go.
            self.cycle.mine = own;
            return self.write_block(own.record, Lease::NONE, None, now);
        }
        let first = self.opened_at.is_none();
        let opened_at = *self.opened_at.get_or_insert(now);
        let life = own.record.terms.longer(self.agreed()).io_life_ns();
        let wait = self.config.stretch(life);
        let settled = opened_at.saturating_add(wait);
        if own.incarnation.is_some() && (first || self.cycle.read_issued < settled) {
            self.cycle.read(settled);
            return;
        }
        self.cycle.mine = own;
        self.write_block(own.record, Lease::NONE, None, now);
    }

    /// While this controller wants to close, all blocks were read.
    ///
    /// Its words are changed first. What the owner acknowledges on their strength it acknowledges within L, and only
    /// when the record that names us has landed: a later read that does not show us named shows that we hold nothing.
    ///
    /// Where the owner is gone, and what it acknowledged is here, the wish to close is dropped: that is the case for
    /// which the shadow was kept. Says whether to go on as one that stands by.
    fn closing_read(&mut self, voided_at: Option<u64>, survey: &Survey) -> bool {
        let mut wait = self.lapse(survey);
        let granted = self.lent.iter().any(|lent| lent.is_intact());
        if granted && !self.owner_answers(survey) {
            // A record that names us may be on its way to the disk still. Nothing was acknowledged on its strength; but
            // once this memory is gone nobody could serve from what it names.
            wait = wait.saturating_add(self.config.stretch(self.agreed().io_life_ns()));
        }
        let sure = voided_at.is_some_and(|at| self.cycle.read_issued >= at.saturating_add(wait));
        if self.is_needed() {
            if self.owner_answers(survey) {
                self.outbox.push(Message::Leaving);
            }
            self.reason = Some(Reason::ShadowHere);
            if sure && !self.owner_answers(survey) {
                self.wanted = None;
                return true;
            }
        } else if sure {
            self.go(RoleEvent::Ended);
        }
        false
    }

    /// How long, by this clock, the owner may acknowledge on the strength of a word that was changed.
    pub(crate) fn lapse(&self, survey: &Survey) -> u64 {
        let promised = survey.top.map_or(Terms::NONE, |top| top.record.terms);
        let lease = promised.longer(self.agreed()).link_lease_ns();
        self.config.stretch(lease)
    }

    /// What this controller knows, for a verdict.
    pub(crate) fn facts(&self, forced: bool) -> Facts<'_> {
        Facts {
            config: &self.config,
            guards: self.guards,
            forced,
        }
    }

    /// While standing by, all blocks were read.
    pub(crate) fn standby_read(&mut self, survey: Survey, now: u64) {
        if survey.top.is_some_and(|top| top.node != self.config.node) {
            self.released_at = None;
        }
        self.going_read(&survey);
        if let Some(Wanted::Close { voided_at }) = self.wanted {
            if !self.closing_read(voided_at, &survey) {
                return;
            }
        }
        let released = survey
            .top
            .is_some_and(|top| top.record.state == RecordState::Released);
        if let Some(generation) = self.released_by_me(&survey) {
            self.outbox.push(Message::Released { generation });
        }
        if !released && self.owner_answers(&survey) && self.ask_owner(now) {
            return;
        }
        let verdict = self
            .facts(self.wanted == Some(Wanted::Force))
            .verdict(&survey, |epoch| self.is_intact(epoch));
        match verdict {
            Err(reason) => {
                self.reason = Some(reason);
                self.wanted = None;
                // Nothing comes of it: what waits for a takeover fails.
                self.stir();
            }
            Ok(base) => {
                if self.is_wanted(base, &survey, now) {
                    self.begin_taking(self.wanted == Some(Wanted::Force), now);
                }
            }
        }
    }

    /// A person wants the volume, and its owner lives and can be asked: nothing is taken from it. Says whether that is
    /// so. It is asked again for as long as it may take to give the volume back.
    fn ask_owner(&mut self, now: u64) -> bool {
        let until = match self.wanted {
            Some(Wanted::TakeOver { until }) => {
                until.unwrap_or(now.saturating_add(self.config.giveback_ns))
            }
            Some(Wanted::Force) => now,
            _ => return false,
        };
        self.reason = Some(Reason::OwnerAlive);
        self.wanted = (now < until).then_some(Wanted::TakeOver { until: Some(until) });
        if self.wanted.is_some() {
            self.outbox.push(Message::Want);
        }
        true
    }

    /// The generation in which this controller has released the volume, if nobody has claimed it since.
    fn released_by_me(&self, survey: &Survey) -> Option<Generation> {
        let top = survey.top.filter(|top| {
            top.node == self.config.node && top.record.state == RecordState::Released
        })?;
        self.released_at.map(|_| top.record.generation)
    }

    /// Whether this controller should take over now, given that it may.
    fn is_wanted(&self, base: Base, survey: &Survey, now: u64) -> bool {
        if self.wanted.is_some() {
            return true;
        }
        if base == Base::Released {
            let waited = |at: u64| now >= at.saturating_add(self.config.giveback_ns);
            let mine = self.released_at.map(waited);
            return self.offered || mine.unwrap_or(self.config.home);
        }
        self.config.auto_takeover && !self.owner_answers(survey)
    }

    /// Whether there is a session with the very owner.
    pub(crate) fn owner_answers(&self, survey: &Survey) -> bool {
        survey.top.is_some_and(|top| {
            top.node == self.config.partner
                && self.peer.is_some()
                && self.peer == top.incarnation
                && top.lease != Lease::NONE
        })
    }

    /// While standing by: looks at the blocks now and then.
    pub(crate) fn standby_tick(&mut self, now: u64) {
        if self.wanted == Some(Wanted::Close { voided_at: None }) && self.void_all() {
            self.wanted = Some(Wanted::Close {
                voided_at: Some(now),
            });
        }
        self.void_going(now);
        let urgent = self.wanted.is_some() && self.looked_at.is_none();
        let next = self
            .looked_at
            .map_or(now, |at| at.saturating_add(self.config.poll_ns));
        if self.cycle.is_idle() && (urgent || self.due(next, now)) {
            self.cycle.read(now);
        }
    }

    /// A person wants something.
    pub(crate) fn command(&mut self, command: Command, now: u64) {
        match (command, self.role) {
            (Command::TakeOver, Role::Standby) => {
                (self.wanted, self.looked_at) = (Some(Wanted::TakeOver { until: None }), None);
            }
            (Command::ForceFromDisk, Role::Standby) => {
                (self.wanted, self.looked_at) = (Some(Wanted::Force), None);
            }
            (Command::GiveBack, Role::Owner(_)) => self.leave(LeavingEvent::GiveBack),
            (Command::AbortGiveBack, Role::Owner(_)) => {
                self.leave(LeavingEvent::Abort);
                self.stir_all();
            }
            (Command::AbortGiveBack, Role::Standby) if self.released_at.is_some() => {
                (self.wanted, self.looked_at) = (Some(Wanted::TakeOver { until: None }), None);
            }
            (Command::GiveUpCondemned, Role::Owner(_)) => {
                self.log.give_up_condemned();
                self.stir_all();
            }
            (Command::Close, Role::Owner(_)) => self.leave(LeavingEvent::Close),
            (Command::Close, Role::Standby) => {
                (self.wanted, self.looked_at) = (Some(Wanted::Close { voided_at: None }), None);
                self.outbox.push(Message::Leaving);
                // What waits for a takeover waits in vain.
                self.stir();
            }
            // Nothing was granted while opening, and nothing is served.
            (Command::Close, Role::Opening) => self.go(RoleEvent::Ended),
            (Command::Close, Role::Stopped) if !self.is_only_copy() => self.go(RoleEvent::Ended),
            _ => (),
        }
        self.at(now);
    }

    /// Whether this controller grants nothing any more because it is to be closed.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.wanted, Some(Wanted::Close { .. }))
    }

    /// The partner has released the volume for us.
    pub(crate) fn offered(&mut self, generation: Generation) {
        if generation >= self.known_generation() && self.role == Role::Standby {
            self.offered = true;
            self.looked_at = None;
        }
    }
}
