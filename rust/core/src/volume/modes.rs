// SPDX-License-Identifier: GPL-2.0
//! What an owner does in each of its modes, and when it leaves them (PROTOCOL P6, P8, P9). Drawn in
//! docs/protocol-mirror.md.

use super::leaving::LeavingEvent;
use super::machine::{bit, Volume};
use super::regions::{Held, HeldState};
use super::states::RoleEvent;
use super::tickets::Ticket;
use crate::disk::node_block::{Lease, RecordState};
use crate::guards::Guard;
use crate::ids::LinkId;
use crate::mirror::entry::{Entry, NONE};
use crate::mirror::log::Slab;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Two memories have everything.
    pub(crate) fn mirrored(&mut self, now: u64) {
        if self.is_quiet() {
            self.promote();
            self.retire();
        }
        let live = LinkId::all().find(|link| self.held(*link).state == HeldState::Live);
        // An owner that leaves does without the mirror when its log is empty: on a disk that fails it never is.
        let leaves = self.leaving.is_under_way() && self.log.dirty() == 0;
        let Some(live) = live.filter(|_| !leaves) else {
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
            if self.record(state) != self.cycle.mine.record {
                self.state(state, now);
            }
        }
        self.ask(now);
    }

    /// The partner is gone, or its regions are: nothing is answered.
    pub(crate) fn holding(&mut self, now: u64) {
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
        let half = self.cycle.promised().link_lease_ns() / 2;
        let next = self.clean_at.map_or(now, |at| at.saturating_add(half));
        if self.due(next, now) {
            self.cycle.read(now);
        }
    }

    /// Renews the disk lease when a third of it is over.
    fn renew(&mut self, now: u64) {
        let next = self.cycle.issued.saturating_add(self.own_lease_ns() / 3);
        if self.is_quiet() && self.due(next, now) {
            self.write_record(self.record(self.cycle.mine.record.state), now);
        }
        if let Some(until) = self.lease_until.filter(|until| *until > now) {
            self.at(until);
        }
    }

    /// The disk has everything that is answered.
    pub(crate) fn solo(&mut self, now: u64) {
        self.retire();
        if self.leaving.is_under_way() {
            self.release(now);
        } else if self.cycle.mine.record.state == RecordState::Disk && self.is_quiet() {
            self.ask(now);
            if self.held.iter().any(|held| held.state == HeldState::Ready) {
                return self.enter(RoleEvent::RegionReady);
            }
        }
        self.renew(now);
    }

    /// Releases the volume, once nothing is left to be done for it.
    fn release(&mut self, now: u64) {
        let empty = self.log.dirty() == 0 && self.tickets.used() == 0 && !self.is_destaging();
        if self.leaving.is_releasing() || !empty || !self.is_quiet() {
            return;
        }
        // Whoever claims a released volume writes at once, and waits for nobody's commands: so those of the owner that
        // died before us have to be over.
        if self.guards.on(Guard::ReleaseAfterCommands) && !self.due(self.write_from, now) {
            return;
        }
        // From here on nothing is answered: others may claim as soon as the record lands.
        self.leave(LeavingEvent::Emptied);
        self.term = self.term.wrapping_add(1);
        self.lease_until = None;
        let released = self.record(RecordState::Released);
        self.write_block(released, Lease::NONE, None, now);
    }

    /// The log is copied to a partner that came back.
    pub(crate) fn joining(&mut self, now: u64) {
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
        if !ready || self.leaving.is_under_way() {
            if self.cycle.is_idle() {
                self.lose_all();
                return self.enter(RoleEvent::RegionLost);
            }
            return;
        }
        self.ask(now);
        if self.copying.complete && self.is_quiet() {
            // From the moment that the record may name the shadow the partner may take over, and serve reads at once:
            // by then nothing is on its way to the disk that the shadow does not have.
            self.log.set_unproved_too(false);
            if self.destages_unproved() || self.passes_unproved() {
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

    /// What was adopted is on its way to the disk.
    pub(crate) fn degraded(&mut self, now: u64) {
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
