// SPDX-License-Identifier: GPL-2.0
//! One entry of the log: one version of one block.

/// No entry, no ticket.
pub(crate) const NONE: u32 = u32::MAX;

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
    pub(crate) chain: u32,
    /// Of the newest version of a block only: the version that is in the list of what may be destaged.
    pub(crate) block_ready: u32,
    /// Of the newest version of a block only: the version of which a write to the disk is in flight.
    pub(crate) block_busy: u32,
    /// The version before this one.
    pub(crate) older: u32,
    /// The version after this one.
    pub(crate) newer: u32,
    /// Neighbours in the list of what is not done, of what is done, or of free slots.
    pub(crate) prev: u32,
    pub(crate) next: u32,
    /// Neighbours in the list of what may be destaged, or of what is in doubt, or the next one in a run that is in flight.
    pub(crate) ready_prev: u32,
    pub(crate) ready_next: u32,
    /// The write that waits for it, and the next entry of that write.
    pub(crate) ticket: u32,
    pub(crate) ticket_next: u32,
    /// Of an adopted slot: the CRC-32C of its data.
    pub(crate) crc: u32,
    pub(crate) flags: u16,
    /// Links in whose region the slot may hold this version.
    pub(crate) carried: u8,
    /// Links in whose region it was proved to be.
    pub(crate) proved: u8,
    /// Of an adopted slot: the link in whose region it is.
    pub(crate) link: u8,
}

/// In the index.
pub(crate) const LIVE: u16 = 1;
/// Somebody outside the lock is copying or posting it.
pub(crate) const FILLING: u16 = 1 << 1;
/// In the list of what may be destaged.
pub(crate) const READY: u16 = 1 << 2;
/// A write of it to the disk is in flight.
pub(crate) const BUSY: u16 = 1 << 3;
/// A write of it to the disk failed and may still land: it is busy until that is over.
pub(crate) const DOUBT: u16 = 1 << 4;
/// It, or a newer version, is on the disk by a completed write.
pub(crate) const DONE: u16 = 1 << 5;
/// It is being freed.
pub(crate) const FREEING: u16 = 1 << 6;
/// An adopted slot whose data is not what was adopted: its block cannot be read until it is written anew.
pub(crate) const CONDEMNED: u16 = 1 << 8;
/// The ownership ended while somebody outside the lock had it: free it when it comes back.
pub(crate) const ORPHAN: u16 = 1 << 7;
/// A tombstone: no version of a block. It is in no bucket, and is never destaged.
pub(crate) const TOMB: u16 = 1 << 9;

/// A person gave it up: it is done, though no write of it was.
pub(crate) const GIVEN_UP: u16 = 1 << 10;

// Each is a bit of its own.
const _: () = {
    let all = GIVEN_UP
        | LIVE
        | FILLING
        | READY
        | BUSY
        | DONE
        | FREEING
        | ORPHAN
        | CONDEMNED
        | TOMB
        | DOUBT;
    assert!(all.count_ones() == 11);
};

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
        ticket: NONE,
        ticket_next: NONE,
        crc: 0,
        flags: 0,
        carried: 0,
        proved: 0,
        link: 0,
    };

    #[inline]
    pub(crate) const fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    #[inline]
    pub(crate) fn set(&mut self, flag: u16) {
        self.flags |= flag;
    }

    #[inline]
    pub(crate) fn unset(&mut self, flag: u16) {
        self.flags &= !flag;
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
    pub(crate) head: u32,
    pub(crate) tail: u32,
    pub(crate) len: u32,
}

impl List {
    pub(crate) const EMPTY: Self = Self {
        head: NONE,
        tail: NONE,
        len: 0,
    };
}
