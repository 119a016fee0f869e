// SPDX-License-Identifier: GPL-2.0
//! One entry of the log: one version of one block.

use super::state::{Hand, Place, State};
use crate::volume::requests::tickets::{TicketIndex, NO_TICKET};

/// The number of an entry, or none: own slots first, then the adopted ones. It says nothing of whether the entry is in
/// use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EntryId(u32);

impl EntryId {
    /// The entry of this number.
    #[inline]
    pub(crate) const fn new(index: u32) -> Self {
        Self(index)
    }

    /// Its number. Of an own slot it is the number of the slot.
    #[inline]
    pub(crate) const fn index(self) -> u32 {
        self.0
    }

    /// It, unless it is [`NONE`].
    #[inline]
    pub(crate) fn some(self) -> Option<Self> {
        (self != NONE).then_some(self)
    }
}

/// No entry.
pub(crate) const NONE: EntryId = EntryId(u32::MAX);

/// One version of one block, in an own slot or in an adopted one. Storage for them is given to the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub(crate) block: u64,
    /// Versions are ordered by generation, then by sequence.
    pub(crate) generation: u64,
    pub(crate) sequence: u64,
    /// Order of insertion, over own and adopted ones.
    pub(crate) stamp: u64,
    /// When it was done, in the order of such events; 0: not yet.
    pub(crate) done_no: u64,
    /// Until when a write of it that failed may land.
    pub(crate) doubt_until_ns: u64,
    /// Of the newest version of a block only: the next block in the bucket.
    pub(crate) chain: EntryId,
    /// Of the newest version of a block only: the version that is in the list of what may be destaged.
    pub(crate) block_ready: EntryId,
    /// Of the newest version of a block only: the version of which a write to the disk is in flight.
    pub(crate) block_busy: EntryId,
    /// The version before this one.
    pub(crate) older: EntryId,
    /// The version after this one.
    pub(crate) newer: EntryId,
    /// Neighbours in the list of what is not done, of what is done, or of free slots.
    pub(crate) prev: EntryId,
    pub(crate) next: EntryId,
    /// Neighbours in the list of what may be destaged, or of what is in doubt, or the next one in a run that is in flight.
    pub(crate) ready_prev: EntryId,
    pub(crate) ready_next: EntryId,
    /// The write that waits for it, and the next entry of that write.
    pub(crate) ticket: TicketIndex,
    pub(crate) ticket_next: EntryId,
    /// Of an adopted slot: the CRC-32C of its data, as its header says.
    pub(crate) crc: u32,
    pub(crate) state: State,
    /// A tombstone: no version of a block. It is in no bucket, and is never destaged.
    pub(crate) tomb: bool,
    /// Of an adopted slot: nobody has compared its data with `crc` yet.
    pub(crate) unchecked: bool,
    /// Links in whose region the slot may hold this version.
    pub(crate) carried: u8,
    /// Links in whose region it was proved to be.
    pub(crate) proved: u8,
    /// Of an adopted slot: the link in whose region it is.
    pub(crate) link: u8,
}

impl Entry {
    /// An entry that holds nothing.
    pub const EMPTY: Self = Self {
        block: 0,
        generation: 0,
        sequence: 0,
        stamp: 0,
        done_no: 0,
        doubt_until_ns: 0,
        chain: NONE,
        block_ready: NONE,
        block_busy: NONE,
        older: NONE,
        newer: NONE,
        prev: NONE,
        next: NONE,
        ready_prev: NONE,
        ready_next: NONE,
        ticket: NO_TICKET,
        ticket_next: NONE,
        crc: 0,
        state: State::FREE,
        tomb: false,
        unchecked: false,
        carried: 0,
        proved: 0,
        link: 0,
    };

    /// Whether it is in the log.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.state.place() >= Place::Dirty
    }

    /// Whether it, or a newer version, is on the disk by a completed write.
    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.state.place() >= Place::Done
    }

    #[inline]
    pub(crate) fn is_freeing(&self) -> bool {
        self.state.place() == Place::Freeing
    }

    #[inline]
    pub(crate) fn is_condemned(&self) -> bool {
        self.state.place() == Place::Condemned
    }

    /// Whether somebody outside the lock is copying or posting it.
    #[inline]
    pub(crate) fn is_filling(&self) -> bool {
        self.state.hand() == Hand::Filler
    }

    /// Whether a write of it to the disk is in flight, or failed and may still land.
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.state.hand(), Hand::Disk | Hand::Doubt)
    }

    /// Whether a write of it to the disk failed and may still land.
    #[inline]
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.state.hand() == Hand::Doubt
    }

    /// Whether it is in the list of what may be destaged.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        self.state.hand() == Hand::Ready
    }

    #[inline]
    pub(crate) const fn version(&self) -> (u64, u64) {
        (self.generation, self.sequence)
    }
}

impl Default for Entry {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// The ends of a list of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct List {
    pub(crate) head: EntryId,
    pub(crate) tail: EntryId,
    pub(crate) len: u32,
}

impl List {
    pub(crate) const EMPTY: Self = Self {
        head: NONE,
        tail: NONE,
        len: 0,
    };
}
