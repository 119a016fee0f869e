// SPDX-License-Identifier: GPL-2.0
//! A link to a peer, over whatever interconnect driver serves its kind.
//!
//! `include/yoke/interconnect.h` is the contract; this wraps its calls. The inbound window is memory
//! that the peer writes at any time: what is read from it is a copy, to be checked before it is used.
//!
//! A link outlives its device: one that is taken away leaves it down, and without memory; when the
//! device is back the link has it again, with a window of zeroes.

use crate::{ffi, pages::Pages, BLOCK};
use core::ptr::NonNull;
use kernel::{error::from_err_ptr, error::to_result, prelude::*, sync::Arc};

/// A device's own part of [`Link::generation`]; above it its number (helpers/link_calls.c).
const GENERATION_BITS: u32 = 48;

/// Who is told what happens on a link.
///
/// Context: any, often with irqs off, and possibly before [`Link::open`] has returned. So only note
/// it and wake somebody. None comes after the link is dropped.
pub trait LinkEvents: Send + Sync + 'static {
    /// It came up or went down, or its device came or went: ask [`Link::is_up`],
    /// [`Link::generation`] and [`Link::absence`].
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
    // INVARIANT: a link of C's with `events` as its data.
    raw: NonNull<ffi::Link>,
    events: Arc<E>,
}

/// What a read through a link found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// The word; all ones when the link is down or the place is outside of the window.
    pub word: u64,
    /// [`Link::generation`] as it was after the word had come.
    pub generation: u64,
}

// SAFETY: C's link is not bound to the task that made it: it may be destroyed by any that may sleep; `Arc<E>` is `Send`.
unsafe impl<E: LinkEvents> Send for Link<E> {}
// SAFETY: every call that `&Link` makes may be made from any CPU at any time, as the contract says of the driver's and
// helpers/link_calls.c of its own; `E` is `Sync`.
unsafe impl<E: LinkEvents> Sync for Link<E> {}

