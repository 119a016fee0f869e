// SPDX-License-Identifier: GPL-2.0
//! A link to a peer, over whatever interconnect driver serves its kind.
//!
//! `include/yoke/interconnect.h` is the contract; this wraps its calls. The inbound window is memory
//! that the peer writes at any time: what is read from it is a copy, to be checked before it is used.

use crate::{ffi, pages::Pages, BLOCK};
use core::ptr::NonNull;
use kernel::{error::from_err_ptr, error::to_result, prelude::*, sync::Arc};

/// Who is told what happens on a link.
///
/// Context: any, often with irqs off, and possibly before [`Link::open`] has returned. So only note
/// it and wake somebody. None comes after the link is dropped.
pub trait LinkEvents: Send + Sync + 'static {
    /// It came up or went down: ask [`Link::is_up`] and [`Link::down_count`].
    fn changed(&self);

    /// The peer rang.
    fn doorbell(&self);

    /// A message arrived, hostile until checked.
    fn message(&self, message: &[u8]) {
        let _ = message;
    }
}

/// What a kind of link can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caps(u32);

impl Caps {
    /// It has windows: post and read64.
    pub const WINDOW: Self = Self(1 << 0);
    /// A read through the link is a fence.
    pub const READ_BACK: Self = Self(1 << 1);
    /// Coherent atomics across the link.
    pub const ATOMICS: Self = Self(1 << 2);
    /// It has messages.
    pub const MESSAGE: Self = Self(1 << 3);

    /// Whether all of `other` are there.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// An enabled link. Dropping it disables it and withdraws the window: whoever uses the window holds
/// the link. Context of opening and dropping: task; of the rest: any, unless said otherwise.
pub struct Link<E: LinkEvents> {
    // INVARIANT: a started link with `events` as its data; `window.memory` is valid for
    // `window.memory_size` bytes until it is stopped.
    raw: NonNull<ffi::Link>,
    window: ffi::Window,
    events: Arc<E>,
}

// SAFETY: the contract allows the hot calls from any CPU at once; the others take `&mut`.
unsafe impl<E: LinkEvents> Send for Link<E> {}
// SAFETY: as above.
unsafe impl<E: LinkEvents> Sync for Link<E> {}

impl<E: LinkEvents> Link<E> {
    /// The upcalls lead to an `E`.
    const OPS: &'static ffi::LinkOps = &ffi::LinkOps {
        changed: changed::<E>,
        doorbell: doorbell::<E>,
        message: message::<E>,
    };

    /// Binds to a device and enables the link. It may come up much later, or never.
    ///
    /// # Errors
    /// `ENODEV`: no driver for this kind is loaded, or no such device; `EBUSY`: somebody else has it;
    /// `EINVAL`: not a name of this kind; `ENOSPC`: the hardware's window is too small; `EIO`;
    /// `ENOMEM`.
    pub fn open(kind: &CStr, device: &CStr, events: Arc<E>) -> Result<Self> {
        let data: *const E = &*events;
        // SAFETY: the strings are valid; `events` is kept until
        // after the link is destroyed.
        let raw = from_err_ptr(unsafe {
            ffi::yoke_sys_link_create(
                kind.as_char_ptr(),
                device.as_char_ptr(),
                Self::OPS,
                data.cast_mut().cast(),
            )
        })?;
        let raw = NonNull::new(raw).ok_or(EIO)?;
        let mut window = ffi::Window {
            memory: core::ptr::null_mut(),
            memory_size: 0,
            out_size: 0,
        };
        // SAFETY: a created link, and valid memory for the answer.
        if let Err(e) = to_result(unsafe { ffi::yoke_sys_link_start(raw.as_ptr(), &mut window) }) {
            // SAFETY: created and not started.
            unsafe { ffi::yoke_sys_link_destroy(raw.as_ptr()) };
            return Err(e);
        }
        // INVARIANT: started.
        Ok(Self {
            raw,
            window,
            events,
        })
    }

    /// Who is told.
    pub fn events(&self) -> &Arc<E> {
        &self.events
    }

    /// What the link can do.
    pub fn caps(&self) -> Caps {
        // SAFETY: a valid link (invariant); so for all below.
        Caps(unsafe { ffi::yoke_sys_link_caps(self.raw.as_ptr()) })
    }

