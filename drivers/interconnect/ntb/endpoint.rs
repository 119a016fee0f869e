// SPDX-License-Identifier: GPL-2.0

//! Our end of one link over one bridge.
//!
//! yoke makes hot calls only between start and stop, and none after `yoke_link_gone()` has returned, so what they use
//! needs no lock of its own: it is written before the first of them and dropped after the last.
//!
//! The link counts as up when the bridge says so *and* it has been pointed at our memory since it came up: the peer's
//! end may have been reset meanwhile, or it may be the peer who decides on the window. Where the peer itself points it,
//! both ends have to agree on that since it came up. All this takes a context that may sleep, so yoke is asked for one
//! (`prepare`).

mod hot;
mod pointing;

pub(crate) use hot::fence;
use pointing::Pointing;

use crate::{
    again::Again,
    bells, bindings as raw, client,
    inbound::Inbound,
    memory::Shelf,
    outbound::Outbound,
    phase::{NoStart, Phase, Step},
    sending::{self, Sending},
    symbol::Generation,
    upcalls, PEER,
};
use core::{cell::UnsafeCell, ptr};
use kernel::{
    error::to_result,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, Mutex,
    },
};

/// What a started link has. Dropped in this order: the outbound mapping, then the memory that the peer writes.
struct Running {
    outbound: Outbound,
    /// Where the bridge translates at the sending end.
    sending: Option<Pin<KBox<Sending>>>,
    inbound: Inbound,
    generation: Generation,
    /// The doorbell that we listen to, and the one that wakes the peer; 0 if the bridge has none, and heartbeats have to
    /// do.
    bells: (u64, u64),
}

/// Our end of one link.
#[pin_data]
pub(crate) struct Endpoint {
    link: *mut raw::yoke_link,
    ntb: *mut raw::ntb_dev,
    /// The device's.
    shelf: Arc<Shelf>,
    /// Written while no hot call is possible, under `life`.
    running: UnsafeCell<Option<Running>>,
    /// Whether the bridge points at our memory since the link came up. Where the peer points it, `sending` knows.
    ready: Atomic<bool>,
    #[pin]
    life: Mutex<Life>,
}

/// What changes in the life of an endpoint. May be held while sleeping.
struct Life {
    phase: Phase,
    pointing: Pointing,
}

// SAFETY: NTB devices and yoke's links are not bound to a task, and whoever has the endpoint alone may write `running`.
unsafe impl Send for Endpoint {}
// SAFETY: NTB devices and yoke's links may be used from any thread at once; `running` is written only while nobody reads it.
unsafe impl Sync for Endpoint {}

