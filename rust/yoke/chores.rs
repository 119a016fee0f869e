// SPDX-License-Identifier: GPL-2.0

//! What may wait: uevents, lines in the log, things in sysfs, the end of a device.
//!
//! All of that allocates, and waits for locks of the kernel that others hold while they allocate. A volume may be a swap
//! device, so memory can wait for a volume; a thread that keeps a volume or a link going must therefore do none of it.
//! It notes what is to be done, in room that it has, and rings; one thread of the module does it. When that thread
//! stands still, people hear later, and what lingers of a link that was disabled lingers for longer; nothing else happens.

use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};
use yoke_sys::{
    event::Event,
    thread::{self, Thread},
};

/// Somebody who has chores.
pub(crate) trait Chore: Send + Sync {
    /// Does what has come up. Context: the thread of chores: may sleep and allocate, and may be called for nothing. It
    /// must not end a chore ([`OnDuty`]).
    fn attend(&self);
}

/// Who has chores.
#[pin_data]
struct List {
    bell: Arc<Event>,
    #[pin]
    chores: Mutex<KVec<Arc<dyn Chore>>>,
    /// Held by the thread while it attends to one, and by nobody for anything else: whoever ends a chore waits for it.
    #[pin]
    turn: Mutex<()>,
}

/// The thread. Dropping it joins it; what was not done by then is not done any more.
pub(crate) struct Chores {
    _thread: Thread,
    list: Arc<List>,
}

/// A chore is attended to as long as this lives. When it is dropped, [`Chore::attend`] is not running, and will not
/// again. Context of drop: task; nothing is held that `attend` takes.
pub(crate) struct OnDuty {
    list: Arc<List>,
    chore: Arc<dyn Chore>,
}

impl Chores {
    /// The thread, with nothing to do. Errors: `ENOMEM`; `EINTR`: the caller has been killed.
    pub(crate) fn new() -> Result<Self> {
        let bell = Arc::pin_init(Event::new(), GFP_KERNEL)?;
        let list = Arc::pin_init(
            pin_init!(List {
                bell,
                chores <- new_mutex!(KVec::new()),
                turn <- new_mutex!(()),
            }),
            GFP_KERNEL,
        )?;
        let body = list.clone();
        Ok(Chores {
            _thread: Thread::spawn(c"yoke_chores", move || body.run())?,
            list,
        })
    }

    /// Set it (from any context) when there is something to do.
    pub(crate) fn bell(&self) -> &Arc<Event> {
        &self.list.bell
    }

    /// Begins to attend to `chore`. Errors: `ENOMEM`.
    pub(crate) fn begin(&self, chore: Arc<dyn Chore>) -> Result<OnDuty> {
        self.list.chores.lock().push(chore.clone(), GFP_KERNEL)?;
        self.list.bell.set();
        Ok(OnDuty {
            list: self.list.clone(),
            chore,
        })
    }
}

impl Drop for OnDuty {
    fn drop(&mut self) {
        self.list
            .chores
            .lock()
            .retain(|other| !Arc::ptr_eq(other, &self.chore));
        // The thread may be at it still.
        drop(self.list.turn.lock());
        // It may have skipped one, since those behind have moved up.
        self.list.bell.set();
    }
}

impl List {
    fn run(&self) {
        while !thread::should_stop() {
            self.bell.wait(None);
            self.round();
        }
    }

    fn round(&self) {
        for at in 0.. {
            // The reference on the chore goes before the turn ends: the last one is not dropped here.
            let _turn = self.turn.lock();
            let chore = self.chores.lock().get(at).cloned();
            match chore {
                Some(chore) => chore.attend(),
                None => return,
            }
        }
    }
}
