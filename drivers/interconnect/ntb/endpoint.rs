// SPDX-License-Identifier: GPL-2.0

//! Our end of one link over one bridge.
//!
//! yoke makes hot calls only between start and stop, and none after `yoke_link_gone()` has returned, so what they use
//! needs no lock of its own: it is written before the first of them and dropped after the last.
//!
//! The link counts as up when the bridge says so *and* it has been pointed at our memory since it came up: the peer's
//! end may have been reset meanwhile, or it may be the peer who decides on the window. That takes a context that may
//! sleep, so yoke is asked for one (`prepare`).

use crate::{
    bindings as raw,
    down::{self, MIN_DOWN_US},
    inbound::Inbound,
    outbound::Outbound,
    phase::{NoStart, Phase, Step},
    symbol::Generation,
    PEER,
};
use core::{cell::UnsafeCell, ptr};
use kernel::{
    error::to_result,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        barrier, Arc, Mutex,
    },
};

/// What a started link has. Dropped in this order: the outbound mapping, then the memory that the peer writes.
struct Running {
    outbound: Outbound,
    inbound: Inbound,
    generation: Generation,
    /// The doorbell that wakes the peer; 0 if the bridge has none, and heartbeats have to do.
    doorbell: u64,
}

/// Our end of one link.
#[pin_data]
pub(crate) struct Endpoint {
    link: *mut raw::yoke_link,
    ntb: *mut raw::ntb_dev,
    /// Written while no hot call is possible, under `phase`.
    running: UnsafeCell<Option<Running>>,
    /// Whether the bridge points at our memory since the link came up.
    ready: Atomic<bool>,
    #[pin]
    phase: Mutex<Phase>,
}

