// SPDX-License-Identifier: GPL-2.0
//! I/O that waits: for metadata, not for a data path. Context: task, for all of it, and outside of
//! `DiskOps::submit` (`EDEADLK`).
//!
//! All of it may fail with `ETIMEDOUT` and the device's own errors (see
//! [`BlkStatus::to_error`](crate::status::BlkStatus::to_error)), and with `ERANGE` beyond the end of
//! the device, `EROFS`, `E2BIG` for more than a unit's blocks at once.

use super::{BackingDev, IoClient, IoOp};
use crate::{bio::Flags, pages::Pages, BLOCK};
use kernel::prelude::*;

impl<C: IoClient> BackingDev<C> {
    /// Reads `count` blocks from `block` on into `pages` from `first` on. After `ETIMEDOUT` the
    /// device may still write there, until [`Self::drain`] says that it does not.
    pub fn read_sync(
        &self,
        block: u64,
        pages: &Pages,
        first: u32,
        count: u16,
        timeout_ns: u64,
    ) -> Result {
        self.transfer(
            IoOp::Read,
            block,
            pages,
            (first, count),
            Flags::META,
            timeout_ns,
        )
    }

    /// Writes `count` blocks of `pages` from `first` on to `block`. After `ETIMEDOUT` it may still
    /// reach the disk, any time later.
    pub fn write_sync(
        &self,
        block: u64,
        pages: &Pages,
        first: u32,
        count: u16,
        flags: Flags,
        timeout_ns: u64,
    ) -> Result {
        let flags = flags.with(Flags::META).with(Flags::SYNC);
        self.transfer(IoOp::Write, block, pages, (first, count), flags, timeout_ns)
    }

    /// Flushes the device's cache.
    pub fn flush_sync(&self, timeout_ns: u64) -> Result {
        let unit = self.take_wait(timeout_ns)?;
        unit.submit_wait(IoOp::Flush, 0, Flags::SYNC, timeout_ns)
    }

    /// Reads one block. After an error `dst` is as it was.
    pub fn read_block(&self, block: u64, dst: &mut [u8; BLOCK], timeout_ns: u64) -> Result {
        self.take_wait(timeout_ns)?
            .read_bounce(block, dst, timeout_ns)
    }

    /// Writes one block. After `ETIMEDOUT` it may still reach the disk, any time later.
    pub fn write_block(
        &self,
        block: u64,
        src: &[u8; BLOCK],
        flags: Flags,
        timeout_ns: u64,
    ) -> Result {
        let flags = flags.with(Flags::SYNC);
        self.take_wait(timeout_ns)?
            .write_bounce(block, src, flags, timeout_ns)
    }

    fn transfer(
        &self,
        op: IoOp,
        block: u64,
        pages: &Pages,
        (first, count): (u32, u16),
        flags: Flags,
        timeout_ns: u64,
    ) -> Result {
        if count > self.inner.unit_blocks {
            return Err(E2BIG);
        }
        let mut unit = self.take_wait(timeout_ns)?;
        for i in 0..u32::from(count) {
            unit.push(pages, first.checked_add(i).ok_or(ERANGE)?)?;
        }
        unit.submit_wait(op, block, flags, timeout_ns)
    }
}
