// SPDX-License-Identifier: GPL-2.0
//! FLUSH, and the flushes of the disk's cache (PROTOCOL P10).

use super::action::Action;
use super::machine::Volume;
use super::plan::{LongBegin, TicketId};
use super::status::Reason;
use super::tickets::{Stage, Ticket};
use crate::guards::Guard;
use crate::mirror::entry::Entry;
use crate::mirror::log::Slab;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// A FLUSH: completes when everything acknowledged so far is on the disk for good.
    pub fn flush(&mut self, now: u64) -> LongBegin {
        if self.mode().is_none() {
            return self.turn_away(now).map_or(LongBegin::Park, LongBegin::Fail);
        }
        // The volume is given away when its log is empty and nobody waits: flushes that follow each other do not put it off.
        let leaves = self.leaving.is_under_way() && self.log.dirty() == 0;
        if self.leaving.is_releasing() || leaves && self.tickets.used() > 0 {
            self.parked = true;
            return LongBegin::Park;
        }
        let stage = Stage::Draining {
            bound: self.log.stamp(),
        };
        match self.tickets.take(stage) {
            Some(ticket) => {
                self.tickets.queue(ticket.index);
                LongBegin::Wait(ticket)
            }
            None => {
                self.parked = true;
                LongBegin::Park
            }
        }
    }

    /// Whether somebody waits for done entries to be flushed and freed.
    pub(crate) fn wants_freeing(&self) -> bool {
        !self.passes.is_empty() || self.leaving.is_under_way()
    }

    /// Looks at one ticket that something happened to. At most one action comes of it.
    pub(crate) fn look(&mut self, index: u32, now: u64) -> Option<Action> {
        let id = self.tickets.id(index);
        match self.tickets.at(index).stage {
            Stage::Doomed(reason) => {
                self.tickets.release(index);
                Some(Action::Fail(id, reason))
            }
            Stage::Waiting => self.try_answer(index, now).then_some(Action::Complete(id)),
            Stage::Draining { bound } => {
                self.look_draining(index, bound);
                None
            }
            Stage::Flushing { number } => {
                if self.flushes.finished >= number {
                    self.tickets.at_mut(index).stage = Stage::Answer;
                    return self.answer(index, id, now);
                }
                None
            }
            Stage::Answer => self.answer(index, id, now),
            _ => None,
        }
    }

    fn look_draining(&mut self, index: u32, bound: u64) {
        let oldest = self.log.oldest_dirty();
        let drained = oldest.is_none_or(|entry| self.log.at(entry).stamp > bound);
        if !drained && self.guards.on(Guard::FlushDestages) {
            return;
        }
        let stage = if self.config.volatile_cache {
            // A flush that is in flight may have been issued too early.
            Stage::Flushing {
                number: self.flushes.number.wrapping_add(1),
            }
        } else {
            Stage::Answer
        };
        self.tickets.at_mut(index).stage = stage;
        self.tickets.queue(index);
    }

    fn answer(&mut self, index: u32, id: TicketId, now: u64) -> Option<Action> {
        let right = self.right_to_acknowledge(now);
        if !self.granted(right, Guard::LeaseAfterFlush) {
            return None;
        }
        self.tickets.release(index);
        self.stir();
        Some(Action::Complete(id))
    }

    /// Nobody waits for this ticket any more: what has not been begun is not. A write goes on to be made safe, since its
    /// data may be in two memories already, and so does what is in a shadow as a tombstone.
    pub(crate) fn nobody_waits(&mut self, ticket: TicketId) {
        let Some(index) = self.tickets.find(ticket) else {
            return;
        };
        let stage = self.tickets.at(index).stage;
        match stage {
            Stage::Draining { .. } | Stage::Flushing { .. } => (),
            Stage::Passing if self.forget_pass(ticket) => (),
            _ => return,
        }
        self.tickets.at_mut(index).stage = Stage::Doomed(Reason::TooLong);
        self.tickets.queue(index);
        self.stir();
    }

    /// Whether the disk's cache is to be flushed, and when that is issued.
    pub(crate) fn next_flush(&mut self, now: u64) -> Option<Action> {
        if !self.config.volatile_cache || self.flushes.token.is_some() || self.mode().is_none() {
            return None;
        }
        let unsafe_done = self.log.done_no() > self.flushes.safe_upto;
        let low = self.log.free_slots() <= self.log.slots() / 4;
        let urgent = self.is_flush_wanted() || unsafe_done && (low || self.wants_freeing());
        let at = if urgent {
            self.flushes.not_before
        } else if unsafe_done {
            self.flushes.idle_until
        } else {
            return None;
        };
        if !self.due(at, now) {
            return None;
        }
        self.flushes.idle_until = now.saturating_add(self.config.poll_ns);
        let token = self.token();
        self.flushes.token = Some(token);
        self.flushes.number = self.flushes.number.wrapping_add(1);
        self.flushes.covers = self.log.done_no();
        Some(Action::FlushDisk { token })
    }

    fn is_flush_wanted(&self) -> bool {
        let number = self.flushes.number;
        self.tickets.used() > 0
            && (0..self.tickets.len()).any(|index| {
                matches!(self.tickets.at(index).stage,
                    Stage::Flushing { number: wanted } if wanted > number)
            })
    }

    /// The disk's cache was flushed, or not.
    pub(crate) fn flushed(&mut self, ok: bool, now: u64) {
        self.flushes.token = None;
        if !ok {
            self.flushes.not_before = now.saturating_add(self.config.poll_ns);
            // Those who wait need a new one.
            for index in 0..self.tickets.len() {
                let number = self.flushes.number;
                if let Stage::Flushing { number: wanted } = &mut self.tickets.at_mut(index).stage {
                    if *wanted <= number {
                        *wanted = number.wrapping_add(1);
                    }
                }
            }
            return;
        }
        self.flushes.finished = self.flushes.number;
        self.flushes.safe_upto = self.flushes.safe_upto.max(self.flushes.covers);
        self.tickets.queue_all();
    }

    /// Whether an entry that is done is on the disk for good.
    pub(crate) fn is_flushed(&self, entry: u32) -> bool {
        !self.config.volatile_cache
            || !self.guards.on(Guard::FlushBeforeFree)
            || self.log.at(entry).done_no <= self.flushes.safe_upto
    }
}
