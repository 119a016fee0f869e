// SPDX-License-Identifier: GPL-2.0

//! What sysfs shows of the backing disk's reservation (docs/reservations.md).

use super::super::{clerk::ends_commands, front::Front};
use kernel::prelude::*;
use yoke_core::volume::{registration::Registration, Holder};
use yoke_sys::{attr::Text, backing::Target};

pub(super) fn registration(front: &Front, text: &mut Text<'_>) -> Result {
    let registration = front.shared.with(|inner, _| inner.core.registration());
    text.line(match registration {
        Registration::Off => "none",
        Registration::Unknown => "unknown",
        Registration::Absent => "missing",
        Registration::Quieting | Registration::Registering => "registering",
        Registration::Proving | Registration::Registered => "registered",
    })
}

pub(super) fn holder(front: &Front, text: &mut Text<'_>) -> Result {
    let holder = front
        .shared
        .with(|inner, _| inner.core.reservation_holder());
    match holder {
        None | Some(Holder::Nobody) => text.line("-"),
        Some(Holder::Me) => text.put(format_args!(
            "{}\n",
            front.shared.with(|inner, _| inner.core.config().node.get())
        )),
        Some(Holder::Member(node)) => text.put(format_args!("{}\n", node.get())),
        Some(Holder::Stranger(key)) => text.put(format_args!("stranger {key}\n")),
    }
}

/// When a survivor of the present owner would write, and why then.
pub(super) fn takeover_writes(front: &Front, text: &mut Text<'_>) -> Result {
    let (registration, holds, wait_ns) = front.shared.with(|inner, _| {
        let core = &inner.core;
        (
            core.registration(),
            core.owner_holds(),
            core.old_commands_wait_ns(),
        )
    });
    let target = front.dev.target();
    let why = match registration {
        Registration::Off => "the backing disk has no reservations",
        _ if target == Target::DeviceMapper => {
            "device-mapper preempts without ending what is under way"
        }
        _ if !ends_commands(&target) => {
            "what this kind of disk does with commands under way is not known"
        }
        _ if !holds => {
            "the owner does not hold the reservation, or this controller is not registered"
        }
        _ => return text.line("at once: the disk ends what the owner has under way"),
    };
    let wait_ms = wait_ns.div_ceil(1_000_000);
    text.put(format_args!("after {wait_ms} ms: {why}\n"))
}
