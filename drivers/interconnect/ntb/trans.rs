// SPDX-License-Identifier: GPL-2.0

//! Tells the bridge where an inbound window leads.
//!
//! Some drivers give up what they do for a task that has a signal pending (Switchtec: `EINTR` at once, however often it
//! is asked), and a task that disables a link or unbinds a driver may have one for as long as that takes. So a worker of
//! the kernel's makes the call, which nobody sends signals, and who wants it made waits. It takes no locks but the
//! bridge's driver's own, so that callers may hold theirs.

use crate::{bindings as raw, PEER};
use kernel::{
    bindings,
    error::to_result,
    impl_has_work, new_work,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
    workqueue::{self, Work, WorkItem},
};

/// The translation of one window. It allocates what it needs beforehand: memory has to be withdrawn whatever happens.
#[pin_data]
pub(crate) struct Trans {
    #[pin]
    work: Work<Self>,
    ntb: *mut raw::ntb_dev,
    index: c_int,
    /// What the worker is to say, and what it was told. The work queue orders them.
    address: Atomic<u64>,
    size: Atomic<u64>,
    status: Atomic<c_int>,
}

// SAFETY: NTB devices are not bound to a task.
unsafe impl Send for Trans {}
// SAFETY: NTB devices may be used from any thread at once; what changes is atomic.
unsafe impl Sync for Trans {}

impl_has_work! {
    impl HasWork<Self> for Trans { self.work }
}

impl Trans {
    /// Of the window `index` of `ntb`. Errors: `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `ntb` is a registered device whenever [`Self::set`] or [`Self::clear`] is called, and until they return.
    pub(crate) unsafe fn new(ntb: *mut raw::ntb_dev, index: c_int) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Trans {
                work <- new_work!("yoke_ntb::Trans"),
                ntb,
                index,
                address: Atomic::new(0),
                size: Atomic::new(0),
                status: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Leads the window to `size` bytes at `address`. Nothing happens where the bridge translates at the sending end.
    ///
    /// Context: may sleep, with some bridges for a minute; one call at a time.
    ///
    /// # Errors
    ///
    /// What the bridge's driver says.
    pub(crate) fn set(self: &Arc<Self>, address: u64, size: u64) -> Result {
        self.call(address, size)
    }

    /// Leads the window nowhere. Context and errors as of [`Self::set`].
    pub(crate) fn clear(self: &Arc<Self>) -> Result {
        self.call(0, 0)
    }

    fn call(self: &Arc<Self>, address: u64, size: u64) -> Result {
        self.address.store(address, Relaxed);
        self.size.store(size, Relaxed);
        // It is not queued: the last call has returned.
        workqueue::system_long()
            .enqueue(self.clone())
            .map_err(|_| EBUSY)?;
        // SAFETY: `self` holds the work. This waits until run() has returned, so that the module may go after it.
        unsafe { bindings::flush_work(Work::raw_get(&self.work)) };
        to_result(self.status.load(Relaxed))
    }
}

impl WorkItem for Trans {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let (address, size) = (this.address.load(Relaxed), this.size.load(Relaxed));
        // SAFETY: call() waits for this, and the device is registered meanwhile (contract of new()).
        let status = unsafe {
            if size == 0 {
                raw::ntb_mw_clear_trans(this.ntb, PEER, this.index)
            } else {
                raw::ntb_mw_set_trans(this.ntb, PEER, this.index, address, size)
            }
        };
        this.status.store(status, Relaxed);
    }
}
