// SPDX-License-Identifier: GPL-2.0
//! The I/O that the machine knows: writes, flushes, and what goes past the log.

use super::lines::Line;
use crate::volume::log::entry::{EntryId, NONE};
use crate::volume::log::Slab;
use crate::volume::plan::TicketId;
use crate::volume::requests::stage::{Stage, StageEvent};

/// The place of a ticket in the table, or none. With its serial number it is a [`TicketId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TicketIndex(u32);

impl TicketIndex {
    /// Its number.
    #[inline]
    pub(crate) const fn get(self) -> usize {
        self.0 as usize
    }
}

/// No ticket.
pub(crate) const NO_TICKET: TicketIndex = TicketIndex(u32::MAX);

/// Storage for one I/O is given to the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(crate) serial: u32,
    /// Changed by [`Self::on`] alone.
    pub(crate) stage: Stage,
    /// The first entry of a write.
    pub(crate) first: EntryId,
    /// Next in the list of free ones, or of those to look at.
    next: TicketIndex,
    /// In the list of those to look at.
    queued: bool,
    /// Its neighbours in a line of flushes.
    pub(super) before: TicketIndex,
    pub(super) behind: TicketIndex,
    /// How often a write was posted again.
    pub(crate) again: u8,
    /// It is no write.
    long: bool,
}

impl Ticket {
    /// Not in use.
    pub const EMPTY: Self = Self {
        serial: 0,
        stage: Stage::Free,
        first: NONE,
        next: NO_TICKET,
        queued: false,
        before: NO_TICKET,
        behind: NO_TICKET,
        again: 0,
        long: false,
    };

    /// The one place where the stage changes.
    #[inline(always)]
    pub(crate) fn on(&mut self, event: StageEvent) {
        self.stage = self.stage.on(event).after(self.stage);
    }
}

impl Default for Ticket {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// The table of tickets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tickets<T> {
    table: T,
    free: TicketIndex,
    head: TicketIndex,
    tail: TicketIndex,
    used: u32,
    /// How many are no writes.
    long: u32,
    /// Flushes that wait for what is in the log.
    pub(super) draining: Line,
    /// Flushes that wait for a flush of the disk.
    pub(super) flushing: Line,
    spare: Ticket,
}

impl<T: Slab<Ticket>> Tickets<T> {
    pub(crate) fn new(table: T) -> Self {
        let mut tickets = Self {
            table,
            free: NO_TICKET,
            head: NO_TICKET,
            tail: NO_TICKET,
            used: 0,
            long: 0,
            draining: Line::EMPTY,
            flushing: Line::EMPTY,
            spare: Ticket::EMPTY,
        };
        tickets.table.fill(Ticket::EMPTY);
        for index in (0..tickets.len()).rev().map(TicketIndex) {
            let free = tickets.free;
            tickets.at_mut(index).next = free;
            tickets.free = index;
        }
        tickets
    }

    fn len(&self) -> u32 {
        u32::try_from(self.table.len()).unwrap_or(u32::MAX - 1)
    }

    /// All places, in use or not.
    pub(crate) fn all(&self) -> impl Iterator<Item = TicketIndex> {
        (0..self.len()).map(TicketIndex)
    }

    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    pub(crate) fn at(&self, index: TicketIndex) -> &Ticket {
        self.table.get(index.get()).unwrap_or(&self.spare)
    }

    pub(crate) fn at_mut(&mut self, index: TicketIndex) -> &mut Ticket {
        match self.table.get_mut(index.get()) {
            Some(ticket) => ticket,
            None => {
                self.spare = Ticket::EMPTY;
                &mut self.spare
            }
        }
    }

    /// Whether there is none for another I/O.
    pub(crate) fn is_full(&self) -> bool {
        self.free == NO_TICKET
    }

    /// A ticket for an I/O that has come in.
    #[inline]
    pub(crate) fn take(&mut self, begin: StageEvent) -> Option<TicketId> {
        let index = self.free;
        if index == NO_TICKET {
            return None;
        }
        self.free = self.at(index).next;
        self.used = self.used.saturating_add(1);
        let long = !matches!(begin, StageEvent::Write { .. });
        if long {
            self.long = self.long.saturating_add(1);
        }
        let ticket = self.at_mut(index);
        (ticket.long, ticket.again) = (long, 0);
        ticket.serial = ticket.serial.wrapping_add(1);
        ticket.on(begin);
        (ticket.first, ticket.next) = (NONE, NO_TICKET);
        Some(TicketId {
            index,
            serial: ticket.serial,
        })
    }

    /// The place of a ticket, if it is still in use.
    pub(crate) fn find(&self, id: TicketId) -> Option<TicketIndex> {
        let ticket = self.table.get(id.index.get())?;
        (ticket.serial == id.serial && ticket.stage != Stage::Free).then_some(id.index)
    }

    pub(crate) fn id(&self, index: TicketIndex) -> TicketId {
        TicketId {
            index,
            serial: self.at(index).serial,
        }
    }

    /// The ticket has been answered. It must not be queued.
    pub(crate) fn release(&mut self, index: TicketIndex) {
        let free = self.free;
        if self.at(index).long {
            self.long = self.long.saturating_sub(1);
        }
        let ticket = self.at_mut(index);
        ticket.on(StageEvent::Released);
        ticket.first = NONE;
        ticket.next = free;
        self.free = index;
        self.used = self.used.saturating_sub(1);
    }

    /// Queues a ticket to be looked at.
    pub(crate) fn queue(&mut self, index: TicketIndex) {
        let outside = matches!(
            self.at(index).stage,
            Stage::Free | Stage::Filling { .. } | Stage::Orphan { .. }
        );
        if index.0 >= self.len() || self.at(index).queued || outside {
            return;
        }
        let tail = self.tail;
        if tail == NO_TICKET {
            self.head = index;
        } else {
            self.at_mut(tail).next = index;
        }
        self.tail = index;
        let ticket = self.at_mut(index);
        ticket.queued = true;
        ticket.next = NO_TICKET;
    }

    /// Queues every ticket that waits for something.
    pub(crate) fn queue_all(&mut self) {
        if self.used == 0 {
            return;
        }
        for index in self.all() {
            self.queue(index);
        }
    }

    /// Whether there is one to look at.
    pub(crate) fn is_queued(&self) -> bool {
        self.head != NO_TICKET
    }

    /// Whether a flush or a discard waits.
    pub(crate) fn has_long(&self) -> bool {
        self.long > 0
    }

    /// The next one to look at.
    pub(crate) fn pop(&mut self) -> Option<TicketIndex> {
        let index = self.head;
        if index == NO_TICKET {
            return None;
        }
        self.head = self.at(index).next;
        if self.head == NO_TICKET {
            self.tail = NO_TICKET;
        }
        let ticket = self.at_mut(index);
        ticket.queued = false;
        ticket.next = NO_TICKET;
        Some(index)
    }
}
