// SPDX-License-Identifier: GPL-2.0
//! The threads that hand I/O to the device ([`super::queue`]). They may wait there for as long as the device likes:
//! nobody waits for them but who closes the device, which takes as long as the device's last I/O anyway.

use super::{
    queue::{self, Queue, RawBio},
    BackingDev, Inner, IoClient,
};
use crate::{
    thread::{self, Thread},
    time::boottime_ns,
};
use kernel::{bindings, prelude::*, sync::atomic::*, sync::Arc};

/// What a thread needs of its device.
struct Porter<C: IoClient> {
    // INVARIANT: outlives the thread, which `BackingDev` joins before it lets go of its `Inner`.
    dev: *const Inner<C>,
    queue: Arc<Queue>,
}

// SAFETY: the pointer is used as `&Inner`, which any number of tasks may (`BackingDev` is `Sync`).
unsafe impl<C: IoClient> Send for Porter<C> {}

impl<C: IoClient> BackingDev<C> {
    /// Starts the threads. Errors: `ENOMEM`; `EINTR`: the caller has been killed.
    pub(super) fn hire(&mut self) -> Result {
        let [meta, data] = &self.inner.queues;
        let (meta, data) = (meta.clone(), data.clone());
        let dev: *const Inner<C> = &*self.inner;
        // INVARIANT: both threads are joined in `drop()`.
        let (meta, data) = (Porter { dev, queue: meta }, Porter { dev, queue: data });
        let [first, second] = &mut self.threads;
        *first = Some(Thread::spawn(c"yoke-io-meta", move || {
            // Leases go this way, whose keeper is one too.
            thread::set_realtime();
            meta.run();
        })?);
        *second = Some(Thread::spawn(c"yoke-io-data", move || data.run())?);
        Ok(())
    }
}

impl<C: IoClient> Porter<C> {
    /// Until the thread is asked to stop.
    fn run(self) {
        // Memory may be short because of what goes to this very device.
        let _no_io = thread::NoIo::enter();
        // SAFETY: it outlives this thread (invariant).
        let dev = unsafe { &*self.dev };
        while !thread::should_stop() {
            while let Some(bio) = self.queue.pop() {
                // SAFETY: out of a queue of the device, so it is ours alone.
                unsafe { dev.hand_over(bio) };
            }
            self.queue.wait();
        }
    }
}

impl<C: IoClient> Inner<C> {
    /// I/O is about to be handed to the device.
    pub(super) fn issued(&self) {
        if self.inflight.count() == 0 {
            self.heard.store(boottime_ns(), Relaxed);
        }
        self.inflight.get();
    }

    /// One has ended, and its client was told. Nothing of the device may be used afterwards.
    pub(super) fn ended(&self) {
        self.heard.store(boottime_ns(), Relaxed);
        self.inflight.put();
    }

    /// As [`Self::ended`], of one that the device never had, and so said nothing of.
    pub(super) fn withdrawn(&self) {
        self.inflight.put();
    }

    /// Has a bio handed over by one of the threads. Does not wait. Context: any.
    ///
    /// # Safety
    /// It is that of a unit, or a clone, of this device, complete, counted ([`Self::issued`]), and the caller's alone.
    pub(super) unsafe fn enqueue(&self, bio: RawBio, meta: bool) {
        let [first, second] = &self.queues;
        let queue = if meta { first } else { second };
        // SAFETY: by the function's contract.
        if let Err(bio) = unsafe { queue.push(bio) } {
            // SAFETY: it came back.
            unsafe { self.give_back(bio) };
        }
    }

    /// Hands a bio to the device, if it may still go there. Context: task; may wait for as long as the device likes.
    ///
    /// # Safety
    /// As for [`Self::enqueue`].
    unsafe fn hand_over(&self, bio: RawBio) {
        // SAFETY: by the function's contract it is a complete bio of this device, and ours alone until it is submitted.
        unsafe {
            if queue::is_clone(bio) {
                bindings::submit_bio_noacct(bio.as_ptr());
            } else if self.may_issue(bio) {
                bindings::submit_bio(bio.as_ptr());
            } else {
                self.unit_back(bio);
            }
        }
    }

    /// A bio will not go to the device.
    ///
    /// # Safety
    /// As for [`Self::enqueue`].
    pub(super) unsafe fn give_back(&self, bio: RawBio) {
        // SAFETY: by the function's contract.
        unsafe {
            if queue::is_clone(bio) {
                self.forward_back(bio);
            } else {
                self.unit_back(bio);
            }
        }
    }

    /// Takes nothing in any more, and gives back what was not handed over.
    pub(super) fn close_queues(&self) {
        for queue in &self.queues {
            queue.close();
            while let Some(bio) = queue.pop() {
                // SAFETY: out of a queue of the device, so it is ours alone.
                unsafe { self.give_back(bio) };
            }
        }
    }
}
