// SPDX-License-Identifier: GPL-2.0

//! Memory that stands behind a window, and the shelf where it stays while the bridge does not let go of it.

use crate::{
    bindings as raw,
    fit::{self, Wish},
};
use core::{mem::ManuallyDrop, ptr::NonNull};
use kernel::{
    bindings, new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};

/// Smaller memory will be tried, so nobody needs to hear that the larger one is not to be had.
const QUIET: c_ulong = bindings::DMA_ATTR_NO_WARN as c_ulong;

/// Memory of the device that the bridge moves data with.
struct Memory {
    device: *mut bindings::device,
    len: usize,
    base: NonNull<c_void>,
    address: bindings::dma_addr_t,
}

impl Memory {
    /// Zeroed. Context: may sleep.
    ///
    /// # Safety
    ///
    /// `device` is there until this is dropped.
    unsafe fn new(device: *mut bindings::device, len: u64) -> Option<Self> {
        let len = usize::try_from(len).ok()?;
        let mut address = 0;
        // SAFETY: by the function's contract; `address` is valid for a write.
        let base = unsafe {
            bindings::dma_alloc_attrs(device, len, &mut address, bindings::GFP_KERNEL, QUIET)
        };
        Some(Memory {
            device,
            len,
            base: NonNull::new(base)?,
            address,
        })
    }

    /// Where the first address with this alignment is, if `size` bytes follow it.
    fn offset(&self, wish: Wish) -> Option<usize> {
        let at = wish.rounded(self.address)?;
        let offset = usize::try_from(at - self.address).ok()?;
        let end = offset.checked_add(usize::try_from(wish.size).ok()?)?;
        (end <= self.len).then_some(offset)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in new() with these values, for a device that is still there.
        unsafe {
            bindings::dma_free_attrs(
                self.device,
                self.len,
                self.base.as_ptr(),
                self.address,
                QUIET,
            );
        }
    }
}

/// The part of some memory that stands behind a window. Dropping it frees the memory.
pub(crate) struct Place {
    memory: Memory,
    /// Of the window.
    index: c_int,
    offset: usize,
    size: u64,
}

// SAFETY: memory is not bound to the task that allocated it.
unsafe impl Send for Place {}

impl Place {
    /// Memory as wished for the window `index`, zeroed, if there is. Context: may sleep.
    ///
    /// # Safety
    ///
    /// `device` is there until the result is dropped.
    pub(crate) unsafe fn new(
        device: *mut bindings::device,
        index: c_int,
        wish: Wish,
    ) -> Option<Self> {
        fit::lengths(wish).find_map(|len| {
            // SAFETY: by the function's contract.
            let memory = unsafe { Memory::new(device, len) }?;
            let offset = memory.offset(wish)?;
            Some(Place {
                memory,
                index,
                offset,
                size: wish.size,
            })
        })
    }

    /// Where the bridge finds it, and how long it is.
    pub(crate) fn address(&self) -> (u64, u64) {
        (self.memory.address + self.offset as u64, self.size)
    }

    /// Where it is for us, and how long.
    pub(crate) fn base(&self) -> (*mut c_void, u64) {
        // SAFETY: inside of the allocation, by Memory::offset().
        let base = unsafe { self.memory.base.as_ptr().byte_add(self.offset) };
        (base, self.size)
    }

    /// How much memory it keeps from others.
    pub(crate) fn len(&self) -> usize {
        self.memory.len
    }

    /// Zeroes what an earlier start has left there. Nobody looks at it but the peer, which may write it all the time.
    fn wipe(&self) {
        let (base, size) = self.base();
        // SAFETY: inside of the allocation.
        unsafe { base.cast::<u8>().write_bytes(0, size as usize) };
    }
}

/// Where memory stays that the bridge did not let go of, until the next start uses it again: other memory could be lost
/// the same way, and so on. So one window for each device is lost at most, as long as this module is loaded. The device is
/// held meanwhile.
#[pin_data]
pub(crate) struct Shelf {
    /// Nothing else is locked while it is held.
    #[pin]
    kept: Mutex<Option<Place>>,
}

impl Shelf {
    /// Errors: `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Shelf {
                kept <- new_mutex!(None),
            }),
            GFP_KERNEL,
        )
    }

    /// Keeps memory whose device is there, from a start that took what was kept before it.
    pub(crate) fn keep(&self, place: Place) {
        // SAFETY: the device is there.
        unsafe { bindings::get_device(place.memory.device) };
        *self.kept.lock() = Some(place);
    }

    /// What was kept, zeroed, for the window `index` of a bridge that moves data with `device`, which the caller holds.
    ///
    /// # Errors
    ///
    /// `ENOTRECOVERABLE`: it is that of another device, or behind another window.
    pub(crate) fn take(
        &self,
        device: *mut bindings::device,
        index: c_int,
    ) -> Result<Option<Place>> {
        let mut kept = self.kept.lock();
        let fits = |place: &Place| place.memory.device == device && place.index == index;
        if kept.as_ref().is_some_and(|place| !fits(place)) {
            return Err(ENOTRECOVERABLE);
        }
        let Some(place) = kept.take() else {
            return Ok(None);
        };
        Self::release(device);
        place.wipe();
        Ok(Some(place))
    }

    /// Frees what was kept if the device is no more, which writes nothing; called as it is removed.
    ///
    /// # Safety
    ///
    /// `ntb` is a registered device.
    pub(crate) unsafe fn clear(&self, ntb: *mut raw::ntb_dev) {
        let mut kept = self.kept.lock();
        // SAFETY: by the function's contract.
        let (device, there) = unsafe {
            (
                raw::ntb_get_dma_dev(ntb),
                bindings::pci_device_is_present((*ntb).pdev),
            )
        };
        let ours = kept
            .as_ref()
            .is_some_and(|place| place.memory.device == device);
        if ours && !there {
            *kept = None;
            Self::release(device);
        }
    }

    /// Nobody will know of it any more: it is lost, as the peer could still write it, and its device stays held. Returns how
    /// many bytes that are.
    pub(crate) fn lose(&self) -> usize {
        let place = self.kept.lock().take();
        place.map_or(0, |place| ManuallyDrop::new(place).len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.lock().is_none()
    }

    /// What keep() took. Others hold the device as well.
    fn release(device: *mut bindings::device) {
        // SAFETY: keep() took it for what was on the shelf, and whoever emptied that gives it back once.
        unsafe { bindings::put_device(device) };
    }
}
