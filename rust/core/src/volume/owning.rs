// SPDX-License-Identifier: GPL-2.0
//! The owner: how it goes from one mode to another (PROTOCOL P6, P8, P9). Drawn in docs/protocol-mirror.md.

use super::cycle::Phase;
use super::machine::{bit, Leaving, Volume};
use super::regions::{Held, HeldState};
use super::states::{HeldEvent, RoleEvent};
use super::status::{Mode, Reason};
use super::tickets::{Stage, Ticket};
use crate::disk::node_block::{Lease, Record, RecordState};
use crate::guards::Guard;
use crate::ids::LinkId;
use crate::mirror::entry::{Entry, NONE};
use crate::mirror::log::Slab;
use crate::mirror::message::Message;
use crate::owner::survey::Survey;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// The own record names this controller as the owner: it serves.
    pub(crate) fn become_owner(&mut self, event: RoleEvent) {
        self.go(event);
        self.term = self.term.wrapping_add(1);
        self.wanted = None;
        self.reason = None;
        self.offered = false;
        self.released_at = None;
        self.releasing = false;
        self.leaving = None;
        self.stir_all();
    }

    /// Goes from one mode to another.
    fn enter(&mut self, event: RoleEvent) {
        self.go(event);
        match self.mode() {
            Some(Mode::Holding) => {
                self.lose_all();
                self.copying.reset();
                self.freeing.leave_link();
                self.clean_at = None;
            }
            Some(Mode::Solo) => {
                self.copying.reset();
                self.log.set_unproved_too(true);
                self.retire();
            }
            Some(Mode::Joining) => {
                let ready = |link: &LinkId| self.held(*link).state == HeldState::Ready;
                if let Some(link) = LinkId::all().find(ready) {
                    self.copying.begin(link, 0);
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
        self.drop_everything(Reason::Deposed);
        self.go(RoleEvent::Outranked);
        self.reason = Some(Reason::Deposed);
        self.at(now);
    }

    /// Ends everything that rests on being the owner. What somebody outside the lock has comes back as an orphan.
    pub(crate) fn drop_everything(&mut self, reason: Reason) {
        self.term = self.term.wrapping_add(1);
        for link in LinkId::all() {
            self.edit_held(link, |held| {
                held.on(HeldEvent::Dropped);
            });
        }
        for index in 0..self.tickets.len() {
            let stage = match self.tickets.at(index).stage {
                Stage::Free | Stage::Orphan { .. } | Stage::Doomed(_) => continue,
                Stage::Filling { to } => Stage::Orphan { to },
                Stage::Clearing { .. } | Stage::Cleared { .. } | Stage::Passing { .. } => {
                    self.tickets.unpass();
                    Stage::Doomed(reason)
                }
                _ => Stage::Doomed(reason),
            };
            self.tickets.at_mut(index).stage = stage;
            self.tickets.queue(index);
        }
        self.copying.reset();
        self.freeing.reset();
        self.log.discard_all();
        self.log.set_unproved_too(false);
        self.drop_adopted();
        (self.claimant, self.good_at, self.clean_at, self.lease_until) = (None, None, None, None);
        (self.leaving, self.releasing, self.offered) = (None, false, false);
        self.stir();
    }

    /// What the own node block says has landed on the disk.
    pub(crate) fn landed(&mut self, now: u64) {
        if self.releasing {
            self.released(now);
            return;
        }
        let disk = self.cycle.mine.record.state == RecordState::Disk;
        let early = if disk {
            !self.guards.on(Guard::ReadAfterDisk)
        } else {
            !self.guards.on(Guard::ReadAfterShadow)
        };
        if early && self.mode().is_some() {
            // What is left out: the read.
            self.cycle.phase = Phase::Idle;
            self.cycle.settled = true;
            self.lease_until = Some(self.cycle.issued.saturating_add(self.config.disk_lease_ns));
        }
    }

    /// The `released` record has landed: this controller serves no more.
    fn released(&mut self, now: u64) {
        let leaving = self.leaving;
        let generation = self.cycle.mine.record.generation;
        self.drop_everything(Reason::Leaving);
        if leaving == Some(Leaving::Close) {
            self.go(RoleEvent::Ended);
        } else {
            self.outbox.push(Message::Released { generation });
            self.go(RoleEvent::Released);
        }
        self.released_at = Some(now);
        self.at(now);
    }

    /// What a read of all blocks says to an owner: claims above the own record, and leases.
    pub(crate) fn see_claims(&mut self, survey: &Survey, now: u64) {
        let generation = self.cycle.mine.record.generation;
        let claim = survey.claim.filter(|(_, claim)| *claim > generation);
        let had = self.claimant.is_some();
        self.claimant = claim.map(|(node, _)| node);
        if claim.is_some() {
            return;
        }
        self.clean_at = Some(self.cycle.read_issued);
        if self.cycle.writes {
            self.cycle.settled = true;
            let held = self.cycle.mine.lease != Lease::NONE;
            self.lease_until =
                held.then(|| self.cycle.issued.saturating_add(self.config.disk_lease_ns));
        }
        if had || self.cycle.writes {
            self.stir_all();
        }
        self.at(now);
    }

    /// All blocks were read while this controller is the owner.
    pub(crate) fn owner_read(&mut self, survey: Survey, now: u64) {
        if survey.generation() > self.cycle.mine.record.generation {
            return self.depose(now);
        }
        self.see_claims(&survey, now);
    }

    /// What time, and everything that happened since, bring about in an owner.
    pub(crate) fn owner_tick(&mut self, mode: Mode, now: u64) {
        if self.cycle.is_idle() {
            if self.claimant.is_some() {
                // Nothing is renewed: only looked at, until the claim is gone or has won.
                let next = self.cycle.read_issued.saturating_add(self.config.poll_ns);
                self.cycle.read(next);
            } else if !self.cycle.settled {
                // A claim was pending when the record was to be confirmed: once more.
                self.write_record(self.cycle.mine.record, now);
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

    fn is_quiet(&self) -> bool {
        self.cycle.is_idle() && self.cycle.settled && self.claimant.is_none()
    }

    /// Writes a record that says this.
    fn state(&mut self, state: RecordState, now: u64) {
        let generation = self.cycle.mine.record.generation;
        self.write_record(Record { generation, state }, now);
    }

    /// Regions that the record names now, by a confirmed record, count.
    fn promote(&mut self) {
        for link in LinkId::all() {
            let held = *self.held(link);
            let named = held.epoch.is_some_and(|epoch| self.is_named(epoch));
            if held.state == HeldState::Ready && named {
                self.edit_held(link, |held| held.on(HeldEvent::Named));
            }
        }
    }

    fn mirrored(&mut self, now: u64) {
        if self.is_quiet() {
            self.promote();
            self.retire();
        }
        let live = LinkId::all().find(|link| self.held(*link).state == HeldState::Live);
        let Some(live) = live.filter(|_| self.leaving.is_none()) else {
            return self.enter(RoleEvent::Alone);
        };
        let dying = LinkId::all()
            .filter(|link| self.held(*link).state == HeldState::Dying)
            .fold(0, |links, link| links | bit(link));
        if dying == 0 && self.copying.complete {
            // Nothing waits for it any more. If it went on, it would post every write of these links once more.
            self.copying.reset();
        }
        let copied = self.copying.target.is_some() && self.copying.from == dying && dying != 0;
        if dying != 0 && !copied {
            self.copying.begin(live, dying);
        }
        if !self.is_quiet() {
            return;
        }
        let empty = self.copying.complete || !self.guards.on(Guard::CopyBeforeRetire);
        let keep = |_: LinkId, held: &Held| match held.state {
            HeldState::Live | HeldState::Ready => true,
            HeldState::Dying => !(empty && held.refs == 0),
            _ => false,
        };
        if let Some(state) = self.shadow_of(keep) {
            if state != self.cycle.mine.record.state {
                self.state(state, now);
            }
        }
        self.ask();
    }

    fn holding(&mut self, now: u64) {
        if !self.guards.on(Guard::DiskBeforeThrough) && self.log.proved_dirty() == 0 {
            self.lease_until = Some(now.saturating_add(self.config.disk_lease_ns));
            return self.enter(RoleEvent::DiskStands);
        }
        if !self.is_quiet() {
            return;
        }
        if self.cycle.mine.record.state == RecordState::Disk {
            return self.enter(RoleEvent::DiskStands);
        }
        if self.log.proved_dirty() == 0 || !self.guards.on(Guard::DestageBeforeDisk) {
            return self.state(RecordState::Disk, now);
        }
        let half = self.config.link_lease_ns / 2;
        let next = self.clean_at.map_or(now, |at| at.saturating_add(half));
        if self.due(next, now) {
            self.cycle.read(now);
        }
    }

    /// Renews the disk lease when a third of it is over.
    fn renew(&mut self, now: u64) {
        let next = self
            .cycle
            .issued
            .saturating_add(self.config.disk_lease_ns / 3);
        if self.is_quiet() && self.due(next, now) {
            self.write_record(self.cycle.mine.record, now);
        }
        if let Some(until) = self.lease_until.filter(|until| *until > now) {
            self.at(until);
        }
    }

    fn solo(&mut self, now: u64) {
        self.retire();
        if self.leaving.is_some() {
            self.leave(now);
        } else if self.cycle.mine.record.state == RecordState::Disk && self.is_quiet() {
            self.ask();
            if self.held.iter().any(|held| held.state == HeldState::Ready) {
                return self.enter(RoleEvent::RegionReady);
            }
        }
        self.renew(now);
    }

    /// Releases the volume, once nothing is left to be done for it.
    fn leave(&mut self, now: u64) {
        let empty = self.log.dirty() == 0 && self.tickets.used() == 0 && !self.is_destaging();
        if self.releasing || !empty || !self.is_quiet() {
            return;
        }
        // From here on nothing is answered: others may claim as soon as the record lands.
        self.releasing = true;
        self.term = self.term.wrapping_add(1);
        self.lease_until = None;
        let generation = self.cycle.mine.record.generation;
        let state = RecordState::Released;
        self.write_block(Record { generation, state }, Lease::NONE, None, now);
    }

    fn joining(&mut self, now: u64) {
        if self.names_partner(&self.cycle.mine.record) {
            if self.is_quiet() {
                return self.enter(RoleEvent::ShadowStands);
            }
            return;
        }
        let ready = self
            .copying
            .target
            .is_some_and(|link| self.held(link).state == HeldState::Ready);
        if !ready || self.leaving.is_some() {
            if self.cycle.is_idle() {
                self.lose_all();
                return self.enter(RoleEvent::RegionLost);
            }
            return;
        }
        self.ask();
        if self.copying.complete && self.is_quiet() {
            // From the moment that the record may name the shadow the partner may take over, and serve reads at once:
            // by then nothing is on its way to the disk that the shadow does not have.
            self.log.set_unproved_too(false);
            if self.destages_unproved() {
                return;
            }
            if let Some(state) = self.shadow_of(|_, held| held.state == HeldState::Ready) {
                return self.state(state, now);
            }
        }
        self.renew(now);
    }

    /// Whether something is on its way to the disk that no region was proved to have.
    fn destages_unproved(&self) -> bool {
        self.runs.iter().filter(|run| run.active).any(|run| {
            let mut entry = run.first;
            while entry != NONE {
                if self.log.is_live(entry) && self.log.at(entry).proved == 0 {
                    return self.guards.on(Guard::DestageProved);
                }
                entry = self.log.at(entry).ready_next;
            }
            false
        })
    }

    fn degraded(&mut self, now: u64) {
        if self.is_quiet() {
            if self.cycle.mine.record.state == RecordState::Disk {
                return self.enter(RoleEvent::DiskStands);
            }
            if self.log.adopted_dirty() == 0 {
                return self.state(RecordState::Disk, now);
            }
        }
        self.renew(now);
    }
}
