// SPDX-License-Identifier: GPL-2.0
//! How an I/O that waits leaves the desk.

use super::seats::{Seat, Then, Waiter};
use super::{Desk, Io, Job, Line, Step};
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::plan::TicketId;
use crate::volume::requests::tickets::Ticket;
use crate::volume::status::Reason;

impl<I: Io, S: Slab<Seat<I>>, L: Line<I>> Desk<I, S, L> {
    /// The machine says [`crate::volume::Action::Complete`]. What takes long is left to who begins parked I/O again.
    pub fn complete<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>>(
        &mut self,
        core: &mut Volume<E, B, T>,
        ticket: TicketId,
        now_ns: u64,
    ) -> Job<I> {
        match self.seats.unseat(ticket) {
            None => Job::Kept,
            Some(Waiter { io, then, .. }) => match then {
                Then::End => Job::End(io, Ok(())),
                Then::Go(Step::Flush) => self.begin(core, io, Step::Flush, now_ns),
                Then::Go(step) => {
                    self.restart = true;
                    self.park(io, step)
                }
            },
        }
    }

    /// The machine says [`crate::volume::Action::Fail`].
    pub fn fail(&mut self, ticket: TicketId, reason: Reason) -> Job<I> {
        match self.seats.unseat(ticket) {
            None => Job::Kept,
            Some(waiter) => Job::End(waiter.io, Err(reason)),
        }
    }

    /// The next one that has waited under its ticket for too long: to be answered. At most `looks` seats are looked at;
    /// the search goes on there at the next call. Those that are parked are found when they are begun again.
    pub fn expired<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>>(
        &mut self,
        core: &mut Volume<E, B, T>,
        looks: usize,
        now_ns: u64,
    ) -> Option<Job<I>> {
        let waiter = self.seats.unseat_expired(looks, self.bound_ns, now_ns)?;
        self.expired = self.expired.saturating_add(1);
        core.nobody_waits(waiter.ticket);
        Some(Job::End(waiter.io, Err(Reason::TooLong)))
    }

    /// From now on nothing is filed, and what is comes out here, one after the other. To be called until it says
    /// [`Job::Kept`].
    pub fn close(&mut self) -> Job<I> {
        self.closed = true;
        for line in &mut self.parked {
            if let Some(io) = line.pop() {
                return Job::End(io, Err(Reason::Leaving));
            }
        }
        if let Some(waiter) = self.seats.unseat_any() {
            return Job::End(waiter.io, Err(Reason::Leaving));
        }
        Job::Kept
    }
}
