// SPDX-License-Identifier: GPL-2.0
//! What is done to all entries, or all adopted ones, piece by piece: all are discarded; what was adopted from a region that is
//! gone is condemned; and what is condemned is given up.

use super::entry::Entry;
use super::state::Place;
use super::{Log, Slab};

/// How far it is. One after the other; the machine is on a stack while it is made, so there is one cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sweeps {
    /// The next entry, or slot, to look at.
    pub(super) next: u32,
    /// All entries are discarded. Nothing else counts then.
    pub(super) empties: bool,
    /// Else: what is condemned is given up.
    gives_up: bool,
    /// Else: the links whose regions are gone, one bit for each.
    gone: u8,
}

impl Sweeps {
    pub(super) const NONE: Self = Self {
        next: 0,
        empties: false,
        gives_up: false,
        gone: 0,
    };

    pub(super) const EMPTYING: Self = Self {
        empties: true,
        ..Self::NONE
    };
}

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    /// What was adopted from the region of a link is condemned: the region is gone. Until that is done the CRC of a slot
    /// tells.
    pub(crate) fn condemn_link(&mut self, link: u8) {
        self.sweeps.gone |= 1_u8.checked_shl(link.into()).unwrap_or(0);
        if !(self.sweeps.gives_up || self.sweeps.empties) {
            self.sweeps.next = 0;
        }
    }

    /// Whether the region of a link is gone, and what was adopted from it is being condemned.
    pub(super) fn is_link_gone(&self, link: u8) -> bool {
        self.sweeps.gone.checked_shr(link.into()).unwrap_or(0) & 1 != 0
    }

    /// What is condemned is given up: of these blocks the disk's version is served. What will be condemned is another
    /// matter.
    pub(crate) fn give_up_condemned(&mut self) {
        if !self.sweeps.empties {
            (self.sweeps.gives_up, self.sweeps.next) = (true, 0);
        }
    }

    /// Whether slots are to be condemned, or given up.
    pub(crate) fn is_sweeping(&self) -> bool {
        self.sweeps.gives_up || self.sweeps.gone != 0
    }

    /// Looks at the next `count` slots.
    pub(crate) fn sweep_some(&mut self, count: u32) {
        let Sweeps {
            next: first,
            gives_up,
            gone,
            ..
        } = self.sweeps;
        let end = first.saturating_add(count).min(self.slots);
        for slot in first..end {
            let entry = self.adopted(slot);
            if !gives_up && self.is_link_gone(self.at(entry).link) {
                self.condemn(entry);
            } else if gives_up && self.at(entry).is_condemned() {
                self.mark_done(entry);
                self.at_mut(entry).state.put(Place::GivenUp);
            }
        }
        self.sweeps.next = end;
        if end >= self.slots {
            // What has gone meanwhile comes after what is given up.
            let gone = if gives_up { gone } else { 0 };
            self.sweeps = Sweeps {
                gone,
                ..Sweeps::NONE
            };
        }
    }
}
