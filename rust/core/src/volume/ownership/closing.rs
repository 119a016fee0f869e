// SPDX-License-Identifier: GPL-2.0
//! Closing a volume that this controller does not own, and how long what it holds for the owner may be needed (PROTOCOL P9,
//! P12).

use crate::mirror::message::Message;
use crate::owner::survey::Survey;
use crate::terms::Terms;
use crate::volume::config::Config;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::ownership::{Ownership, Wanted};
use crate::volume::partner::Partner;
use crate::volume::requests::tickets::Ticket;
use crate::volume::states::RoleEvent;
use crate::volume::status::{Keep, Reason, Role};

impl Ownership {
    /// How long, by this clock, the owner may acknowledge on the strength of a word that was changed.
    pub(crate) fn void_delay_ns(&self, config: &Config, partner: &Partner, survey: &Survey) -> u64 {
        let promised = survey.top.map_or(Terms::NONE, |top| top.record.terms);
        let lease = promised
            .longer(self.agreed(config, partner))
            .link_lease_ns();
        config.stretch(lease)
    }

    /// Whether this controller grants nothing any more because it is to be closed.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.wanted, Some(Wanted::Close { .. }))
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// While this controller wants to close, all blocks were read.
    ///
    /// Its words are changed first. What the owner acknowledges on their strength it acknowledges within L, and only
    /// when the record that names us has landed: a later read that does not show us named shows that we hold nothing.
    ///
    /// Where the owner is gone, and what it acknowledged is here, the wish to close is dropped: that is the case for
    /// which the shadow was kept. Says whether to go on as one that stands by.
    pub(super) fn closing_read(&mut self, voided_at_ns: Option<u64>, survey: &Survey) -> bool {
        let granted = self.mirror.all_lent().any(|lent| lent.is_intact());
        let wait = self.let_go_delay_ns(survey, granted);
        let sure = voided_at_ns
            .is_some_and(|at| self.ownership.cycle.read_issued_ns >= at.saturating_add(wait));
        if !self.ownership.is_shadow_named(&self.config) {
            if sure {
                self.ownership.role_event(RoleEvent::Ended);
            }
            return false;
        }
        // One that offers the volume cannot record anything else before it has been taken over from.
        let answers = !self.partner_offers()
            && self
                .ownership
                .owner_answers(&self.config, &self.partner, survey);
        if answers {
            self.partner.send(Message::Leaving);
        }
        if !self.has_stopped() {
            self.ownership.reason = Some(Reason::ShadowHere);
        }
        let kept = sure && !answers;
        if kept {
            self.ownership.wanted = None;
        }
        kept
    }

    fn has_stopped(&self) -> bool {
        self.ownership.role == Role::Stopped
    }

    /// How long after its word was changed a region that no record is seen to name, if there is one that was granted, may
    /// still be needed.
    pub(crate) fn let_go_delay_ns(&self, survey: &Survey, granted: bool) -> u64 {
        let (config, partner) = (&self.config, &self.partner);
        let wait = self.ownership.void_delay_ns(config, partner, survey);
        if !granted {
            return wait;
        }
        // A record that names us may be on its way to the disk still, and whoever sent it may be dead without our knowing.
        // Nothing was acknowledged on its strength; but once this memory is gone nobody could serve from what it names. An
        // owner that lives ends the wait: it retires what no record of its names.
        let life = self.ownership.agreed(config, partner).io_life_ns();
        wait.saturating_add(config.stretch(life))
    }

    /// One that does not serve is to be closed. Whoever asks again does not wait anew for what was waited for.
    pub(super) fn want_close(&mut self) {
        if !self.ownership.is_closing() {
            self.ownership.wanted = Some(Wanted::Close { voided_at_ns: None });
        }
        self.ownership.survey_soon();
        self.partner.send(Message::Leaving);
        // What waits for a takeover waits in vain.
        self.requests.retry_parked();
    }

    /// One that has stopped is to be closed. What it holds for an owner is waited for as by one that stands by. What nobody
    /// else has is kept, and the wish is dropped.
    pub(super) fn want_close_stopped(&mut self) {
        match self.obligations().forget() {
            Ok(()) => self.ownership.role_event(RoleEvent::Ended),
            Err(Keep::Named) => self.want_close(),
            Err(Keep::OnlyCopy | Keep::Claiming) => (),
        }
    }

    /// One that has stopped changes nothing on the disk any more. It looks at it to be closed, and to let go of a window.
    pub(crate) fn stopped_tick(&mut self, now_ns: u64) {
        self.ownership.cycle.write_no_more();
        self.void_to_close(now_ns);
        self.void_removed(now_ns);
        if self.ownership.is_closing() || self.is_link_going() {
            self.look_now_and_then(now_ns);
        }
    }

    /// While it has stopped, all blocks were read.
    pub(crate) fn stopped_read(&mut self, survey: &Survey) {
        self.removal_read(survey);
        if let Some(Wanted::Close { voided_at_ns }) = self.ownership.wanted {
            self.closing_read(voided_at_ns, survey);
        }
    }

    /// Whoever wants to close changes all words first.
    pub(super) fn void_to_close(&mut self, now_ns: u64) {
        if self.ownership.wanted == Some(Wanted::Close { voided_at_ns: None })
            && self.mirror.void_all()
        {
            self.ownership.wanted = Some(Wanted::Close {
                voided_at_ns: Some(now_ns),
            });
        }
    }

    /// It was to be closed in an earlier role, and could not be.
    pub(crate) fn close_now(&mut self) {
        if !self.ownership.closes_later {
            return;
        }
        match self.ownership.role {
            Role::Standby => self.want_close(),
            Role::Stopped => self.want_close_stopped(),
            // An owner begins with it when it becomes one, and a takeover is seen through.
            Role::Owner(_) | Role::Taking | Role::Opening | Role::Closed => return,
        }
        self.ownership.closes_later = false;
    }
}
