// SPDX-License-Identifier: GPL-2.0
//! The owner: how it goes from one mode to another (PROTOCOL P6, P8, P9). Drawn in docs/protocol-mirror.md.

use super::cycle::CycleEvent;
use super::leaving::{Leaving, LeavingEvent};
use super::machine::Volume;
use super::outbid::Outbid;
use super::regions::HeldState;
use super::states::{HeldEvent, RoleEvent};
use super::status::{Mode, Reason};
use super::takeover::TakeoverEvent;
use super::tickets::{Stage, Ticket};
use crate::disk::node_block::{Lease, Record, RecordState};
use crate::guards::Guard;
use crate::ids::LinkId;
use crate::mirror::message::Message;
use crate::owner::survey::Survey;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// The own record names this controller as the owner: it serves.
    pub(crate) fn become_owner(&mut self, event: RoleEvent) {
        self.go(event);
        self.ownership.began = self.ownership.cycle.mine.record.generation;
        self.ownership.term = self.ownership.term.wrapping_add(1);
        self.ownership.wanted = None;
        self.ownership.reason = None;
        self.ownership.offered = false;
        self.ownership.released_at = None;
        self.leave(LeavingEvent::Over);
        self.stir_all();
    }

    /// Goes from one mode to another.
    pub(crate) fn enter(&mut self, event: RoleEvent) {
        self.go(event);
        match self.mode() {
            Some(Mode::Holding) => {
                self.lose_all();
                self.mirror.copying.reset();
                self.mirror.freeing.leave_link();
                self.ownership.clean_at = None;
            }
            Some(Mode::Solo) => {
                self.mirror.copying.reset();
                self.log.set_unproved_too(true);
                self.retire();
            }
            Some(Mode::Joining) => {
                let ready = |link: &LinkId| self.held(*link).state == HeldState::Ready;
                if let Some(link) = LinkId::all().find(ready) {
                    self.mirror.copying.begin(link, 0);
                }
            }
            Some(Mode::Mirrored) => {
                self.log.set_unproved_too(false);
                self.promote();
            }
            Some(Mode::Degraded) | None => (),
        }
        self.stir_all();
    }

    /// Another controller owns the volume. What waits fails, and is never completed.
    pub(crate) fn depose(&mut self, now: u64) {
        self.end_term(Reason::Deposed);
        self.forget_log();
        self.go(RoleEvent::Outranked);
        if self.ownership.cycle.mine.claim.is_some() {
            // It would hold up whoever has won.
            let mine = self.ownership.cycle.mine;
            self.write_block(mine.record, mine.lease, None, now);
        }
        self.ownership.reason = Some(Reason::Deposed);
        self.at(now);
    }

    /// What is in the log is not needed here any more: it is on the disk, or another controller has it.
    fn forget_log(&mut self) {
        self.log.begin_emptying();
        self.drop_adopted();
    }

    /// Ends everything that rests on being the owner, but the log. What somebody outside the lock has comes back as an
    /// orphan.
    pub(crate) fn end_term(&mut self, reason: Reason) {
        self.ownership.term = self.ownership.term.wrapping_add(1);
        self.ownership.taking.on(TakeoverEvent::End);
        for link in LinkId::all() {
            self.edit_held(link, |held| {
                held.on(HeldEvent::Dropped);
            });
        }
        for index in 0..self.requests.tickets.len() {
            let stage = match self.requests.tickets.at(index).stage {
                Stage::Free | Stage::Orphan { .. } | Stage::Doomed(_) => continue,
                Stage::Filling { to } => Stage::Orphan { to },
                _ => Stage::Doomed(reason),
            };
            self.requests.tickets.at_mut(index).stage = stage;
            self.requests.tickets.queue(index);
        }
        self.disown_runs();
        self.requests.passes.clear();
        self.mirror.copying.reset();
        self.mirror.freeing.reset();
        (
            self.ownership.claimant,
            self.mirror.good_at,
            self.ownership.clean_at,
            self.ownership.lease_until,
        ) = (None, None, None, None);
        self.ownership.outbid = Outbid::None;
        self.leave(LeavingEvent::Over);
        self.ownership.offered = false;
        self.stir();
    }

    /// What the own node block says has landed on the disk.
    pub(crate) fn landed(&mut self, now: u64) {
        if self.ownership.leaving.is_releasing() {
            self.released(now);
            return;
        }
        let disk = self.ownership.cycle.mine.record.state == RecordState::Disk;
        let early = if disk {
            !self.guards.on(Guard::ReadAfterDisk)
        } else {
            !self.guards.on(Guard::ReadAfterShadow)
        };
        if early && self.mode().is_some() {
            // What is left out: the read.
            self.ownership.cycle.on(CycleEvent::Skip, now);
            self.ownership.cycle.settle();
            self.ownership.lease_until = Some(
                self.ownership
                    .cycle
                    .issued
                    .saturating_add(self.own_lease_ns()),
            );
        }
    }

    /// The `released` record has landed: this controller serves no more.
    fn released(&mut self, now: u64) {
        let to_nobody = self.ownership.leaving == Leaving::ReleasingToNobody;
        let generation = self.ownership.cycle.mine.record.generation;
        self.end_term(Reason::Leaving);
        self.forget_log();
        if to_nobody {
            self.go(RoleEvent::Ended);
        } else {
            self.partner.outbox.push(Message::Released { generation });
            self.go(RoleEvent::Released);
        }
        self.ownership.released_at = Some(now);
        self.at(now);
    }

    /// What a read of all blocks says to an owner: claims above the own record, and leases.
    pub(crate) fn see_claims(&mut self, survey: &Survey, now: u64) {
        let generation = self.ownership.cycle.mine.record.generation;
        let claim = survey.claim.filter(|(_, claim)| *claim > generation);
        let had = self.ownership.claimant.is_some();
        self.ownership.claimant = claim.map(|(node, _)| node);
        if claim.is_some() {
            return;
        }
        self.ownership.clean_at = Some(self.ownership.cycle.read_issued);
        if self.ownership.cycle.writes {
            self.ownership.cycle.settle();
            let held = self.ownership.cycle.mine.lease != Lease::NONE;
            self.ownership.lease_until = held.then(|| {
                self.ownership
                    .cycle
                    .issued
                    .saturating_add(self.own_lease_ns())
            });
        }
        if had || self.ownership.cycle.writes {
            self.stir_all();
        }
        self.at(now);
    }

    /// All blocks were read while this controller is the owner.
    pub(crate) fn owner_read(&mut self, survey: Survey, now: u64) {
        if survey.generation() > self.ownership.cycle.mine.record.generation {
            return self.depose(now);
        }
        self.see_claims(&survey, now);
        self.answer_claim(&survey, now);
    }

    /// What time, and everything that happened since, bring about in an owner.
    pub(crate) fn owner_tick(&mut self, mode: Mode, now: u64) {
        if self.ownership.cycle.is_idle() {
            if self.ownership.claimant.is_some() {
                // Nothing is renewed: only looked at, until the claim is gone or has won.
                let next = self
                    .ownership
                    .cycle
                    .read_issued
                    .saturating_add(self.config.poll_ns);
                self.ownership.cycle.read(next);
            } else if !self.ownership.cycle.settled {
                // A claim was pending when the record was to be confirmed: once more.
                self.write_record(self.ownership.cycle.mine.record, now);
            }
        }
        match mode {
            Mode::Mirrored => self.mirrored(now),
            Mode::Holding => self.holding(now),
            Mode::Solo => self.solo(now),
            Mode::Joining => self.joining(now),
            Mode::Degraded => self.degraded(now),
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.ownership.cycle.is_idle()
            && self.ownership.cycle.settled
            && self.ownership.claimant.is_none()
    }

    /// A record of the present generation that says this, and promises what is agreed.
    pub(crate) fn record(&self, state: RecordState) -> Record {
        Record {
            generation: self.ownership.cycle.mine.record.generation,
            state,
            terms: self.agreed(),
        }
    }

    /// Writes a record that says this.
    pub(crate) fn state(&mut self, state: RecordState, now: u64) {
        self.write_record(self.record(state), now);
    }

    /// Regions that the record names now, by a confirmed record, count.
    pub(crate) fn promote(&mut self) {
        for link in LinkId::all() {
            let held = self.held(link);
            if held.state != HeldState::Ready {
                continue;
            }
            if held.epoch.is_some_and(|epoch| self.is_named(epoch)) {
                self.edit_held(link, |held| held.on(HeldEvent::Named));
            }
        }
    }
}
