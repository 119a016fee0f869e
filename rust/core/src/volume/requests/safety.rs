// SPDX-License-Identifier: GPL-2.0
//! When a version of a block is safe, and when it may be seen (PROTOCOL P4).

use crate::guards::Guard;
use crate::volume::log::entry::{Entry, EntryId};
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::requests::tickets::{Ticket, NO_TICKET};
use crate::volume::status::Mode;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Whether a version is safe: proved to be in two memories, or on the disk by a completed write. Under a record
    /// that names the partner the disk alone is not enough: the shadow may have an older version of the block.
    pub(crate) fn is_safe(&self, entry: EntryId) -> bool {
        let at = self.log.at(entry);
        if at.is_filling() {
            return false;
        }
        match self.ownership.mode() {
            Some(Mode::Mirrored) => at.proved != 0,
            Some(Mode::Joining) => {
                at.is_done()
                    || at.proved != 0
                        && !(self.guards.on(Guard::JoinBoth)
                            && self.guards.on(Guard::ShadowBeforeAck))
            }
            Some(_) => at.is_done(),
            None => false,
        }
    }

    /// Whether a read may be served from a version: it was acknowledged, or could be now, or was adopted.
    pub(crate) fn is_acknowledgeable(&self, entry: EntryId, now_ns: u64) -> bool {
        let at = self.log.at(entry);
        let answered = at.ticket == NO_TICKET && !at.is_filling();
        answered
            || !self.guards.on(Guard::ReadAcknowledged)
            || self.is_safe(entry) && self.permit().may_acknowledge(now_ns).is_ok()
    }
}
