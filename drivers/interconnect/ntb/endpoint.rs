// SPDX-License-Identifier: GPL-2.0

//! Our end of one link over one bridge.
//!
//! yoke makes hot calls only between start and stop, and none after `yoke_link_gone()` has returned, so what they use
//! needs no lock of its own: it is written before the first of them and dropped after the last.

use crate::{
    bindings as raw,
    down::Down,
    window::{Inbound, Outbound},
};
use core::{cell::UnsafeCell, ptr};
use kernel::{
    error::to_result,
    new_mutex,
    prelude::*,
    sync::{barrier, Arc, Mutex},
};

/// The doorbell that wakes the peer.
const DOORBELL: u64 = 1;

/// What a started link has. Dropped in this order: the outbound mapping, then the memory that the peer writes.
struct Running {
    outbound: Outbound,
    _inbound: Inbound,
    down: Down,
}

/// How far the life of an endpoint is.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// Bound to a device, nothing is allocated.
    Stopped,
    /// `running` is there.
    Started,
    /// The device is gone; `running` too. Nothing starts again.
    Gone,
}

/// Our end of one link.
#[pin_data]
pub(crate) struct Endpoint {
    link: *mut raw::yoke_link,
    ntb: *mut raw::ntb_dev,
    /// Written while no hot call is possible, under `phase`.
    running: UnsafeCell<Option<Running>>,
    #[pin]
    phase: Mutex<Phase>,
}

// SAFETY: NTB devices and yoke's links may be used from any thread; `running` is written only while nobody reads it.
unsafe impl Send for Endpoint {}
// SAFETY: as above.
unsafe impl Sync for Endpoint {}

static CONTEXT: raw::ntb_ctx_ops = raw::ntb_ctx_ops {
    link_event: Some(link_event),
    db_event: Some(db_event),
    msg_event: None,
};

