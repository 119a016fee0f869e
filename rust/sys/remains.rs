// SPDX-License-Identifier: GPL-2.0
//! What the block layer still runs of a module's code when the module is about to go.
//!
//! The block layer frees a removed disk after its last close, and ends I/O in interrupts: in functions of this module,
//! after everything that a caller could have waited for. Only who waits for that, at last, may let the module go. So
//! that nobody forgets to, there are no disks without somebody who will: [`Remains`].

use crate::inflight::Inflight;
use kernel::{bindings, prelude::*, sync::atomic::*};

/// Objects of the block layer that hold code of ours, and how many will wait for them.
pub(crate) struct Home {
    waiters: Atomic<u32>,
    live: Inflight,
}

/// That of this module.
pub(crate) static HOME: Home = Home::new();

impl Home {
    pub(crate) const fn new() -> Self {
        Self {
            waiters: Atomic::new(0),
            live: Inflight::new(),
        }
    }

    /// One more object. Errors: `ESHUTDOWN`: nobody will wait for it.
    pub(crate) fn admit(&self) -> Result {
        // First counted, then looked: whoever stops waiting in between sees it.
        self.live.get();
        if self.waiters.fetch_add(0, Full) == 0 {
            self.live.put();
            return Err(ESHUTDOWN);
        }
        Ok(())
    }

    /// One less. What follows of our code runs in the caller's RCU section or interrupt, or is waited for otherwise.
    pub(crate) fn leave(&self) {
        self.live.put();
    }

    pub(crate) fn keep(&self) {
        self.waiters.add(1, Relaxed);
    }

    /// Admits no more, unless somebody else waits, and waits until all are gone.
    pub(crate) fn wait(&self) {
        if self.waiters.fetch_sub(1, Full) == 1 {
            self.live.wait_zero_forever("disks");
        }
        // SAFETY: the caller may sleep. Whoever counts down does so within an RCU section.
        unsafe { bindings::synchronize_rcu() };
    }
}

/// Whoever has it waits for the remains of all disks and devices of this crate, when it is dropped: until they are freed,
/// and until the ends of all I/O have left our code. Without one, no [`Disk`](crate::disk::Disk) can be made and no
/// [`BackingDev`](crate::backing::BackingDev) opened.
///
/// It belongs into the module's object, as its last field. In the module's exit nobody has a disk open, so it is a matter
/// of moments; elsewhere it takes as long as there are disks. Context: task.
#[must_use = "dropped at once it waits for nothing, and no disk can be made"]
pub struct Remains(());

impl Remains {
    /// From now on disks can be made.
    pub fn keep() -> Self {
        HOME.keep();
        Self(())
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        HOME.wait();
    }
}
