// SPDX-License-Identifier: GPL-2.0
//! FLUSH, and the flushes of the disk's cache (PROTOCOL P10).

use crate::guards::Guard;
use crate::volume::action::Action;
use crate::volume::log::entry::{Entry, EntryId};
use crate::volume::log::Slab;
use crate::volume::machine::{Volume, PIECE};
use crate::volume::plan::{LongBegin, TicketId};
use crate::volume::requests::stage::{Stage, StageEvent};
use crate::volume::requests::tickets::{Ticket, TicketIndex};
use crate::volume::status::{Mode, Reason};

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// A FLUSH: completes when everything acknowledged so far is on the disk for good.
    pub fn flush(&mut self, now_ns: u64) -> LongBegin {
        if !self.is_owner() {
            return self
                .turn_away(now_ns)
                .map_or(LongBegin::Park, LongBegin::Fail);
        }
        // The volume is given away when its log is empty and nobody waits: flushes that follow each other do not put it off.
        let leaves = self.ownership.is_leaving() && self.log.dirty() == 0;
        if leaves && self.requests.in_use() > 0 {
            self.requests.park();
            return LongBegin::Park;
        }
        match self.requests.tickets.take_flush(self.log.stamp()) {
            Some(ticket) => {
                // Whoever polls tells those who bring the log to the disk.
                self.agenda.want_poll(true);
                LongBegin::Wait(ticket)
            }
            None => {
                self.requests.park();
                LongBegin::Park
            }
        }
    }

    /// Whether somebody waits for done entries to be flushed and freed.
    pub(crate) fn wants_freeing(&self) -> bool {
        !self.requests.passes.is_empty() || self.ownership.is_leaving()
    }

    /// Looks at one ticket that something happened to. At most one action comes of it.
    pub(crate) fn advance_ticket(&mut self, index: TicketIndex, now_ns: u64) -> Option<Action> {
        let id = self.requests.tickets.id(index);
        match self.requests.tickets.at(index).stage {
            Stage::Doomed(reason) => {
                self.requests.tickets.release(index);
                Some(Action::Fail(id, reason))
            }
            Stage::Waiting => self
                .try_answer(index, now_ns)
                .then_some(Action::Complete(id)),
            Stage::Answer => self.answer(index, id, now_ns),
            _ => None,
        }
    }

    /// Flushes for which all that was in the log is on the disk wait for a flush of the disk.
    pub(crate) fn drain_flushes(&mut self) {
        let oldest = self.log.oldest_dirty();
        let oldest = oldest.filter(|_| self.guards.on(Guard::FlushDestages));
        let oldest = oldest.map(|entry| self.log.at(entry).stamp);
        let number = self.log.flushes().next_number();
        let number = self.config.volatile_cache.then_some(number);
        let any = self.requests.tickets.drained(oldest, number);
        self.agenda.want_poll(any);
    }

    fn answer(&mut self, index: TicketIndex, id: TicketId, now_ns: u64) -> Option<Action> {
        let permit = self.permit();
        let enforced = self.guards.on(Guard::LeaseAfterFlush);
        if !permit.is_granted(permit.may_acknowledge(now_ns), enforced) {
            return None;
        }
        self.requests.tickets.release(index);
        self.requests.retry_parked();
        Some(Action::Complete(id))
    }

    /// Nobody waits for this ticket any more: what has not been begun is not. A write goes on to be made safe, since its
    /// data may be in two memories already, and so does what is in a shadow as a tombstone.
    pub fn nobody_waits(&mut self, ticket: TicketId) {
        let Some(index) = self.requests.tickets.find(ticket) else {
            return;
        };
        let stage = self.requests.tickets.at(index).stage;
        match stage {
            Stage::Draining { .. } | Stage::Flushing { .. } => (),
            Stage::Passing if self.forget_pass(ticket) => (),
            _ => return,
        }
        self.requests
            .tickets
            .end_flush(index, StageEvent::Failed(Reason::TooLong));
        self.requests.retry_parked();
    }

    /// Whether the disk's cache is to be flushed, and when that is issued.
    pub(crate) fn next_flush(&mut self, now_ns: u64) -> Option<Action> {
        if !self.config.volatile_cache
            || self.log.flushes().is_in_flight()
            || self.is_block_flushing()
            || self.ownership.mode().is_none()
        {
            return None;
        }
        let unsafe_done = !self.log.flushes().covers(self.log.done_no());
        let low = self.log.free_slots() <= self.log.slots() / 4;
        let wanted = low || self.wants_freeing() || self.record_waits_for_flush();
        let urgent = self.is_flush_wanted() || unsafe_done && wanted;
        if !urgent && !unsafe_done
            || !self
                .agenda
                .due(self.log.flushes().not_before_ns(urgent), now_ns)
        {
            return None;
        }
        let token = self.agenda.token();
        let done_no = self.log.done_no();
        let idle_until_ns = now_ns.saturating_add(self.config.poll_ns);
        self.log
            .flushes_mut()
            .begin(token, done_no, idle_until_ns, now_ns);
        Some(Action::FlushDisk { token })
    }

    fn is_flush_wanted(&self) -> bool {
        let last = self.requests.tickets.last_flush();
        last.is_some_and(|number| !self.log.flushes().has_begun(number))
    }

    /// The disk's cache was flushed, or not.
    pub(crate) fn flushed(&mut self, ok: bool, now_ns: u64) {
        self.disk_told(ok, now_ns);
        if ok {
            let alone = !self.is_block_flushing();
            if self.log.flushes_mut().succeeded(alone) {
                let finished = self.log.flushes().finished();
                self.requests.tickets.flush_finished(finished);
            } else {
                // Those who waited for the flush that is over need another one.
                let next = self.log.flushes().next_number();
                self.requests.tickets.wait_for_flush(next);
            }
            return;
        }
        let again = now_ns.saturating_add(self.config.poll_ns);
        self.log.flushes_mut().failed(again);
        self.lose_cache();
    }

    /// Whether a write of the own node block is under way: it begins with a flush. Of two flushes that are under way together
    /// either may be told what is lost, and the other be good: so the good end of neither counts before that of the other.
    fn is_block_flushing(&self) -> bool {
        self.ownership.is_writing_block()
    }

    /// A flush has failed, or what begins with one: what is in the disk's cache may be lost, and the next flush may be good.
    /// What no good flush has covered is written once more.
    pub(crate) fn lose_cache(&mut self) {
        if !self.config.volatile_cache || self.ownership.mode().is_none() {
            return;
        }
        self.requests.passes.cache_lost();
        self.log.begin_undoing();
        if !self.log.is_undoing() {
            self.wait_anew();
        }
    }

    /// The next piece of what may be lost counts as not done any more.
    pub(crate) fn undo_some(&mut self) {
        let passes = &mut self.requests.passes;
        self.log.undo_some(PIECE, |tomb| passes.redo(tomb));
        if !self.log.is_undoing() {
            self.wait_anew();
        }
    }

    /// Those who wait for a flush wait for all that is to be written once more, and for a new one.
    fn wait_anew(&mut self) {
        self.requests.tickets.drain_anew(self.log.stamp());
        self.agenda.want_poll(true);
    }

    /// Whether a record that says `disk` waits for nothing but a flush.
    fn record_waits_for_flush(&self) -> bool {
        let drained = match self.ownership.mode() {
            Some(Mode::Holding) => self.log.proved_dirty() == 0,
            Some(Mode::Degraded) => self.log.adopted_dirty() == 0,
            _ => false,
        };
        drained && !self.is_named_safe()
    }

    /// Whether what is done of all that the record names would stay on the disk, whatever became of its cache.
    pub(crate) fn is_named_safe(&self) -> bool {
        !self.config.volatile_cache || self.log.named_are_flushed()
    }

    /// Whether an entry that is done is on the disk for good.
    pub(crate) fn is_flushed(&self, entry: EntryId) -> bool {
        !self.config.volatile_cache
            || !self.guards.on(Guard::FlushBeforeFree)
            || self.log.flushes().covers(self.log.at(entry).done_no)
    }
}
