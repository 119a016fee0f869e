// SPDX-License-Identifier: GPL-2.0

//! The Rust side of shim.c.

use crate::{
    bindings::{dma_map_ops, ntb_dev},
    device::Device,
    link::GUARD_NS,
    ops,
};
use kernel::{bindings, prelude::*};

// Behind the pointers are the kernel crate's types, some of which bindgen leaves without fields.
#[allow(improper_ctypes)]
extern "C" {
    pub(crate) fn ntb_hw_ivshmem_set_dma_ops(
        pdev: *mut bindings::pci_dev,
        ops: *const dma_map_ops,
    ) -> c_int;
    pub(crate) fn ntb_hw_ivshmem_settle() -> c_int;
    pub(crate) fn ntb_hw_ivshmem_dma_ops(dev: *mut bindings::device) -> *const dma_map_ops;
}

/// The device behind any NTB device, if it is ours.
///
/// # Safety
///
/// `ntb` is a registered NTB device that stays so for `'a`.
unsafe fn ours<'a>(ntb: *mut ntb_dev) -> Option<&'a Device> {
    // SAFETY: A valid device, by the caller.
    let ops = unsafe { (*ntb).ops };
    // SAFETY: Only our devices carry our table.
    core::ptr::eq(ops, &ops::OPS).then(|| unsafe { Device::from_ntb(ntb) })
}

/// See include/yoke/ntb_down_count.h.
///
/// # Safety
///
/// The caller is a client of the device, or it cannot go away for another reason.
#[no_mangle]
unsafe extern "C" fn ntb_hw_ivshmem_rust_down_count(ntb: *mut ntb_dev) -> u64 {
    // SAFETY: The caller is a client of the device.
    unsafe { ours(ntb) }.map_or(0, |device| device.control.down_count())
}

/// See include/yoke/ntb_down_count.h.
///
/// # Safety
///
/// The caller is a client of the device, or it cannot go away for another reason.
#[no_mangle]
unsafe extern "C" fn ntb_hw_ivshmem_rust_min_down_us(ntb: *mut ntb_dev) -> u32 {
    // SAFETY: The caller is a client of the device.
    unsafe { ours(ntb) }.map_or(0, |_| (GUARD_NS / 1000) as u32)
}
