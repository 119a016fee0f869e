// SPDX-License-Identifier: GPL-2.0

//! yoke: couples the controllers of a storage appliance. This file only wires.
//!
//! ```text
//! admin       configfs: what is wanted
//! controller  who we are; holds everything below
//! volume      /dev/yokeN: the core's machine of each volume, and what it asks for
//! link        links and the session over them: one thread drives the core's `Session`
//! ```
//!
//! Locks, outer first. None is held over a call to a client.
//!
//! 1. `Controller::inner` (mutex): identity, what is configured.
//! 2. `Manager::session` (mutex): the core's session with its links.
//! 3. `Manager::clients` (mutex): who is told.
//! 4. `Mirror::state` (mutex): which volumes hear of the session.
//! 5. `volume::Shared::inner` (spinlock, irqs off): the machine of a volume.

#![deny(unsafe_code)]

mod admin;
mod controller;
mod counter;
mod link;
mod volume;

use kernel::prelude::*;

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
    _gone: Gone,
}

/// The last act of the module: what the block layer still holds of it is gone.
struct Gone;

impl Drop for Gone {
    fn drop(&mut self) {
        yoke_sys::disk::wait_gone();
    }
}

impl kernel::Module for Yoke {
    fn init(_module: &'static ThisModule) -> Result<Self> {
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
            _gone: Gone,
        })
    }
}
