// SPDX-License-Identifier: GPL-2.0
//! The end of a takeover: the regions that it adopts are scanned, and this controller serves (PROTOCOL P7.4, P7.5).

use crate::disk::node_block::{NodeBlock, RecordState};
use crate::guards::Guard;
use crate::ids::LinkId;
use crate::owner::verdict::Base;
use crate::terms::Terms;
use crate::volume::action::Token;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::mirror::regions::{Lent, LentState};
use crate::volume::ownership::takeover::{Takeover, TakeoverEvent};
use crate::volume::requests::tickets::Ticket;
use crate::volume::states::RoleEvent;
use crate::volume::status::{Reason, Role};

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Takes over the regions that the observed record names, and looks at the first.
    pub(crate) fn begin_scan(&mut self, now_ns: u64) {
        // Long done: it is emptied before any block is read. Nothing may be adopted beside what does not count.
        self.log.empty_now();
        self.log.set_unproved_too(true);
        self.log.none_dropped();
        self.requests.forget_passes();
        let shadow = match (self.ownership.taking.base, self.ownership.taking.observed) {
            (Base::Shadow, Some(NodeBlock { record, .. })) => match record.state {
                RecordState::Shadow(shadow) => Some(shadow),
                _ => None,
            },
            _ => None,
        };
        self.mirror.adopt_regions(self.guards, shadow.as_ref());
        let adopted = |epoch| {
            let has = |lent: &Lent| lent.state == LentState::Adopted && lent.epoch == Some(epoch);
            self.mirror.all_lent().any(has)
        };
        let whole = shadow.is_none_or(|shadow| shadow.epochs().all(adopted));
        if !whole && self.guards.on(Guard::OnlyHolder) {
            // A window has gone since the claim was confirmed. What was acknowledged is not to be had from the disk.
            return self.stop(Reason::EpochUnknown);
        }
        self.scan_from(0, now_ns);
    }

    /// Whether a takeover is still to look at slots of this link's region.
    pub(crate) fn is_to_be_scanned(&self, link: LinkId) -> bool {
        self.ownership.role == Role::Taking && self.scanned_link().is_some_and(|at| at <= link)
    }

    /// Scans the next region, or ends the takeover.
    fn scan_from(&mut self, first: u8, now_ns: u64) {
        let adopted = |link: &LinkId| {
            link.get() >= first && self.mirror.lent(*link).state == LentState::Adopted
        };
        let next = self.mirror.known_links().find(adopted);
        self.ownership.taking.token = None;
        match next {
            Some(link) => {
                self.ownership.taking.on(TakeoverEvent::Scan);
                self.ownership.taking.link = Some(link);
            }
            None => self.serve(now_ns),
        }
    }

    /// The region that is scanned.
    pub(super) fn scanned_link(&self) -> Option<LinkId> {
        let scanning = self.ownership.taking.step() == Takeover::Scanning;
        self.ownership.taking.link.filter(|_| scanning)
    }

    /// A region is scanned.
    pub(crate) fn scanned(&mut self, token: Token, now_ns: u64) {
        if let Some(link) = self.scanned_link() {
            if self.ownership.taking.token == Some(token) {
                self.scan_from(link.get().saturating_add(1), now_ns);
            }
        }
    }

    /// The takeover is done: this controller serves.
    fn serve(&mut self, now_ns: u64) {
        let config = self.config;
        let promised = self
            .ownership
            .taking
            .observed
            .map_or(Terms::NONE, |top| top.record.terms);
        // T_io is a matter of the disk: whoever reckons with a longer one may know why.
        let life = promised
            .longer(self.ownership.agreed(&self.config, &self.partner))
            .io_life_ns();
        let mut wait = config.stretch(life);
        let held = matches!(self.ownership.taking.observed, Some(NodeBlock { record, .. })
            if matches!(record.state, RecordState::Shadow(_)));
        if held || self.ownership.taking.base != (Base::Disk { watch: true }) {
            // Who holds under a record that names its partner issues commands for L after the claim.
            wait = wait.saturating_add(config.stretch(promised.link_lease_ns()));
        }
        let cut = self.ownership.taking.cut_off
            || self.ownership.victim().is_none()
            || !self.guards.on(Guard::OldCommands);
        self.ownership.write_from_ns = if cut {
            0
        } else {
            self.ownership.taking.landed_at_ns.saturating_add(wait)
        };
        // Nobody cuts off what an earlier ownership of this controller has left in the disk's queue.
        self.ownership.write_from_ns = self
            .ownership
            .write_from_ns
            .max(self.log.doubts().until_ns());
        self.ownership.serve_from_ns = match self.ownership.taking.base {
            Base::Disk { .. } => self.ownership.write_from_ns,
            Base::Released | Base::Shadow => 0,
        };
        self.ownership.taking.on(TakeoverEvent::Scan);
        self.ownership.taking.on(TakeoverEvent::Scanned);
        self.log.count_adopted();
        self.become_owner(match self.ownership.cycle.mine.record.state {
            RecordState::Shadow(_) => RoleEvent::Adopted,
            _ => RoleEvent::Taken,
        });
        self.agenda
            .wake_at(self.ownership.serve_from_ns.max(now_ns));
    }
}
