// SPDX-License-Identifier: GPL-2.0

//! Who uses a port: a link's number and its device stay taken until every user has let go.

use super::Port;
use core::ops::Deref;
use kernel::{
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Full, Relaxed},
        Arc,
    },
};
use yoke_sys::event::Event;

/// How many holds on one port there are.
#[pin_data]
pub(super) struct Holders {
    count: Atomic<u32>,
    #[pin]
    none: Event,
    /// Rung when the last one has let go.
    bell: Arc<Event>,
}

impl Holders {
    /// Of a port that nobody holds. Errors: `ENOMEM`.
    pub(super) fn new(bell: &Arc<Event>) -> Result<Arc<Self>> {
        let bell = bell.clone();
        Arc::pin_init(
            pin_init!(Holders {
                count: Atomic::new(0),
                none <- Event::new(),
                bell,
            }),
            GFP_KERNEL,
        )
    }

    /// Whether everybody has let go. New holds come from old ones or from the table of ports only, so that it stays so
    /// while the table is locked.
    pub(super) fn is_free(&self) -> bool {
        self.count.load(Acquire) == 0
    }

    /// Waits until everybody has let go, at most until `until_ns`; whether they have. Context: task, one at a time.
    pub(super) fn wait_free(&self, until_ns: u64) -> bool {
        while !self.is_free() {
            if self.none.wait(Some(until_ns)) == yoke_sys::event::Woken::Deadline {
                return self.is_free();
            }
        }
        true
    }
}

/// One user's hold on a port, which it keeps enabled. May be cloned and dropped in any context, under any lock: the port
/// itself ends elsewhere, since the table of ports (`ports.rs`) lets go of it last.
pub(crate) struct Hold {
    // Dropped in this order: when the count is 0, no hold refers to the port any more.
    port: Arc<Port>,
    user: User,
}

/// One of the count.
struct User(Arc<Holders>);

impl Hold {
    /// To be called by the table of ports, which is locked.
    pub(super) fn new(port: &Arc<Port>, holders: &Arc<Holders>) -> Self {
        Hold {
            port: port.clone(),
            user: User::new(holders),
        }
    }

    /// Whether both are holds on the same port.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.port, &other.port)
    }
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        Hold {
            port: self.port.clone(),
            user: User::new(&self.user.0),
        }
    }
}

impl Deref for Hold {
    type Target = Port;

    #[inline]
    fn deref(&self) -> &Port {
        &self.port
    }
}

impl User {
    fn new(holders: &Arc<Holders>) -> Self {
        // One of several hundred users at most.
        holders.count.add(1, Relaxed);
        User(holders.clone())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // What this user did with the port comes before its end.
        if self.0.count.fetch_sub(1, Full) == 1 {
            self.0.none.set();
            self.0.bell.set();
        }
    }
}
