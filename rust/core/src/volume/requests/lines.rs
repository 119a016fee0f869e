// SPDX-License-Identifier: GPL-2.0
//! The flushes that wait, in two lines: first for what is in the log, then for a flush of the disk.
//!
//! Whoever came later waits for as much or more: a line is served from its head, and its tail says how far it goes. So what
//! happens to the log or to the disk costs as much as it brings about, however many wait.

use super::stage::{Stage, StageEvent};
use super::tickets::{Ticket, TicketIndex, Tickets, NO_TICKET};
use crate::volume::log::Slab;
use crate::volume::plan::TicketId;

/// Tickets in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Line {
    head: TicketIndex,
    tail: TicketIndex,
}

impl Line {
    pub(super) const EMPTY: Self = Self {
        head: NO_TICKET,
        tail: NO_TICKET,
    };
}

impl<T: Slab<Ticket>> Tickets<T> {
    /// The line in which tickets of this stage stand.
    fn line_mut(&mut self, stage: Stage) -> Option<&mut Line> {
        match stage {
            Stage::Draining { .. } => Some(&mut self.draining),
            Stage::Flushing { .. } => Some(&mut self.flushing),
            _ => None,
        }
    }

    /// Puts a ticket behind the others of its stage.
    fn join_line(&mut self, index: TicketIndex) {
        let Some(line) = self.line_mut(self.at(index).stage) else {
            return;
        };
        let tail = core::mem::replace(&mut line.tail, index);
        if tail == NO_TICKET {
            line.head = index;
        } else {
            self.at_mut(tail).behind = index;
        }
        let ticket = self.at_mut(index);
        (ticket.before, ticket.behind) = (tail, NO_TICKET);
    }

    /// Takes a ticket out of the line in which it stands, if it does.
    fn leave_line(&mut self, index: TicketIndex) {
        let Ticket {
            stage,
            before,
            behind,
            ..
        } = *self.at(index);
        let Some(line) = self.line_mut(stage) else {
            return;
        };
        if before == NO_TICKET {
            line.head = behind;
        }
        if behind == NO_TICKET {
            line.tail = before;
        }
        if before != NO_TICKET {
            self.at_mut(before).behind = behind;
        }
        if behind != NO_TICKET {
            self.at_mut(behind).before = before;
        }
        let ticket = self.at_mut(index);
        (ticket.before, ticket.behind) = (NO_TICKET, NO_TICKET);
    }

    /// A flush that waits for everything up to this stamp to be on the disk.
    pub(super) fn take_flush(&mut self, bound: u64) -> Option<TicketId> {
        let ticket = self.take(StageEvent::Flush { bound })?;
        self.join_line(ticket.index);
        Some(ticket)
    }

    /// What a flush waited for is done, or nobody waits for it any more, as `end` says: it is to be answered.
    pub(super) fn end_flush(&mut self, index: TicketIndex, end: StageEvent) {
        self.leave_line(index);
        self.at_mut(index).on(end);
        self.queue(index);
    }

    /// The oldest entry that is not on the disk has this stamp. Those who wait for older ones go on to wait for the flush of
    /// this number; for none: to be answered. Says whether there were any.
    pub(super) fn drained(&mut self, oldest: Option<u64>, number: Option<u64>) -> bool {
        let mut any = false;
        let mut left = self.used();
        while left > 0 {
            left = left.saturating_sub(1);
            let index = self.draining.head;
            match self.at(index).stage {
                Stage::Draining { bound } if oldest.is_none_or(|stamp| stamp > bound) => (),
                _ => break,
            }
            any = true;
            match number {
                Some(number) => {
                    self.leave_line(index);
                    self.at_mut(index).on(StageEvent::Drained { number });
                    self.join_line(index);
                }
                None => self.end_flush(index, StageEvent::Done),
            }
        }
        any
    }

    /// The flush of the disk of this number is over: those who wait for it, or for an earlier one, are to be answered.
    pub(super) fn flush_finished(&mut self, finished: u64) {
        let mut left = self.used();
        while left > 0 {
            left = left.saturating_sub(1);
            let index = self.flushing.head;
            match self.at(index).stage {
                Stage::Flushing { number } if number <= finished => {
                    self.end_flush(index, StageEvent::Done);
                }
                _ => break,
            }
        }
    }

    /// Those who wait for a flush before this one wait for this one.
    pub(super) fn wait_for_flush(&mut self, next: u64) {
        let mut index = self.flushing.head;
        let mut left = self.used();
        while left > 0 {
            left = left.saturating_sub(1);
            let ticket = self.at_mut(index);
            match ticket.stage {
                Stage::Flushing { number } if number < next => {
                    ticket.on(StageEvent::Later { number: next });
                }
                _ => break,
            }
            index = ticket.behind;
        }
    }

    /// All flushes wait for everything up to this stamp once more.
    pub(super) fn drain_anew(&mut self, bound: u64) {
        let mut left = self.used();
        // Those in the second line came first.
        let later = core::mem::replace(&mut self.draining, Line::EMPTY);
        for mut index in [self.flushing.head, later.head] {
            while index != NO_TICKET && left > 0 {
                left = left.saturating_sub(1);
                let behind = self.at(index).behind;
                self.at_mut(index).on(StageEvent::Anew { bound });
                self.join_line(index);
                index = behind;
            }
        }
        self.flushing = Line::EMPTY;
    }

    /// The number of the last flush of the disk that somebody waits for.
    pub(super) fn last_flush(&self) -> Option<u64> {
        match self.at(self.flushing.tail).stage {
            Stage::Flushing { number } => Some(number),
            _ => None,
        }
    }

    /// Nobody stands in a line any more: all tickets are given other stages.
    pub(super) fn clear_lines(&mut self) {
        for mut index in [self.draining.head, self.flushing.head] {
            let mut left = self.used();
            while index != NO_TICKET && left > 0 {
                left = left.saturating_sub(1);
                let ticket = self.at_mut(index);
                ticket.before = NO_TICKET;
                index = core::mem::replace(&mut ticket.behind, NO_TICKET);
            }
        }
        (self.draining, self.flushing) = (Line::EMPTY, Line::EMPTY);
    }
}
