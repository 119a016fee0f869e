// SPDX-License-Identifier: GPL-2.0

//! The reservations of the device below, as a file of text: reads say what is there, and a write does one thing.
//!
//! `register KEY`, `register-ignoring KEY`, `unregister KEY`, `reserve KEY`, `release KEY`, `preempt OWN VICTIM`,
//! `preempt-abort OWN VICTIM`; keys are hexadecimal.

use kernel::prelude::*;
use yoke_sys::{
    attr::{Input, Text},
    backing::{reservation::*, BackingDev, IoClient, Target},
};

/// What a write ends with, for the shell.
fn errno(error: PrError) -> Error {
    match error {
        PrError::Refused => EBADE,
        PrError::Path => ENOLINK,
        PrError::Unsupported => EOPNOTSUPP,
        PrError::Failed(_) => EIO,
    }
}

pub(crate) fn show<C: IoClient>(dev: &BackingDev<C>, text: &mut Text<'_>) -> Result {
    match dev.target() {
        Target::Scsi(said) => text.put(format_args!(
            "target: scsi {}|{}|{}\n",
            said.vendor(),
            said.product(),
            said.revision()
        ))?,
        Target::Nvme {
            multipath: true, ..
        } => text.line("target: nvme-multipath")?,
        Target::Nvme {
            multipath: false, ..
        } => text.line("target: nvme")?,
        Target::DeviceMapper => text.line("target: dm")?,
        Target::Other => text.line("target: other")?,
    }
    let Some(all) = dev.reservations() else {
        return text.line("none");
    };
    let mut room = KeyRoom::new(MAX_KEYS)?;
    match all.read_keys(&mut room) {
        Ok(keys) => {
            text.put(format_args!("keys of {}:", keys.total))?;
            for key in keys.iter() {
                text.put(format_args!(" {:x}", key.get()))?;
            }
            text.line("")?;
        }
        Err(error) => text.put(format_args!("keys: {error:?}\n"))?,
    }
    match all.read_holder() {
        Ok(None) => text.line("holder: nobody"),
        Ok(Some(Holder { key, kind })) => text.put(format_args!(
            "holder: {:x} {kind:?}\n",
            key.map_or(0, Key::get)
        )),
        Err(error) => text.put(format_args!("holder: {error:?}\n")),
    }
}

pub(crate) fn store<C: IoClient>(dev: &BackingDev<C>, input: &Input<'_>) -> Result {
    let all = dev.reservations().ok_or(EOPNOTSUPP)?;
    let mut words = input.text()?.split(' ');
    let what = words.next().ok_or(EINVAL)?;
    let mut key = || -> Result<Key> {
        let word = words.next().ok_or(EINVAL)?;
        let raw = u64::from_str_radix(word, 16).map_err(|_| EINVAL)?;
        Key::new(raw).ok_or(EINVAL)
    };
    let mine = key()?;
    let answer = match what {
        "register" => all.register(mine),
        "register-ignoring" => all.register_ignoring(mine),
        "unregister" => all.unregister(mine),
        "reserve" => all.reserve(mine),
        "release" => all.release(mine),
        "preempt" => all.preempt(mine, key()?, Abort::No),
        "preempt-abort" => all.preempt(mine, key()?, Abort::Yes),
        _ => return Err(EINVAL),
    };
    answer.map_err(errno)
}
