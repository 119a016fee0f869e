// SPDX-License-Identifier: GPL-2.0

//! The outbound window: the peer's memory, through the bridge.

use crate::{bindings as raw, fit};
use core::ptr::NonNull;
use kernel::{bindings, error::to_result, page::PAGE_SIZE, prelude::*};

/// A part of the window, mapped in one way.
struct Part {
    base: NonNull<c_void>,
    /// Of the window.
    start: u64,
    end: u64,
}

impl Part {
    /// Maps `start..end` of the window at `address`. Errors: `ENOMEM`.
    ///
    /// # Safety
    ///
    /// The bridge's driver gave the range out for mapping.
    unsafe fn new(address: u64, start: u64, end: u64, combining: bool) -> Result<Self> {
        let (at, len) = (address.checked_add(start).ok_or(EINVAL)?, end - start);
        // SAFETY: by the function's contract.
        let base = unsafe {
            if combining {
                bindings::ioremap_wc(at, len as c_ulong)
            } else {
                bindings::ioremap(at, len as c_ulong)
            }
        };
        let base = NonNull::new(base).ok_or(ENOMEM)?;
        Ok(Part { base, start, end })
    }

    /// The address of `len` bytes at `offset` of the window, if all of them lie here.
    #[inline]
    fn at(&self, offset: u64, len: u64) -> Option<*mut c_void> {
        let end = offset.checked_add(len)?;
        if offset < self.start || end > self.end {
            return None;
        }
        // SAFETY: inside of the mapping.
        Some(unsafe { self.base.as_ptr().byte_add((offset - self.start) as usize) })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // SAFETY: mapped in new().
        unsafe { bindings::iounmap(self.base.as_ptr()) };
    }
}

/// The peer's window. What is read through the link is mapped uncached, the rest write-combining.
pub(crate) struct Outbound {
    /// The largest first: nearly all posts go there.
    parts: [Option<Part>; 3],
    size: u64,
}

impl Outbound {
    /// The window that both ends choose: its index and its size.
    ///
    /// # Errors
    ///
    /// `ENOSPC`: none is large enough.
    ///
    /// # Safety
    ///
    /// `ntb` is a registered device.
    pub(crate) unsafe fn choose(ntb: *mut raw::ntb_dev) -> Result<(c_int, u64)> {
        // SAFETY: by the function's contract.
        let count = unsafe { raw::ntb_peer_mw_count(ntb) }.max(0);
        // SAFETY: by the function's contract.
        let size_of = |index| unsafe { range(ntb, index) }.map_or(0, |(_, size)| size);
        let (index, size) = fit::choose((0..count).map(size_of)).ok_or(ENOSPC)?;
        Ok((index as c_int, size))
    }

    /// Maps it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; what the bridge's driver says.
    ///
    /// # Safety
    ///
    /// `ntb` is a registered device and stays so until this is dropped.
    pub(crate) unsafe fn new(ntb: *mut raw::ntb_dev, (index, size): (c_int, u64)) -> Result<Self> {
        // SAFETY: by the function's contract.
        let (address, _) = unsafe { range(ntb, index) }?;
        let page = PAGE_SIZE as u64;
        let read_at = u64::from(raw::YOKE_READ_AT);
        let read_end = read_at + u64::from(raw::YOKE_READ_SIZE);
        let (from, to) = (
            read_at / page * page,
            read_end.next_multiple_of(page).min(size),
        );
        // A page has one kind of mapping. If the window does not begin with one, all of it is uncached.
        let split = address % page == 0 && to < size;
        // SAFETY: parts of the range that the driver gave out, which are not mapped otherwise.
        let parts = unsafe {
            if split {
                let head = (from > 0)
                    .then(|| Part::new(address, 0, from, true))
                    .transpose()?;
                [
                    Some(Part::new(address, to, size, true)?),
                    Some(Part::new(address, from, to, false)?),
                    head,
                ]
            } else {
                [Some(Part::new(address, 0, size, false)?), None, None]
            }
        };
        Ok(Outbound { parts, size })
    }

    /// Its length in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    #[inline]
    fn at(&self, offset: u64, len: u64) -> Option<*mut c_void> {
        self.parts
            .iter()
            .flatten()
            .find_map(|part| part.at(offset, len))
    }

    /// Posts a copy of `len` bytes at `src`. Errors: `ERANGE`.
    ///
    /// # Safety
    ///
    /// `src` is valid for reads of `len` bytes.
    #[inline]
    pub(crate) unsafe fn post(&self, offset: u64, src: *const c_void, len: u64) -> Result {
        match self.at(offset, len) {
            // SAFETY: `to` is device memory of that length; `src` by the function's contract.
            Some(to) => unsafe { bindings::memcpy_toio(to, src, len as usize) },
            // SAFETY: by the function's contract.
            None => unsafe { self.post_pieces(offset, src, len)? },
        }
        Ok(())
    }

    /// A post that lies in more than one part, or outside.
    ///
    /// # Safety
    ///
    /// As [`Self::post`].
    #[cold]
    unsafe fn post_pieces(&self, offset: u64, src: *const c_void, len: u64) -> Result {
        let end = offset.checked_add(len).filter(|end| *end <= self.size);
        let end = end.ok_or(ERANGE)?;
        for part in self.parts.iter().flatten() {
            let (from, to) = (offset.max(part.start), end.min(part.end));
            if let Some(at) = (from < to).then(|| part.at(from, to - from)).flatten() {
                // SAFETY: a piece of the source, and device memory of the same length.
                unsafe {
                    let src = src.byte_add((from - offset) as usize);
                    bindings::memcpy_toio(at, src, (to - from) as usize);
                }
            }
        }
        Ok(())
    }

    /// The place of one aligned word.
    #[inline]
    fn word(&self, offset: u64) -> Result<*mut u64> {
        let at = self.at(offset, 8).ok_or(ERANGE)?.cast::<u64>();
        if at.is_aligned() {
            Ok(at)
        } else {
            Err(ERANGE)
        }
    }

    /// Posts one aligned word. Errors: `ERANGE`.
    #[inline]
    pub(crate) fn post64(&self, offset: u64, value: u64) -> Result {
        let to = self.word(offset)?;
        // SAFETY: aligned device memory inside of the mapping; x86 and arm64 reach it by plain stores.
        unsafe { to.write_volatile(value.to_le()) };
        Ok(())
    }

    /// Reads one aligned word through the bridge. Errors: `ERANGE`.
    #[inline]
    pub(crate) fn read64(&self, offset: u64) -> Result<u64> {
        let from = self.word(offset)?;
        // SAFETY: aligned device memory inside of the mapping; x86 and arm64 reach it by plain loads.
        Ok(u64::from_le(unsafe { from.read_volatile() }))
    }
}

/// Where an outbound window is, and how long.
///
/// # Safety
///
/// `ntb` is a registered device.
unsafe fn range(ntb: *mut raw::ntb_dev, index: c_int) -> Result<(u64, u64)> {
    let (mut address, mut size) = (0, 0);
    // SAFETY: by the function's contract; the results are valid for writes.
    to_result(unsafe { raw::ntb_peer_mw_get_addr(ntb, index, &mut address, &mut size) })?;
    Ok((address, size))
}
