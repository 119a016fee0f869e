// SPDX-License-Identifier: GPL-2.0
//! Preallocated block memory: the log, bounce buffers, adopted copies.

use crate::{bio::BioCursor, ffi, BLOCK};
use core::ptr::NonNull;
use kernel::prelude::*;

/// Most blocks of one [`Pages`]: 4 GiB.
pub const MAX_BLOCKS: u32 = 1 << 20;

/// A fixed array of 4 KiB blocks, made once, shared by all CPUs, without a lock.
///
/// **Who owns a block is the caller's business** (the state of its slot). This type only promises
/// that no use of it can touch anything else: every access is checked against the array, and every
/// copy is done by C through raw pointers. Two copies of one block at the same time, or a copy while
/// the device writes it, give mixed bytes (a *torn* block), never undefined behaviour. A CRC taken
/// of the block tells.
///
/// Ordering: the copies are plain. Publish a block to another CPU with a release store, and take it
/// over with an acquire load of the slot's state.
///
/// Context: any, but making and dropping it, which are for tasks.
pub struct Pages {
    // INVARIANT: `blocks * BLOCK` bytes of own, page-aligned vmalloc memory.
    base: NonNull<u8>,
    blocks: u32,
}

// SAFETY: plain memory, not bound to a task or CPU.
unsafe impl Send for Pages {}
// SAFETY: no reference into the memory is ever made; copies that race are contained in C.
unsafe impl Sync for Pages {}

impl Pages {
    /// Allocates `blocks` zeroed blocks. Context: task.
    ///
    /// # Errors
    /// `EINVAL`: none, or more than [`MAX_BLOCKS`]; `ENOMEM`.
    pub fn new(blocks: u32) -> Result<Self> {
        if blocks == 0 || blocks > MAX_BLOCKS {
            return Err(EINVAL);
        }
        let len = (blocks as usize).checked_mul(BLOCK).ok_or(EINVAL)?;
        // SAFETY: no preconditions.
        let base = unsafe { ffi::yoke_sys_vmalloc(len) };
        let base = NonNull::new(base.cast::<u8>()).ok_or(ENOMEM)?;
        // INVARIANT: just allocated; vmalloc memory is page-aligned.
        Ok(Self { base, blocks })
    }

    /// Number of blocks.
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Where `len` bytes at `offset` of a block are.
    fn at(&self, block: u32, offset: usize, len: usize) -> Result<*mut u8> {
        let end = offset.checked_add(len).ok_or(ERANGE)?;
        if block >= self.blocks || end > BLOCK {
            return Err(ERANGE);
        }
        // SAFETY: within the allocation, as just checked (invariant); no overflow, since the whole
        // array fits into `usize`.
        Ok(unsafe { self.base.as_ptr().add(block as usize * BLOCK + offset) })
    }

    /// Address of a block, for I/O and for drivers that copy from it.
    pub(crate) fn block_ptr(&self, block: u32) -> Result<*mut u8> {
        self.at(block, 0, BLOCK)
    }

    /// Copies `src` to `offset` of a block.
    ///
    /// # Errors
    /// `ERANGE`: no such block, or beyond its end; nothing was copied. So for all below.
    pub fn copy_in(&self, block: u32, offset: usize, src: &[u8]) -> Result {
        let dst = self.at(block, offset, src.len())?;
        // SAFETY: `dst` is valid for the length (checked), `src` is a slice.
        unsafe { ffi::yoke_sys_copy(dst.cast(), src.as_ptr().cast(), src.len()) };
        Ok(())
    }

    /// Copies from `offset` of a block to `dst`.
    pub fn copy_out(&self, block: u32, offset: usize, dst: &mut [u8]) -> Result {
        let src = self.at(block, offset, dst.len())?;
        // SAFETY: `src` is valid for the length (checked), `dst` is a slice of its own, which vmalloc memory of ours that
        // nobody has a reference to cannot overlap.
        unsafe { ffi::yoke_sys_copy(dst.as_mut_ptr().cast(), src.cast(), dst.len()) };
        Ok(())
    }

    /// Copies a whole block from `other`, which may be this array.
    pub fn copy_block(&self, block: u32, other: &Pages, from: u32) -> Result {
        let dst = self.block_ptr(block)?;
        let src = other.block_ptr(from)?;
        if dst != src {
            // SAFETY: both are valid for a block, and different blocks do not overlap.
            unsafe { ffi::yoke_sys_copy(dst.cast(), src.cast(), BLOCK) };
        }
        Ok(())
    }

    /// Zeroes a block.
    pub fn zero(&self, block: u32) -> Result {
        let dst = self.block_ptr(block)?;
        // SAFETY: valid for a block.
        unsafe { ffi::yoke_sys_zero(dst.cast(), BLOCK) };
        Ok(())
    }

    /// Fills a block from a bio and moves the cursor on by one block.
    ///
    /// # Errors
    /// `ERANGE`: no such block; `EINVAL`: less than a block is left in the bio.
    pub fn copy_from_bio(&self, block: u32, cursor: &mut BioCursor<'_>) -> Result {
        let dst = self.block_ptr(block)?;
        // SAFETY: valid for a block.
        unsafe { cursor.copy(dst, BLOCK, false) }
    }

    /// Copies a block into a bio and moves the cursor on by one block. Errors as above.
    pub fn copy_to_bio(&self, block: u32, cursor: &mut BioCursor<'_>) -> Result {
        let src = self.block_ptr(block)?;
        // SAFETY: valid for a block.
        unsafe { cursor.copy(src, BLOCK, true) }
    }

    /// CRC-32C of a block, going on from `seed` (see [`crate::crc`]).
    pub fn crc32c(&self, block: u32, seed: u32) -> Result<u32> {
        let src = self.block_ptr(block)?;
        // SAFETY: valid for a block.
        Ok(unsafe { ffi::yoke_sys_crc32c(seed, src.cast(), BLOCK) })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: from `yoke_sys_vmalloc()`, and nobody uses it after drop: I/O and drivers hold a
        // reference on the `Pages` as long as they use its memory.
        unsafe { ffi::yoke_sys_vfree(self.base.as_ptr().cast()) };
    }
}
