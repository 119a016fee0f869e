// SPDX-License-Identifier: GPL-2.0
//! Opening a volume, and standing by (PROTOCOL P7, P9, P11).

use crate::disk::node_block::{Lease, NodeBlock, RecordState};
use crate::ids::Generation;
use crate::mirror::message::Message;
use crate::owner::survey::Survey;
use crate::owner::verdict::{Base, Facts};
use crate::volume::action::Command;
use crate::volume::config::Config;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::ownership::leaving::LeavingEvent;
use crate::volume::ownership::{Ownership, Wanted};
use crate::volume::partner::Partner;
use crate::volume::requests::tickets::Ticket;
use crate::volume::states::RoleEvent;
use crate::volume::status::{Reason, Role};

impl Ownership {
    /// The generation in which this controller has released the volume, if nobody has claimed it since.
    fn released_by_me(&self, config: &Config, survey: &Survey) -> Option<Generation> {
        let top = survey
            .top
            .filter(|top| top.node == config.node && top.record.state == RecordState::Released)?;
        self.released_at_ns.map(|_| top.record.generation)
    }

    /// Whether this controller should take over now, given that it may.
    pub(super) fn is_wanted(
        &self,
        config: &Config,
        partner: &Partner,
        base: Base,
        survey: &Survey,
        now_ns: u64,
    ) -> bool {
        // Who has released the volume since it asked to be taken over from has no need of that any more.
        let rescues = self.wanted == Some(Wanted::Rescue);
        if self.wanted.is_some() && !(rescues && base == Base::Released) {
            return true;
        }
        if base == Base::Released {
            let waited = |at: u64| now_ns >= at.saturating_add(config.giveback_ns);
            let mine = self.released_at_ns.map(waited);
            return self.offered || mine.unwrap_or(config.home);
        }
        config.auto_takeover && !self.owner_answers(config, partner, survey)
    }

