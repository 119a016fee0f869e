// SPDX-License-Identifier: GPL-2.0
//! The owner: how it goes from one mode to another (PROTOCOL P6, P8, P9). Drawn in docs/protocol-mirror.md.

use super::Ownership;
use crate::disk::node_block::{Lease, Record, RecordState};
use crate::guards::Guard;
use crate::ids::LinkId;
use crate::mirror::message::Message;
use crate::owner::survey::Survey;
use crate::volume::config::Config;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::mirror::regions::HeldState;
use crate::volume::ownership::cycle::CycleEvent;
use crate::volume::ownership::leaving::{Leaving, LeavingEvent};
use crate::volume::ownership::outbid::Outbid;
use crate::volume::ownership::takeover::TakeoverEvent;
use crate::volume::partner::Partner;
use crate::volume::requests::tickets::Ticket;
use crate::volume::states::{HeldEvent, RoleEvent};
use crate::volume::status::{Mode, Reason};

impl Ownership {
    /// Nothing is owned any more, nor claimed by a takeover.
    fn end_term(&mut self) {
        self.term = self.term.wrapping_add(1);
        self.taking.on(TakeoverEvent::End);
        (self.claimant, self.no_claim_seen_at_ns, self.lease_until_ns) = (None, None, None);
        self.reservation.end_term();
        self.lets_go = false;
        self.outbid = Outbid::None;
        self.closes_later |= self.leaving.is_closing();
        self.leaving_event(LeavingEvent::Over);
        self.offered = false;
    }
}

impl Ownership {
    pub(crate) fn is_quiet(&self) -> bool {
        self.cycle.is_idle() && self.cycle.confirmed && self.claimant.is_none()
    }

    /// A record of the present generation that says this, and promises what is agreed.
    pub(crate) fn record(&self, config: &Config, partner: &Partner, state: RecordState) -> Record {
        Record {
            generation: self.cycle.mine.record.generation,
            state,
            terms: self.agreed(config, partner),
        }
    }

