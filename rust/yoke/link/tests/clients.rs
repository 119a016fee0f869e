// SPDX-License-Identifier: GPL-2.0

//! Clients of the managers under test.

use super::PORT;
use crate::{
    counter::Counter,
    link::{Client, Hold, Outlet, Partner},
};
use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::{Arc, SpinLockIrq},
};
use yoke_core::{
    ids::{LinkEpoch, LinkId, NodeId},
    link::Contact,
    session::GoneReason,
    wire::message,
};
use yoke_sys::time::sleep_us;

/// A client that notes what it is told.
pub(super) struct Noting {
    pub(super) links_down: Counter,
    pub(super) messages: Counter,
    /// Messages whose number was not the next.
    pub(super) wrong: Counter,
    /// It stands still for so long with the first message.
    sleep_us: u64,
}

impl Noting {
    pub(super) fn new(sleep_us: u64) -> Result<Arc<Self>> {
        let noting = Noting {
            links_down: Counter::new(),
            messages: Counter::new(),
            wrong: Counter::new(),
            sleep_us,
        };
        Ok(Arc::new(noting, GFP_KERNEL)?)
    }
}

impl Client for Noting {
    fn port(&self) -> message::Port {
        PORT
    }

    fn session_up(&self, _partner: &Partner, _out: &dyn Outlet) {}

    fn link_up(&self, _link: &Hold, _contact: &Contact) {}

    fn link_down(&self, _link: LinkId, _epoch: LinkEpoch) {
        self.links_down.add(1);
    }

    fn window_gone(&self, _link: &Hold) {}

    fn link_going(&self, _link: LinkId) {}

    fn session_gone(&self, _node: NodeId, _reason: GoneReason) {}

    fn message(&self, bytes: &[u8], _out: &dyn Outlet) {
        let number = bytes.try_into().map_or(u64::MAX, u64::from_le_bytes);
        if number == 0 {
            sleep_us(self.sleep_us);
        }
        self.wrong.add(u64::from(number != self.messages.get()));
        self.messages.add(1);
    }
}

/// A client that does not let go of a port, as a volume that needs the window.
#[pin_data]
pub(super) struct Keeping {
    pub(super) windows_gone: Counter,
    #[pin]
    kept: SpinLockIrq<Option<Hold>>,
}

impl Keeping {
    pub(super) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Keeping {
                windows_gone: Counter::new(),
                kept <- new_spinlock_irq!(None),
            }),
            GFP_KERNEL,
        )
    }

    /// Which of its devices the link has that is kept; `None` also if none is kept.
    pub(super) fn memory(&self) -> Option<u16> {
        self.kept.lock().as_ref()?.link().memory()
    }

    pub(super) fn let_go(&self) {
        let kept = self.kept.lock().take();
        drop(kept);
    }
}

impl Client for Keeping {
    fn port(&self) -> message::Port {
        PORT
    }

    fn session_up(&self, _partner: &Partner, _out: &dyn Outlet) {}

    fn link_up(&self, link: &Hold, _contact: &Contact) {
        let before = self.kept.lock().replace(link.clone());
        drop(before);
    }

    fn link_down(&self, _link: LinkId, _epoch: LinkEpoch) {}

    fn window_gone(&self, _link: &Hold) {
        self.windows_gone.add(1);
    }

    fn link_going(&self, _link: LinkId) {}

    fn session_gone(&self, _node: NodeId, _reason: GoneReason) {}

    fn message(&self, _bytes: &[u8], _out: &dyn Outlet) {}
}
