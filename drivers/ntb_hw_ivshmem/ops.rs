// SPDX-License-Identifier: GPL-2.0

//! The NTB API's calls. One memory window, one peer, ports 0 and 0: what every client accepts.
//!
//! Registers of the peer (doorbells, scratchpads) answer only while the link is up, as behind a
//! real bridge: writes come to nothing with `ENOLINK`, reads give all ones.

// Every `extern "C"` function here has the same contract, that of `device` below.
#![allow(clippy::missing_safety_doc)]

use crate::{
    bindings::{self as raw, ntb_dev},
    device::Device,
    doorbell, layout,
};
use kernel::{bindings, prelude::*, sync::atomic::Relaxed};

type Speed = raw::ntb_speed;
type Width = raw::ntb_width;
type Size = bindings::resource_size_t;

/// Windows and peers; both have index 0.
const ONE: c_int = 1;
/// Alignment of window addresses and sizes, in bytes.
const ALIGN: Size = layout::PAGE;

pub(crate) static OPS: raw::ntb_dev_ops = raw::ntb_dev_ops {
    link_is_up: Some(link_is_up),
    link_enable: Some(link_enable),
    link_disable: Some(link_disable),
    mw_count: Some(mw_count),
    mw_get_align: Some(mw_get_align),
    mw_set_trans: Some(mw_set_trans),
    mw_clear_trans: Some(mw_clear_trans),
    peer_mw_count: Some(peer_mw_count),
    peer_mw_get_addr: Some(peer_mw_get_addr),
    db_valid_mask: Some(db_valid_mask),
    db_vector_count: Some(db_vector_count),
    db_vector_mask: Some(db_vector_mask),
    db_read: Some(db_read),
    db_set: Some(db_set),
    db_clear: Some(db_clear),
    db_read_mask: Some(db_read_mask),
    db_set_mask: Some(db_set_mask),
    db_clear_mask: Some(db_clear_mask),
    peer_db_set: Some(peer_db_set),
    spad_count: Some(spad_count),
    spad_read: Some(spad_read),
    spad_write: Some(spad_write),
    peer_spad_read: Some(peer_spad_read),
    peer_spad_write: Some(peer_spad_write),
    // SAFETY: A table of optional functions; all zeroes is a table without any.
    ..unsafe { core::mem::zeroed() }
};

/// The device of a call.
///
/// # Safety
///
/// `ntb` is the one that a call through [`OPS`] was made on.
unsafe fn device<'a>(ntb: *mut ntb_dev) -> &'a Device {
    // SAFETY: Only our devices carry `OPS`, and the NTB core calls them while they are registered.
    unsafe { Device::from_ntb(ntb) }
}

fn errno(result: Result) -> c_int {
    match result {
        Ok(()) => 0,
        Err(e) => e.to_errno(),
    }
}

/// `EINVAL` for an index other than 0.
fn only_index(index: c_int) -> Result {
    (index == 0).then_some(()).ok_or(EINVAL)
}

unsafe extern "C" fn link_is_up(ntb: *mut ntb_dev, speed: *mut Speed, width: *mut Width) -> u64 {
    // There is no PCIe link whose speed could be named.
    if !speed.is_null() {
        // SAFETY: Not null, so the caller's place.
        unsafe { *speed = raw::ntb_speed_NTB_SPEED_NONE };
    }
    if !width.is_null() {
        // SAFETY: Not null, so the caller's place for a width.
        unsafe { *width = raw::ntb_width_NTB_WIDTH_NONE };
    }
    // SAFETY: A call through `OPS`.
    u64::from(unsafe { device(ntb) }.is_up())
}

unsafe extern "C" fn link_enable(ntb: *mut ntb_dev, _speed: Speed, _width: Width) -> c_int {
    // SAFETY: A call through `OPS`.
    unsafe { device(ntb) }.enable();
    0
}

unsafe extern "C" fn link_disable(ntb: *mut ntb_dev) -> c_int {
    // SAFETY: A call through `OPS`.
    unsafe { device(ntb) }.disable();
    0
}

unsafe extern "C" fn mw_count(_ntb: *mut ntb_dev, pidx: c_int) -> c_int {
    only_index(pidx).map_or(0, |()| ONE)
}

unsafe extern "C" fn mw_get_align(
    ntb: *mut ntb_dev,
    pidx: c_int,
    widx: c_int,
    addr_align: *mut Size,
    size_align: *mut Size,
    size_max: *mut Size,
) -> c_int {
    if let Err(e) = only_index(pidx).and(only_index(widx)) {
        return e.to_errno();
    }
    // SAFETY: A call through `OPS`.
    let size = unsafe { device(ntb) }.window.size();
    for (place, value) in [(addr_align, ALIGN), (size_align, ALIGN), (size_max, size)] {
        if !place.is_null() {
            // SAFETY: Not null, so the caller's place.
            unsafe { *place = value };
        }
    }
    0
}

unsafe extern "C" fn mw_set_trans(
    ntb: *mut ntb_dev,
    pidx: c_int,
    widx: c_int,
    addr: bindings::dma_addr_t,
    size: Size,
) -> c_int {
    // SAFETY: A call through `OPS`.
    let dev = unsafe { device(ntb) };
    errno(
        only_index(pidx)
            .and(only_index(widx))
            .and_then(|()| dev.set_translation(addr, size)),
    )
}