impl Endpoint {
    /// An endpoint of a device that nobody else uses. Errors: `ENOMEM`.
    pub(crate) fn new(
        ntb: *mut raw::ntb_dev,
        shelf: Arc<Shelf>,
        link: *mut raw::yoke_link,
    ) -> Result<Arc<Self>> {
        // SAFETY: the link outlives its endpoint, which it destroys itself.
        let again = unsafe { Again::new(link) }?;
        let life = Life {
            phase: Phase::Stopped,
            pointing: Pointing::new(again),
        };
        Arc::pin_init(
            pin_init!(Endpoint {
                link,
                ntb,
                shelf,
                running: UnsafeCell::new(None),
                ready: Atomic::new(false),
                life <- new_mutex!(life),
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
    /// `ENODEV`: the device is gone; `EBUSY`: started already; `ENOMEM`; `ENOSPC`; `EOPNOTSUPP`; `ENOTRECOVERABLE`; what the
    /// bridge's driver says.
    pub(crate) fn start(&self) -> Result<raw::yoke_window> {
        let mut life = self.life.lock();
        life.phase.may_start().map_err(|why| match why {
            NoStart::Started => EBUSY,
            NoStart::Gone => ENODEV,
        })?;
        let running = self.set_up().map_err(|error| self.explain(error))?;
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
            return Err(self.explain(error));
        }
        life.phase.started();
        Ok(window)
    }

    /// Both windows. The device is registered (callers hold `life`).
    fn set_up(&self) -> Result<Running> {
        self.ready.store(false, Relaxed);
        // SAFETY: the device is registered as long as the phase allows a start, and `running` is dropped before it goes. The
        // link outlives its endpoint.
        unsafe {
            let reach = Outbound::choose(self.ntb)?;
            let outbound = Outbound::new(self.ntb, reach)?;
            let inbound = Inbound::new(self.ntb, reach, &self.shelf)?;
            let sending = sending::is_needed(self.ntb)
                .then(|| Sending::new(self.ntb, self.link, reach, inbound.place()))
                .transpose()?;
            Ok(Running {
                outbound,
                inbound,
                generation: Generation::new(self.ntb),
                bells: self.bells(sending.is_some()),
                sending,
            })
        }
    }

    /// The doorbells. Bridges that translate at the sending end have one register of them for both ends, as far as there
    /// are any. The device is registered.
    fn bells(&self, shared: bool) -> (u64, u64) {
        // SAFETY: by the function's contract; these calls only ask.
        let (valid, own, peer) = unsafe {
            (
                raw::ntb_db_valid_mask(self.ntb),
                raw::ntb_port_number(self.ntb),
                raw::ntb_peer_port_number(self.ntb, PEER),
            )
        };
        bells::choose(valid, (shared && own != peer).then_some(own < peer))
    }

    /// Says why a bridge cannot carry a link, where the number does not. Returns what to tell yoke.
    fn explain(&self, error: Error) -> Error {
        let why = if error == ENOSPC {
            "none of its memory windows has 64 KiB or more"
        } else if error == ENOMEM {
            "no memory, contiguous and aligned as it wants it, for a window of even 64 KiB: reserve some (cma=), or use an IOMMU"
        } else if error == EOPNOTSUPP {
            "it translates addresses at the sending end, and has no four message registers to say where memory is"
        } else if error == ENOTRECOVERABLE {
            "it may still lead to the memory of an earlier start, which cannot be used for this one: boot this machine again"
        } else {
            "its driver refuses"
        };
        pr_err!(
            "{}: not usable ({}): {why}\n",
            self.name(),
            error.to_errno()
        );
        // To yoke that would be a device that is gone, and it would wait for one to come. This one is there: try again.
        if error == ENODEV {
            EIO
        } else {
            error
        }
    }

    /// For messages to people. The device is registered.
    fn name(&self) -> &str {
        client::name(self.ntb)
    }

    /// Takes the upcalls and enables the link.
    fn connect(&self) -> Result {
        let context = ptr::from_ref(self).cast_mut().cast();
        let (doorbell, other) = self.running().map_or((0, 0), |running| running.bells);
        // SAFETY: the device is registered; `self` outlives the context, which disconnect() clears.
        unsafe {
            to_result(raw::ntb_set_ctx(self.ntb, context, &upcalls::CONTEXT))?;
            // Where the register is shared, the peer's bell would ring here, too.
            raw::ntb_db_set_mask(self.ntb, other & !doorbell);
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
        let doorbell = self.running().map_or(0, |running| running.bells.0);
        if let Some(sending) = self.sending() {
            sending.farewell(self.bridge_up());
        }
        // SAFETY: the device is registered (callers hold `life`, whose phase was not `Gone`).
        unsafe {
            raw::ntb_link_disable(self.ntb);
            raw::ntb_db_set_mask(self.ntb, doorbell);
            raw::ntb_clear_ctx(self.ntb);
        }
    }

    /// Undoes start(); nothing if there is nothing to undo. Context: may sleep; no hot call is under way.
    pub(crate) fn stop(&self) {
        let mut life = self.life.lock();
        if life.phase.stop() == Step::TakeDown {
            // prepare(), which waits for the lock or comes later, finds the phase, and has nothing tried again.
            life.pointing.rest();
            self.disconnect();
            // SAFETY: no hot call is under way, and none will come.
            unsafe { *self.running.get() = None };
        }
    }

    /// The device is being removed: ends everything that touches it. Context: may sleep.
    pub(crate) fn cut_off(&self) {
        let step = self.life.lock().phase.leave();
        if step == Step::TellYoke {
            // Without `life`: it waits for hot calls, and for nothing else.
            // SAFETY: the link is not destroyed: release() takes the lock on the list of devices, which is held.
            unsafe { raw::yoke_link_gone(self.link) };
            self.stop();
        }
    }

    /// Makes the link ready for use, if it is up and that is to be done. Context: may sleep; not together with start or stop.
    pub(crate) fn prepare(&self) {
        let mut life = self.life.lock();
        let Some(running) = self.running().filter(|_| life.phase == Phase::Started) else {
            return;
        };
        let up = self.bridge_up();
        if let Some(sending) = &running.sending {
            sending.step(up, &running.generation.calls);
        } else if !self.translate(running, &mut life.pointing, up) {
            return;
        }
        // SAFETY: the link outlives its endpoint, which it destroys itself.
        unsafe { raw::yoke_link_changed(self.link) };
    }

    /// Something happened to the link: whatever it was, what was posted before is not proved by what is read later. Any
    /// context.
    pub(crate) fn link_event(&self) {
        if let Some(running) = self.running() {
            running.generation.calls.note();
        }
        fence();
        self.ready.store(false, Relaxed);
        let sending = self.sending();
        if let Some(sending) = sending {
            sending.close();
        }
        if sending.is_some() || self.bridge_up() {
            // SAFETY: the link outlives its endpoint.
            unsafe { raw::yoke_link_prepare(self.link) };
        }
        // SAFETY: the link outlives its endpoint, which it destroys itself; this may be said in any context.
        unsafe { raw::yoke_link_changed(self.link) };
    }

    /// A message came. Any context.
    pub(crate) fn msg_event(&self) {
        if let Some(sending) = self.sending() {
            // It is read where it can be dealt with; until then nothing more is said of it.
            sending.hush();
            // SAFETY: the link outlives its endpoint.
            unsafe { raw::yoke_link_prepare(self.link) };
        }
    }

    /// The peer rang. Any context.
    pub(crate) fn db_event(&self) {
        let doorbell = self.running().map_or(0, |running| running.bells.0);
        // SAFETY: the device is registered as long as it calls, and the link outlives its endpoint. The bit is cleared before
        // yoke looks, so that a ring in between rings again.
        unsafe {
            raw::ntb_db_clear(self.ntb, doorbell);
            raw::yoke_link_doorbell(self.link);
        }
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

    #[inline]
    fn sending(&self) -> Option<&Sending> {
        self.running()?.sending.as_deref()
    }
}
