// SPDX-License-Identifier: GPL-2.0
//! Who waits: every I/O that came in and was not answered, but those that a CPU or the disk has in its hands.
//!
//! An environment puts each I/O that comes in on the desk ([`Desk::begin`]) and does what the [`Job`] says that it gets
//! back. Nothing else files an I/O, and every method that files one asks the machine in the same breath, under the same
//! lock: so an I/O waits under a ticket that the machine knows, or among those that are begun again, and never under
//! nothing. Whatever becomes of the volume it leaves again:
//! - with the ticket, which the machine completes or fails, also when the ownership ends;
//! - at last when it has waited for as long as anything may ([`Desk::expired`]);
//! - when the desk is closed ([`Desk::close`]), after which nothing is filed any more.
//!
//! One I/O goes through several steps: the flush before a write, the write, the flush after it. What was done is never
//! done again, however often it has to wait.

mod ends;
mod io;
mod seats;

pub use io::{Ask, Io, Job, Line, Polled, Sampled, Step};
pub use seats::Seat;

use crate::volume::action::Action;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::plan::{
    FenceSample, LongBegin, ReadBegin, ReadEnd, ReadPlan, TicketId, WriteBegin, WriteEnd,
};
use crate::volume::requests::tickets::Ticket;
use crate::volume::status::Reason;
use seats::{Seats, Then, Waiter};

/// The desk of one volume. Lives under the lock of its machine.
#[derive(Debug)]
pub struct Desk<I, S, L> {
    seats: Seats<S>,
    /// To be begun again when something changes, by step.
    parked: [L; Step::ALL.len()],
    /// Parked ones are to be begun again.
    restart: bool,
    /// How long anything may wait.
    bound_ns: u64,
    expired: u64,
    flushes: u64,
    stalls: u64,
    closed: bool,
    io: core::marker::PhantomData<I>,
}