    /// Whether both ends are enabled and connected right now.
    pub fn is_up(&self) -> bool {
        // SAFETY: see `caps()`.
        unsafe { ffi::yoke_sys_link_is_up(self.raw.as_ptr()) }
    }

    /// How often it went down; never decreases.
    pub fn down_count(&self) -> u64 {
        // SAFETY: see `caps()`.
        unsafe { ffi::yoke_sys_link_down_count(self.raw.as_ptr()) }
    }

    /// The shortest time between a down and the following up, in microseconds.
    pub fn min_down_us(&self) -> u32 {
        // SAFETY: see `caps()`.
        unsafe { ffi::yoke_sys_link_min_down_us(self.raw.as_ptr()) }
    }

    /// Bytes of our own window.
    pub fn window_bytes(&self) -> u64 {
        self.window.memory_size
    }

    /// Bytes of the peer's window that [`Self::post`] reaches.
    pub fn peer_window_bytes(&self) -> u64 {
        self.window.out_size
    }

    /// Posts bytes to the peer's window. Not there yet when this returns: see the contract.
    ///
    /// # Errors
    /// `ERANGE`: outside of it, nothing was written; `ENOTCONN`: the link is down.
    pub fn post(&self, offset: u64, bytes: &[u8]) -> Result {
        // SAFETY: see `caps()`; a valid slice.
        to_result(unsafe {
            ffi::yoke_sys_link_post(
                self.raw.as_ptr(),
                offset,
                bytes.as_ptr().cast(),
                bytes.len() as u64,
            )
        })
    }

    /// Posts a block of memory. Errors as [`Self::post`], and `ERANGE`: no such block.
    pub fn post_block(&self, offset: u64, pages: &Pages, block: u32) -> Result {
        let src = pages.block_ptr(block)?;
        // SAFETY: see `caps()`; valid for a block, and only read by the driver.
        to_result(unsafe {
            ffi::yoke_sys_link_post(self.raw.as_ptr(), offset, src.cast(), BLOCK as u64)
        })
    }

    /// Posts one aligned word, little-endian, in one store. Errors as [`Self::post`].
    pub fn post64(&self, offset: u64, value: u64) -> Result {
        // SAFETY: see `caps()`.
        to_result(unsafe { ffi::yoke_sys_link_post64(self.raw.as_ptr(), offset, value) })
    }

    /// Posts before it arrive before posts after it, on this CPU.
    pub fn barrier(&self) {
        // SAFETY: see `caps()`.
        unsafe { ffi::yoke_sys_link_barrier(self.raw.as_ptr()) }
    }

    /// Reads one aligned word of the peer's window; all ones when the link is down or the place is
    /// outside. Stalls for a round trip, at worst for the bus's completion timeout.
    pub fn read64(&self, offset: u64) -> u64 {
        // SAFETY: see `caps()`.
        unsafe { ffi::yoke_sys_link_read64(self.raw.as_ptr(), offset) }
    }

    /// Wakes the peer; may be lost, may come twice.
    pub fn ring(&self) {
        // SAFETY: see `caps()`.
        unsafe { ffi::yoke_sys_link_ring(self.raw.as_ptr()) }
    }

    /// Sends a message. Context: task, at most 100 ms.
    ///
    /// # Errors
    /// `EOPNOTSUPP`: this kind has none; `EMSGSIZE`; `EAGAIN`: the queue is full; `ENOTCONN`.
    pub fn send(&self, message: &[u8]) -> Result {
        // SAFETY: see `caps()`.
        let max = unsafe { ffi::yoke_sys_link_max_message(self.raw.as_ptr()) };
        let len = u32::try_from(message.len()).map_err(|_| EMSGSIZE)?;
        if len > max && max > 0 {
            return Err(EMSGSIZE);
        }
        // SAFETY: see `caps()`; a valid slice.
        to_result(unsafe {
            ffi::yoke_sys_link_send(self.raw.as_ptr(), message.as_ptr().cast(), len)
        })
    }

