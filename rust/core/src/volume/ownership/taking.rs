// SPDX-License-Identifier: GPL-2.0
//! Taking over (PROTOCOL P7): what is done in each step of [`Takeover`].

use crate::disk::node_block::{NodeBlock, Record, RecordState, Shadow};
use crate::guards::{Guard, Guards};
use crate::ids::{Generation, LinkId};
use crate::owner::survey::Survey;
use crate::owner::verdict::Base;
use crate::volume::action::{Action, Token};
use crate::volume::config::Config;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::ownership::old_owner::Watch;
use crate::volume::ownership::takeover::{Takeover, TakeoverEvent};
use crate::volume::ownership::Ownership;
use crate::volume::requests::tickets::Ticket;
use crate::volume::states::RoleEvent;
use crate::volume::status::{Reason, Role};

/// A takeover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Taking {
    step: Takeover,
    /// Resting: until then.
    until_ns: u64,
    /// Scanning: this one.
    pub(crate) link: Option<LinkId>,
    forced: bool,
    /// It began without a look at the disk.
    unseen: bool,
    /// When the last word was changed.
    pub(super) voided_at_ns: u64,
    /// What was observed before the claim: the owner's block, if there was an owner.
    pub(crate) observed: Option<NodeBlock>,
    pub(crate) base: Base,
    claim: Generation,
    pub(super) watch: Option<Watch>,
    /// When the own record had landed.
    pub(crate) landed_at_ns: u64,
    /// The old owner's commands have come to their end.
    pub(super) cut_off: bool,
    pub(crate) token: Option<Token>,
    /// Not again before, after one that was withdrawn.
    pub(crate) not_before_ns: u64,
}

impl Taking {
    pub(crate) const NONE: Self = Self {
        step: Takeover::Idle,
        until_ns: 0,
        link: None,
        forced: false,
        unseen: false,
        voided_at_ns: 0,
        observed: None,
        base: Base::Released,
        claim: Generation::NONE,
        watch: None,
        landed_at_ns: 0,
        cut_off: false,
        token: None,
        not_before_ns: 0,
    };

    pub(crate) fn step(&self) -> Takeover {
        self.step
    }

    /// The one place where the step changes.
    pub(crate) fn on(&mut self, event: TakeoverEvent) {
        self.step = self.step.on(event).after(self.step);
    }

    /// Nothing to claim yet: looks again at this time.
    pub(super) fn rest(&mut self, until_ns: u64) {
        self.on(TakeoverEvent::NotYet);
        self.until_ns = until_ns;
    }
}

impl Ownership {
    pub(super) fn give_up(&mut self, reason: Option<Reason>) {
        self.taking.on(TakeoverEvent::End);
        self.role_event(RoleEvent::GiveUp);
        if reason.is_some() {
            self.reason = reason;
            self.wanted = None;
        }
    }

