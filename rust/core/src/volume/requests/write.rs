// SPDX-License-Identifier: GPL-2.0
//! Writes (PROTOCOL P4).

use crate::guards::Guard;
use crate::ids::{Epoch, LinkId, LINK_COUNT};
use crate::volume::config::BLOCKS_MAX;
use crate::volume::log::entry::{Entry, NONE};
use crate::volume::log::state::Hand;
use crate::volume::log::Slab;
use crate::volume::machine::{bit, Volume};
use crate::volume::plan::{FenceSample, PostTo, Range, TicketId, WriteBegin, WriteEnd, WritePlan};
use crate::volume::requests::stage::{Stage, StageEvent};
use crate::volume::requests::tickets::{Ticket, TicketIndex, NO_TICKET};
use crate::volume::status::{Mode, Reason};

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    pub(crate) fn check_range(&self, block: u64, count: u64) -> Result<(), Reason> {
        match block.checked_add(count) {
            Some(end) if count > 0 && end <= self.config.blocks => Ok(()),
            _ => Err(Reason::Range),
        }
    }

    /// Begins a write of 1 to [`BLOCKS_MAX`] blocks (and not more than the log has slots).
    pub fn write_begin(&mut self, range: Range, now_ns: u64) -> WriteBegin {
        let count = range.count as usize;
        if count > BLOCKS_MAX || range.count > self.log.slots() {
            return WriteBegin::Fail(Reason::Range);
        }
        if let Err(reason) = self.check_range(range.block, u64::from(range.count)) {
            return WriteBegin::Fail(reason);
        }
        let Some(mode) = self.ownership.mode().filter(|_| self.is_owner()) else {
            return self
                .turn_away(now_ns)
                .map_or(WriteBegin::Park, WriteBegin::Fail);
        };
        let permit = self.permit();
        if !permit.may_begin_write(now_ns) || !self.has_room(range) {
            self.requests.park();
            return WriteBegin::Park;
        }
        let post = match self.post_target(mode) {
            Ok(post) => post,
            Err(()) => {
                self.requests.park();
                return WriteBegin::Park;
            }
        };
        let to = post.map(|post| (post.link, post.epoch));
        let Some(ticket) = self.requests.tickets.take(StageEvent::Write { to }) else {
            self.requests.park();
            return WriteBegin::Park;
        };
        let (slots, sequence) = self.take_slots(range, ticket.index, post);
        self.agenda.want_poll(self.is_low());
        WriteBegin::Plan(WritePlan {
            ticket,
            range,
            generation: permit.generation(),
            sequence,
            slots,
            post,
        })
    }

    /// Whether the free slots run out: then they are flushed and freed at once.
    fn is_low(&self) -> bool {
        self.log.free_slots() <= self.log.slots() / 4
    }

    fn has_room(&self, range: Range) -> bool {
        let dirty = self.log.dirty();
        let fits = dirty == 0 || dirty.saturating_add(range.count) <= self.config.dirty_limit;
        fits && self.log.free_slots() >= range.count
            && !self.requests.tickets.is_full()
            && !self.requests.passes.wants_slot()
            && !self.requests.passes.overlaps(range.into())
    }

    /// Where a new write is posted. `Err`: it has to be posted, and there is no region.
    fn post_target(&self, mode: Mode) -> Result<Option<PostTo>, ()> {
        match mode {
            Mode::Mirrored => self.mirror.live_target(None).map(Some).ok_or(()),
            Mode::Joining => Ok(self
                .mirror
                .copy_target()
                .and_then(|link| self.mirror.post_to(link))),
            Mode::Solo | Mode::Degraded | Mode::Holding => Ok(None),
        }
    }

    fn take_slots(
        &mut self,
        range: Range,
        ticket: TicketIndex,
        post: Option<PostTo>,
    ) -> ([u32; BLOCKS_MAX], u64) {
        let generation = self.ownership.generation().get();
        let mut slots = [NONE.index(); BLOCKS_MAX];
        let (mut sequence, mut last) = (0, NONE);
        for (block, place) in (range.block..).take(range.count as usize).zip(&mut slots) {
            let Some(entry) = self.log.take(block, generation, ticket) else {
                break;
            };
            *place = entry.index();
            if last == NONE {
                self.requests.tickets.at_mut(ticket).first = entry;
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
            self.mirror
                .edit_held(post.link, |held| held.refs = held.refs.saturating_add(1));
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
        now_ns: u64,
    ) -> WriteEnd {
        let Some(index) = self.requests.tickets.find(ticket) else {
            return WriteEnd::Fail(Reason::Deposed);
        };
        let to = match self.requests.tickets.at(index).stage {
            Stage::Filling { to } => to,
            Stage::Orphan { to } => return self.finish_orphan(index, to),
            _ => return WriteEnd::Wait,
        };
        let proved = to.and_then(|to| self.finish_post(to, fence));
        let mut entry = self.requests.tickets.at(index).first;
        while entry != NONE {
            if let Some(link) = proved {
                self.log.prove(entry, bit(link));
            }
            entry = self.log.at(entry).ticket_next;
        }
        if proved.is_none() {
            // A link that failed a post is given up by a poll.
            self.agenda.want_poll(to.is_some());
            if let Some(post) = self.again(index) {
                return WriteEnd::Again(post);
            }
        }
        self.hand_back(index);
        // Who waits for entries to be destaged, copied or freed could not do so while they were being filled. A write
        // that nobody waits for wakes nobody.
        self.agenda.want_poll(
            self.requests.tickets.has_long()
                || self.ownership.is_leaving()
                || self.mirror.copy_target().is_some()
                || self.log.dirty() > self.config.dirty_limit / 2
                || self.is_low(),
        );
        if self.has_missed(index, proved) {
            self.mirror.entry_added();
        }
        if self.try_answer(index, now_ns) {
            return WriteEnd::Complete;
        }
        self.requests
            .tickets
            .at_mut(index)
            .on(StageEvent::HandedBack);
        WriteEnd::Wait
    }

    /// The ownership ended while the environment had the slots.
    fn finish_orphan(&mut self, index: TicketIndex, to: Option<(LinkId, Epoch)>) -> WriteEnd {
        let mut entry = self.requests.tickets.at(index).first;
        let mut left = self.log.slots();
        while entry != NONE && left > 0 {
            let next = self.log.at(entry).ticket_next;
            self.log.returned(entry, Hand::Filler);
            entry = next;
            left = left.saturating_sub(1);
        }
        if let Some((link, _)) = to {
            self.mirror
                .edit_held(link, |held| held.refs = held.refs.saturating_sub(1));
        }
        self.agenda.want_poll(true);
        self.requests.tickets.release(index);
        self.requests.retry_parked();
        WriteEnd::Fail(Reason::Deposed)
    }

    /// Ends a post; says whether, and in which region, it was proved.
    fn finish_post(
        &mut self,
        (link, epoch): (LinkId, Epoch),
        fence: Option<FenceSample>,
    ) -> Option<LinkId> {
        self.mirror
            .edit_held(link, |held| held.refs = held.refs.saturating_sub(1));
        let good = match fence {
            Some(sample) => self.judge_fence(link, epoch, sample),
            None => {
                // The post itself failed: this link is not to be tried again.
                if self.mirror.held(link).epoch == Some(epoch) {
                    self.lose_region(link);
                }
                false
            }
        };
        good.then_some(link)
    }

    /// Posts the slots of a write once more, if it needs that and there is a region. Not for ever: links that come back
    /// as fast as they die are left to the copying, which nobody's CPU waits for.
    fn again(&mut self, index: TicketIndex) -> Option<PostTo> {
        let tries = self.requests.tickets.at(index).again;
        if usize::from(tries) >= LINK_COUNT {
            return None;
        }
        let post = match self.ownership.mode()? {
            Mode::Mirrored => self.mirror.live_target(None)?,
            _ => return None,
        };
        self.mirror
            .edit_held(post.link, |held| held.refs = held.refs.saturating_add(1));
        let ticket = self.requests.tickets.at_mut(index);
        ticket.again = tries.saturating_add(1);
        ticket.on(StageEvent::Again {
            to: Some((post.link, post.epoch)),
        });
        let mut entry = ticket.first;
        while entry != NONE {
            self.log.at_mut(entry).carried |= bit(post.link);
            entry = self.log.at(entry).ticket_next;
        }
        Some(post)
    }

    /// The environment is done with the slots of a write.
    fn hand_back(&mut self, index: TicketIndex) {
        let mut entry = self.requests.tickets.at(index).first;
        while entry != NONE {
            let next = self.log.at(entry).ticket_next;
            self.log.filled(entry);
            entry = next;
        }
        self.requests.retry_parked();
    }

    /// Answers a write if all of it is safe and there is the right to; then the ticket is gone.
    pub(crate) fn try_answer(&mut self, index: TicketIndex, now_ns: u64) -> bool {
        let mut entry = self.requests.tickets.at(index).first;
        while entry != NONE {
            if !self.is_safe(entry) {
                return false;
            }
            entry = self.log.at(entry).ticket_next;
        }
        let permit = self.permit();
        let enforced = self.guards.on(Guard::LeaseAfterWrite);
        if !permit.is_granted(permit.may_acknowledge(now_ns), enforced) {
            return false;
        }
        let mut entry = self.requests.tickets.at(index).first;
        while entry != NONE {
            let at = self.log.at_mut(entry);
            let next = at.ticket_next;
            (at.ticket, at.ticket_next) = (NO_TICKET, NONE);
            entry = next;
        }
        self.requests.tickets.release(index);
        self.requests.retry_parked();
        true
    }
}
