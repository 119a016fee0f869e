// SPDX-License-Identifier: GPL-2.0
//! Copying slots to another region: all of them for a rejoin, those of a dead link before it is retired (PROTOCOL P6,
//! P9).
//!
//! A pass walks over the own slots. Of each block that needs it the newest version is posted first, then the older ones;
//! so no scan ever finds an older version without the newer. Each batch is fenced before the next one begins.

use crate::guards::Guard;
use crate::ids::{Generation, LinkId};
use crate::mirror::header::SlotHeader;
use crate::volume::action::{Action, Token};
use crate::volume::log::entry::{Entry, EntryId, NONE};
use crate::volume::log::Slab;
use crate::volume::machine::{bit, Volume};
use crate::volume::plan::{FenceSample, PostTo};
use crate::volume::requests::tickets::{Ticket, TicketIndex, NO_TICKET};
use crate::volume::status::Mode;

/// Slots that are posted before a fence.
pub(crate) const BATCH: usize = 32;

/// Slots that are looked at in one call.
const STEP: u32 = 512;

/// The copying that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Copying {
    /// The region that is copied to.
    pub(crate) target: Option<LinkId>,
    /// The links whose regions are copied from; 0: everything.
    pub(crate) from: u8,
    /// Every slot that needs it was copied and proved.
    pub(crate) complete: bool,
    /// The next slot to look at.
    next: u32,
    /// While the versions of its block are looked at, from the newest to the oldest: the next of them, and that block.
    version: EntryId,
    block: u64,
    /// Something needs another pass.
    again: bool,
    batch: [EntryId; BATCH],
    len: u8,
    posted: u8,
    fence: Option<Token>,
    /// The region that the fence in flight was issued to.
    fenced: Option<LinkId>,
}

impl Copying {
    pub(crate) const NONE: Self = Self {
        target: None,
        from: 0,
        complete: false,
        next: 0,
        version: NONE,
        block: 0,
        again: false,
        batch: [NONE; BATCH],
        len: 0,
        posted: 0,
        fence: None,
        fenced: None,
    };

    /// Stops, and begins nothing.
    pub(crate) fn reset(&mut self) {
        *self = Self {
            fence: self.fence,
            fenced: self.fenced,
            ..Self::NONE
        };
    }

    /// Begins a new pass.
    pub(crate) fn begin(&mut self, target: LinkId, from: u8) {
        self.reset();
        (self.target, self.from) = (Some(target), from);
    }

    /// An entry has come that was not there when the pass went by.
    pub(crate) fn entry_added(&mut self) {
        if self.target.is_some() {
            self.again = true;
            self.complete = false;
        }
    }

    /// Whether a fence to the region of a link is in flight.
    pub(crate) fn waits_for(&self, link: LinkId) -> bool {
        self.fenced == Some(link)
    }

    fn clear_batch(&mut self) {
        (self.batch, self.len, self.posted) = ([NONE; BATCH], 0, 0);
    }

