// SPDX-License-Identifier: GPL-2.0

//! The memory of the device's BAR 2, mapped cached.
//!
//! Only what this side may touch is mapped here: the control area and the *own* window. A cached
//! mapping of the peer's window would keep the NTB clients from mapping it write-combining.

use core::ptr::NonNull;
use kernel::{bindings, pci, prelude::*, sync::aref::ARef};

const BAR: i32 = 2;

/// The claim on BAR 2 in the kernel's resource tree.
pub(crate) struct BarClaim {
    pdev: ARef<pci::Device>,
    start: u64,
    len: u64,
}

/// The raw device behind the kernel crate's.
pub(crate) fn raw_pdev(pdev: &pci::Device) -> *mut bindings::pci_dev {
    // CAST: `pci::Device` is `repr(transparent)` over an `Opaque<pci_dev>`.
    core::ptr::from_ref(pdev).cast_mut().cast()
}

impl BarClaim {
    /// Claims BAR 2.
    ///
    /// # Errors
    ///
    /// `EBUSY`: somebody else has claimed it.
    pub(crate) fn new(pdev: &pci::Device) -> Result<Self> {
        let (start, len) = (
            pdev.resource_start(BAR as u32)?,
            pdev.resource_len(BAR as u32)?,
        );
        // SAFETY: The device is valid; the name is static.
        let ret = unsafe {
            bindings::pci_request_region(raw_pdev(pdev), BAR, c"ntb_hw_ivshmem".as_char_ptr())
        };
        // The reference is taken with the claim, since dropping gives back both.
        (ret == 0)
            .then(|| BarClaim {
                pdev: pdev.into(),
                start,
                len,
            })
            .ok_or(EBUSY)
    }

    /// Physical address of the BAR's first byte.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Bytes of the BAR.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}

impl Drop for BarClaim {
    fn drop(&mut self) {
        // SAFETY: `new` has claimed the region of this device, which is still valid.
        unsafe { bindings::pci_release_region(raw_pdev(&self.pdev), BAR) };
    }
}

/// A cached mapping of a part of the BAR.
///
/// # Invariants
///
/// `base` points to `len` bytes of device memory that stay mapped as long as this lives. Other
/// machines store into them at any time, so they are accessed by atomics, or as raw bytes.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    phys: u64,
    len: usize,
}

impl Mapping {
    /// Maps `len` bytes from `offset` of the claimed BAR.
    ///
    /// # Errors
    ///
    /// `EINVAL`: outside of the BAR; `ENOMEM`: the kernel cannot map it.
    pub(crate) fn new(claim: &BarClaim, offset: u64, len: u64) -> Result<Self> {
        let end = offset.checked_add(len).ok_or(EINVAL)?;
        if end > claim.len() {
            return Err(EINVAL);
        }
        let phys = claim.start().checked_add(offset).ok_or(EINVAL)?;
        let len = usize::try_from(len)?;
        let flags = bindings::MEMREMAP_WB as usize;
        // SAFETY: Mapping a part of a BAR that we have claimed.
        let base = unsafe { bindings::memremap(phys, len, flags) };
        // INVARIANT: The mapping stays until `drop`.
        Ok(Mapping {
            base: NonNull::new(base.cast()).ok_or(ENOMEM)?,
            phys,
            len,
        })
    }

    /// Where the `T` at `offset` bytes lies; valid as long as `self`.
    ///
    /// # Errors
    ///
    /// `EINVAL`: not inside the mapping, or not aligned.
    pub(crate) fn at<T>(&self, offset: u64) -> Result<NonNull<T>> {
        let offset = usize::try_from(offset)?;
        let end = offset.checked_add(size_of::<T>()).ok_or(EINVAL)?;
        if end > self.len || offset % align_of::<T>() != 0 {
            return Err(EINVAL);
        }
        // SAFETY: Inside the mapping by the check.
        Ok(unsafe { self.base.add(offset) }.cast())
    }

    /// Clears the first `len` bytes (all of it when there are fewer). A peer may store meanwhile.
    pub(crate) fn zero(&self, len: usize) {
        // SAFETY: Inside the mapping. Whoever races with this machine's memset is another machine,
        // and what its bytes are in the end is for the clients' handshake to settle.
        unsafe { core::ptr::write_bytes(self.base.as_ptr(), 0, len.min(self.len)) };
    }

    /// The mapping's address in this kernel.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Physical address of the mapping.
    pub(crate) fn phys(&self) -> u64 {
        self.phys
    }

    /// Bytes of the mapping.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `base` comes from `memremap`, and nobody borrows from `self` any more.
        unsafe { bindings::memunmap(self.base.as_ptr().cast()) };
    }
}

// SAFETY: The mapping is kernel-wide; it may be used and given back by any thread.
unsafe impl Send for Mapping {}
// SAFETY: Shared access is by atomics, or raw.
unsafe impl Sync for Mapping {}
