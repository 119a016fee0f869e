// SPDX-License-Identifier: GPL-2.0
//! The I/O that came in: writes, flushes and what goes past the log, by ticket (reads have none); and whether more of it is
//! kept back by the environment.

mod adopted_tombs;
pub mod desk;
mod doubt;
mod flush;
mod lines;
pub mod pass;
mod pass_commands;
mod passing;
mod read;
mod safety;
pub mod stage;
pub(crate) mod tickets;
mod write;

use super::log::entry::EntryId;
use super::log::Slab;
use super::states::Step;
use super::status::Reason;
use crate::ids::LinkId;
use pass::Passes;
use stage::StageEvent;
use tickets::{Ticket, TicketIndex, Tickets};

/// The I/O that is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Requests<T> {
    tickets: Tickets<T>,
    passes: Passes,
    /// The environment keeps some back.
    parked: bool,
    /// What is kept back is to be begun again.
    retry: bool,
    /// When a read was turned away last, for want of a right to answer it.
    refused_at_ns: u64,
}

impl<T: Slab<Ticket>> Requests<T> {
    pub(crate) fn new(tickets: T) -> Self {
        Self {
            tickets: Tickets::new(tickets),
            passes: Passes::NONE,
            parked: false,
            retry: false,
            refused_at_ns: 0,
        }
    }

    /// Whether a poll has something to do here.
    pub(crate) fn wants_poll(&self) -> bool {
        self.retry || self.tickets.is_queued()
    }

    /// How many tickets are in use.
    pub(crate) fn in_use(&self) -> u32 {
        self.tickets.used()
    }

    /// The environment is told to keep an I/O back until it is told to begin it again.
    fn park(&mut self) {
        self.parked = true;
    }

    /// As [`Self::park`], of a read that nobody has the right to answer at this time.
    fn park_unanswerable(&mut self, now_ns: u64) {
        self.parked = true;
        self.refused_at_ns = now_ns;
    }

    /// When a read was turned away last, for want of a right to answer it.
    pub(crate) fn refused_at_ns(&self) -> u64 {
        self.refused_at_ns
    }

    /// Something got better: parked I/O may be begun again.
    pub(crate) fn retry_parked(&mut self) {
        if self.parked {
            self.parked = false;
            self.retry = true;
        }
    }

    /// Everything that waits is to be looked at again.
    pub(crate) fn retry_all(&mut self) {
        self.tickets.queue_all();
        self.retry_parked();
    }

    /// Whether the environment is to begin parked I/O again; clears it.
    pub(crate) fn take_retry(&mut self) -> bool {
        core::mem::take(&mut self.retry)
    }

    /// The first entry of a write.
    pub(crate) fn first_entry(&self, ticket: TicketIndex) -> EntryId {
        self.tickets.at(ticket).first
    }

    /// Something happened to what this ticket waits for.
    pub(crate) fn queue(&mut self, ticket: TicketIndex) {
        self.tickets.queue(ticket);
    }

    /// The next ticket that something happened to.
    pub(crate) fn next_queued(&mut self) -> Option<TicketIndex> {
        self.tickets.pop()
    }

    /// The ownership is over: everything is failed, what the environment has in its hands when it comes back. What goes
    /// past the log is forgotten.
    pub(crate) fn fail_all(&mut self, reason: Reason) {
        self.tickets.clear_lines();
        for index in self.tickets.all() {
            let ticket = self.tickets.at_mut(index);
            let event = StageEvent::Ended(reason);
            if matches!(ticket.stage.on(event), Step::To(_)) {
                ticket.on(event);
                self.tickets.queue(index);
            }
        }
        self.forget_passes();
    }

    /// What goes past the log is forgotten: its commands are no concern of ours any more.
    pub(crate) fn forget_passes(&mut self) {
        self.passes.clear();
    }

    /// When the first command was issued of what goes past the log, of those under way.
    pub(crate) fn first_command_ns(&self) -> Option<u64> {
        self.passes.first_command_ns()
    }

    /// When the last one was issued of those that may land.
    pub(crate) fn last_command_ns(&self) -> Option<u64> {
        self.passes.last_command_ns()
    }

    /// Whether a tombstone is on its way to the region of a link.
    pub(crate) fn posts_tomb_to(&self, link: LinkId) -> bool {
        self.passes.waits_for(link)
    }
}
