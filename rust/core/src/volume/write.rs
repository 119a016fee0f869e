// SPDX-License-Identifier: GPL-2.0
//! Writes (PROTOCOL P4).

use super::config::BLOCKS_MAX;
use super::machine::{bit, Volume};
use super::plan::{FenceSample, PostTo, Range, TicketId, WriteBegin, WriteEnd, WritePlan};
use super::regions::HeldState;
use super::status::{Mode, Reason};
use super::tickets::{Stage, Ticket};
use crate::guards::Guard;
use crate::ids::{Epoch, LinkId, LINK_COUNT};
use crate::mirror::entry::{Entry, FILLING, NONE};
use crate::mirror::log::Slab;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    pub(crate) fn check_range(&self, block: u64, count: u64) -> Result<(), Reason> {
        match block.checked_add(count) {
            Some(end) if count > 0 && end <= self.config.blocks => Ok(()),
            _ => Err(Reason::Range),
        }
    }

    /// Begins a write of 1 to [`BLOCKS_MAX`] blocks (and not more than the log has slots).
    pub fn write_begin(&mut self, range: Range, now: u64) -> WriteBegin {
        let count = range.count as usize;
        if count > BLOCKS_MAX || range.count > self.log.slots() {
            return WriteBegin::Fail(Reason::Range);
        }
        if let Err(reason) = self.check_range(range.block, u64::from(range.count)) {
            return WriteBegin::Fail(reason);
        }
        let Some(mode) = self.mode() else {
            return self
                .turn_away(now)
                .map_or(WriteBegin::Park, WriteBegin::Fail);
        };
        if !self.has_room(range, mode, now) {
            self.parked = true;
            return WriteBegin::Park;
        }
        let post = match self.post_target(mode) {
            Ok(post) => post,
            Err(()) => {
                self.parked = true;
                return WriteBegin::Park;
            }
        };
        let to = post.map(|post| (post.link, post.epoch));
        let Some(ticket) = self.tickets.take(Stage::Filling { to }) else {
            self.parked = true;
            return WriteBegin::Park;
        };
        let (slots, sequence) = self.take_slots(range, ticket.index, post);
        self.poke |= self.is_low();
        WriteBegin::Plan(WritePlan {
            ticket,
            range,
            generation: self.cycle.mine.record.generation,
            sequence,
            slots,
            post,
        })
    }

    /// Whether the free slots run out: then they are flushed and freed at once.
    fn is_low(&self) -> bool {
        self.log.free_slots() <= self.log.slots() / 4
    }

    fn has_room(&self, range: Range, mode: Mode, now: u64) -> bool {
        let dirty = self.log.dirty();
        let fits = dirty == 0 || dirty.saturating_add(range.count) <= self.config.dirty_limit;
        let open = mode != Mode::Holding || !self.guards.on(Guard::HoldWhileAlone);
        open && fits
            && self.claimant.is_none()
            && !self.leaving.is_under_way()
            && !self.leaving.is_releasing()
            && now >= self.serve_from
            && self.log.free_slots() >= range.count
            && !self.tickets.is_full()
            && !self.passes.wants_slot()
            && !self.passes.overlaps(range.into())
    }

    /// Where a new write is posted. `Err`: it has to be posted, and there is no region.
    fn post_target(&self, mode: Mode) -> Result<Option<PostTo>, ()> {
        match mode {
            Mode::Mirrored => self.live_target(None).map(Some).ok_or(()),
            Mode::Joining => Ok(self.copying.target.and_then(|link| self.post_to(link))),
            Mode::Solo | Mode::Degraded | Mode::Holding => Ok(None),
        }
    }

    /// A region that the record names and that answers.
    pub(crate) fn live_target(&self, but: Option<LinkId>) -> Option<PostTo> {
        let live = |link: &LinkId| Some(*link) != but && self.held(*link).state == HeldState::Live;
        LinkId::all().find(live).and_then(|link| self.post_to(link))
    }

    fn take_slots(
        &mut self,
        range: Range,
        ticket: u32,
        post: Option<PostTo>,
    ) -> ([u32; BLOCKS_MAX], u64) {
        let generation = self.cycle.mine.record.generation.get();
        let mut slots = [NONE; BLOCKS_MAX];
        let (mut sequence, mut last) = (0, NONE);
        for (block, place) in (range.block..).take(range.count as usize).zip(&mut slots) {
            let Some(entry) = self.log.take(block, generation, ticket) else {
                break;
            };
            *place = entry;
            if last == NONE {
                self.tickets.at_mut(ticket).first = entry;
                sequence = self.log.at(entry).sequence;
            } else {
                self.log.at_mut(last).ticket_next = entry;
            }
            last = entry;
            if let Some(post) = post {
                self.log.at_mut(entry).carried |= bit(post.link);
            }
        }
        if let Some(post) = post {
            self.edit_held(post.link, |held| held.refs = held.refs.saturating_add(1));
        }
        (slots, sequence)
    }

    /// The slots are filled and, where that was planned, posted and fenced.
    ///
    /// `fence` is `None` if nothing was posted, or the post failed.
    pub fn write_finish(
        &mut self,
        ticket: TicketId,
        fence: Option<FenceSample>,
        now: u64,
    ) -> WriteEnd {
        let Some(index) = self.tickets.find(ticket) else {
            return WriteEnd::Fail(Reason::Deposed);
        };
        let to = match self.tickets.at(index).stage {
            Stage::Filling { to } => to,
            Stage::Orphan { to } => return self.finish_orphan(index, to),
            _ => return WriteEnd::Wait,
        };
        let proved = to.and_then(|to| self.finish_post(to, fence));
        let mut entry = self.tickets.at(index).first;
        while entry != NONE {
            if let Some(link) = proved {
                self.log.prove(entry, bit(link));
            }
            entry = self.log.at(entry).ticket_next;
        }
        if proved.is_none() {
            // A link that failed a post is given up by a poll.
            self.poke |= to.is_some();
            if let Some(post) = self.again(index) {
                return WriteEnd::Again(post);
            }
        }
        self.hand_back(index);
        // Who waits for entries to be destaged, copied or freed could not do so while they were being filled. A write
        // that nobody waits for wakes nobody.
        self.poke |= self.tickets.has_long()
            || self.leaving.is_under_way()
            || self.copying.target.is_some()
            || self.log.dirty() > self.config.dirty_limit / 2
            || self.is_low();
        if self.has_missed(index, proved) {
            self.copying.look_again();
        }
        if self.try_answer(index, now) {
            return WriteEnd::Complete;
        }
        self.tickets.at_mut(index).stage = Stage::Waiting;
        WriteEnd::Wait
    }

    /// The ownership ended while the environment had the slots.
    fn finish_orphan(&mut self, index: u32, to: Option<(LinkId, Epoch)>) -> WriteEnd {
        let mut entry = self.tickets.at(index).first;
        let mut left = self.log.slots();
        while entry != NONE && left > 0 {
            let next = self.log.at(entry).ticket_next;
            self.log.returned(entry, FILLING);
            entry = next;
            left = left.saturating_sub(1);
        }
        if let Some((link, _)) = to {
            self.edit_held(link, |held| held.refs = held.refs.saturating_sub(1));
        }
        self.poke = true;
        self.tickets.release(index);
        self.stir();
        WriteEnd::Fail(Reason::Deposed)
    }

    /// Ends a post; says whether, and in which region, it was proved.
    fn finish_post(
        &mut self,
        (link, epoch): (LinkId, Epoch),
        fence: Option<FenceSample>,
    ) -> Option<LinkId> {
        self.edit_held(link, |held| held.refs = held.refs.saturating_sub(1));
        let good = match fence {
            Some(sample) => self.judge(link, epoch, sample),
            None => {
                // The post itself failed: this link is not to be tried again.
                if self.held(link).epoch == Some(epoch) {
                    self.lose(link);
                }
                false
            }
        };
        good.then_some(link)
    }

    /// Posts the slots of a write once more, if it needs that and there is a region. Not for ever: links that come back
    /// as fast as they die are left to the copying, which nobody's CPU waits for.
    fn again(&mut self, index: u32) -> Option<PostTo> {
        let tries = self.tickets.at(index).again;
        if usize::from(tries) >= LINK_COUNT {
            return None;
        }
        let post = match self.mode()? {
            Mode::Mirrored => self.live_target(None)?,
            _ => return None,
        };
        self.edit_held(post.link, |held| held.refs = held.refs.saturating_add(1));
        let ticket = self.tickets.at_mut(index);
        ticket.again = tries.saturating_add(1);
        ticket.stage = Stage::Filling {
            to: Some((post.link, post.epoch)),
        };
        let mut entry = ticket.first;
        while entry != NONE {
            self.log.at_mut(entry).carried |= bit(post.link);
            entry = self.log.at(entry).ticket_next;
        }
        Some(post)
    }

    /// The environment is done with the slots of a write.
    fn hand_back(&mut self, index: u32) {
        let mut entry = self.tickets.at(index).first;
        while entry != NONE {
            let next = self.log.at(entry).ticket_next;
            self.log.filled(entry);
            entry = next;
        }
        self.stir();
    }

    /// Answers a write if all of it is safe and there is the right to; then the ticket is gone.
    pub(crate) fn try_answer(&mut self, index: u32, now: u64) -> bool {
        let mut entry = self.tickets.at(index).first;
        while entry != NONE {
            if !self.is_safe(entry) {
                return false;
            }
            entry = self.log.at(entry).ticket_next;
        }
        let right = self.right_to_acknowledge(now);
        if !self.granted(right, Guard::LeaseAfterWrite) {
            return false;
        }
        let mut entry = self.tickets.at(index).first;
        while entry != NONE {
            let at = self.log.at_mut(entry);
            let next = at.ticket_next;
            (at.ticket, at.ticket_next) = (NONE, NONE);
            entry = next;
        }
        self.tickets.release(index);
        self.stir();
        true
    }
}