    /// Slots that are being copied.
    pub(crate) fn batch(&self) -> &[EntryId] {
        self.batch.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Whether an entry has to be in the target too.
    fn needs_copy(&self, entry: EntryId, target: LinkId) -> bool {
        let at = self.log.at(entry);
        let from = self.mirror.copying.from;
        let there = at.proved & bit(target) != 0 || self.mirror.copying.batch().contains(&entry);
        let wanted = if from == 0 {
            self.guards.on(Guard::JoinCopies)
        } else {
            let kept = !at.is_done() || self.guards.on(Guard::CopyDestaged);
            // A write may be on the disk, or behind a later one that is, and not be answered: it waits for a region.
            let waits = !at.is_done() || at.ticket != NO_TICKET;
            at.carried & from != 0 && kept || at.proved == 0 && waits
        };
        self.log.is_live(entry)
            && !at.is_filling()
            && !at.is_freeing()
            && !self.log.is_adopted(entry)
            && !there
            && wanted
    }

    /// Whether the copying may have gone past a write that it is to copy. When two memories have everything, only one that
    /// is in no region, or perhaps in one of those that are copied from: else it would not end as long as somebody writes.
    pub(crate) fn has_missed(&self, ticket: TicketIndex, proved: Option<LinkId>) -> bool {
        let mut carried = 0;
        let mut entry = self.requests.first_entry(ticket);
        while entry != NONE {
            carried |= self.log.at(entry).carried;
            entry = self.log.at(entry).ticket_next;
        }
        let joining = self.ownership.mode() != Some(Mode::Mirrored);
        proved != self.mirror.copying.target
            && (proved.is_none() || joining || carried & self.mirror.copying.from != 0)
    }

    /// Collects the next batch.
    fn fill_batch(&mut self, target: LinkId) {
        let mut steps = STEP;
        while steps > 0 && usize::from(self.mirror.copying.len) < BATCH {
            steps = steps.saturating_sub(1);
            let version = self.mirror.copying.version;
            if version == NONE {
                let next = self.mirror.copying.next;
                if next >= self.log.slots() {
                    return;
                }
                let slot = EntryId::new(next);
                if self.needs_copy(slot, target) {
                    self.mirror.copying.block = self.log.at(slot).block;
                    self.mirror.copying.version = self.first_version(slot);
                } else {
                    self.mirror.copying.next = next.saturating_add(1);
                }
                continue;
            }
            let at = self.log.at(version);
            // It may have been freed since, and be another block's now.
            let same = self.log.is_live(version) && at.block == self.mirror.copying.block;
            let older = if self.guards.on(Guard::CopyOrder) && same {
                at.older
            } else {
                NONE
            };
            self.mirror.copying.version = older;
            if same && self.needs_copy(version, target) {
                if let Some(place) = self
                    .mirror
                    .copying
                    .batch
                    .get_mut(usize::from(self.mirror.copying.len))
                {
                    *place = version;
                    self.mirror.copying.len = self.mirror.copying.len.saturating_add(1);
                }
            }
        }
    }

    /// Where copying the block in `slot` begins: with its newest version. A tombstone is no version of a block.
    fn first_version(&self, slot: EntryId) -> EntryId {
        let at = self.log.at(slot);
        if at.tomb || !self.guards.on(Guard::CopyOrder) {
            return slot;
        }
        self.log.newest(at.block).unwrap_or(slot)
    }

    /// The next post or fence of the copying.
    pub(crate) fn next_copy(&mut self, now_ns: u64) -> Option<Action> {
        let target = self.mirror.copying.target?;
        let to = self.mirror.post_to(target)?;
        if self.mirror.copying.fence.is_some() || !self.mirror.held(target).answers() {
            return None;
        }
        if self.mirror.copying.len == 0 && !self.mirror.copying.complete {
            self.fill_batch(target);
            if self.mirror.copying.len == 0 {
                self.end_pass(now_ns);
                return None;
            }
        }
        let next = self
            .mirror
            .copying
            .batch()
            .get(usize::from(self.mirror.copying.posted))
            .copied();
        if let Some(slot) = next {
            self.mirror.copying.posted = self.mirror.copying.posted.saturating_add(1);
            // It may have been freed since it was collected.
            let at = self.log.at(slot);
            if !at.is_live() || at.is_freeing() || at.is_filling() {
                return self.next_copy(now_ns);
            }
            self.log.at_mut(slot).carried |= bit(target);
            return Some(self.post_slot(to, slot));
        }
        if self.mirror.copying.len == 0 {
            return None;
        }
        if !self.guards.on(Guard::JoinFence) {
            self.batch_proved(target);
            self.agenda.wake_at(now_ns);
            return None;
        }
        let token = self.agenda.token();
        (self.mirror.copying.fence, self.mirror.copying.fenced) = (Some(token), Some(target));
        Some(Action::Fence { token, to })
    }

    /// What of the batch was posted is in the region of the link.
    fn batch_proved(&mut self, link: LinkId) {
        for slot in self.mirror.copying.batch {
            let posted = slot != NONE && self.log.at(slot).carried & bit(link) != 0;
            if posted && self.log.is_live(slot) {
                self.log.prove(slot, bit(link));
                let ticket = self.log.at(slot).ticket;
                self.requests.queue(ticket);
            }
        }
        self.mirror.copying.clear_batch();
    }

    fn end_pass(&mut self, now_ns: u64) {
        // There are more slots to look at, in another pass perhaps; or a record waits for this.
        self.agenda.wake_at(now_ns);
        if self.mirror.copying.next < self.log.slots() {
            return;
        }
        self.mirror.copying.next = 0;
        if self.mirror.copying.again {
            self.mirror.copying.again = false;
        } else {
            self.mirror.copying.complete = true;
        }
    }

    /// The header of an own slot, without the data's CRC.
    pub(crate) fn header_of(&self, slot: EntryId) -> SlotHeader {
        let at = self.log.at(slot);
        SlotHeader {
            volume: self.config.volume,
            generation: Generation::new(at.generation),
            sequence: at.sequence,
            block: at.block,
            slot: slot.index(),
            content: self.content_of(slot),
        }
    }

    fn post_slot(&self, to: PostTo, slot: EntryId) -> Action {
        Action::PostSlot {
            to,
            slot: slot.index(),
            header: self.header_of(slot),
        }
    }

    /// The fence of a batch was read. False: it was none.
    pub(crate) fn copied(&mut self, token: Token, sample: FenceSample) -> bool {
        if self.mirror.copying.fence != Some(token) {
            return false;
        }
        let link = self.mirror.copying.fenced;
        (self.mirror.copying.fence, self.mirror.copying.fenced) = (None, None);
        let (Some(link), Some(to)) = (link, link.and_then(|link| self.mirror.post_to(link))) else {
            return true;
        };
        let good = self.judge_fence(link, to.epoch, sample);
        if good && self.mirror.copying.target == Some(link) && self.mirror.copying.len > 0 {
            self.batch_proved(link);
        }
        true
    }
}
