// SPDX-License-Identifier: GPL-2.0
//! A bio that the block layer gave to one of our disks.

use crate::{disk::DiskHead, ffi, status, status::BlkStatus, status::IoResult, BLOCK, SECTORS};
use core::{mem::ManuallyDrop, ptr::NonNull};
use kernel::{bindings, prelude::*};

/// What a bio asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Fill the bio's memory from the disk.
    Read,
    /// Write the bio's memory. May carry [`Flags::PREFLUSH`] and [`Flags::FUA`].
    Write,
    /// No data: everything acknowledged before must reach stable storage.
    Flush,
    /// The contents of the range are not needed any more.
    Discard,
    /// The range reads as zeroes from now on.
    WriteZeroes,
}

/// A set of flags of a bio or of an own I/O.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(u32);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Flush before the data is written.
    pub const PREFLUSH: Self = Self(ffi::F_PREFLUSH);
    /// The data itself must be on stable storage at completion.
    pub const FUA: Self = Self(ffi::F_FUA);
    /// Somebody waits for it.
    pub const SYNC: Self = Self(ffi::F_SYNC);
    /// Metadata.
    pub const META: Self = Self(ffi::F_META);
    /// Read-ahead: may be failed when it is inconvenient.
    pub const RAHEAD: Self = Self(ffi::F_RAHEAD);
    /// The submitter must not be blocked. Disks of this crate never see it.
    pub const NOWAIT: Self = Self(ffi::F_NOWAIT);
    /// Write-zeroes must not deallocate.
    pub const NOUNMAP: Self = Self(ffi::F_NOUNMAP);

    /// Whether all flags of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }
}

/// One I/O that the block layer gave to a [`Disk`](crate::disk::Disk), whole 4 KiB blocks only.
///
/// Ends exactly once: by [`Bio::complete`], or with `IOERR` when it is dropped. While a `Bio` is
/// alive its submitter keeps the disk open, and the disk's teardown waits for it.
///
/// Context: any, for everything here.
pub struct Bio {
    // INVARIANT: a bio that `yoke_sys_bio_begin()` took in for a disk whose `private_data` starts
    // with a `DiskHead` that counts it; nobody else holds it.
    ptr: NonNull<bindings::bio>,
}

// SAFETY: a bio is not bound to a task or CPU, and a `Bio` is its only handle.
unsafe impl Send for Bio {}
// SAFETY: `&Bio` only reads the fields, which nobody changes while we hold the bio; its memory is
// copied by C, where a race yields mixed bytes and no more.
unsafe impl Sync for Bio {}

impl Bio {
    /// Takes over a bio.
    ///
    /// # Safety
    /// `ptr` satisfies the type's invariant, and the caller gives it up.
    pub(crate) unsafe fn from_raw(ptr: NonNull<bindings::bio>) -> Self {
        Self { ptr }
    }

    /// Gives the bio up without ending it.
    pub(crate) fn into_raw(self) -> NonNull<bindings::bio> {
        ManuallyDrop::new(self).ptr
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::bio {
        self.ptr.as_ptr()
    }

    /// What it asks for.
    pub fn op(&self) -> Op {
        // SAFETY: the bio is valid (invariant).
        match unsafe { ffi::yoke_sys_bio_op(self.ptr.as_ptr()) } {
            ffi::OP_READ => Op::Read,
            ffi::OP_WRITE => Op::Write,
            ffi::OP_FLUSH => Op::Flush,
            ffi::OP_DISCARD => Op::Discard,
            // Anything else was refused before a `Bio` was made of it.
            _ => Op::WriteZeroes,
        }
    }

    /// Its flags.
    pub fn flags(&self) -> Flags {
        // SAFETY: a bio that we hold (invariant).
        Flags(unsafe { ffi::yoke_sys_bio_flags(self.ptr.as_ptr()) })
    }

    fn iter(&self) -> bindings::bvec_iter {
        // SAFETY: a bio that we hold (invariant); `&raw` because the struct is packed.
        unsafe { (&raw const (*self.ptr.as_ptr()).bi_iter).read_unaligned() }
    }

    /// First sector, of 512 bytes, counted on the whole disk.
    pub fn sector(&self) -> u64 {
        self.iter().bi_sector
    }

    /// First block.
    pub fn first_block(&self) -> u64 {
        self.sector() / SECTORS
    }

    /// Length in blocks: 0 for a flush, at most the disk's limit for this operation otherwise.
    pub fn blocks(&self) -> u32 {
        self.len_bytes() / BLOCK as u32
    }

    /// Length in bytes.
    pub fn len_bytes(&self) -> u32 {
        self.iter().bi_size
    }

    /// The tag of the disk that it came to.
    pub fn disk_tag(&self) -> u64 {
        // SAFETY: the bio counts on this head, so that it is there (invariant).
        unsafe { (*ffi::yoke_sys_bio_disk_data(self.ptr.as_ptr()).cast::<DiskHead>()).tag }
    }

    /// How long ago it came in, in nanoseconds, to the jiffy.
    pub fn age_ns(&self) -> u64 {
        // SAFETY: the bio is valid, and was taken in (invariant).
        unsafe { ffi::yoke_sys_bio_age_ns(self.ptr.as_ptr()) }
    }

    /// Whether it reads into a page that the kernel caches of the disk, or writes one, which stays there after an error.
    pub fn is_cached(&self) -> bool {
        // SAFETY: the bio is valid (invariant).
        unsafe { ffi::yoke_sys_bio_is_cached(self.ptr.as_ptr()) }
    }

    /// A cursor at the start of the bio's memory.
    pub fn cursor(&self) -> BioCursor<'_> {
        BioCursor {
            iter: self.iter(),
            bio: self,
        }
    }

