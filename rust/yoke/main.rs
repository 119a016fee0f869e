// SPDX-License-Identifier: GPL-2.0

//! yoke: couples the controllers of a storage appliance. This file only wires.
//!
//! ```text
//! admin       configfs: what is wanted
//! controller  who we are; holds everything below
//! chores      what may wait: uevents, lines in the log; one thread, which nothing waits for
//! volume      /dev/yokeN: the core's machine of each volume, and what it asks for
//! link        links and the session over them: one thread drives the core's `Session`, another tells clients
//! ```
//!
//! Locks, outer first. None is held over a call to a client.
//!
//! 1. `Controller::inner` (mutex): identity, what is configured.
//! 2. `chores::List::turn` (mutex): the chores' thread is at one; then `List::chores`: who has some.
//! 3. `link::Ports::places` (mutex): which numbers and devices are taken.
//! 4. `link::Faces::devices` (mutex): what sysfs shows.
//! 5. `link::Shared::clients` (mutex): who is told.
//! 6. `Mirror::state` (mutex): which volumes hear of the session.
//! 7. `link::Shared::inner` (spinlock): the core's session with its links. The thread of heartbeats takes no other.
//! 8. `volume::Shared::inner` (spinlock, irqs off): the machine of a volume.

#![deny(unsafe_code)]

mod admin;
mod chores;
mod controller;
mod counter;
mod link;
mod volume;

use kernel::prelude::*;
use yoke_sys::remains::Remains;

module! {
    type: Yoke,
    name: "yoke",
    authors: ["yoke maintainers"],
    description: "Couples the controllers of a storage appliance",
    license: "GPL v2",
}

/// Of the module, as of the host's crates.
const VERSION: &str = env!("YOKE_VERSION");

/// Dropped in this order: first nobody can configure any more, then what was configured goes, then its remains.
struct Yoke {
    _admin: admin::Admin,
    _controller: kernel::sync::Arc<controller::Controller>,
    _remains: Remains,
}

impl kernel::Module for Yoke {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let remains = Remains::keep();
        let controller = controller::Controller::new()?;
        let admin = admin::Admin::new(&controller)?;
        pr_info!(
            "{}\n",
            format_args!(
                "version {VERSION}, incarnation {}",
                controller.incarnation()
            )
        );
        Ok(Yoke {
            _admin: admin,
            _controller: controller,
            _remains: remains,
        })
    }
}
