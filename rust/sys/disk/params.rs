// SPDX-License-Identifier: GPL-2.0
//! What a disk is to be like.

use crate::{backing::Below, ffi, SECTORS};
use kernel::prelude::*;

/// Most blocks of one I/O that a disk can ask for: 64 MiB.
const MAX_IO_BLOCKS: u32 = 1 << 14;

/// Most blocks of one discard or write-zeroes: what fits into a bio's 32-bit length.
const MAX_RANGE_BLOCKS: u32 = (u32::MAX >> 12) & !0xf;

/// Size and limits of a disk with 4 KiB logical blocks. Larger bios are split before they arrive.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// Size in blocks.
    pub capacity_blocks: u64,
    /// Most blocks of one read or write, 1..16384.
    pub max_io_blocks: u32,
    /// Most blocks of one discard; 0: no discard.
    pub discard_blocks: u32,
    /// Most blocks of one write-zeroes; 0: not offered, callers write zeroes instead.
    pub write_zeroes_blocks: u32,
    /// There is something to flush: flushes arrive, and `PREFLUSH` and `FUA` flags with writes.
    /// Without it the block layer answers flushes itself.
    pub write_cache: bool,
    /// `FUA` arrives as a flag; without it, it is turned into a flush after the write.
    pub fua: bool,
    /// Pages must not change while they are written: for disks that check them on the way down.
    pub stable_writes: bool,
    /// Look for a partition table.
    pub partitions: bool,
    /// Refuse writes.
    pub read_only: bool,
    /// A number that tells this disk from others with the same object behind them: calls of
    /// [`DiskOps`](super::DiskOps) get it, and [`Bio::disk_tag`](crate::bio::Bio::disk_tag) says it.
    pub tag: u64,
    /// What the device below wants, which its users are to know. `None`: nothing is below, and any block is as good as
    /// any other.
    pub below: Option<Below>,
}

impl Params {
    /// A disk with a volatile cache and FUA, 1 MiB at once, no discard.
    pub const fn new(capacity_blocks: u64) -> Self {
        Self {
            capacity_blocks,
            max_io_blocks: 256,
            discard_blocks: 0,
            write_zeroes_blocks: 0,
            write_cache: true,
            fua: true,
            stable_writes: false,
            partitions: false,
            read_only: false,
            tag: 0,
            below: None,
        }
    }

    pub(super) fn capacity_sectors(&self) -> Result<u64> {
        sectors(self.capacity_blocks)
    }

    pub(super) fn limits(&self) -> Result<ffi::Limits> {
        if self.max_io_blocks == 0
            || self.max_io_blocks > MAX_IO_BLOCKS
            || (self.fua && !self.write_cache)
        {
            return Err(EINVAL);
        }
        let flag = |on: bool, bit: u32| if on { bit } else { 0 };
        let per_block = SECTORS as u32;
        Ok(ffi::Limits {
            max_io_sectors: self.max_io_blocks * per_block,
            discard_sectors: self.discard_blocks.min(MAX_RANGE_BLOCKS) * per_block,
            write_zeroes_sectors: self.write_zeroes_blocks.min(MAX_RANGE_BLOCKS) * per_block,
            flags: flag(self.write_cache, ffi::L_WRITE_CACHE)
                | flag(self.fua, ffi::L_FUA)
                | flag(self.partitions, ffi::L_PARTITIONS)
                | flag(self.stable_writes, ffi::L_STABLE_WRITES),
            below: self
                .below
                .as_ref()
                .map_or(core::ptr::null(), core::ptr::from_ref),
        })
    }
}

/// Blocks in sectors.
///
/// # Errors
/// `EINVAL`: more than the block layer can address.
pub(super) fn sectors(blocks: u64) -> Result<u64> {
    match blocks.checked_mul(SECTORS) {
        Some(sectors) if sectors <= (i64::MAX as u64) >> 9 => Ok(sectors),
        _ => Err(EINVAL),
    }
}
