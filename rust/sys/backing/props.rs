// SPDX-License-Identifier: GPL-2.0
//! What a block device can do, and how it wants to be used.

use super::{BackingDev, IoClient};
use crate::{ffi, SECTORS};
use kernel::bindings;

/// How a device wants to be used, as seen from a disk that begins somewhere on it: block sizes, alignments, the granularity
/// of discards, the alignment of memory, whether seeks cost. For [`Params::below`](crate::disk::Params::below).
pub use ffi::Below;

/// Properties of a block device. Lengths of 0 mean "cannot".
#[derive(Clone, Copy, Debug)]
pub struct Props {
    /// Size in whole blocks of ours.
    pub blocks: u64,
    /// Bytes of its own blocks.
    pub logical_block_bytes: u32,
    /// Most blocks that one command moves; larger I/O is split below us.
    pub max_io_blocks: u32,
    /// Most blocks of one discard.
    pub discard_blocks: u32,
    /// Most blocks of one write-zeroes.
    pub write_zeroes_blocks: u32,
    /// It has a volatile cache: flush before relying on a write.
    pub write_cache: bool,
    /// It takes FUA by itself; else the block layer flushes after the write.
    pub fua: bool,
    /// Seeks cost.
    pub rotational: bool,
    /// It wants pages that do not change while they are written.
    pub stable_writes: bool,
    /// It refuses writes.
    pub read_only: bool,
    /// It has zones that are written in order.
    pub zoned: bool,
}

impl<C: IoClient> BackingDev<C> {
    /// The device number, to open the same one again by [`Path::Dev`](super::Path::Dev).
    pub fn dev(&self) -> u32 {
        // SAFETY: the device is open.
        unsafe { (*self.inner.bdev).bd_dev }
    }

    /// How the device wants to be used by a disk whose first block is `block` of it.
    pub fn below(&self, block: u64) -> Below {
        let mut below = Below::default();
        // SAFETY: the device is open, `below` is valid memory.
        unsafe {
            ffi::yoke_sys_bdev_below(self.inner.bdev, block.saturating_mul(SECTORS), &mut below)
        };
        below
    }
}

impl Props {
    pub(super) const fn none() -> Self {
        Self {
            blocks: 0,
            logical_block_bytes: 0,
            max_io_blocks: 0,
            discard_blocks: 0,
            write_zeroes_blocks: 0,
            write_cache: false,
            fua: false,
            rotational: false,
            stable_writes: false,
            read_only: false,
            zoned: false,
        }
    }

    /// Asks a device.
    ///
    /// # Safety
    /// `bdev` is open.
    pub(super) unsafe fn of(bdev: *mut bindings::block_device) -> Self {
        let mut raw = ffi::BdevProps::default();
        // SAFETY: the device is open, `raw` is valid memory.
        unsafe { ffi::yoke_sys_bdev_props(bdev, &mut raw) };
        let per_block = SECTORS as u32;
        let has = |bit: u32| raw.flags & bit != 0;
        Self {
            blocks: raw.sectors / SECTORS,
            logical_block_bytes: raw.logical_block_size,
            max_io_blocks: (raw.max_io_sectors / per_block).min(raw.max_segments),
            discard_blocks: raw.discard_sectors / per_block,
            write_zeroes_blocks: raw.write_zeroes_sectors / per_block,
            write_cache: has(ffi::B_WRITE_CACHE),
            fua: has(ffi::B_FUA),
            rotational: has(ffi::B_ROTATIONAL),
            stable_writes: has(ffi::B_STABLE_WRITES),
            read_only: has(ffi::B_READ_ONLY),
            zoned: has(ffi::B_ZONED),
        }
    }
}
