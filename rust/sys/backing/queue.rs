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

    /// Takes out the oldest one.
    fn pop(&mut self) -> Option<RawBio> {
        let bio = self.head?;
        // SAFETY: it belongs to the row (invariant), and is ours alone as soon as the row begins behind it.
        unsafe {
            self.head = NonNull::new((*bio.as_ptr()).bi_next);
            (*bio.as_ptr()).bi_next = core::ptr::null_mut();
        }
        // INVARIANT: the chain without its first link.
        if self.head.is_none() {
            self.tail = None;
        }
        Some(bio)
    }

    /// Takes out all.
    fn take_all(&mut self) -> Self {
        // INVARIANT: the chain belongs to the new row, and the old one has none.
        Self {
            head: self.head.take(),
            tail: self.tail.take(),
            closed: false,
        }
    }

    /// Puts those of another row before its own.
    fn put_before(&mut self, row: Self) {
        let Some(last) = row.tail else { return };
        // SAFETY: it belongs to the other row (invariant), which becomes a part of this one.
        unsafe {
            (*last.as_ptr()).bi_next = self.head.map_or(core::ptr::null_mut(), NonNull::as_ptr);
        }
        // INVARIANT: one chain after the other.
        self.head = row.head;
        if self.tail.is_none() {
            self.tail = row.tail;
        }
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
        self.row.lock().pop()
    }

    /// Takes all of those that are wanted; `taken` gets them. The queue may be long, and interrupts are off while it is
    /// locked: so it is taken as a whole, and what stays is put back. Nothing is handed over in between. Context: task.
    pub(super) fn sift(&self, wanted: impl Fn(RawBio) -> bool, mut taken: impl FnMut(RawBio)) {
        let mut all = self.row.lock().take_all();
        // INVARIANT: there is none.
        let mut rest = Row {
            head: None,
            tail: None,
            closed: false,
        };
        while let Some(bio) = all.pop() {
            if wanted(bio) {
                taken(bio);
            } else {
                rest.push(bio);
            }
        }
        if rest.head.is_none() {
            return;
        }
        let mut row = self.row.lock();
        if !row.closed {
            row.put_before(rest);
            drop(row);
            return self.bell.set();
        }
        drop(row);
        // Who has closed it has not seen them.
        while let Some(bio) = rest.pop() {
            taken(bio);
        }
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