    /// What the first record says: where the data is that is served from now on.
    fn first_state(&self, config: &Config, guards: Guards) -> RecordState {
        let observed = self.taking.observed.map(|top| top.record.state);
        match (self.taking.base, observed) {
            (Base::Shadow, Some(RecordState::Shadow(shadow)))
                if guards.on(Guard::DegradedRecord) =>
            {
                RecordState::Shadow(Shadow {
                    holder: config.node,
                    holder_incarnation: config.incarnation,
                    ..shadow
                })
            }
            _ => RecordState::Disk,
        }
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Begins a takeover of an owner that is gone, by what the last look at the disk has shown.
    pub(crate) fn begin_takeover_unseen(&mut self, now_ns: u64) {
        self.begin_takeover(false, now_ns);
        self.ownership.taking.unseen = self.ownership.role == Role::Taking;
    }

    /// Begins a takeover. Not where the disk would refuse its claim: it comes to that as soon as it is registered.
    pub(crate) fn begin_takeover(&mut self, forced: bool, now_ns: u64) {
        if now_ns < self.ownership.taking.not_before_ns {
            return;
        }
        let refused = self.ownership.disk_lets_write().is_err();
        self.ownership.say_while(Reason::NotRegistered, refused);
        if refused {
            return;
        }
        self.ownership.taking = Taking {
            forced,
            not_before_ns: self.ownership.taking.not_before_ns,
            ..Taking::NONE
        };
        self.ownership.taking.on(TakeoverEvent::Begin);
        self.ownership.role_event(RoleEvent::Begin);
        self.agenda.wake_at(now_ns);
    }

    /// What time brings about in a takeover.
    pub(crate) fn takeover_tick(&mut self, now_ns: u64) {
        let step = self.ownership.taking.step;
        match step {
            Takeover::Voiding
                if !self.guards.on(Guard::VoidBeforeClaim) || self.mirror.void_all() =>
            {
                self.ownership.taking.voided_at_ns = now_ns;
                self.ownership.taking.on(TakeoverEvent::Voided);
                // What is observed before the link lease has passed counts for nothing, if the record names a shadow.
                let shadow = self.ownership.survey.filter(Survey::names_shadow);
                let from_ns = match shadow.filter(|_| self.guards.on(Guard::WaitLinkLease)) {
                    Some(survey) => self.ownership.link_lease_over_ns(&self.config, &survey),
                    None => now_ns,
                };
                self.ownership.cycle.read(from_ns);
            }
            Takeover::Resting if self.agenda.due(self.ownership.taking.until_ns, now_ns) => {
                self.ownership.taking.on(TakeoverEvent::Due);
                self.ownership.cycle.read(now_ns);
            }
            _ => (),
        }
    }

    /// All blocks were read during a takeover.
    pub(crate) fn takeover_read(&mut self, survey: Survey, now_ns: u64) {
        match self.ownership.taking.step {
            Takeover::Observing => self.observe(survey, now_ns),
            Takeover::Claiming => self.confirm(survey, now_ns),
            Takeover::Recording => self.recorded(survey, now_ns),
            Takeover::Withdrawing => {
                let random = self.random();
                let backoff = self.config.backoff_ns.max(1);
                self.ownership.taking.not_before_ns = now_ns.saturating_add(random % backoff);
                self.ownership.give_up(None);
            }
            _ => (),
        }
    }

    fn observe(&mut self, survey: Survey, now_ns: u64) {
        let verdict = self
            .facts(self.ownership.taking.forced)
            .verdict(&survey, |epoch| self.mirror.is_intact(epoch));
        let base = match verdict {
            Ok(base) => base,
            Err(reason) => return self.ownership.give_up(Some(reason)),
        };
        if self.ownership.wanted == Some(super::Wanted::Reclaim)
            && survey.top.is_some_and(|top| top.node != self.config.node)
        {
            // Another one was quicker: what is taken back is what nobody has claimed.
            self.ownership.forget_release();
            return self.ownership.give_up(Some(Reason::OwnerAlive));
        }
        if (self.ownership.wanted.is_none() || self.ownership.taking.forced)
            && self
                .ownership
                .owner_answers(&self.config, &self.partner, &survey)
        {
            // It had only stood still for a while. Nothing is claimed yet, so nothing was taken from it.
            return self.ownership.give_up(Some(Reason::OwnerAlive));
        }
        let wanted = self
            .ownership
            .is_wanted(&self.config, &self.partner, base, &survey, now_ns);
        let rescues = self.ownership.wanted == Some(super::Wanted::Rescue);
        if (self.ownership.taking.unseen || rescues) && !wanted {
            // The owner has closed the volume in order, for nobody to take it.
            return self.ownership.give_up(None);
        }
        let ready = match base {
            Base::Released => true,
            Base::Shadow => self
                .ownership
                .link_lease_passed(&self.config, self.guards, &survey),
            // An owner whose record names a shadow may answer under its link lease, whatever its disk lease says.
            Base::Disk { watch } => {
                (!survey.names_shadow()
                    || self
                        .ownership
                        .link_lease_passed(&self.config, self.guards, &survey))
                    && (!watch
                        || self
                            .ownership
                            .watch_lease(&self.config, self.guards, &survey, now_ns))
            }
        };
        if self.ownership.role != Role::Taking || !ready {
            return;
        }
        let Some(claim) = survey.highest.next() else {
            return self.ownership.give_up(Some(Reason::Exhausted));
        };
        self.ownership.taking.base = base;
        self.ownership.taking.observed = survey.top;
        self.ownership.taking.claim = claim;
        self.ownership.taking.on(TakeoverEvent::Allowed);
        self.ownership
            .write_claim(&self.config, self.guards, Some(claim), now_ns);
    }

    /// The claim has landed, and all blocks were read again.
    fn confirm(&mut self, survey: Survey, now_ns: u64) {
        let stands = match (self.ownership.taking.observed, survey.top) {
            (None, None) => true,
            (Some(old), Some(new)) => {
                old.node == new.node && old.record == new.record && old.lease == new.lease
            }
            _ => false,
        };
        // The first look may have caught the blocks one before, one after somebody's start. This one was taken with the
        // claim on the disk: what it shows has to allow the same takeover.
        let verdict = self
            .facts(self.ownership.taking.forced)
            .verdict(&survey, |epoch| self.mirror.is_intact(epoch));
        let stands = stands && verdict.is_ok_and(|base| base.is_like(self.ownership.taking.base));
        let rival = survey
            .claim
            .is_some_and(|(_, claim)| claim >= self.ownership.taking.claim);
        if (!stands || rival) && self.guards.on(Guard::ConfirmClaim) {
            self.ownership.reason = Some(match survey.claim {
                Some((node, _)) if rival => Reason::ClaimPending(node),
                _ => Reason::OwnerAlive,
            });
            self.ownership.taking.on(TakeoverEvent::Contested);
            return self
                .ownership
                .write_claim(&self.config, self.guards, None, now_ns);
        }
        self.ownership.taking.on(TakeoverEvent::Confirmed);
        let state = self.ownership.first_state(&self.config, self.guards);
        self.ownership.write_record(
            &self.config,
            self.guards,
            Record {
                generation: self.ownership.taking.claim,
                state,
                terms: self.ownership.agreed(&self.config, &self.partner),
            },
            now_ns,
        );
    }

    /// The record has landed, and all blocks were read again.
    fn recorded(&mut self, survey: Survey, now_ns: u64) {
        if survey.generation() > self.ownership.cycle.mine.record.generation {
            return self.depose(now_ns);
        }
        self.ownership.taking.landed_at_ns = now_ns;
        self.see_claims(&survey, now_ns);
        self.cut_off_victim();
        self.begin_scan(now_ns);
    }

    /// The next scan.
    pub(crate) fn next_takeover(&mut self) -> Option<Action> {
        if self.ownership.taking.token.is_some() || self.ownership.role != Role::Taking {
            return None;
        }
        match self.ownership.taking.step {
            Takeover::Scanning => {
                let link = self.ownership.taking.link?;
                let epoch = self.mirror.lent(link).epoch?;
                let token = self.agenda.token();
                self.ownership.taking.token = Some(token);
                Some(Action::ScanRegion { token, link, epoch })
            }
            _ => None,
        }
    }
}
