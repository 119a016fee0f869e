// SPDX-License-Identifier: GPL-2.0
//! When the machine is to be polled, and the numbers of what it waits for.

/// When to poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Agenda {
    /// Something happened between two polls that a poll has to see before its deadline.
    pub(crate) poke: bool,
    pub(crate) deadline: Option<u64>,
    /// When it was polled last.
    pub(crate) ticked_at: u64,
    pub(crate) tokens: u32,
}

impl Agenda {
    pub(crate) const NONE: Self = Self {
        poke: false,
        deadline: None,
        ticked_at: 0,
        tokens: 0,
    };
}