impl<E: LinkEvents> Link<E> {
    /// The upcalls lead to an `E`.
    const OPS: &'static ffi::LinkOps = &ffi::LinkOps {
        changed: changed::<E>,
        doorbell: doorbell::<E>,
        message: message::<E>,
    };

    /// Binds to a device and enables the link. It may come up much later, or never; if the device is
    /// not there yet, the link takes it when it comes.
    ///
    /// # Errors
    /// `ENODEV`: no driver for this kind is loaded; `EBUSY`: somebody else has the device; `EINVAL`:
    /// not a name of this kind; `ENOSPC`: the hardware's window is too small; `EOPNOTSUPP`: it cannot
    /// carry a link; `EIO`; `ENOMEM`.
    pub fn open(kind: &CStr, device: &CStr, events: Arc<E>) -> Result<Self> {
        let data: *const E = &*events;
        // SAFETY: the strings end in NUL; the upcalls lead to an `E`, which `data` is, and `events` keeps it until after
        // the link is destroyed.
        let raw = from_err_ptr(unsafe {
            ffi::yoke_sys_link_create(
                kind.as_char_ptr(),
                device.as_char_ptr(),
                Self::OPS,
                data.cast_mut().cast(),
            )
        })?;
        let raw = NonNull::new(raw).ok_or(EIO)?;
        // INVARIANT: just made.
        Ok(Self { raw, events })
    }

    /// Who is told.
    pub fn events(&self) -> &Arc<E> {
        &self.events
    }

    /// What the link can do; nothing before its device was there for the first time.
    pub fn caps(&self) -> Caps {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); C only
        // reads what does not change while there is one.
        Caps(unsafe { ffi::yoke_sys_link_caps(self.raw.as_ptr()) })
    }

    /// Why it has no device; `None` if it has one. `ENODEV`: it is not there.
    pub fn absence(&self) -> Option<Error> {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); C looks at the
        // device under RCU.
        to_result(unsafe { ffi::yoke_sys_link_error(self.raw.as_ptr()) }).err()
    }

    /// Whether both ends are enabled and connected right now.
    pub fn is_up(&self) -> bool {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); C asks the device
        // under RCU, from any context.
        unsafe { ffi::yoke_sys_link_is_up(self.raw.as_ptr()) }
    }

    /// A number that every down has changed, and every change of the device: compare for equality.
    /// `u64::MAX` without a device.
    pub fn generation(&self) -> u64 {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); C asks the device
        // under RCU, from any context.
        unsafe { ffi::yoke_sys_link_generation(self.raw.as_ptr()) }
    }

    /// Which of the link's devices so far it has now, the memory of our window with it; `None`: none. Another one than
    /// before: what stood in the window is gone.
    pub fn memory(&self) -> Option<u16> {
        match self.generation() {
            u64::MAX => None,
            generation => Some((generation >> GENERATION_BITS) as u16),
        }
    }

    /// How long every down lasts at least, in microseconds: what was posted longer before a read is
    /// not proved by it. 0 without a device.
    pub fn min_down_us(&self) -> u32 {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); C asks the device
        // under RCU, from any context.
        unsafe { ffi::yoke_sys_link_min_down_us(self.raw.as_ptr()) }
    }

    /// Bytes of our own window and of the peer's.
    fn sizes(&self) -> (u64, u64) {
        let (mut own, mut peers) = (0, 0);
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); the two
        // answers are locals, valid for writes.
        unsafe { ffi::yoke_sys_link_sizes(self.raw.as_ptr(), &mut own, &mut peers) };
        (own, peers)
    }

    /// Bytes of our own window; 0 before its device was there for the first time, then always the same.
    pub fn window_bytes(&self) -> u64 {
        self.sizes().0
    }

    /// Bytes of the peer's window that [`Self::post`] reaches; without a device, those of the last one.
    pub fn peer_window_bytes(&self) -> u64 {
        self.sizes().1
    }

    /// Posts bytes to the peer's window. Not there yet when this returns: see the contract.
    ///
    /// # Errors
    /// `ERANGE`: outside of it, nothing was written; `ENOTCONN`: the link is down.
    pub fn post(&self, offset: u64, bytes: &[u8]) -> Result {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); a slice is
        // valid for reads of its length, and the driver keeps no pointer to it.
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
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); `src` is valid
        // for a block as long as `pages` is borrowed, and the driver keeps no pointer to it.
        to_result(unsafe {
            ffi::yoke_sys_link_post(self.raw.as_ptr(), offset, src.cast(), BLOCK as u64)
        })
    }

    /// Posts one aligned word, little-endian, in one store. Errors as [`Self::post`].
    pub fn post64(&self, offset: u64, value: u64) -> Result {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); C checks the
        // place, and the device may not go during the call.
        to_result(unsafe { ffi::yoke_sys_link_post64(self.raw.as_ptr(), offset, value) })
    }

    /// Posts before it arrive before posts after it, on this CPU.
    pub fn barrier(&self) {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); a barrier touches
        // no memory of ours.
        unsafe { ffi::yoke_sys_link_barrier(self.raw.as_ptr()) }
    }

    /// Reads one aligned word of the peer's window, then the generation. Stalls for a round trip, at
    /// worst for the bus's completion timeout.
    pub fn fence(&self, offset: u64) -> Sample {
        let mut generation = u64::MAX;
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); `generation`
        // is a local, valid for writes.
        let word = unsafe { ffi::yoke_sys_link_read64(self.raw.as_ptr(), offset, &mut generation) };
        Sample { word, generation }
    }

    /// The word of [`Self::fence`].
    pub fn read64(&self, offset: u64) -> u64 {
        self.fence(offset).word
    }

    /// Wakes the peer; may be lost, may come twice.
    pub fn ring(&self) {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); C asks the device
        // under RCU, from any context.
        unsafe { ffi::yoke_sys_link_ring(self.raw.as_ptr()) }
    }

    /// Sends a message. Context: task, at most 100 ms.
    ///
    /// # Errors
    /// `EOPNOTSUPP`: this kind has none; `EMSGSIZE`; `EAGAIN`: the queue is full; `ENOTCONN`.
    pub fn send(&self, message: &[u8]) -> Result {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); C only reads what
        // does not change while there is one.
        let max = unsafe { ffi::yoke_sys_link_max_message(self.raw.as_ptr()) };
        let len = u32::try_from(message.len()).map_err(|_| EMSGSIZE)?;
        if len > max && max > 0 {
            return Err(EMSGSIZE);
        }
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); a slice is
        // valid for reads of its length, and the driver copies what it queues.
        to_result(unsafe {
            ffi::yoke_sys_link_send(self.raw.as_ptr(), message.as_ptr().cast(), len)
        })
    }

    /// Copies out of our window.
    ///
    /// # Errors
    /// `ERANGE`: outside of it; `ENOTCONN`: there is no device, and so no memory. So for all below;
    /// `ERANGE` also for words that are not aligned to 8 bytes.
    pub fn read(&self, offset: u64, dst: &mut [u8]) -> Result {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); `dst` is valid
        // for writes of its length; C checks the place and copies, whatever the peer does meanwhile.
        to_result(unsafe {
            ffi::yoke_sys_link_read(
                self.raw.as_ptr(),
                offset,
                dst.as_mut_ptr().cast(),
                dst.len(),
            )
        })
    }

    /// Copies a block of our window into memory.
    pub fn read_block(&self, offset: u64, pages: &Pages, block: u32) -> Result {
        let dst = pages.block_ptr(block)?;
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); `dst` is valid
        // for writes of a block as long as `pages` is borrowed; C checks the place and copies.
        to_result(unsafe { ffi::yoke_sys_link_read(self.raw.as_ptr(), offset, dst.cast(), BLOCK) })
    }

    /// Loads a word of our window; what is read after it is at least as new (acquire).
    pub fn load64(&self, offset: u64) -> Result<u64> {
        let mut value = 0;
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); C checks the
        // place, and `value` is a local, valid for writes.
        to_result(unsafe { ffi::yoke_sys_link_load64(self.raw.as_ptr(), offset, &mut value) })?;
        Ok(u64::from_le(value))
    }

    /// Writes our own window.
    pub fn write(&self, offset: u64, src: &[u8]) -> Result {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); `src` is valid
        // for reads of its length; C checks the place and copies.
        to_result(unsafe {
            ffi::yoke_sys_link_write(self.raw.as_ptr(), offset, src.as_ptr().cast(), src.len())
        })
    }

    /// Stores a word of our window; what was written before is visible before it (release).
    pub fn store64(&self, offset: u64, value: u64) -> Result {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); C checks the
        // place and stores once, whatever the peer does meanwhile.
        to_result(unsafe { ffi::yoke_sys_link_store64(self.raw.as_ptr(), offset, value.to_le()) })
    }

    /// Zeroes a part of our window. Holds the CPU: cut what is longer than some ten KiB.
    pub fn zero(&self, offset: u64, len: usize) -> Result {
        // SAFETY: `self.raw` is a link that C made and that only `drop()` destroys (invariant); C checks that all
        // of it lies in our window, which the device keeps during the call.
        to_result(unsafe { ffi::yoke_sys_link_zero(self.raw.as_ptr(), offset, len) })
    }
}

