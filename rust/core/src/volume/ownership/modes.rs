// SPDX-License-Identifier: GPL-2.0
//! What an owner does in each of its modes, and when it leaves them (PROTOCOL P6, P8, P9). Drawn in
//! docs/protocol-mirror.md.

use crate::disk::node_block::{Lease, RecordState};
use crate::guards::Guard;
use crate::ids::LinkId;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::mirror::regions::{Held, HeldState};
use crate::volume::ownership::leaving::LeavingEvent;
use crate::volume::ownership::obligations::Obligation;
use crate::volume::requests::tickets::Ticket;
use crate::volume::states::RoleEvent;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Two memories have everything.
    pub(crate) fn mirrored(&mut self, now_ns: u64) {
        let mut stand = self.mirror.stand();
        if self.ownership.is_quiet() && (stand.ready || stand.dying != 0) {
            self.promote();
            self.retire();
            stand = self.mirror.stand();
        }
        // An owner that leaves does without the mirror when its log is empty: on a disk that fails it never is.
        let leaves = self.ownership.leaving.is_under_way() && self.log.dirty() == 0;
        self.ask_doubted_disk(now_ns);
        if self.hands_over(now_ns) {
            self.enter(RoleEvent::Alone);
            self.ownership.lets_go = true;
            return;
        }
        let Some(live) = stand.live.filter(|_| !leaves) else {
            return self.enter(RoleEvent::Alone);
        };
        let dying = stand.dying;
        if dying == 0 && self.mirror.is_copied() {
            // Nothing waits for it any more. If it went on, it would post every write of these links once more.
            self.mirror.stop_copy();
        }
        let copied = self.mirror.copies_from(dying) && dying != 0;
        if dying != 0 && !copied {
            self.mirror.begin_copy(live, dying);
        }
        if !self.ownership.is_quiet() {
            return;
        }
        let empty = self.mirror.is_copied() || !self.guards.on(Guard::CopyBeforeRetire);
        let keep = |_: LinkId, held: &Held| match held.state {
            HeldState::Live | HeldState::Ready => true,
            HeldState::Dying => !(empty && held.refs == 0),
            _ => false,
        };
        if let Some(state) = self.shadow_of(keep) {
            if !self.ownership.says(&self.config, &self.partner, &state) {
                self.state(state, now_ns);
            }
        }
        if stand.missing {
            self.ask(now_ns);
        }
    }

    /// The partner is gone, or its regions are: nothing is answered.
    pub(crate) fn holding(&mut self, now_ns: u64) {
        if !self.guards.on(Guard::DiskBeforeThrough) && self.log.proved_dirty() == 0 {
            self.ownership.lease_until_ns = Some(now_ns.saturating_add(self.config.disk_lease_ns));
            return self.enter(RoleEvent::DiskStands);
        }
        if !self.ownership.is_quiet() {
            return;
        }
        if self.ownership.cycle.mine.record.state.is_disk() {
            return self.enter(RoleEvent::DiskStands);
        }
        let drained = self.log.proved_dirty() == 0 && self.is_named_safe();
        if drained || !self.guards.on(Guard::DestageBeforeDisk) {
            return self.state(RecordState::Disk, now_ns);
        }
        let half = self.ownership.cycle.promised().link_lease_ns() / 2;
        let next = self
            .ownership
            .no_claim_seen_at_ns
            .map_or(now_ns, |at| at.saturating_add(half));
        if self.agenda.due(next, now_ns) {
            self.ownership.cycle.read(now_ns);
        }
    }

    /// Renews the disk lease when a third of it is over.
    fn renew(&mut self, now_ns: u64) {
        let next = self
            .ownership
            .cycle
            .issued_ns
            .saturating_add(self.ownership.own_lease_ns() / 3);
        if self.ownership.is_quiet() && self.agenda.due(next, now_ns) {
            self.ownership.write_record(
                &self.config,
                self.guards,
                self.ownership.record(
                    &self.config,
                    &self.partner,
                    self.ownership.cycle.mine.record.state,
                ),
                now_ns,
            );
        }
        if let Some(until_ns) = self
            .ownership
            .lease_until_ns
            .filter(|until_ns| *until_ns > now_ns)
        {
            self.agenda.wake_at(until_ns);
        }
    }

    /// The disk has everything that is answered.
    pub(crate) fn solo(&mut self, now_ns: u64) {
        self.retire();
        if self.ownership.leaving.is_under_way() {
            self.release(now_ns);
        } else if self.ownership.cycle.mine.record.state.is_disk() && self.ownership.is_quiet() {
            self.ask(now_ns);
            if self
                .mirror
                .all_held()
                .any(|held| held.state == HeldState::Ready)
            {
                return self.enter(RoleEvent::RegionReady);
            }
        }
        self.renew(now_ns);
    }

    /// Releases the volume, once nothing is left to be done for it.
    fn release(&mut self, now_ns: u64) {
        if self.ownership.leaving.is_releasing() {
            return;
        }
        match self.obligations().release(now_ns) {
            Ok(()) => (),
            Err(Obligation::OldCommands { until_ns }) => return self.agenda.wake_at(until_ns),
            Err(Obligation::Unfinished | Obligation::Undecided) => return,
        }
        // From here on nothing is answered: others may claim as soon as the record lands.
        self.ownership.leaving_event(LeavingEvent::Emptied);
        self.ownership.term = self.ownership.term.wrapping_add(1);
        self.ownership.lease_until_ns = None;
        self.requests.retry_parked();
        let released = self
            .ownership
            .record(&self.config, &self.partner, RecordState::Released);
        self.ownership.write_block(
            &self.config,
            self.guards,
            released,
            Lease::NONE,
            None,
            now_ns,
        );
    }

    /// The log is copied to a partner that came back.
    pub(crate) fn joining(&mut self, now_ns: u64) {
        if self
            .ownership
            .names_partner(&self.config, &self.ownership.cycle.mine.record)
        {
            if self.ownership.is_quiet() {
                return self.enter(RoleEvent::ShadowStands);
            }
            return;
        }
        let ready = self
            .mirror
            .copy_target()
            .is_some_and(|link| self.mirror.held(link).state == HeldState::Ready);
        if !ready || self.ownership.leaving.is_under_way() {
            if self.ownership.cycle.is_idle() {
                self.lose_all_regions();
                return self.enter(RoleEvent::RegionLost);
            }
            return;
        }
        self.ask(now_ns);
        if self.mirror.is_copied() && self.ownership.is_quiet() {
            // From the moment that the record may name the shadow the partner may take over, and serve reads at once:
            // by then nothing is on its way to the disk that the shadow does not have.
            self.log.set_unproved_too(false);
            if self.log.destages_unproved() && self.guards.on(Guard::DestageProved)
                || self.passes_unproved()
            {
                return;
            }
            if let Some(state) = self.shadow_of(|_, held| held.state == HeldState::Ready) {
                return self.state(state, now_ns);
            }
        }
        self.renew(now_ns);
    }

    /// What was adopted is on its way to the disk.
    pub(crate) fn degraded(&mut self, now_ns: u64) {
        if self.ownership.is_quiet() {
            if self.ownership.cycle.mine.record.state.is_disk() {
                return self.enter(RoleEvent::DiskStands);
            }
            if self.log.adopted_dirty() == 0 && self.is_named_safe() {
                return self.state(RecordState::Disk, now_ns);
            }
        }
        self.renew(now_ns);
    }
}
