// SPDX-License-Identifier: GPL-2.0
//! Whether the data of adopted slots is what their headers say (PROTOCOL P7.4). It is looked at when it is first used: so a
//! takeover takes no longer for a full log than for an empty one. Until then nobody has seen it.

use super::entry::{Entry, EntryId};
use super::state::Hand;
use super::{Log, Slab};
use crate::volume::plan::RunId;

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    /// The data of an adopted slot is what its header says, or whoever asked has seen that it is.
    pub(crate) fn checked(&mut self, slot: u32) {
        let entry = self.adopted(slot);
        self.at_mut(entry).unchecked = false;
    }

    /// As [`Self::checked`], of all adopted slots of a run.
    pub(crate) fn checked_run(&mut self, run: RunId) {
        let mut entry = self.runs.find(run).and_then(|run| run.first.some());
        while let Some(at) = entry {
            self.at_mut(at).unchecked = false;
            entry = self.at(at).ready_next.some();
        }
    }

    /// Whether a look at the data of an adopted slot would tell whether it is there. Not of one whose region is gone: it is the
    /// only copy, and it is lost.
    pub(crate) fn is_unchecked(&self, entry: EntryId) -> bool {
        let at = self.at(entry);
        self.is_adopted(entry) && at.is_live() && at.unchecked && !self.is_link_gone(at.link)
    }

    /// The data of an adopted slot is not what its header says. If nobody has seen it otherwise, it never arrived: no owner
    /// can have taken it for proved, and the slot holds nothing. Whether that is so. One that is on its way to the disk stays:
    /// whoever sends it has looked, or is about to.
    pub(crate) fn drop_unchecked(&mut self, entry: EntryId) -> bool {
        if !self.is_unchecked(entry) {
            return false;
        }
        if matches!(self.at(entry).state.hand(), Hand::Nobody | Hand::Ready) {
            self.discard(entry);
            self.count_dropped();
        }
        true
    }

    /// The data of a slot that was found is not what its header says.
    pub(crate) fn count_dropped(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
    }

    /// Another takeover begins to look at slots.
    pub(crate) fn none_dropped(&mut self) {
        self.dropped = 0;
    }

    /// Slots that the last takeover found, or adopted, and whose data was not there.
    pub(crate) fn dropped(&self) -> u32 {
        self.dropped
    }
}