    /// Whether the record that stands says this and promises what is agreed, as one of [`Self::record`] would. It is asked
    /// in each poll.
    pub(super) fn says(&self, config: &Config, partner: &Partner, state: &RecordState) -> bool {
        let stands = &self.cycle.mine.record;
        stands.state == *state && stands.terms == self.agreed(config, partner)
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// The own record names this controller as the owner: it serves.
    pub(crate) fn become_owner(&mut self, event: RoleEvent) {
        self.ownership.role_event(event);
        self.ownership.began = self.ownership.cycle.mine.record.generation;
        self.ownership.term = self.ownership.term.wrapping_add(1);
        self.ownership.wanted = None;
        self.ownership.reason = None;
        self.ownership.offered = false;
        self.ownership.released_at_ns = None;
        self.ownership.leaving_event(LeavingEvent::Over);
        if core::mem::take(&mut self.ownership.closes_later) {
            self.ownership.leaving_event(LeavingEvent::Close);
        }
        self.requests.retry_all();
    }

    /// Goes from one mode to another.
    pub(crate) fn enter(&mut self, event: RoleEvent) {
        self.ownership.role_event(event);
        match self.ownership.mode() {
            Some(Mode::Holding) => {
                self.lose_all_regions();
                self.mirror.stop_posting();
                self.ownership.no_claim_seen_at_ns = None;
            }
            Some(Mode::Solo) => {
                self.ownership.lets_go = false;
                self.mirror.stop_copy();
                self.log.set_unproved_too(true);
                self.retire();
            }
            Some(Mode::Joining) => {
                let ready = |link: &LinkId| self.mirror.held(*link).state == HeldState::Ready;
                if let Some(link) = self.mirror.known_links().find(ready) {
                    self.mirror.begin_copy(link, 0);
                }
            }
            Some(Mode::Mirrored) => {
                self.log.set_unproved_too(false);
                self.promote();
            }
            Some(Mode::Degraded) | None => (),
        }
        self.requests.retry_all();
    }

    /// Another controller owns the volume. What waits fails, and is never completed.
    pub(crate) fn depose(&mut self, now_ns: u64) {
        self.end_term(Reason::Deposed);
        self.forget_log();
        self.ownership.role_event(RoleEvent::Outranked);
        if self.ownership.cycle.mine.claim.is_some() {
            // It would hold up whoever has won.
            self.ownership
                .write_claim(&self.config, self.guards, None, now_ns);
        }
        self.ownership.reason = Some(Reason::Deposed);
        self.agenda.wake_at(now_ns);
    }

    /// What is in the log is not needed here any more: it is on the disk, or another controller has it.
    fn forget_log(&mut self) {
        self.log.begin_emptying();
        self.drop_adopted();
    }

    /// Ends everything that rests on being the owner, but the log. What somebody outside the lock has comes back as an
    /// orphan.
    pub(crate) fn end_term(&mut self, reason: Reason) {
        self.ownership.end_term();
        let life_ns = self.command_life_ns();
        if let Some(issued_ns) = self.requests.last_command_ns() {
            let until_ns = issued_ns.saturating_add(life_ns);
            self.ownership.reservation.left_behind(until_ns);
        }
        self.requests.fail_all(reason);
        self.log.disown_runs(life_ns);
        self.mirror.end_term();
        self.requests.retry_parked();
    }

    /// What the own node block says has landed on the disk.
    pub(crate) fn landed(&mut self, now_ns: u64) {
        if self.ownership.leaving.is_releasing() {
            self.released(now_ns);
            return;
        }
        let disk = self.ownership.cycle.mine.record.state == RecordState::Disk;
        let skips_read = if disk {
            !self.guards.on(Guard::ReadAfterDisk)
        } else {
            !self.guards.on(Guard::ReadAfterShadow)
        };
        if skips_read && self.ownership.mode().is_some() {
            // What is left out: the read.
            self.ownership.cycle.on(CycleEvent::Skip, now_ns);
            self.ownership.cycle.confirm_record();
            self.ownership.lease_until_ns = Some(
                self.ownership
                    .cycle
                    .issued_ns
                    .saturating_add(self.ownership.own_lease_ns()),
            );
        }
    }

    /// The `released` record has landed: this controller serves no more.
    fn released(&mut self, now_ns: u64) {
        let to_nobody = self.ownership.leaving == Leaving::ReleasingToNobody;
        let generation = self.ownership.cycle.mine.record.generation;
        self.end_term(Reason::Leaving);
        self.forget_log();
        if to_nobody {
            self.ownership.role_event(RoleEvent::Ended);
        } else {
            self.partner.send(Message::Released { generation });
            self.ownership.role_event(RoleEvent::Released);
        }
        self.ownership.released_at_ns = Some(now_ns);
        self.agenda.wake_at(now_ns);
    }

    /// What a read of all blocks says to an owner: claims above the own record, and leases.
    pub(crate) fn see_claims(&mut self, survey: &Survey, now_ns: u64) {
        let generation = self.ownership.cycle.mine.record.generation;
        let claim = survey.claim.filter(|(_, claim)| *claim > generation);
        let had = self.ownership.claimant.is_some();
        self.ownership.claimant = claim.map(|(node, _)| node);
        if claim.is_some() {
            return;
        }
        self.ownership.no_claim_seen_at_ns = Some(self.ownership.cycle.read_issued_ns);
        if self.ownership.cycle.writes {
            self.ownership.cycle.confirm_record();
            let held = self.ownership.cycle.mine.lease != Lease::NONE;
            self.ownership.lease_until_ns = held.then(|| {
                self.ownership
                    .cycle
                    .issued_ns
                    .saturating_add(self.ownership.own_lease_ns())
            });
        }
        if had || self.ownership.cycle.writes {
            self.requests.retry_all();
        }
        self.agenda.wake_at(now_ns);
    }

    /// All blocks were read while this controller is the owner.
    pub(crate) fn owner_read(&mut self, survey: Survey, now_ns: u64) {
        if survey.generation() > self.ownership.cycle.mine.record.generation {
            return self.depose(now_ns);
        }
        self.see_claims(&survey, now_ns);
        self.answer_claim(&survey, now_ns);
    }

    /// What time, and everything that happened since, bring about in an owner.
    pub(crate) fn owner_tick(&mut self, mode: Mode, now_ns: u64) {
        self.stay_if_not_asked(now_ns);
        if self.ownership.cycle.is_idle() {
            if self.ownership.claimant.is_some() {
                // Nothing is renewed: only looked at, until the claim is gone or has won.
                let next = self
                    .ownership
                    .cycle
                    .read_issued_ns
                    .saturating_add(self.config.poll_ns);
                self.ownership.cycle.read(next);
            } else if !self.ownership.cycle.confirmed {
                // A claim was pending when the record was to be confirmed: once more.
                self.ownership.write_record(
                    &self.config,
                    self.guards,
                    self.ownership.cycle.mine.record,
                    now_ns,
                );
            }
        }
        match mode {
            Mode::Mirrored => self.mirrored(now_ns),
            Mode::Holding => self.holding(now_ns),
            Mode::Solo => self.solo(now_ns),
            Mode::Joining => self.joining(now_ns),
            Mode::Degraded => self.degraded(now_ns),
        }
    }

    /// Writes a record that says this.
    pub(crate) fn state(&mut self, state: RecordState, now_ns: u64) {
        self.ownership.write_record(
            &self.config,
            self.guards,
            self.ownership.record(&self.config, &self.partner, state),
            now_ns,
        );
    }

    /// Regions that the record names now, by a confirmed record, count.
    pub(crate) fn promote(&mut self) {
        for link in self.mirror.known_links() {
            let held = self.mirror.held(link);
            if held.state != HeldState::Ready {
                continue;
            }
            if held
                .epoch
                .is_some_and(|epoch| self.ownership.is_named(epoch))
            {
                self.mirror
                    .edit_held(link, |held| held.on(HeldEvent::Named));
            }
        }
    }
}
