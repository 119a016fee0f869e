// SPDX-License-Identifier: GPL-2.0
//! What goes past the log: discards and write-zeroes (PROTOCOL P10, P12).
//!
//! Each is a *tombstone*: one slot whose header has a range and no data. It is in the shadow before a command of it is in
//! the disk's queue, so whoever takes over knows of it, answers zeroes, and finishes it. Until its slot is freed, which
//! is to say until no shadow has it any more, writes to its range wait.
//!
//! A write-zeroes is answered when it is on the disk. A discard is answered when its tombstone is gone as well: what
//! the disk then says of its blocks, old or zero, stays; as long as a tombstone stands a takeover makes them zero. One
//! that failed is answered then too: by that time it has landed or never will, on whichever side.

use crate::guards::Guard;
use crate::mirror::header::Content;
use crate::volume::action::{Action, LongRange};
use crate::volume::log::entry::{Entry, EntryId, NONE};
use crate::volume::log::Slab;
use crate::volume::machine::{bit, Volume, PIECE};
use crate::volume::plan::{FenceSample, LongBegin, PassOp, TicketId};
use crate::volume::requests::pass::{Pass, PassEvent, PassStage, PASSING_MAX};
use crate::volume::requests::stage::StageEvent;
use crate::volume::requests::tickets::Ticket;
use crate::volume::status::Mode;
use crate::volume::Token;