impl<I: Io, S: Slab<Seat<I>>, L: Line<I>> Desk<I, S, L> {
    /// A desk with nobody at it. `seats` has one place for each ticket of the machine; no I/O waits for longer than
    /// `bound_ns`, if [`Self::expired`] and [`Self::take_parked`] are called often enough.
    ///
    /// # Errors
    ///
    /// What is wrong with the storage.
    pub fn new(seats: S, tickets: usize, bound_ns: u64) -> Result<Self, &'static str> {
        if seats.len() != tickets {
            return Err("one seat for each ticket is needed");
        }
        Ok(Self {
            seats: Seats::new(seats),
            parked: [L::default(), L::default(), L::default()],
            restart: false,
            bound_ns,
            expired: 0,
            flushes: 0,
            stalls: 0,
            closed: false,
            io: core::marker::PhantomData,
        })
    }

    /// How many wait, whatever for.
    pub fn waiting(&self) -> usize {
        self.parked().saturating_add(self.seats.taken())
    }

    fn parked(&self) -> usize {
        self.parked.iter().map(L::count).sum()
    }

    /// How many were answered with an error since they had waited for too long.
    pub fn expired_total(&self) -> u64 {
        self.expired
    }

    /// How many flushes were begun.
    pub fn flushes_total(&self) -> u64 {
        self.flushes
    }

    /// How often a write had to wait before it could be begun.
    pub fn stalls_total(&self) -> u64 {
        self.stalls
    }

    /// Whether parked ones are to be begun again; clears it.
    pub fn take_restart(&mut self) -> bool {
        core::mem::take(&mut self.restart)
    }

    /// Whether parked ones are to be begun again.
    pub fn wants_restart(&self) -> bool {
        self.restart
    }

    /// Something has changed: parked ones are to be begun again.
    pub fn wake(&mut self) {
        self.restart |= self.parked() > 0;
    }

    /// Takes everything that is parked at this step, to be begun again one by one, outside of the lock.
    pub fn take_parked(&mut self, step: Step) -> L {
        self.parked
            .get_mut(step.line())
            .map_or_else(L::default, core::mem::take)
    }

    /// Puts an I/O back among those that are begun again at this step. Also for what the environment keeps back by
    /// itself.
    pub fn park(&mut self, io: I, step: Step) -> Job<I> {
        if self.closed {
            return Job::End(io, Err(Reason::Leaving));
        }
        if let Some(line) = self.parked.get_mut(step.line()) {
            line.push(io);
            return Job::Kept;
        }
        Job::End(io, Err(Reason::Leaving))
    }

    /// Files an I/O under a ticket that the machine has just given, or not given up.
    fn seat(&mut self, ticket: TicketId, io: I, then: Then) -> Job<I> {
        if self.closed {
            return Job::End(io, Err(Reason::Leaving));
        }
        match self.seats.seat(Waiter { ticket, io, then }) {
            Ok(()) => Job::Kept,
            // There is no such ticket.
            Err(waiter) if waiter.ticket == ticket => Job::End(waiter.io, Err(Reason::Leaving)),
            // A ticket is given anew only after it was ended, and its I/O left with it. If that is not so, answer.
            Err(old) => Job::End(old.io, Err(Reason::Deposed)),
        }
    }

    /// The I/O that waits under a ticket, to look at.
    pub fn peek(&self, ticket: TicketId) -> Option<&I> {
        self.seats.peek(ticket)
    }

    /// Begins an I/O, or goes on with it.
    pub fn begin<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>>(
        &mut self,
        core: &mut Volume<E, B, T>,
        io: I,
        step: Step,
        now_ns: u64,
    ) -> Job<I> {
        if self.closed {
            return Job::End(io, Err(Reason::Leaving));
        }
        if io.age_ns(now_ns) >= self.bound_ns {
            self.expired = self.expired.saturating_add(1);
            return Job::End(io, Err(Reason::TooLong));
        }
        match (step, io.ask()) {
            (Step::Flush, _) | (_, Ask::Flush) => {
                let begun = core.flush(now_ns);
                self.flushes = self
                    .flushes
                    .saturating_add(u64::from(matches!(begun, LongBegin::Wait(_))));
                self.long(begun, io, step, Then::End)
            }
            (Step::Start, Ask::Write { preflush: true, .. }) => {
                let begun = core.flush(now_ns);
                self.flushes = self
                    .flushes
                    .saturating_add(u64::from(matches!(begun, LongBegin::Wait(_))));
                self.long(begun, io, step, Then::Go(Step::Write))
            }
            (_, Ask::Write { range, .. }) => match core.write_begin(range, now_ns) {
                WriteBegin::Plan(plan) => Job::Write(io, plan),
                WriteBegin::Park => {
                    self.stalls = self.stalls.saturating_add(1);
                    self.park(io, step)
                }
                WriteBegin::Fail(reason) => Job::End(io, Err(reason)),
            },
            (_, Ask::Read(range)) => match core.read_begin(range, now_ns) {
                ReadBegin::Plan(plan) => Job::Read(io, plan),
                ReadBegin::Park => self.park(io, step),
                ReadBegin::Fail(reason) => Job::End(io, Err(reason)),
            },
            (_, Ask::Pass(op, range)) => {
                let begun = core.pass_down(op, range, now_ns);
                self.long(begun, io, step, Then::End)
            }
        }
    }

    fn long(&mut self, begun: LongBegin, io: I, step: Step, then: Then) -> Job<I> {
        match begun {
            LongBegin::Wait(ticket) => self.seat(ticket, io, then),
            LongBegin::Park => self.park(io, step),
            LongBegin::Fail(reason) => Job::End(io, Err(reason)),
        }
    }

    /// The plan of a write was carried out.
    pub fn wrote<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>>(
        &mut self,
        core: &mut Volume<E, B, T>,
        io: I,
        ticket: TicketId,
        fence: Option<FenceSample>,
        now_ns: u64,
    ) -> Job<I> {
        let fua = matches!(io.ask(), Ask::Write { fua: true, .. });
        match core.write_finish(ticket, fence, now_ns) {
            WriteEnd::Wait if fua => self.seat(ticket, io, Then::Go(Step::Flush)),
            WriteEnd::Wait => self.seat(ticket, io, Then::End),
            WriteEnd::Again(to) => Job::Again(io, to),
            WriteEnd::Complete if fua => self.begin(core, io, Step::Flush, now_ns),
            WriteEnd::Complete => Job::End(io, Ok(())),
            WriteEnd::Fail(reason) => Job::End(io, Err(reason)),
        }
    }

    /// The plan of a read was carried out, or could not be.
    pub fn sampled<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>>(
        &mut self,
        core: &mut Volume<E, B, T>,
        io: I,
        plan: &ReadPlan,
        sampled: Sampled,
        now_ns: u64,
    ) -> Job<I> {
        let end = match sampled {
            Sampled::Good => core.read_finish(plan, now_ns),
            Sampled::Unreadable => core.read_failed(plan, None, now_ns),
            Sampled::Corrupt { at } => core.read_failed(plan, Some(at), now_ns),
            Sampled::Later | Sampled::Again => match core.read_returned(plan, now_ns) {
                ReadEnd::Complete if sampled == Sampled::Again => ReadEnd::Again,
                ReadEnd::Complete => ReadEnd::Park,
                other => other,
            },
        };
        self.end_read(io, end)
    }

    /// A read was handed back to the machine.
    pub fn end_read(&mut self, io: I, end: ReadEnd) -> Job<I> {
        match end {
            ReadEnd::Complete => Job::End(io, Ok(())),
            ReadEnd::Fail(reason) => Job::End(io, Err(reason)),
            ReadEnd::Park => self.park(io, Step::Start),
            ReadEnd::Again => {
                self.restart = true;
                self.park(io, Step::Start)
            }
        }
    }

    /// Polls the machine. A ticket that it gives up and the I/O that waits under it go together: as soon as the lock is
    /// let go of, the ticket may be given to another.
    pub fn poll<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>>(
        &mut self,
        core: &mut Volume<E, B, T>,
        now_ns: u64,
    ) -> Option<Polled<I>> {
        Some(match core.poll_action(now_ns)? {
            Action::Complete(ticket) => Polled::Job(self.complete(core, ticket, now_ns)),
            Action::Fail(ticket, reason) => Polled::Job(self.fail(ticket, reason)),
            Action::Wake => {
                self.wake();
                Polled::Job(Job::Kept)
            }
            action => Polled::Do(action),
        })
    }
}