// SAFETY: NTB devices and yoke's links are not bound to a task, and whoever has the endpoint alone may write `running`.
unsafe impl Send for Endpoint {}
// SAFETY: NTB devices and yoke's links may be used from any thread at once; `running` is written only while nobody reads it.
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
                ready: Atomic::new(false),
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
    /// `ENODEV`: the device is gone; `EBUSY`: started already; `ENOMEM`; `ENOSPC`; `EOPNOTSUPP`; what the bridge's driver
    /// says.
    pub(crate) fn start(&self) -> Result<raw::yoke_window> {
        let mut phase = self.phase.lock();
        phase.may_start().map_err(|why| match why {
            NoStart::Started => EBUSY,
            NoStart::Gone => ENODEV,
        })?;
        let running = self.set_up().inspect_err(|error| self.explain(*error))?;
        let (memory, in_size) = running.inbound.memory();
        let window = raw::yoke_window {
            in_: memory,
            in_size,
            out_size: running.outbound.size(),
        };
        pr_info!(
            "{}: window of {} KiB, the peer's {} KiB\n",
            self.name(),
            in_size / 1024,
            window.out_size / 1024
        );
        // SAFETY: no hot call is possible yet.
        unsafe { *self.running.get() = Some(running) };
        if let Err(error) = self.connect() {
            // SAFETY: connect() undid its part, so no callback runs, and yoke makes hot calls only when start() has succeeded.
            unsafe { *self.running.get() = None };
            return Err(error);
        }
        phase.started();
        Ok(window)
    }

    /// Both windows. The device is registered (callers hold `phase`).
    fn set_up(&self) -> Result<Running> {
        self.ready.store(false, Relaxed);
        // SAFETY: the device is registered as long as the phase allows a start, and `running` is dropped before it goes.
        unsafe {
            let reach = Outbound::choose(self.ntb)?;
            let outbound = Outbound::new(self.ntb, reach)?;
            let inbound = Inbound::new(self.ntb, reach)?;
            let doorbells = raw::ntb_db_valid_mask(self.ntb);
            Ok(Running {
                outbound,
                inbound,
                generation: Generation::new(self.ntb),
                doorbell: doorbells & doorbells.wrapping_neg(),
            })
        }
    }

    /// Says why a bridge cannot carry a link, where the number does not.
    fn explain(&self, error: Error) {
        let why = if error == ENOSPC {
            "none of its memory windows has 64 KiB or more"
        } else if error == ENOMEM {
            "no memory, contiguous and aligned as it wants it, for a window of even 64 KiB: reserve some (cma=), or use an IOMMU"
        } else if error == EOPNOTSUPP {
            "it translates addresses at the sending end, which is not supported"
        } else {
            "its driver refuses"
        };
        pr_err!(
            "{}: not usable ({}): {why}\n",
            self.name(),
            error.to_errno()
        );
    }

    /// For messages to people. The device is registered.
    fn name(&self) -> &str {
        // SAFETY: names of registered devices are C strings, and do not change.
        let name = unsafe { CStr::from_char_ptr(crate::client::name_of(self.ntb)) };
        name.to_str().unwrap_or("?")
    }

    /// Takes the upcalls and enables the link.
    fn connect(&self) -> Result {
        let context = ptr::from_ref(self).cast_mut().cast();
        let doorbell = self.running().map_or(0, |running| running.doorbell);
        // SAFETY: the device is registered; `self` outlives the context, which disconnect() clears.
        unsafe {
            to_result(raw::ntb_set_ctx(self.ntb, context, &CONTEXT))?;
            raw::ntb_db_clear(self.ntb, doorbell);
            raw::ntb_db_clear_mask(self.ntb, doorbell);
            let status = raw::ntb_link_enable(
                self.ntb,
                raw::ntb_speed_NTB_SPEED_AUTO,
                raw::ntb_width_NTB_WIDTH_AUTO,
            );
            if status < 0 {
                self.disconnect();
            }
            to_result(status)?;
        }
        // A bridge that was up all the time need not say so.
        self.link_event();
        Ok(())
    }

    /// Disables the link; when it returns, no upcall is under way and none will come.
    fn disconnect(&self) {
        let doorbell = self.running().map_or(0, |running| running.doorbell);
        // SAFETY: the device is registered (callers hold `phase`, which is not `Gone`).
        unsafe {
            raw::ntb_link_disable(self.ntb);
            raw::ntb_db_set_mask(self.ntb, doorbell);
            raw::ntb_clear_ctx(self.ntb);
        }
    }

    /// Undoes start(); nothing if there is nothing to undo. Context: may sleep; no hot call is under way.
    pub(crate) fn stop(&self) {
        let mut phase = self.phase.lock();
        if phase.stop() == Step::TakeDown {
            self.disconnect();
            // SAFETY: no hot call is under way, and none will come.
            unsafe { *self.running.get() = None };
        }
    }

    /// The device is being removed: ends everything that touches it. Context: may sleep.
    pub(crate) fn cut_off(&self) {
        let step = self.phase.lock().leave();
        if step == Step::TellYoke {
            // Without `phase`: it waits for hot calls, and for nothing else.
            // SAFETY: the link is not destroyed: release() takes the lock on the list of devices, which is held.
            unsafe { raw::yoke_link_gone(self.link) };
            self.stop();
        }
    }

    /// Points the bridge at our memory, now that the link is up. Context: may sleep; not together with start or stop.
    pub(crate) fn prepare(&self) {
        let phase = self.phase.lock();
        let Some(running) = self.running().filter(|_| *phase == Phase::Started) else {
            return;
        };
        if self.ready.load(Relaxed) || !self.bridge_up() {
            return;
        }
        let before = running.generation.calls.count();
        if let Err(error) = running.inbound.translate() {
            pr_err!(
                "{}: the link is up, but the window cannot be set up ({})\n",
                self.name(),
                error.to_errno()
            );
            return;
        }
        self.ready.store(true, Relaxed);
        if running.generation.calls.count() != before {
            // It went down meanwhile, perhaps: once more.
            self.ready.store(false, Relaxed);
            // SAFETY: the link outlives its endpoint.
            unsafe { raw::yoke_link_prepare(self.link) };
        }
        // SAFETY: the link outlives its endpoint, which it destroys itself.
        unsafe { raw::yoke_link_changed(self.link) };
    }

    /// Something happened to the link: whatever it was, what was posted before is not proved by what is read later.
    fn link_event(&self) {
        if let Some(running) = self.running() {
            running.generation.calls.note();
        }
        self.ready.store(false, Relaxed);
        if self.bridge_up() {
            // SAFETY: the link outlives its endpoint.
            unsafe { raw::yoke_link_prepare(self.link) };
        }
        // SAFETY: the link outlives its endpoint, which it destroys itself; this may be said in any context.
        unsafe { raw::yoke_link_changed(self.link) };
    }

    /// What the bridge says. The device is registered.
    fn bridge_up(&self) -> bool {
        // SAFETY: by the function's contract; the results are optional.
        let up = unsafe { raw::ntb_link_is_up(self.ntb, ptr::null_mut(), ptr::null_mut()) };
        up >> PEER & 1 != 0
    }

    /// What hot calls use; `None` only in calls that the contract forbids.
    #[inline]
    fn running(&self) -> Option<&Running> {
        // SAFETY: written only while no hot call is possible.
        unsafe { (*self.running.get()).as_ref() }
    }

    /// See `is_up` of the contract.
    pub(crate) fn is_up(&self) -> bool {
        self.running().is_some() && self.ready.load(Relaxed) && self.bridge_up()
    }

    /// See `generation` of the contract.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.running().map_or(0, |running| running.generation.now())
    }

    /// See `min_down_us` of the contract.
    pub(crate) fn min_down_us(&self) -> u32 {
        self.running()
            .map_or(MIN_DOWN_US, |running| running.generation.min_down_us())
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

    /// See `read64` of the contract: the word, and the generation after it.
    #[inline]
    pub(crate) fn read64(&self, offset: u64) -> (u64, u64) {
        // Write-combining buffers are written out before the read, so that it cannot overtake them.
        fence();
        let read = || {
            let value = self
                .running()
                .and_then(|running| running.outbound.read64(offset).ok());
            match value {
                Some(value) if self.is_up() => value,
                _ => u64::MAX,
            }
        };
        down::fence(read, || self.generation())
    }

    /// See `ring` of the contract.
    pub(crate) fn ring(&self) {
        if let Some(running) = self.running().filter(|running| running.doorbell != 0) {
            // SAFETY: in a hot call the device is registered. A ring that fails is one that got lost.
            let _ = unsafe { raw::ntb_peer_db_set(self.ntb, running.doorbell) };
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
    unsafe { &*context.cast::<Endpoint>() }.link_event();
}

/// The peer rang. Context: as link_event().
///
/// # Safety
///
/// As link_event().
unsafe extern "C" fn db_event(context: *mut c_void, _vector: c_int) {
    // SAFETY: the context is the endpoint, which outlives it (connect()), as the device and the link outlive the endpoint.
    // The bit is cleared before yoke looks, so that a ring in between rings again.
    unsafe {
        let endpoint = &*context.cast::<Endpoint>();
        let doorbell = endpoint.running().map_or(0, |running| running.doorbell);
        raw::ntb_db_clear(endpoint.ntb, doorbell);
        raw::yoke_link_doorbell(endpoint.link);
    }
}