/// Entries, or blocks, that are looked at in one call.
const STEP: u64 = PIECE as u64;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// A discard or write-zeroes of any length. Writes to the range wait until it is gone.
    pub fn pass_down(&mut self, op: PassOp, range: LongRange, now_ns: u64) -> LongBegin {
        if let Err(reason) = self.check_range(range.block, range.count) {
            return LongBegin::Fail(reason);
        }
        if !self.is_owner() {
            return self
                .turn_away(now_ns)
                .map_or(LongBegin::Park, LongBegin::Fail);
        }
        let busy = self.requests.passes.is_full()
            || self.ownership.is_leaving()
            || self.requests.passes.overlaps(range);
        if !busy {
            if let Some(ticket) = self.requests.tickets.take(StageEvent::Pass) {
                let stage = PassStage::Clearing;
                let _ = self
                    .requests
                    .passes
                    .add(op, range, Some(ticket), stage, NONE);
                self.agenda.want_poll(true);
                return LongBegin::Wait(ticket);
            }
        }
        self.requests.park();
        LongBegin::Park
    }

    /// Forgets what nothing was done of yet. Whether that is so.
    pub(crate) fn forget_pass(&mut self, ticket: TicketId) -> bool {
        let early = |pass: &Pass| {
            pass.ticket == Some(ticket)
                && matches!(pass.stage, PassStage::Clearing | PassStage::Logging)
        };
        let found = (0..PASSING_MAX).find(|index| {
            self.requests
                .passes
                .at(*index)
                .is_some_and(|pass| early(&pass))
        });
        found
            .and_then(|index| self.requests.passes.take(index))
            .is_some()
    }

    /// Whether a block reads as zero because of an adopted tombstone: one that is newer than this version of it.
    pub(crate) fn is_zeroed(&self, block: u64, version: (u64, u64)) -> bool {
        self.requests.passes.any(|pass| {
            self.is_adopted(pass)
                && pass.range.contains(block)
                && self.log.at(pass.entry).version() > version
        })
    }

    pub(super) fn is_adopted(&self, pass: &Pass) -> bool {
        pass.entry != NONE && self.log.is_adopted(pass.entry)
    }

    /// Whether zeroes are written to the disk piece by piece: by a survivor; where the disk does not write them by itself;
    /// and where its cache has lost those that the client was told of.
    pub(super) fn is_written(&self, pass: &Pass) -> bool {
        let for_nobody = pass.ticket.is_none() && pass.op == PassOp::WriteZeroes;
        self.is_adopted(pass) || pass.by_writes || for_nobody
    }

    /// Whether a command may land that no region was proved to know of.
    pub(crate) fn passes_unproved(&self) -> bool {
        self.guards.on(Guard::TombstoneFirst)
            && self
                .requests
                .passes
                .any(|pass| pass.may_land() && self.log.at(pass.entry).proved == 0)
    }

    /// What the header of an own slot is about.
    pub(crate) fn content_of(&self, slot: EntryId) -> Content {
        let tomb = self.log.at(slot).tomb;
        let pass = self.requests.passes.of_entry(slot).filter(|_| tomb);
        match pass.and_then(|index| self.requests.passes.at(index)) {
            Some(pass) => Content::Tombstone {
                op: pass.op,
                count: pass.range.count,
            },
            None => Content::Data { crc: 0 },
        }
    }

    /// The next thing to do for what goes past the log.
    pub(crate) fn next_pass(&mut self, now_ns: u64) -> Option<Action> {
        self.ownership.mode()?;
        // Mostly there is none: a look at each place costs less than a step.
        (0..PASSING_MAX).find_map(|index| {
            let used = self.requests.passes.is_used(index);
            used.then(|| self.step_pass(index, now_ns)).flatten()
        })
    }

    fn step_pass(&mut self, index: usize, now_ns: u64) -> Option<Action> {
        // Each turn but the last takes it to another state, and there are no circles without an action.
        for _ in PassStage::ALL {
            let pass = self.requests.passes.at(index)?;
            let action = match pass.stage {
                PassStage::Clearing => self.clear_pass(index, &pass),
                PassStage::Logging => self.log_tomb(index, &pass),
                PassStage::Logged => self.send_pass(index, &pass, now_ns),
                PassStage::Posted => self.fence_tomb(index),
                PassStage::Doubtful => self.doubt_pass(index, &pass, now_ns),
                PassStage::Passing | PassStage::Done => None,
            };
            let moved = self
                .requests
                .passes
                .at(index)
                .is_some_and(|then| then.stage != pass.stage);
            if action.is_some() || !moved {
                return action;
            }
        }
        None
    }

    /// Looks for entries of the range, one after the other, and waits for each to be freed. Writes to the range wait, so
    /// no new ones come.
    fn clear_pass(&mut self, index: usize, pass: &Pass) -> Option<Action> {
        let by_block = pass.range.count <= STEP;
        let all = if by_block {
            pass.range.count
        } else {
            u64::from(self.log.slots()).saturating_mul(2)
        };
        let stop = all.min(pass.next.saturating_add(STEP));
        let mut next = pass.next;
        while next < stop && self.guards.on(Guard::PassAfterFree) {
            let found = if by_block {
                self.log.newest(pass.range.block.saturating_add(next))
            } else {
                Some(EntryId::new(next as u32)).filter(|entry| self.is_in(*entry, pass))
            };
            if found.is_some_and(|entry| !self.is_outdone(entry, pass)) {
                break;
            }
            next = next.saturating_add(1);
        }
        let stepped = next >= stop || !self.guards.on(Guard::PassAfterFree);
        let cleared = next >= all || !self.guards.on(Guard::PassAfterFree);
        // A newer version may have shown that an adopted one is a thing of the past.
        self.requests.passes.at_mut(index)?.next = if cleared { 0 } else { next };
        if cleared {
            let adopted = pass.entry != NONE;
            self.requests.passes.on(
                index,
                if adopted {
                    PassEvent::ClearedAdopted
                } else {
                    PassEvent::Cleared
                },
            );
        }
        (stepped && !cleared).then_some(Action::Yield)
    }

    /// Whether an entry is a version of a block of the range.
    fn is_in(&self, entry: EntryId, pass: &Pass) -> bool {
        let at = self.log.at(entry);
        self.log.is_live(entry) && !at.tomb && pass.range.contains(at.block)
    }

    fn log_tomb(&mut self, index: usize, pass: &Pass) -> Option<Action> {
        let generation = self.permit().generation().get();
        let entry = self.log.take_tomb(pass.range.block, generation)?;
        self.requests.passes.at_mut(index)?.entry = entry;
        self.requests.passes.on(index, PassEvent::Taken);
        self.mirror.entry_added();
        // Writes waited for it to get its slot.
        self.requests.retry_parked();
        None
    }

    pub(super) fn post_tomb(&mut self, index: usize, pass: &Pass) -> Option<Action> {
        if self.ownership.mode() != Some(Mode::Mirrored) || self.requests.passes.post.is_some() {
            return None;
        }
        let to = self.mirror.live_target(None)?;
        self.log.at_mut(pass.entry).carried |= bit(to.link);
        self.requests.passes.post = Some((to.link, self.requests.passes.id(index)));
        self.requests.passes.on(index, PassEvent::Posted);
        Some(Action::PostSlot {
            to,
            slot: pass.entry.index(),
            header: self.header_of(pass.entry),
        })
    }

    fn fence_tomb(&mut self, index: usize) -> Option<Action> {
        let (link, id) = self.requests.passes.post?;
        if self.requests.passes.fence.is_some() || self.requests.passes.find(id) != Some(index) {
            return None;
        }
        let to = self.mirror.post_to(link)?;
        let token = self.agenda.token();
        self.requests.passes.fence = Some(token);
        Some(Action::Fence { token, to })
    }

    /// The fence of a tombstone was read. False: it was none.
    pub(crate) fn tomb_fenced(&mut self, token: Token, sample: FenceSample) -> bool {
        if self.requests.passes.fence != Some(token) {
            return false;
        }
        let post = self.requests.passes.post.take();
        self.requests.passes.fence = None;
        let Some((link, id)) = post else { return true };
        let good = match self.mirror.post_to(link) {
            Some(to) => self.judge_fence(link, to.epoch, sample),
            None => false,
        };
        if let Some(index) = self.requests.passes.find(id) {
            if let Some(pass) = self.requests.passes.at(index).filter(|_| good) {
                self.log.prove(pass.entry, bit(link));
            }
            self.requests.passes.on(index, PassEvent::Fenced);
        }
        true
    }

    /// The slot of a tombstone is free: no shadow has it any more.
    pub(crate) fn tomb_freed(&mut self, entry: EntryId) {
        let Some(index) = self.requests.passes.of_entry(entry) else {
            return;
        };
        let failed = self.requests.passes.at(index).and_then(|pass| pass.failed);
        self.tell_client(index, failed.map_or(StageEvent::Done, StageEvent::Failed));
        self.requests.passes.take(index);
        self.requests.retry_parked();
    }

    pub(super) fn tell_client(&mut self, index: usize, event: StageEvent) {
        let client = self
            .requests
            .passes
            .at_mut(index)
            .and_then(|pass| pass.ticket.take());
        if let Some(ticket) = client.and_then(|ticket| self.requests.tickets.find(ticket)) {
            self.requests.tickets.at_mut(ticket).on(event);
            self.requests.tickets.queue(ticket);
        }
    }
}