unsafe extern "C" fn mw_clear_trans(ntb: *mut ntb_dev, pidx: c_int, widx: c_int) -> c_int {
    // SAFETY: A call through `OPS`.
    let dev = unsafe { device(ntb) };
    errno(
        only_index(pidx)
            .and(only_index(widx))
            .map(|()| dev.control.store_xlat(0, 0)),
    )
}

unsafe extern "C" fn peer_mw_count(_ntb: *mut ntb_dev) -> c_int {
    ONE
}

unsafe extern "C" fn peer_mw_get_addr(
    ntb: *mut ntb_dev,
    widx: c_int,
    base: *mut bindings::phys_addr_t,
    size: *mut Size,
) -> c_int {
    if let Err(e) = only_index(widx) {
        return e.to_errno();
    }
    // SAFETY: A call through `OPS`.
    let window = unsafe { device(ntb) }.peer_window;
    if !base.is_null() {
        // SAFETY: Not null, so the caller's place.
        unsafe { *base = window.phys };
    }
    if !size.is_null() {
        // SAFETY: Not null, so the caller's place for a size.
        unsafe { *size = window.size };
    }
    0
}

unsafe extern "C" fn db_valid_mask(_ntb: *mut ntb_dev) -> u64 {
    doorbell::VALID
}

unsafe extern "C" fn db_vector_count(ntb: *mut ntb_dev) -> c_int {
    // SAFETY: A call through `OPS`. At most 16.
    unsafe { device(ntb) }.vectors as c_int
}

unsafe extern "C" fn db_vector_mask(ntb: *mut ntb_dev, vector: c_int) -> u64 {
    // SAFETY: A call through `OPS`.
    let vectors = unsafe { device(ntb) }.vectors;
    usize::try_from(vector).map_or(0, |index| doorbell::bits_of_vector(index, vectors))
}

unsafe extern "C" fn db_read(ntb: *mut ntb_dev) -> u64 {
    // SAFETY: A call through `OPS`.
    doorbell::pending(unsafe { device(ntb) }.control.own())
}

unsafe extern "C" fn db_set(ntb: *mut ntb_dev, bits: u64) -> c_int {
    // SAFETY: A call through `OPS`.
    errno(unsafe { device(ntb) }.set_doorbells(bits))
}

unsafe extern "C" fn db_clear(ntb: *mut ntb_dev, bits: u64) -> c_int {
    // SAFETY: A call through `OPS`. Bits that do not exist are clear.
    doorbell::clear(unsafe { device(ntb) }.control.own(), bits);
    0
}

unsafe extern "C" fn db_read_mask(ntb: *mut ntb_dev) -> u64 {
    // SAFETY: A call through `OPS`.
    unsafe { device(ntb) }.mask.read()
}

unsafe extern "C" fn db_set_mask(ntb: *mut ntb_dev, bits: u64) -> c_int {
    // SAFETY: A call through `OPS`.
    let dev = unsafe { device(ntb) };
    if bits & !doorbell::VALID != 0 {
        return EINVAL.to_errno();
    }
    dev.mask.set(bits);
    0
}

unsafe extern "C" fn db_clear_mask(ntb: *mut ntb_dev, bits: u64) -> c_int {
    // SAFETY: A call through `OPS`.
    errno(unsafe { device(ntb) }.unmask_doorbells(bits))
}

unsafe extern "C" fn peer_db_set(ntb: *mut ntb_dev, bits: u64) -> c_int {
    // SAFETY: A call through `OPS`.
    errno(unsafe { device(ntb) }.ring_doorbells(bits))
}

unsafe extern "C" fn spad_count(_ntb: *mut ntb_dev) -> c_int {
    layout::SPADS as c_int
}

unsafe extern "C" fn spad_read(ntb: *mut ntb_dev, index: c_int) -> u32 {
    // SAFETY: A call through `OPS`.
    let page = unsafe { device(ntb) }.control.own();
    Device::spad(page, index).map_or(0, |word| word.load(Relaxed))
}

unsafe extern "C" fn spad_write(ntb: *mut ntb_dev, index: c_int, value: u32) -> c_int {
    // SAFETY: A call through `OPS`.
    let page = unsafe { device(ntb) }.control.own();
    errno(Device::spad(page, index).map(|word| word.store(value, Relaxed)))
}

unsafe extern "C" fn peer_spad_read(ntb: *mut ntb_dev, pidx: c_int, index: c_int) -> u32 {
    // SAFETY: A call through `OPS`.
    let dev = unsafe { device(ntb) };
    if only_index(pidx).is_err() || !dev.is_up() {
        return u32::MAX;
    }
    Device::spad(dev.control.peer(), index).map_or(u32::MAX, |word| word.load(Relaxed))
}

unsafe extern "C" fn peer_spad_write(
    ntb: *mut ntb_dev,
    pidx: c_int,
    index: c_int,
    value: u32,
) -> c_int {
    // SAFETY: A call through `OPS`.
    let dev = unsafe { device(ntb) };
    if !dev.is_up() {
        return ENOLINK.to_errno();
    }
    errno(
        only_index(pidx)
            .and_then(|()| Device::spad(dev.control.peer(), index))
            .map(|word| word.store(value, Relaxed)),
    )
}
