// SPDX-License-Identifier: GPL-2.0
//! I/O that waits to be handed to the device.
//!
//! Handing a bio over may block for as long as the device likes: for a free tag, in a throttle, while a queue is frozen
//! or suspended. So nobody does it but two threads of the device, which do nothing else: one for metadata, so that a
//! lease does not stand in line behind data, and one for the rest. Whoever submits puts the bio into a queue, which
//! needs no memory, since the bio itself is the entry.

use crate::{event::Event, ffi};
use core::ptr::NonNull;
use kernel::{bindings, new_spinlock_irq, prelude::*, sync::SpinLockIrq};

/// An own bio that was prepared, and belongs to the device from here on.
pub(super) type RawBio = NonNull<bindings::bio>;

/// Bios in a row.
struct Row {
    // INVARIANT: `head` starts a chain through `bi_next` of bios that belong to this row, which ends at `tail`, whose
    // `bi_next` is null; both are `None` when there is none.
    head: Option<RawBio>,
    tail: Option<RawBio>,
    /// Nothing is taken in any more.
    closed: bool,
}

// SAFETY: the row owns its bios, and a bio that nobody else uses is not bound to a task or CPU.
unsafe impl Send for Row {}

impl Row {
    fn push(&mut self, bio: RawBio) {
        // SAFETY: the bio was given to the row, and the tail belongs to it (invariant).
        unsafe {
            (*bio.as_ptr()).bi_next = core::ptr::null_mut();
            match self.tail {
                Some(tail) => (*tail.as_ptr()).bi_next = bio.as_ptr(),
                None => self.head = Some(bio),
            }
        }
        // INVARIANT: `bio` is the new end of the chain.
        self.tail = Some(bio);
    }

    /// Takes out the first one that is wanted.
    fn take(&mut self, wanted: impl Fn(RawBio) -> bool) -> Option<RawBio> {
        let mut before: Option<RawBio> = None;
        let mut at = self.head;
        while let Some(bio) = at {
            // SAFETY: it belongs to the row (invariant).
            let next = NonNull::new(unsafe { (*bio.as_ptr()).bi_next });
            if !wanted(bio) {
                (before, at) = (at, next);
                continue;
            }
            match before {
                // SAFETY: it belongs to the row (invariant).
                Some(before) => unsafe {
                    (*before.as_ptr()).bi_next = next.map_or(core::ptr::null_mut(), NonNull::as_ptr)
                },
                None => self.head = next,
            }
            // INVARIANT: the chain without this link.
            if next.is_none() {
                self.tail = before;
            }
            // SAFETY: just taken out, so it is ours alone.
            unsafe { (*bio.as_ptr()).bi_next = core::ptr::null_mut() };
            return Some(bio);
        }
        None
    }
}

/// A queue of bios, and the event that wakes the thread which hands them over.
#[pin_data]
pub(super) struct Queue {
    #[pin]
    row: SpinLockIrq<Row>,
    #[pin]
    bell: Event,
}

impl Queue {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: there is none.
            row <- new_spinlock_irq!(Row {
                head: None,
                tail: None,
                closed: false,
            }),
            bell <- Event::new(),
        })
    }

    /// Puts a bio into the queue; it comes back if that is closed. Context: any.
    ///
    /// # Safety
    /// The bio is complete, and the caller's alone; from now on it is the queue's.
    pub(super) unsafe fn push(&self, bio: RawBio) -> Result<(), RawBio> {
        let mut row = self.row.lock();
        if row.closed {
            return Err(bio);
        }
        row.push(bio);
        drop(row);
        self.bell.set();
        Ok(())
    }

    /// Takes the oldest bio. Context: any.
    pub(super) fn pop(&self) -> Option<RawBio> {
        self.row.lock().take(|_| true)
    }

    /// Takes the oldest of those that are wanted. `wanted` is asked under the queue's lock, about bios of the queue.
    pub(super) fn take(&self, wanted: impl Fn(RawBio) -> bool) -> Option<RawBio> {
        self.row.lock().take(wanted)
    }

    /// Takes nothing in any more.
    pub(super) fn close(&self) {
        self.row.lock().closed = true;
    }

    /// Sleeps until there may be something, or the calling thread is asked to stop. Context: task.
    pub(super) fn wait(&self) {
        self.bell.wait(None);
    }
}

/// Whether a bio is the clone of one that came in, and not that of a unit.
///
/// # Safety
/// The bio is valid.
pub(super) unsafe fn is_clone(bio: RawBio) -> bool {
    // SAFETY: valid. Only what comes from a bio set has one.
    unsafe { !(*bio.as_ptr()).bi_pool.is_null() }
}

/// Has a clone of a read fail instead of waiting. False: the device, or what the clone does, does not allow that.
///
/// # Safety
/// The bio is valid, and the caller's alone.
pub(super) unsafe fn forbid_waiting(bio: RawBio) -> bool {
    // SAFETY: by the function's contract.
    unsafe { ffi::yoke_sys_bio_set_nowait(bio.as_ptr()) }
}
