// SPDX-License-Identifier: GPL-2.0
//! The end of a takeover: the regions that it adopts are scanned, and this controller serves (PROTOCOL P7.4, P7.5).

use super::action::Token;
use super::machine::Volume;
use super::regions::{Lent, LentState};
use super::states::RoleEvent;
use super::status::{Reason, Role};
use super::takeover::{Takeover, TakeoverEvent};
use super::tickets::Ticket;
use crate::disk::node_block::{NodeBlock, RecordState};
use crate::guards::Guard;
use crate::ids::{Generation, LinkId};
use crate::mirror::entry::Entry;
use crate::mirror::header::{Content, SlotHeader, HEADER_SIZE};
use crate::mirror::log::Slab;
use crate::owner::verdict::Base;
use crate::terms::Terms;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Takes over the regions that the observed record names, and looks at the first.
    pub(crate) fn begin_scan(&mut self, now: u64) {
        // Long done: it is emptied before any block is read. Nothing may be adopted beside what does not count.
        self.log.empty_now();
        self.log.set_unproved_too(true);
        self.passes.clear();
        let shadow = match (self.taking.base, self.taking.observed) {
            (Base::Shadow, Some(NodeBlock { record, .. })) => match record.state {
                RecordState::Shadow(shadow) => Some(shadow),
                _ => None,
            },
            _ => None,
        };
        self.adopt_regions(shadow.as_ref());
        let adopted = |epoch| {
            let has = |lent: &Lent| lent.state == LentState::Adopted && lent.epoch == Some(epoch);
            self.lent.iter().any(has)
        };
        let whole = shadow.is_none_or(|shadow| shadow.epochs().all(adopted));
        if !whole && self.guards.on(Guard::OnlyHolder) {
            // A window has gone since the claim was confirmed. What was acknowledged is not to be had from the disk.
            return self.stop(Reason::EpochUnknown);
        }
        self.scan_from(0, now);
    }

    /// Whether a takeover is still to look at slots of this link's region.
    pub(crate) fn is_to_be_scanned(&self, link: LinkId) -> bool {
        self.role == Role::Taking && self.scanned_link().is_some_and(|at| at <= link)
    }

    /// Scans the next region, or ends the takeover.
    fn scan_from(&mut self, first: u8, now: u64) {
        let adopted =
            |link: &LinkId| link.get() >= first && self.lent(*link).state == LentState::Adopted;
        let next = LinkId::all().find(adopted);
        self.taking.token = None;
        match next {
            Some(link) => {
                self.taking.on(TakeoverEvent::Scan);
                self.taking.link = Some(link);
            }
            None => self.serve(now),
        }
    }

    /// The region that is scanned.
    fn scanned_link(&self) -> Option<LinkId> {
        let scanning = self.taking.step() == Takeover::Scanning;
        self.taking.link.filter(|_| scanning)
    }

    /// One slot of the region that is scanned.
    pub(crate) fn scanned_slot(
        &mut self,
        token: Token,
        slot: u32,
        raw: &[u8; HEADER_SIZE],
        crc: u32,
    ) {
        let Some(link) = self.scanned_link() else {
            return;
        };
        let Some(epoch) = self
            .lent(link)
            .epoch
            .filter(|_| self.taking.token == Some(token))
        else {
            return;
        };
        let Some(header) = SlotHeader::decode(raw, epoch, &self.config.volume, slot) else {
            return;
        };
        let old = self
            .taking
            .observed
            .map_or(Generation::NONE, |top| top.record.generation);
        let mut entry = Entry {
            block: header.block,
            generation: header.generation.get(),
            sequence: header.sequence,
            link: link.get(),
            ..Entry::EMPTY
        };
        let count = match header.content {
            Content::Data { .. } => 1,
            Content::Tombstone { count, .. } => count,
        };
        if self.check_range(header.block, count).is_err() || header.generation > old {
            return;
        }
        match header.content {
            Content::Data { crc: told } => {
                let whole = told == crc || !self.guards.on(Guard::ScanChecks);
                entry.crc = crc;
                if whole && self.make_way(slot, &entry) {
                    self.log.adopt(slot, entry);
                }
            }
            Content::Tombstone { op, .. } => self.adopt_tomb(slot, entry, op, count),
        }
    }

    /// A region is scanned.
    pub(crate) fn scanned(&mut self, token: Token, now: u64) {
        if let Some(link) = self.scanned_link() {
            if self.taking.token == Some(token) {
                self.scan_from(link.get().saturating_add(1), now);
            }
        }
    }

    /// The takeover is done: this controller serves.
    fn serve(&mut self, now: u64) {
        let config = self.config;
        let promised = self
            .taking
            .observed
            .map_or(Terms::NONE, |top| top.record.terms);
        // T_io is a matter of the disk: whoever reckons with a longer one may know why.
        let life = promised.longer(self.agreed()).io_life_ns();
        let mut wait = config.stretch(life);
        let held = matches!(self.taking.observed, Some(NodeBlock { record, .. })
            if matches!(record.state, RecordState::Shadow(_)));
        if held || self.taking.base != (Base::Disk { watch: true }) {
            // Who holds under a record that names its partner issues commands for L after the claim.
            wait = wait.saturating_add(config.stretch(promised.link_lease_ns()));
        }
        let cut =
            self.taking.preempted || self.victim().is_none() || !self.guards.on(Guard::OldCommands);
        self.write_from = if cut {
            0
        } else {
            self.taking.landed_at.saturating_add(wait)
        };
        self.serve_from = match self.taking.base {
            Base::Disk { .. } => self.write_from,
            Base::Released | Base::Shadow => 0,
        };
        self.taking.on(TakeoverEvent::Scan);
        self.taking.on(TakeoverEvent::Scanned);
        self.adopted_total = self.log.adopted_live();
        self.become_owner(match self.cycle.mine.record.state {
            RecordState::Shadow(_) => RoleEvent::Adopted,
            _ => RoleEvent::Taken,
        });
        self.at(self.serve_from.max(now));
    }
}
