// SPDX-License-Identifier: GPL-2.0

//! The attributes of the root: who this controller is, and how soon it notices that a link is dead.

use crate::controller::Controller;
use kernel::{prelude::*, sync::Arc};
use yoke_core::ids::{NodeId, Uuid};
use yoke_sys::{
    attr::{Attr, Input},
    configfs::Item,
};

/// Nanoseconds in a microsecond.
const NS_PER_US: u64 = 1_000;

/// `/sys/kernel/config/yoke/`.
pub(crate) struct Root {
    controller: Arc<Controller>,
}

impl Root {
    pub(crate) fn new(controller: &Arc<Controller>) -> Self {
        Root {
            controller: controller.clone(),
        }
    }

    fn set_appliance(&self, input: &Input<'_>) -> Result {
        let uuid = input.text().ok().and_then(Uuid::parse).ok_or_else(|| {
            pr_err!("appliance not changed: not a uuid of the form 8-4-4-4-12\n");
            EINVAL
        })?;
        self.controller.set_appliance(uuid)
    }

    fn set_node(&self, input: &Input<'_>) -> Result {
        let number = input
            .number()
            .ok()
            .and_then(|number| u8::try_from(number).ok());
        let node = number.and_then(NodeId::new).ok_or_else(|| {
            pr_err!("node not changed: not a number from 0 to 63\n");
            EINVAL
        })?;
        self.controller.set_node(node)
    }

    fn set_beat_interval(&self, input: &Input<'_>) -> Result {
        let ns = number(input, "beat_interval_us")?.checked_mul(NS_PER_US);
        self.controller
            .change_settings("beat_interval_us", |settings| {
                settings.beat_interval_ns = ns.unwrap_or(u64::MAX)
            })
    }

    fn set_beats_missed(&self, input: &Input<'_>) -> Result {
        let beats = number(input, "beats_missed")?;
        self.controller.change_settings("beats_missed", |settings| {
            settings.beats_missed = u32::try_from(beats).unwrap_or(u32::MAX)
        })
    }
}

/// The number that was written to `what`.
fn number(input: &Input<'_>, what: &str) -> Result<u64> {
    input
        .number()
        .inspect_err(|_| pr_err!("{what} not changed: not a number\n"))
}

impl Item for Root {
    const ATTRS: &'static [Attr<Self>] = &[
        Attr::rw(
            c"appliance",
            |root, text| text.put(format_args!("{}\n", root.controller.appliance())),
            |root, input| root.set_appliance(input),
        ),
        Attr::rw(
            c"node",
            |root, text| text.put(format_args!("{}\n", root.controller.node().get())),
            |root, input| root.set_node(input),
        ),
        Attr::rw(
            c"beat_interval_us",
            |root, text| {
                let ns = root.controller.settings().beat_interval_ns;
                text.put(format_args!("{}\n", ns / NS_PER_US))
            },
            |root, input| root.set_beat_interval(input),
        ),
        Attr::rw(
            c"beats_missed",
            |root, text| {
                text.put(format_args!(
                    "{}\n",
                    root.controller.settings().beats_missed
                ))
            },
            |root, input| root.set_beats_missed(input),
        ),
    ];
}
