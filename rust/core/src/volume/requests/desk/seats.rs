// SPDX-License-Identifier: GPL-2.0
//! Who waits under a ticket: one seat for each.

use super::io::{Io, Step};
use crate::volume::log::Slab;
use crate::volume::plan::TicketId;

/// What follows when a ticket is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    End,
    Go(Step),
}

/// Room for one I/O that waits under a ticket. Storage for them is given to the desk.
#[derive(Debug)]
pub struct Seat<I>(Option<Waiter<I>>);

impl<I> Seat<I> {
    /// Nobody waits here.
    pub const EMPTY: Self = Self(None);
}

#[derive(Debug)]
pub(super) struct Waiter<I> {
    pub(super) ticket: TicketId,
    pub(super) io: I,
    pub(super) then: Then,
}

/// All seats of a desk.
#[derive(Debug)]
pub(super) struct Seats<S> {
    seats: S,
    taken: u32,
    /// Where the search for those that have waited too long goes on.
    cursor: usize,
}

impl<S> Seats<S> {
    pub(super) fn new(seats: S) -> Self {
        Self {
            seats,
            taken: 0,
            cursor: 0,
        }
    }

    pub(super) fn taken(&self) -> usize {
        self.taken as usize
    }

    /// Gives a seat to the I/O of a ticket. Hands back whoever cannot keep his: the one that comes where there is no
    /// such seat, or the one that sat there.
    pub(super) fn seat<I>(&mut self, waiter: Waiter<I>) -> Result<(), Waiter<I>>
    where
        S: Slab<Seat<I>>,
    {
        let Some(seat) = self.seats.get_mut(waiter.ticket.index.get()) else {
            return Err(waiter);
        };
        match seat.0.replace(waiter) {
            None => {
                self.taken = self.taken.saturating_add(1);
                Ok(())
            }
            Some(old) => Err(old),
        }
    }

    /// Whoever waits under this ticket leaves.
    pub(super) fn unseat<I>(&mut self, ticket: TicketId) -> Option<Waiter<I>>
    where
        S: Slab<Seat<I>>,
    {
        let seat = self.seats.get_mut(ticket.index.get())?;
        let waiter = seat.0.take_if(|waiter| waiter.ticket == ticket)?;
        self.taken = self.taken.saturating_sub(1);
        Some(waiter)
    }

    /// The I/O that waits under a ticket.
    pub(super) fn peek<I>(&self, ticket: TicketId) -> Option<&I>
    where
        S: Slab<Seat<I>>,
    {
        let waiter = self.seats.get(ticket.index.get())?.0.as_ref()?;
        (waiter.ticket == ticket).then_some(&waiter.io)
    }

    /// The next one that has waited for `bound_ns` leaves. At most `looks` seats are looked at.
    pub(super) fn unseat_expired<I: Io>(
        &mut self,
        looks: usize,
        bound_ns: u64,
        now_ns: u64,
    ) -> Option<Waiter<I>>
    where
        S: Slab<Seat<I>>,
    {
        for _ in 0..looks.min(self.seats.len()) {
            if self.taken == 0 {
                return None;
            }
            let seat = self.seats.get_mut(self.cursor);
            let found = seat.and_then(|seat| {
                seat.0
                    .take_if(|waiter| waiter.io.age_ns(now_ns) >= bound_ns)
            });
            self.cursor = self.cursor.saturating_add(1);
            if self.cursor >= self.seats.len() {
                self.cursor = 0;
            }
            if found.is_some() {
                self.taken = self.taken.saturating_sub(1);
                return found;
            }
        }
        None
    }

    /// Anyone leaves.
    pub(super) fn unseat_any<I>(&mut self) -> Option<Waiter<I>>
    where
        S: Slab<Seat<I>>,
    {
        if self.taken == 0 {
            return None;
        }
        let waiter = self.seats.iter_mut().find_map(|seat| seat.0.take())?;
        self.taken = self.taken.saturating_sub(1);
        Some(waiter)
    }
}
