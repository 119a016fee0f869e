// SPDX-License-Identifier: GPL-2.0
//! A flag that one thread sleeps on and anybody sets.

use crate::ffi;
use kernel::{bindings, prelude::*, sync::atomic::*, types::Opaque};

/// An event: set from any context, hard irq included, waited for by a thread.
///
/// Setting it many times before the thread looks counts once, so the thread must then look at
/// everything that may have changed. No set is ever lost: one that comes while the thread works
/// makes the next wait return at once.
#[pin_data]
pub struct Event {
    #[pin]
    wq: Opaque<bindings::wait_queue_head>,
    set: Atomic<u32>,
}

// SAFETY: neither a wait queue nor an atomic is bound to the task or CPU that made it, and a pinned event never moves.
unsafe impl Send for Event {}
// SAFETY: all access through `&Event` goes through the wait queue's own lock, or is atomic.
unsafe impl Sync for Event {}

/// Why [`Event::wait`] returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// The event was set (and is clear again), or the thread is asked to stop.
    Event,
    /// The deadline has passed.
    Deadline,
}

impl Event {
    /// A clear event.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            wq <- Opaque::ffi_init(|wq| {
                // SAFETY: `wq` points to memory for a wait queue head, which stays where it is.
                unsafe { ffi::yoke_sys_wq_init(wq) }
            }),
            set: Atomic::new(0),
        })
    }

    /// Sets the event and wakes the waiter. What was stored before is visible to it.
    /// Context: any, hard irq included.
    pub fn set(&self) {
        // SAFETY: both were initialised by `new()` and are pinned.
        unsafe { ffi::yoke_sys_wq_wake(self.wq.get(), self.set.as_ptr()) }
    }

    /// Sleeps until the event is set (and clears it), the calling kernel thread is asked to stop, or
    /// CLOCK_BOOTTIME reaches `deadline_ns` (`None`: no deadline). The timer is a high-resolution
    /// one. Context: task.
    pub fn wait(&self, deadline_ns: Option<u64>) -> Woken {
        let deadline = deadline_ns.unwrap_or(u64::MAX);
        // SAFETY: `wq` was initialised by `new()` and is pinned; `set` lives as long as `&self`; the caller may sleep.
        if unsafe { ffi::yoke_sys_wq_wait(self.wq.get(), self.set.as_ptr(), deadline) } {
            Woken::Event
        } else {
            Woken::Deadline
        }
    }
}
