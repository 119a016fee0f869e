// SPDX-License-Identifier: GPL-2.0
//! What an errno of an attribute means (docs/abi.md), in words.

use std::io;

const EPERM: i32 = 1;
const ENODEV: i32 = 19;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;
const EOPNOTSUPP: i32 = 95;
pub(crate) const EALREADY: i32 = 114;
const EMEDIUMTYPE: i32 = 124;

/// The meaning of `error` when it came from writing the attribute `file`.
pub(crate) fn explain(file: &str, error: &io::Error) -> String {
    let known = match (file, error.raw_os_error()) {
        ("enable", Some(ENODEV)) => {
            "there is no such device, or no driver of this interconnect (yoke_ntb) is loaded"
        }
        ("enable", Some(EBUSY)) => "it is in use, or the device has another user",
        ("enable", Some(EMEDIUMTYPE)) => {
            "the disk holds no volume of this appliance (yokectl volume create makes one)"
        }
        ("enable", Some(EINVAL)) => {
            "the appliance, the node or the device is not set (yokectl node)"
        }
        ("command", Some(EBUSY)) => "somebody holds its disk; unmount or close it first",
        ("enable", Some(ENOSPC)) => {
            "there are as many as yoke can hold, or the device's memory window is too small"
        }
        ("enable", Some(EOPNOTSUPP)) => "the device cannot carry a link (the kernel log says why)",
        ("command", Some(EPERM)) => "it is not possible now",
        ("command", Some(EALREADY)) => "it is so already, or under way",
        ("mkdir", Some(ENOSPC)) => "there are as many as yoke can hold",
        (_, Some(EBUSY)) => "it is in use; disable it first",
        (_, Some(EINVAL)) => "the value is not valid (docs/abi.md lists what is)",
        _ => return error.to_string(),
    };
    known.to_string()
}
