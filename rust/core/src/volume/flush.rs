// SPDX-License-Identifier: GPL-2.0
//! FLUSH, and what goes past the log (PROTOCOL P10).

use super::action::{Action, LongRange};
use super::machine::Volume;
use super::plan::{LongBegin, PassOp, Range, TicketId};
use super::status::{Mode, Reason};
use super::tickets::{Stage, Ticket};
use crate::guards::Guard;
use crate::mirror::entry::Entry;
use crate::mirror::log::Slab;

/// Discards that may be known at a time.
const PASSING_MAX: u32 = 4;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// A FLUSH: completes when everything acknowledged so far is on the disk for good.
    pub fn flush(&mut self, _now: u64) -> LongBegin {
        if self.mode().is_none() {
            return LongBegin::Fail(self.not_owner());
        }
        if self.leaving.is_releasing() {
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

    /// A discard or write-zeroes of any length. Writes to the range wait until it is over.
    pub fn pass_down(&mut self, op: PassOp, range: LongRange, _now: u64) -> LongBegin {
        if let Err(reason) = self.check_range(range.block, range.count) {
            return LongBegin::Fail(reason);
        }
        if self.mode().is_none() {
            return LongBegin::Fail(self.not_owner());
        }
        let busy = self.tickets.passing() >= PASSING_MAX
            || self.leaving.is_under_way()
            || self.leaving.is_releasing()
            || self.overlaps_long(range);
        if !busy {
            let stage = Stage::Clearing { op, range, next: 0 };
            if let Some(ticket) = self.tickets.take(stage) {
                self.tickets.queue(ticket.index);
                return LongBegin::Wait(ticket);
            }
        }
        self.parked = true;
        LongBegin::Park
    }

    /// Whether a write overlaps a discard that is not over.
    pub(crate) fn overlaps_passing(&self, range: Range) -> bool {
        self.overlaps_long(range.into())
    }

    fn overlaps_long(&self, range: LongRange) -> bool {
        if self.tickets.passing() == 0 {
            return false;
        }
        (0..self.tickets.len()).any(|index| match self.tickets.at(index).stage {
            Stage::Clearing { range: other, .. }
            | Stage::Cleared { range: other, .. }
            | Stage::Passing { range: other } => {
                range.block < other.block.saturating_add(other.count)
                    && other.block < range.block.saturating_add(range.count)
            }
            _ => false,
        })
    }

    /// Whether somebody waits for done entries to be flushed and freed.
    pub(crate) fn wants_freeing(&self) -> bool {
        self.tickets.passing() > 0 || self.leaving.is_under_way()
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
            Stage::Clearing { op, range, next } => {
                self.look_clearing(index, op, range, next);
                None
            }
            Stage::Cleared { op, range } => {
                if self.right_to_io(now).is_err() || self.mode() == Some(Mode::Holding) {
                    return None;
                }
                self.tickets.at_mut(index).stage = Stage::Passing { range };
                Some(Action::PassDown {
                    ticket: id,
                    op,
                    range,
                })
            }
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

    /// Waits for the entries of a range to be freed, one after the other. Writes to the range wait, so no new ones come
    /// but of writes that were begun before; these are found because the walk ends only when nobody fills.
    fn look_clearing(&mut self, index: u32, op: PassOp, range: LongRange, mut next: u32) {
        let all = self.log.slots().saturating_mul(2);
        let end = range.block.saturating_add(range.count);
        if self.guards.on(Guard::PassAfterFree) {
            while next < all {
                let at = self.log.at(next);
                if self.log.is_live(next) && at.block >= range.block && at.block < end {
                    self.tickets.at_mut(index).stage = Stage::Clearing { op, range, next };
                    return;
                }
                next = next.saturating_add(1);
            }
        }
        self.tickets.at_mut(index).stage = Stage::Cleared { op, range };
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

    /// A discard is over.
    pub(crate) fn passed_down(&mut self, ticket: TicketId, ok: bool) {
        let Some(index) = self.tickets.find(ticket) else {
            return;
        };
        let stage = self.tickets.at(index).stage;
        if !matches!(stage, Stage::Passing { .. }) {
            return;
        }
        self.tickets.unpass();
        self.tickets.at_mut(index).stage = if ok {
            Stage::Answer
        } else {
            Stage::Doomed(Reason::Disk)
        };
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
