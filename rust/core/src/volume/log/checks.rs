// SPDX-License-Identifier: GPL-2.0
//! Whether the data of adopted slots is what their headers say (PROTOCOL P7.4). It is looked at when it is first used: so a
//! takeover hardly takes longer for a full log than for an empty one. Until then nobody has seen it.

use super::entry::{Entry, EntryId};
use super::state::{Hand, Place};
use super::{Log, Slab};
use crate::volume::plan::RunId;

/// What becomes of an adopted slot whose data is not what its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Nobody has seen it otherwise, so it never arrived: no owner can have taken it for proved. The slot held nothing, and is
    /// dropped.
    Dropped,
    /// It is gone already.
    Gone,
    /// Somebody prepares to write it down, and is about to find that too.
    InHand,
    /// It was there once, or its window is gone: what is left of it is the only copy.
    Spoilt,
}

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
    /// only copy, and it is lost. Nor of one that is on the disk, or outdone by what is there.
    pub(crate) fn is_unchecked(&self, entry: EntryId) -> bool {
        let at = self.at(entry);
        let dirty = at.state.place() == Place::Dirty;
        self.is_adopted(entry) && dirty && at.unchecked && !self.is_link_gone(at.link)
    }

    /// The data of an adopted slot is not what its header says.
    pub(crate) fn found_bad(&mut self, entry: EntryId) -> Bad {
        if !self.is_live(entry) {
            return Bad::Gone;
        }
        if !self.is_unchecked(entry) {
            return Bad::Spoilt;
        }
        if !matches!(self.at(entry).state.hand(), Hand::Nobody | Hand::Ready) {
            return Bad::InHand;
        }
        self.discard(entry);
        self.count_dropped();
        Bad::Dropped
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
