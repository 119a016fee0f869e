// SPDX-License-Identifier: GPL-2.0

//! Hands out the own window as the device's "DMA memory".
//!
//! A bridge writes into RAM of the machine that allocated it. An ivshmem device cannot: its shared
//! memory is where it is. So the PCI device gets `dma_map_ops` whose `alloc` gives the window
//! itself. The peer's outbound window leads to the start of it and the allocator is not told what
//! for, so there is one allocation at a time, and it starts at the window's first byte.

use crate::{
    bindings as raw,
    mapping::{raw_pdev, Mapping},
    shim,
};
use kernel::{
    bindings, pci,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{Atomic, Full, Relaxed, Release},
    },
};

/// The own window and what of it is given out.
pub(crate) struct Window {
    map: Mapping,
    /// Bytes of the allocation, 0 when there is none.
    taken: Atomic<usize>,
    ops: raw::dma_map_ops,
}

impl Window {
    /// A window with nothing given out.
    pub(crate) fn new(map: Mapping) -> Self {
        Window {
            map,
            taken: Atomic::new(0),
            ops: raw::dma_map_ops {
                alloc: Some(alloc),
                free: Some(free),
                map_sg: Some(map_sg),
                // SAFETY: A table of optional functions; all zeroes is a table without any.
                ..unsafe { core::mem::zeroed() }
            },
        }
    }

    /// Bytes of the window.
    pub(crate) fn size(&self) -> u64 {
        self.map.len() as u64
    }

    /// Whether `size` bytes at the DMA address `addr` are the start of what is given out.
    pub(crate) fn is_given_out(&self, addr: u64, size: u64) -> bool {
        addr == self.map.phys() && size > 0 && size <= self.taken.load(Relaxed) as u64
    }

    /// The whole window for one user; zeroed.
    fn take(&self, size: usize) -> Option<(*mut u8, u64)> {
        if size == 0 || size > self.map.len() || self.taken.cmpxchg(0, size, Full).is_err() {
            return None;
        }
        self.map.zero(size);
        Some((self.map.base(), self.map.phys()))
    }

    /// Gives the window back.
    fn give_back(&self, base: *mut u8) {
        if base == self.map.base() {
            self.taken.store(0, Release);
        }
    }

    /// The window whose `ops` a device carries.
    ///
    /// # Safety
    ///
    /// `dev` carries the `ops` of a [`Window`] that lives for `'a`.
    unsafe fn of_device<'a>(dev: *mut bindings::device) -> &'a Window {
        // SAFETY: `dev` is valid, by the caller.
        let ops = unsafe { shim::ntb_hw_ivshmem_dma_ops(dev) }.cast_mut();
        // SAFETY: `ops` is the field of a live `Window`, by the caller.
        unsafe { &*kernel::container_of!(ops, Window, ops) }
    }
}

/// The window's operations on the PCI device, while this lives.
pub(crate) struct Installed {
    pdev: ARef<pci::Device>,
}

impl Installed {
    /// Makes `dma_alloc_coherent` on the PCI device give out `window`.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: the device is behind an IOMMU, whose operations win over ours.
    ///
    /// # Safety
    ///
    /// `window` stays where it is until the returned value is dropped.
    pub(crate) unsafe fn new(pdev: &pci::Device, window: &Window) -> Result<Self> {
        // SAFETY: The device is valid; the table lives long enough, by the caller.
        let ret = unsafe { shim::ntb_hw_ivshmem_set_dma_ops(raw_pdev(pdev), &window.ops) };
        kernel::error::to_result(ret)?;
        Ok(Installed { pdev: pdev.into() })
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        // SAFETY: The device is valid. x86 does not take the table away when a driver goes.
        let _ =
            unsafe { shim::ntb_hw_ivshmem_set_dma_ops(raw_pdev(&self.pdev), core::ptr::null()) };
    }
}

/// `dma_map_ops::alloc`.
///
/// # Safety
///
/// Only for the DMA core, which found it in the device's table.
unsafe extern "C" fn alloc(
    dev: *mut bindings::device,
    size: usize,
    handle: *mut bindings::dma_addr_t,
    _gfp: bindings::gfp_t,
    _attrs: c_ulong,
) -> *mut c_void {
    // SAFETY: The DMA core found this function in the device's table.
    let window = unsafe { Window::of_device(dev) };
    match window.take(size) {
        Some((base, addr)) => {
            // SAFETY: The DMA core passes a place for the address.
            unsafe { *handle = addr };
            base.cast()
        }
        None => core::ptr::null_mut(),
    }
}

/// `dma_map_ops::free`.
///
/// # Safety
///
/// Only for the DMA core, which found it in the device's table.
unsafe extern "C" fn free(
    dev: *mut bindings::device,
    _size: usize,
    base: *mut c_void,
    _handle: bindings::dma_addr_t,
    _attrs: c_ulong,
) {
    // SAFETY: The DMA core found this function in the device's table.
    unsafe { Window::of_device(dev) }.give_back(base.cast());
}

/// `dma_map_ops::map_sg`, which the DMA core calls without looking whether it is there. The device
/// reaches no memory but its own.
///
/// # Safety
///
/// None; the type asks for the word.
unsafe extern "C" fn map_sg(
    _dev: *mut bindings::device,
    _sg: *mut bindings::scatterlist,
    _nents: c_int,
    _dir: bindings::dma_data_direction,
    _attrs: c_ulong,
) -> c_int {
    EIO.to_errno()
}