    /// Ends the bio. The memory of a read that ends well must have been filled.
    pub fn complete(self, result: IoResult) {
        let ptr = self.into_raw();
        // SAFETY: `into_raw()` gave us the bio (invariant).
        unsafe { end(ptr, status::raw(result)) }
    }
}

impl Drop for Bio {
    fn drop(&mut self) {
        // SAFETY: by the invariant, and nobody uses `self` after drop.
        unsafe { end(self.ptr, BlkStatus::IOERR.raw()) }
    }
}

/// Ends a bio and takes it off its disk's count.
///
/// # Safety
/// `ptr` satisfies the invariant of [`Bio`], and is not used afterwards.
unsafe fn end(ptr: NonNull<bindings::bio>, status: u8) {
    // SAFETY: the bio counts on this head, so that it outlives the `put()` (invariant of `Bio`).
    unsafe {
        let head = ffi::yoke_sys_bio_disk_data(ptr.as_ptr()).cast::<DiskHead>();
        ffi::yoke_sys_bio_end(ptr.as_ptr(), status);
        (*head).inflight.put();
    }
}

/// A place in a bio's memory, moving forwards. Context: any.
///
/// Segments of a bio need not be aligned to blocks: the cursor copies across them, page by page.
pub struct BioCursor<'a> {
    bio: &'a Bio,
    iter: bindings::bvec_iter,
}

impl BioCursor<'_> {
    /// Bytes from here to the end; 0 for a bio without data.
    pub fn remaining(&self) -> usize {
        match self.bio.op() {
            Op::Read | Op::Write => self.iter.bi_size as usize,
            _ => 0,
        }
    }

    /// Moves `len` bytes between `buf` and the bio.
    ///
    /// # Safety
    /// `buf` is valid for `len` bytes, for writes if `to_bio` is false, else for reads.
    pub(crate) unsafe fn copy(&mut self, buf: *mut u8, len: usize, to_bio: bool) -> Result {
        if len > self.remaining() {
            return Err(EINVAL);
        }
        // SAFETY: the bio is valid (invariant of `Bio`), `iter` was taken from it and moved by C
        // only, and the caller vouches for `buf`. `len` is within the bio's `u32` size.
        let n = unsafe {
            ffi::yoke_sys_bio_copy(
                self.bio.as_ptr(),
                &mut self.iter,
                buf.cast(),
                len as u32,
                to_bio,
            )
        };
        if n as usize == len {
            Ok(())
        } else {
            Err(EIO)
        }
    }

    /// Copies from the bio (a write's data) and moves on.
    ///
    /// # Errors
    /// `EINVAL`: fewer bytes are left than `dst` takes; nothing was copied.
    pub fn read(&mut self, dst: &mut [u8]) -> Result {
        // SAFETY: `dst` is a valid slice.
        unsafe { self.copy(dst.as_mut_ptr(), dst.len(), false) }
    }

    /// Copies into the bio (a read's memory) and moves on.
    ///
    /// # Errors
    /// `EINVAL`: fewer bytes are left than `src` has; nothing was copied.
    pub fn write(&mut self, src: &[u8]) -> Result {
        // SAFETY: `src` is a valid slice, and `to_bio` only reads it.
        unsafe { self.copy(src.as_ptr().cast_mut(), src.len(), true) }
    }

    /// Zeroes the next `len` bytes of the bio and moves on.
    ///
    /// # Errors
    /// `EINVAL`: fewer bytes are left; nothing was changed.
    pub fn zero(&mut self, len: usize) -> Result {
        if len > self.remaining() {
            return Err(EINVAL);
        }
        // SAFETY: the cursor borrows a bio that is held; `len` bytes are left in it, as was just checked.
        let n = unsafe { ffi::yoke_sys_bio_zero(self.bio.as_ptr(), &mut self.iter, len as u32) };
        if n as usize == len {
            Ok(())
        } else {
            Err(EIO)
        }
    }

    /// Moves on without copying.
    ///
    /// # Errors
    /// `EINVAL`: fewer bytes are left; the cursor stays.
    pub fn skip(&mut self, len: usize) -> Result {
        if len > self.remaining() {
            return Err(EINVAL);
        }
        // SAFETY: the cursor borrows a bio that is held; `len` bytes are left in it, as was just checked; a null buffer
        // marks a mere advance.
        let n = unsafe {
            ffi::yoke_sys_bio_copy(
                self.bio.as_ptr(),
                &mut self.iter,
                core::ptr::null_mut(),
                len as u32,
                false,
            )
        };
        if n as usize == len {
            Ok(())
        } else {
            Err(EIO)
        }
    }
}
