// SPDX-License-Identifier: GPL-2.0
//! What a block device can do.

use crate::{ffi, SECTORS};
use kernel::bindings;

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
        }
    }
}
