// SPDX-License-Identifier: GPL-2.0
//! Own work queues, for the items of `kernel::workqueue`.

use core::{ops::Deref, ptr::NonNull};
use kernel::{bindings, prelude::*, workqueue::Queue};

/// A work queue of our own that makes progress when memory is short: unbound, high priority, with a
/// rescuer thread (`WQ_MEM_RECLAIM | WQ_UNBOUND | WQ_HIGHPRI`).
///
/// Derefs to [`Queue`], to enqueue the items made with `kernel::impl_has_work!`. An item lives in an
/// `Arc` made beforehand, so enqueueing allocates nothing; an item that is queued already is not
/// queued twice.
///
/// Dropping it runs what is queued, and waits for it. Nothing may be enqueued from then on but by
/// the items themselves, a bounded number of times. Context of making, [`Self::flush`] and drop:
/// task; of enqueueing: any.
pub struct WorkQueue {
    // INVARIANT: a work queue that we own.
    raw: NonNull<bindings::workqueue_struct>,
}

// SAFETY: a work queue is not bound to the task that made it: any task that may sleep may destroy it.
unsafe impl Send for WorkQueue {}
// SAFETY: enqueueing and flushing take the work queue's own locks, from any number of CPUs.
unsafe impl Sync for WorkQueue {}

impl WorkQueue {
    /// Makes a queue that runs at most `max_active` items at once (0: the kernel's default, 1: one
    /// after the other on this queue).
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(name: &'static CStr, max_active: u16) -> Result<Self> {
        let flags = bindings::wq_flags_WQ_MEM_RECLAIM
            | bindings::wq_flags_WQ_UNBOUND
            | bindings::wq_flags_WQ_HIGHPRI;
        // SAFETY: the format takes one string, which is given.
        let raw = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s".as_char_ptr(),
                flags,
                c_int::from(max_active),
                name.as_char_ptr(),
            )
        };
        Ok(Self {
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
        })
    }

    /// Waits until everything that was enqueued before has run.
    pub fn flush(&self) {
        // SAFETY: the queue is ours (invariant).
        unsafe { bindings::__flush_workqueue(self.raw.as_ptr()) }
    }
}

impl Deref for WorkQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: the queue lives as long as `self` (invariant).
        unsafe { Queue::from_raw(self.raw.as_ptr()) }
    }
}

impl Drop for WorkQueue {
    fn drop(&mut self) {
        // SAFETY: the queue is ours, and nobody uses it after drop.
        unsafe { bindings::destroy_workqueue(self.raw.as_ptr()) }
    }
}
