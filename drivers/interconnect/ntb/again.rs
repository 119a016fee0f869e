// SPDX-License-Identifier: GPL-2.0

//! Has yoke call prepare(), now or after a while. Dropping the handle calls it off.

use crate::bindings as raw;
use kernel::{
    impl_has_hr_timer,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, ArcBorrow,
    },
    time::{
        hrtimer::{
            ArcHrTimerHandle, HrTimer, HrTimerCallback, HrTimerCallbackContext, HrTimerPointer,
            HrTimerRestart, RelativeMode,
        },
        Delta, Monotonic,
    },
};

/// The timer of one link.
#[pin_data]
pub(crate) struct Again {
    #[pin]
    timer: HrTimer<Self>,
    link: *mut raw::yoke_link,
    due: Atomic<bool>,
}

// SAFETY: yoke's links are not bound to a task.
unsafe impl Send for Again {}
// SAFETY: yoke's links may be used from any thread at once.
unsafe impl Sync for Again {}

/// A timer that runs. Dropping it stops the timer, even if it was started again since, and waits until its function has
/// ended: not in interrupts.
pub(crate) type Running = ArcHrTimerHandle<Again>;

impl Again {
    /// Errors: `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `link` is there until this is dropped.
    pub(crate) unsafe fn new(link: *mut raw::yoke_link) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Again {
                timer <- HrTimer::new(),
                link,
                due: Atomic::new(false),
            }),
            GFP_KERNEL,
        )
    }

    /// Now. Any context.
    pub(crate) fn at_once(&self) {
        // SAFETY: the link outlives this (contract of new()), and may be told in any context.
        unsafe { raw::yoke_link_prepare(self.link) };
    }

    /// Once, in so many milliseconds. Any context.
    pub(crate) fn in_ms(self: &Arc<Self>, ms: u32) -> Running {
        self.clone().start(Delta::from_millis(i64::from(ms)))
    }

    /// Whether its time has come since the last question. The timer does not run.
    pub(crate) fn was_due(&self) -> bool {
        let due = self.due.load(Relaxed);
        self.due.store(false, Relaxed);
        due
    }
}

impl HrTimerCallback for Again {
    type Pointer<'a> = Arc<Self>;

    fn run(this: ArcBorrow<'_, Self>, _: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        this.due.store(true, Relaxed);
        this.at_once();
        HrTimerRestart::NoRestart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Again {
        mode: RelativeMode<Monotonic>, field: self.timer
    }
}