impl<E: LinkEvents> Drop for Link<E> {
    fn drop(&mut self) {
        // SAFETY: made by `open()`, destroyed only here: after it no upcall comes any more, so that
        // `events` may go.
        unsafe { ffi::yoke_sys_link_destroy(self.raw.as_ptr()) };
    }
}

/// # Safety
/// `data` is that of a link with events of type `E`, which is not destroyed yet.
unsafe extern "C" fn changed<E: LinkEvents>(data: *mut c_void) {
    // SAFETY: by the function's contract `data` is an `E`, which the link keeps until no upcall comes any more.
    unsafe { &*data.cast::<E>() }.changed();
}

/// # Safety
/// As [`changed`].
unsafe extern "C" fn doorbell<E: LinkEvents>(data: *mut c_void) {
    // SAFETY: by the function's contract `data` is an `E`, which the link keeps until no upcall comes any more.
    unsafe { &*data.cast::<E>() }.doorbell();
}

/// # Safety
/// As [`changed`], and `message` has `len` bytes.
unsafe extern "C" fn message<E: LinkEvents>(data: *mut c_void, message: *const c_void, len: u32) {
    if message.is_null() {
        return;
    }
    // SAFETY: by the function's contract `data` is an `E` that the link keeps, and there are `len` bytes, which C does not
    // change during the call.
    let (events, bytes) = unsafe {
        (
            &*data.cast::<E>(),
            core::slice::from_raw_parts(message.cast::<u8>(), len as usize),
        )
    };
    events.message(bytes);
}