    /// Whether there is a session with the very owner.
    pub(crate) fn owner_answers(
        &self,
        config: &Config,
        partner: &Partner,
        survey: &Survey,
    ) -> bool {
        survey.top.is_some_and(|top| {
            top.node == config.partner
                && partner.life().is_some()
                && partner.life() == top.incarnation
                && top.lease != Lease::NONE
        })
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// While opening, all blocks were read.
    ///
    /// An earlier life of this controller may have left a write of the own block in the disk's queue: the block is
    /// taken over only when that must have landed. Then the new incarnation goes into it, and the lease and the claim
    /// of the old one come out. The record stays: it says where the data is.
    pub(crate) fn opening_read(&mut self, survey: Survey, now_ns: u64) {
        let own = survey.own.unwrap_or(NodeBlock::blank(self.config.node, 0));
        if own.incarnation == Some(self.config.incarnation) {
            if own == self.ownership.cycle.mine {
                self.ownership.role_event(RoleEvent::Opened);
                return self.standby_read(survey, now_ns);
            }
            if self.ownership.cycle.mine.incarnation.is_some() {
                return self.stop(Reason::Identity);
            }
            // Closed and opened again: what was written then had ended before the disk was let go. What had failed may land.
            let until_ns = now_ns.saturating_add(self.command_life_ns());
            self.ownership.reservation.left_behind(until_ns);
            self.ownership.cycle.mine = own;
            return self.ownership.write_block(
                &self.config,
                self.guards,
                own.record,
                Lease::NONE,
                None,
                now_ns,
            );
        }
        let first = self.ownership.opened_at_ns.is_none();
        let opened_at_ns = *self.ownership.opened_at_ns.get_or_insert(now_ns);
        let life = own
            .record
            .terms
            .longer(self.ownership.agreed(&self.config, &self.partner))
            .io_life_ns();
        let wait = self.config.stretch(life);
        let confirmed = opened_at_ns.saturating_add(wait);
        if own.incarnation.is_some() && (first || self.ownership.cycle.read_issued_ns < confirmed) {
            self.ownership.cycle.read(confirmed);
            return;
        }
        self.ownership.cycle.mine = own;
        self.ownership.write_block(
            &self.config,
            self.guards,
            own.record,
            Lease::NONE,
            None,
            now_ns,
        );
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
    pub(crate) fn standby_read(&mut self, survey: Survey, now_ns: u64) {
        if survey.top.is_some_and(|top| top.node != self.config.node) {
            self.ownership.forget_release();
        }
        self.removal_read(&survey);
        if let Some(Wanted::Close { voided_at_ns }) = self.ownership.wanted {
            if !self.closing_read(voided_at_ns, &survey) {
                return;
            }
        }
        let released = survey
            .top
            .is_some_and(|top| top.record.state == RecordState::Released);
        if let Some(generation) = self.ownership.released_by_me(&self.config, &survey) {
            self.partner.send(Message::Released { generation });
        }
        if !released
            && self
                .ownership
                .owner_answers(&self.config, &self.partner, &survey)
            && self.ask_owner(now_ns)
        {
            return;
        }
        let verdict = self
            .facts(self.ownership.wanted == Some(Wanted::Force))
            .verdict(&survey, |epoch| self.mirror.is_intact(epoch));
        match verdict {
            Err(reason) => {
                self.ownership.reason = Some(reason);
                self.ownership.wanted = None;
                // Nothing comes of it: what waits for a takeover fails.
                self.requests.retry_parked();
            }
            Ok(base) => {
                if self
                    .ownership
                    .is_wanted(&self.config, &self.partner, base, &survey, now_ns)
                {
                    self.begin_takeover(self.ownership.wanted == Some(Wanted::Force), now_ns);
                } else {
                    // It could own the volume and does not want to, or not yet: what waits for that looks again.
                    self.requests.retry_parked();
                }
            }
        }
    }

    /// The owner is gone without a word. Where the last look at the disk showed that this controller has what it
    /// acknowledged, no other look is waited for: its words may be changed, and the takeover looks before it claims.
    pub(crate) fn take_over_at_once(&mut self, now_ns: u64) {
        let stands_by = self.ownership.role == Role::Standby && self.ownership.cycle.is_idle();
        let Some(survey) = self.ownership.survey.filter(|_| stands_by) else {
            return;
        };
        let verdict = self
            .facts(false)
            .verdict(&survey, |epoch| self.mirror.is_intact(epoch));
        let (config, partner) = (&self.config, &self.partner);
        let wants = |base| {
            self.ownership.wanted.is_none()
                && self
                    .ownership
                    .is_wanted(config, partner, base, &survey, now_ns)
        };
        if verdict == Ok(Base::Shadow) && wants(Base::Shadow) {
            self.begin_takeover_unseen(now_ns);
        }
    }

    /// A person wants the volume, and its owner lives and can be asked: nothing is taken from it. Says whether that is
    /// so. It is asked again for as long as it may take to give the volume back.
    fn ask_owner(&mut self, now_ns: u64) -> bool {
        let until_ns = match self.ownership.wanted {
            Some(Wanted::TakeOver { until_ns }) => {
                until_ns.unwrap_or(now_ns.saturating_add(self.config.giveback_ns))
            }
            Some(Wanted::Force) => now_ns,
            _ => return false,
        };
        self.ownership.reason = Some(Reason::OwnerAlive);
        self.ownership.wanted = (now_ns < until_ns).then_some(Wanted::TakeOver {
            until_ns: Some(until_ns),
        });
        if self.ownership.wanted.is_some() {
            self.partner.send(Message::Want);
        }
        true
    }

    /// While standing by: looks at the blocks now and then.
    pub(crate) fn standby_tick(&mut self, now_ns: u64) {
        self.void_to_close(now_ns);
        self.void_removed(now_ns);
        self.look_now_and_then(now_ns);
    }

    /// Reads all blocks, if that is due.
    pub(super) fn look_now_and_then(&mut self, now_ns: u64) {
        let urgent = self.ownership.wanted.is_some() && self.ownership.surveyed_at_ns.is_none();
        let next = self
            .ownership
            .surveyed_at_ns
            .map_or(now_ns, |at| at.saturating_add(self.config.poll_ns));
        if self.ownership.cycle.is_idle() && (urgent || self.agenda.due(next, now_ns)) {
            self.ownership.cycle.read(now_ns);
        }
    }

    /// A person wants something.
    pub(crate) fn command(&mut self, command: Command, now_ns: u64) {
        use Command::{AbortGiveBack, ForceFromDisk, TakeOver};
        // Whoever wants one of these does not want it closed any more.
        self.ownership.closes_later &= !matches!(command, TakeOver | ForceFromDisk | AbortGiveBack);
        match (command, self.ownership.role) {
            (Command::TakeOver, Role::Standby) => {
                (self.ownership.wanted, self.ownership.surveyed_at_ns) =
                    (Some(Wanted::TakeOver { until_ns: None }), None);
            }
            (Command::ForceFromDisk, Role::Standby) => {
                (self.ownership.wanted, self.ownership.surveyed_at_ns) =
                    (Some(Wanted::Force), None);
            }
            (Command::GiveBack, Role::Owner(_)) => {
                self.ownership.leaving_event(LeavingEvent::GiveBack);
                self.ownership.asked_until_ns = None;
            }
            (Command::GiveOnRequest, Role::Owner(_)) => self.partner_wants(now_ns),
            (Command::AbortGiveBack, Role::Owner(_)) => self.stay_after_all(now_ns),
            (Command::AbortGiveBack, Role::Standby | Role::Stopped) => self.stand_by_after_all(),
            (Command::GiveUpCondemned, Role::Owner(_)) => {
                self.log.give_up_condemned();
            }
            (Command::Close, Role::Owner(_)) => self.ownership.leaving_event(LeavingEvent::Close),
            (Command::Close, Role::Standby) => self.want_close(),
            // A claim may stand on the disk: the takeover is seen through first, whatever comes of it.
            (Command::Close, Role::Taking) => self.ownership.closes_later = true,
            // Nothing was granted while opening, and nothing is served.
            (Command::Close, Role::Opening) => self.ownership.role_event(RoleEvent::Ended),
            (Command::Close, Role::Stopped) => self.want_close_stopped(),
            _ => (),
        }
        self.agenda.wake_at(now_ns);
    }

    /// The partner has released the volume for us.
    pub(crate) fn offered(&mut self, generation: Generation) {
        if generation >= self.ownership.known_generation() && self.ownership.role == Role::Standby {
            self.ownership.offered = true;
            self.ownership.surveyed_at_ns = None;
        }
    }
}
