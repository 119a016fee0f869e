// SPDX-License-Identifier: GPL-2.0
//! A queue of bios that needs no memory.

use crate::{bio::Bio, status::IoResult};
use core::ptr::NonNull;
use kernel::bindings;

/// First-in-first-out queue of [`Bio`]s, linked through `bi_next`: nothing is allocated, any number
/// fits. Dropping it ends what is left with `IOERR`.
///
/// Context: any. It has no lock of its own: keep it inside one.
pub struct BioList {
    // INVARIANT: `head` starts a chain of `len` owned bios through `bi_next` that ends at `tail`,
    // whose `bi_next` is null; both are `None` when `len` is 0.
    head: Option<NonNull<bindings::bio>>,
    tail: Option<NonNull<bindings::bio>>,
    len: usize,
}

// SAFETY: it owns its bios, and `Bio` is `Send`.
unsafe impl Send for BioList {}

impl BioList {
    /// An empty queue.
    pub const fn new() -> Self {
        Self {
            head: None,
            tail: None,
            len: 0,
        }
    }

    /// How many bios it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a bio.
    pub fn push_back(&mut self, bio: Bio) {
        let ptr = bio.into_raw();
        // SAFETY: we own the bio, and by the invariant the tail too.
        unsafe {
            (*ptr.as_ptr()).bi_next = core::ptr::null_mut();
            match self.tail {
                Some(tail) => (*tail.as_ptr()).bi_next = ptr.as_ptr(),
                None => self.head = Some(ptr),
            }
        }
        // INVARIANT: `ptr` is the new end of the chain.
        self.tail = Some(ptr);
        self.len += 1;
    }

    /// Puts a bio back to the front, for one that could not be served after all.
    pub fn push_front(&mut self, bio: Bio) {
        let ptr = bio.into_raw();
        // SAFETY: we own the bio.
        unsafe {
            (*ptr.as_ptr()).bi_next = self.head.map_or(core::ptr::null_mut(), NonNull::as_ptr);
        }
        // INVARIANT: `ptr` is the new start of the chain, and its end if it was empty.
        if self.tail.is_none() {
            self.tail = Some(ptr);
        }
        self.head = Some(ptr);
        self.len += 1;
    }

    /// Takes the oldest bio.
    pub fn pop_front(&mut self) -> Option<Bio> {
        let ptr = self.head?;
        // SAFETY: by the invariant the head is an owned bio; its link is cut before it leaves.
        let next =
            unsafe { core::mem::replace(&mut (*ptr.as_ptr()).bi_next, core::ptr::null_mut()) };
        // INVARIANT: the chain without its first link.
        self.head = NonNull::new(next);
        if self.head.is_none() {
            self.tail = None;
        }
        self.len -= 1;
        // SAFETY: it was pushed as a `Bio`.
        Some(unsafe { Bio::from_raw(ptr) })
    }

    /// Moves all of `other` behind what is here.
    pub fn append(&mut self, other: &mut Self) {
        let Some(head) = other.head else { return };
        match self.tail {
            // SAFETY: the tail is an owned bio (invariant).
            Some(tail) => unsafe { (*tail.as_ptr()).bi_next = head.as_ptr() },
            None => self.head = Some(head),
        }
        // INVARIANT: one chain of both.
        self.tail = other.tail;
        self.len += other.len;
        // INVARIANT: the moved bios are not the other's any more.
        other.head = None;
        other.tail = None;
        other.len = 0;
    }

    /// Takes everything, leaving an empty queue: to end bios outside of a lock.
    pub fn take(&mut self) -> Self {
        core::mem::take(self)
    }

    /// Ends all of them with `result`. Not under a lock that a completion may take.
    pub fn complete_all(&mut self, result: IoResult) {
        while let Some(bio) = self.pop_front() {
            bio.complete(result);
        }
    }
}

impl Default for BioList {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for BioList {
    fn drop(&mut self) {
        while self.pop_front().is_some() {}
    }
}
