// SPDX-License-Identifier: GPL-2.0
//! The I/O that came in: writes, flushes and what goes past the log, by ticket; reads, which have none; and whether more
//! of it is kept back by the environment.

use super::log::Slab;
use super::pass::Passes;
use super::tickets::{Ticket, Tickets};

/// The I/O that is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Requests<T> {
    pub(crate) tickets: Tickets<T>,
    pub(crate) passes: Passes,
    /// Reads that were begun on either side of the last flip.
    pub(crate) reads: [u32; 2],
    pub(crate) read_side: u8,
    /// The environment keeps some back.
    pub(crate) parked: bool,
    /// What is kept back is to be begun again.
    pub(crate) wake: bool,
}

impl<T: Slab<Ticket>> Requests<T> {
    pub(crate) fn new(tickets: T) -> Self {
        Self {
            tickets: Tickets::new(tickets),
            passes: Passes::NONE,
            reads: [0; 2],
            read_side: 0,
            parked: false,
            wake: false,
        }
    }
}
