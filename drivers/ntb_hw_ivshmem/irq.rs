// SPDX-License-Identifier: GPL-2.0

//! What calls a device: its MSI-X vectors and a timer.
//!
//! The timer makes up for rings that were lost, and for the guard time of the handshake. It does
//! not work itself: it rings the own link vector, so that the handshake runs in one thread only.

use crate::device::Device;
use kernel::{
    impl_has_hr_timer,
    irq::{Handler, IrqReturn, ThreadedHandler},
    sync::{Arc, ArcBorrow},
    time::{
        hrtimer::{HrTimerCallback, HrTimerCallbackContext, HrTimerRestart, RelativeMode},
        Delta, Monotonic,
    },
};

/// How often a device looks whether the handshake has something to do.
pub(crate) const TICK: Delta = Delta::from_millis(25);

/// Handler of the link vector.
pub(crate) struct LinkVector(pub(crate) Arc<Device>);

impl ThreadedHandler for LinkVector {
    fn handle_threaded(&self) -> IrqReturn {
        self.0.service_link();
        IrqReturn::Handled
    }
}

/// Handler of one doorbell vector; `index` counts them from 0.
pub(crate) struct DoorbellVector {
    pub(crate) device: Arc<Device>,
    pub(crate) index: usize,
}

impl Handler for DoorbellVector {
    fn handle(&self) -> IrqReturn {
        self.device.service_doorbells(self.index);
        IrqReturn::Handled
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Device {
        mode: RelativeMode<Monotonic>, field: self.timer
    }
}

impl HrTimerCallback for Device {
    type Pointer<'a> = Arc<Self>;

    fn run(this: ArcBorrow<'_, Self>, mut ctx: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        if this.needs_service() {
            this.ring_own_link();
        }
        ctx.forward_now(TICK);
        HrTimerRestart::Restart
    }
}
