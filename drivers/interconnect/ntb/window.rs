// SPDX-License-Identifier: GPL-2.0

//! The memory of a link: the inbound window, which the peer writes, and the mapping of the peer's.

use crate::bindings as raw;
use core::ptr::NonNull;
use kernel::{bindings, error::to_result, prelude::*};

/// One peer and one memory window: what every bridge has.
pub(crate) const PEER: c_int = 0;
/// See [`PEER`].
pub(crate) const INDEX: c_int = 0;
/// More than this is never asked for: 64 MiB hold the slots of all volumes.
const SIZE_MAX: u64 = 64 << 20;

/// Own memory that the bridge lets the peer write.
pub(crate) struct Inbound {
    ntb: *mut raw::ntb_dev,
    memory: NonNull<c_void>,
    address: bindings::dma_addr_t,
    size: usize,
}

impl Inbound {
    /// Allocates zeroed memory and points the bridge at it.
    ///
    /// Context: may sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENOSPC`: the bridge's window is smaller than a page; what the bridge's driver says.
    ///
    /// # Safety
    ///
    /// `ntb` is a registered device and stays so until this is dropped.
    pub(crate) unsafe fn new(ntb: *mut raw::ntb_dev) -> Result<Self> {
        let (mut align, mut size_align, mut size_max) = (0, 0, 0);
        // Not ntb_mw_get_align(): that refuses while the link is down, for bridges whose peer decides. The window has
        // to stand before the link comes up, so those bridges answer here with an error of their own.
        // SAFETY: by the function's contract; the results are valid for writes.
        to_result(unsafe {
            let get_align = (*(*ntb).ops).mw_get_align.ok_or(ENOTSUPP)?;
            get_align(ntb, PEER, INDEX, &mut align, &mut size_align, &mut size_max)
        })?;
        let unit = size_align.max(4096);
        let size = size_max.min(SIZE_MAX) / unit * unit;
        if size == 0 {
            return Err(ENOSPC);
        }
        let size = usize::try_from(size).map_err(|_| ENOSPC)?;
        let mut address = 0;
        // SAFETY: the PCI device below a registered NTB device; `address` is valid for a write.
        let memory = unsafe {
            bindings::dma_alloc_attrs(
                &raw mut (*(*ntb).pdev).dev,
                size,
                &mut address,
                bindings::GFP_KERNEL,
                0,
            )
        };
        let memory = NonNull::new(memory).ok_or(ENOMEM)?;
        let inbound = Inbound {
            ntb,
            memory,
            address,
            size,
        };
        // SAFETY: as above. On an error the memory is freed by Drop.
        to_result(unsafe { raw::ntb_mw_set_trans(ntb, PEER, INDEX, address, size as u64) })?;
        Ok(inbound)
    }

    /// Where it is, and how long.
    pub(crate) fn memory(&self) -> (*mut c_void, u64) {
        (self.memory.as_ptr(), self.size as u64)
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        // SAFETY: allocated in new() with these values, for a device that is still registered. The bridge forgets the
        // address first.
        unsafe {
            raw::ntb_mw_clear_trans(self.ntb, PEER, INDEX);
            bindings::dma_free_attrs(
                &raw mut (*(*self.ntb).pdev).dev,
                self.size,
                self.memory.as_ptr(),
                self.address,
                0,
            );
        }
    }
}

/// The peer's window, mapped write-combining.
pub(crate) struct Outbound {
    base: NonNull<c_void>,
    size: u64,
}

impl Outbound {
    /// Maps it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; what the bridge's driver says.
    ///
    /// # Safety
    ///
    /// `ntb` is a registered device and stays so until this is dropped.
    pub(crate) unsafe fn new(ntb: *mut raw::ntb_dev) -> Result<Self> {
        let (mut address, mut size) = (0, 0);
        // SAFETY: by the function's contract; the results are valid for writes.
        to_result(unsafe { raw::ntb_peer_mw_get_addr(ntb, INDEX, &mut address, &mut size) })?;
        let size = size.min(SIZE_MAX);
        // SAFETY: a range of device memory that the bridge's driver gave out for mapping.
        let base = unsafe { bindings::ioremap_wc(address, size as c_ulong) };
        Ok(Outbound {
            base: NonNull::new(base).ok_or(ENOMEM)?,
            size,
        })
    }

    /// Its length in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The address of `len` bytes at `offset`.
    #[inline]
    fn at(&self, offset: u64, len: u64) -> Result<*mut c_void> {
        match offset.checked_add(len) {
            Some(end) if end <= self.size => {
                // SAFETY: inside of the mapping.
                Ok(unsafe { self.base.as_ptr().byte_add(offset as usize) })
            }
            _ => Err(ERANGE),
        }
    }

    /// Posts a copy of `len` bytes at `src`.
    ///
    /// # Safety
    ///
    /// `src` is valid for reads of `len` bytes.
    #[inline]
    pub(crate) unsafe fn post(&self, offset: u64, src: *const c_void, len: u64) -> Result {
        let to = self.at(offset, len)?;
        // SAFETY: `to` is device memory of that length; `src` by the function's contract.
        unsafe { bindings::memcpy_toio(to, src, len as usize) };
        Ok(())
    }

    /// Posts one aligned word.
    #[inline]
    pub(crate) fn post64(&self, offset: u64, value: u64) -> Result {
        let to = self.at(offset, 8)?.cast::<u64>();
        if !to.is_aligned() {
            return Err(ERANGE);
        }
        // SAFETY: aligned device memory inside of the mapping; x86 and arm64 reach it by plain stores.
        unsafe { to.write_volatile(value.to_le()) };
        Ok(())
    }

    /// Reads one aligned word through the bridge.
    #[inline]
    pub(crate) fn read64(&self, offset: u64) -> Result<u64> {
        let from = self.at(offset, 8)?.cast::<u64>();
        if !from.is_aligned() {
            return Err(ERANGE);
        }
        // SAFETY: as in post64().
        Ok(u64::from_le(unsafe { from.read_volatile() }))
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        // SAFETY: mapped in new().
        unsafe { bindings::iounmap(self.base.as_ptr()) };
    }
}