impl Endpoint {
    /// An endpoint of a device that nobody else uses. Errors: `ENOMEM`.
    pub(crate) fn new(ntb: *mut raw::ntb_dev, link: *mut raw::yoke_link) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Endpoint {
                link,
                ntb,
                running: UnsafeCell::new(None),
                phase <- new_mutex!(Phase::Stopped),
            }),
            GFP_KERNEL,
        )
    }

    /// Allocates the window, tells the bridge and the peer, and enables the link.
    ///
    /// Context: may sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device is gone; `EBUSY`: started already; `ENOMEM`; `ENOSPC`; what the bridge's driver says.
    pub(crate) fn start(&self) -> Result<raw::yoke_window> {
        let mut phase = self.phase.lock();
        match *phase {
            Phase::Stopped => {}
            Phase::Started => return Err(EBUSY),
            Phase::Gone => return Err(ENODEV),
        }
        // SAFETY: the device is registered as long as the phase is not `Gone`.
        let (outbound, inbound) = unsafe { (Outbound::new(self.ntb)?, Inbound::new(self.ntb)?) };
        let (memory, in_size) = inbound.memory();
        let window = raw::yoke_window {
            in_: memory,
            in_size,
            out_size: outbound.size(),
        };
        let running = Running {
            outbound,
            _inbound: inbound,
            down: Down::new(self.ntb),
        };
        // SAFETY: no hot call is possible yet.
        unsafe { *self.running.get() = Some(running) };
        if let Err(error) = self.connect() {
            // SAFETY: as above; connect() undid its part.
            unsafe { *self.running.get() = None };
            return Err(error);
        }
        *phase = Phase::Started;
        Ok(window)
    }

    /// Takes the upcalls and enables the link.
    fn connect(&self) -> Result {
        let context = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the device is registered; `self` outlives the context, which disconnect() clears.
        unsafe {
            to_result(raw::ntb_set_ctx(self.ntb, context, &CONTEXT))?;
            raw::ntb_db_clear(self.ntb, DOORBELL);
            raw::ntb_db_clear_mask(self.ntb, DOORBELL);
            let status = raw::ntb_link_enable(
                self.ntb,
                raw::ntb_speed_NTB_SPEED_AUTO,
                raw::ntb_width_NTB_WIDTH_AUTO,
            );
            if status < 0 {
                self.disconnect();
            }
            to_result(status)
        }
    }

    /// Disables the link; when it returns, no upcall is under way and none will come.
    fn disconnect(&self) {
        // SAFETY: the device is registered (callers hold `phase`, which is not `Gone`).
        unsafe {
            raw::ntb_link_disable(self.ntb);
            raw::ntb_db_set_mask(self.ntb, DOORBELL);
            raw::ntb_clear_ctx(self.ntb);
        }
    }

    /// Undoes start(); nothing if the device is gone. Context: may sleep; no hot call is under way.
    pub(crate) fn stop(&self) {
        let mut phase = self.phase.lock();
        if *phase == Phase::Started {
            self.disconnect();
            // SAFETY: no hot call is under way, and none will come.
            unsafe { *self.running.get() = None };
            *phase = Phase::Stopped;
        }
    }

    /// The device is being removed: ends everything that touches it. Context: may sleep.
    pub(crate) fn cut_off(&self) {
        if *self.phase.lock() == Phase::Started {
            // Before `phase` is held: it waits for hot calls, and for nothing else.
            // SAFETY: the link is not destroyed: release() takes the lock on the list of devices, which is held.
            unsafe { raw::yoke_link_gone(self.link) };
        }
        self.stop();
        *self.phase.lock() = Phase::Gone;
    }

    /// What hot calls use; `None` only in calls that the contract forbids.
    #[inline]
    fn running(&self) -> Option<&Running> {
        // SAFETY: written only while no hot call is possible.
        unsafe { (*self.running.get()).as_ref() }
    }

    /// See `is_up` of the contract.
    pub(crate) fn is_up(&self) -> bool {
        // SAFETY: in a hot call the device is registered; the results are optional.
        self.running().is_some()
            && unsafe { raw::ntb_link_is_up(self.ntb, ptr::null_mut(), ptr::null_mut()) != 0 }
    }

    /// See `down_count` of the contract.
    #[inline]
    pub(crate) fn down_count(&self) -> u64 {
        self.running().map_or(0, |running| running.down.count())
    }

    /// See `min_down_us` of the contract.
    pub(crate) fn min_down_us(&self) -> u32 {
        self.running().map_or(0, |running| running.down.min_us())
    }

    /// See `post` of the contract.
    ///
    /// # Safety
    ///
    /// `src` is valid for reads of `len` bytes.
    #[inline]
    pub(crate) unsafe fn post(&self, offset: u64, src: *const c_void, len: u64) -> Result {
        let running = self.running().ok_or(ENOTCONN)?;
        // SAFETY: by the function's contract.
        unsafe { running.outbound.post(offset, src, len) }
    }

    /// See `post64` of the contract.
    #[inline]
    pub(crate) fn post64(&self, offset: u64, value: u64) -> Result {
        self.running()
            .ok_or(ENOTCONN)?
            .outbound
            .post64(offset, value)
    }

    /// See `read64` of the contract.
    #[inline]
    pub(crate) fn read64(&self, offset: u64) -> u64 {
        // Write-combining buffers are written out before the read, so that it cannot overtake them.
        fence();
        let value = self
            .running()
            .and_then(|running| running.outbound.read64(offset).ok());
        match value {
            Some(value) if self.is_up() => value,
            _ => u64::MAX,
        }
    }

    /// See `ring` of the contract.
    pub(crate) fn ring(&self) {
        if self.running().is_some() {
            // SAFETY: in a hot call the device is registered. A ring that fails is one that got lost.
            let _ = unsafe { raw::ntb_peer_db_set(self.ntb, DOORBELL) };
        }
    }
}

/// Posts before it arrive before posts after it and before reads after it, out of write-combining buffers too.
#[inline]
pub(crate) fn fence() {
    barrier::mb(barrier::Full);
}

/// The bridge's driver says that the link changed. Context: a spinlock is held, interrupts are off.
///
/// # Safety
///
/// `context` is the endpoint that connect() gave to the NTB core.
unsafe extern "C" fn link_event(context: *mut c_void) {
    // SAFETY: the context is the endpoint, which outlives it (connect()).
    let endpoint = unsafe { &*context.cast::<Endpoint>() };
    if !endpoint.is_up() {
        if let Some(running) = endpoint.running() {
            running.down.note();
        }
    }
    // SAFETY: the link outlives its endpoint.
    unsafe { raw::yoke_link_changed(endpoint.link) };
}

/// The peer rang. Context: as link_event().
///
/// # Safety
///
/// As link_event().
unsafe extern "C" fn db_event(context: *mut c_void, _vector: c_int) {
    // SAFETY: as in link_event(). The bit is cleared before yoke looks, so that a ring in between rings again.
    unsafe {
        let endpoint = &*context.cast::<Endpoint>();
        raw::ntb_db_clear(endpoint.ntb, DOORBELL);
        raw::yoke_link_doorbell(endpoint.link);
    }
}