    /// Where `len` bytes at `offset` of our window are; `align`ed.
    fn at(&self, offset: u64, len: usize, align: u64) -> Result<*mut c_void> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.window.memory_size && offset % align == 0 => {}
            _ => return Err(ERANGE),
        }
        // SAFETY: within the window (invariant), as just checked.
        Ok(unsafe { self.window.memory.byte_add(offset as usize) })
    }

    /// Copies out of our window.
    ///
    /// # Errors
    /// `ERANGE`: outside of it; `ENOTCONN`: the device is gone, and the memory with it. So for all
    /// below; `ERANGE` also for words that are not aligned to 8 bytes.
    pub fn read(&self, offset: u64, dst: &mut [u8]) -> Result {
        let src = self.at(offset, dst.len(), 1)?;
        // SAFETY: both are valid for the length, `src` as long as the device is there, which C
        // checks; C copies, whatever the peer does meanwhile.
        to_result(unsafe {
            ffi::yoke_sys_link_copy(self.raw.as_ptr(), dst.as_mut_ptr().cast(), src, dst.len())
        })
    }

    /// Copies a block of our window into memory.
    pub fn read_block(&self, offset: u64, pages: &Pages, block: u32) -> Result {
        let src = self.at(offset, BLOCK, 1)?;
        let dst = pages.block_ptr(block)?;
        // SAFETY: as above.
        to_result(unsafe { ffi::yoke_sys_link_copy(self.raw.as_ptr(), dst.cast(), src, BLOCK) })
    }

    /// Loads a word of our window; what is read after it is at least as new (acquire).
    pub fn load64(&self, offset: u64) -> Result<u64> {
        let src = self.at(offset, 8, 8)?;
        let mut value = 0;
        // SAFETY: valid and aligned; windows start at a page.
        to_result(unsafe { ffi::yoke_sys_link_load64(self.raw.as_ptr(), src, &mut value) })?;
        Ok(u64::from_le(value))
    }

    /// Writes our own window.
    pub fn write(&self, offset: u64, src: &[u8]) -> Result {
        let dst = self.at(offset, src.len(), 1)?;
        // SAFETY: as in `read()`, the other way round.
        to_result(unsafe {
            ffi::yoke_sys_link_copy(self.raw.as_ptr(), dst, src.as_ptr().cast(), src.len())
        })
    }

    /// Stores a word of our window; what was written before is visible before it (release).
    pub fn store64(&self, offset: u64, value: u64) -> Result {
        let dst = self.at(offset, 8, 8)?;
        // SAFETY: as in `load64()`.
        to_result(unsafe { ffi::yoke_sys_link_store64(self.raw.as_ptr(), dst, value.to_le()) })
    }

    /// Zeroes a part of our window. Holds the CPU: cut what is longer than some ten KiB.
    pub fn zero(&self, offset: u64, len: usize) -> Result {
        let dst = self.at(offset, len, 1)?;
        // SAFETY: as in `write()`.
        to_result(unsafe { ffi::yoke_sys_link_zero(self.raw.as_ptr(), dst, len) })
    }
}

impl<E: LinkEvents> Drop for Link<E> {
    fn drop(&mut self) {
        // SAFETY: started by `open()`, stopped only here: after it no upcall comes any more, so
        // that `events` may go.
        unsafe {
            ffi::yoke_sys_link_stop(self.raw.as_ptr());
            ffi::yoke_sys_link_destroy(self.raw.as_ptr());
        }
    }
}

/// # Safety
/// `data` is that of a link with events of type `E`, which is not destroyed yet.
unsafe extern "C" fn changed<E: LinkEvents>(data: *mut c_void) {
    // SAFETY: by the function's contract.
    unsafe { &*data.cast::<E>() }.changed();
}

/// # Safety
/// As [`changed`].
unsafe extern "C" fn doorbell<E: LinkEvents>(data: *mut c_void) {
    // SAFETY: by the function's contract.
    unsafe { &*data.cast::<E>() }.doorbell();
}

/// # Safety
/// As [`changed`], and `message` has `len` bytes.
unsafe extern "C" fn message<E: LinkEvents>(data: *mut c_void, message: *const c_void, len: u32) {
    if message.is_null() {
        return;
    }
    // SAFETY: by the function's contract.
    let (events, bytes) = unsafe {
        (
            &*data.cast::<E>(),
            core::slice::from_raw_parts(message.cast::<u8>(), len as usize),
        )
    };
    events.message(bytes);
}
