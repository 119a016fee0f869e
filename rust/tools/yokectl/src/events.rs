// SPDX-License-Identifier: GPL-2.0
//! `yokectl events`: follow the kernel's uevents that yoke sends on every change of state.

use crate::output::Failure;
use rustix::net::netlink::{SocketAddrNetlink, KOBJECT_UEVENT};
use rustix::net::{bind, recv, socket, AddressFamily, RecvFlags, SocketType};
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;

/// The multicast group on which the kernel itself speaks.
const KERNEL_GROUP: u32 = 1;
/// Longest uevent that the kernel sends, with room to spare.
const BUFFER: usize = 16 * 1024;

/// One change of state.
#[derive(Debug, Serialize, PartialEq)]
pub(crate) struct Event {
    object: String,
    from: String,
    to: String,
    reason: String,
}

/// Print events until `count` of them were seen, or for ever.
pub(crate) fn follow(count: Option<u64>, json: bool) -> anyhow::Result<ExitCode> {
    let cannot = |error: rustix::io::Errno| {
        Failure::refused(
            format!("cannot listen to kernel events: {error}"),
            "run it as root, outside of a network namespace",
        )
    };
    let socket = socket(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        Some(KOBJECT_UEVENT),
    )
    .map_err(cannot)?;
    bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP)).map_err(cannot)?;
    let mut buffer = vec![0u8; BUFFER];
    let mut seen = 0;
    while count.is_none_or(|limit| seen < limit) {
        let (length, _) =
            recv(&socket, buffer.as_mut_slice(), RecvFlags::empty()).map_err(cannot)?;
        let Some(event) = buffer.get(..length).and_then(parse) else {
            continue;
        };
        seen += 1;
        print(&event, json);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(event: &Event, json: bool) {
    if json {
        println!("{}", serde_json::to_string(event).unwrap_or_default());
    } else {
        let reason = if event.reason.is_empty() {
            String::new()
        } else {
            format!("  ({})", event.reason)
        };
        println!("{}: {} -> {}{reason}", event.object, event.from, event.to);
    }
    // A reader at the other end of a pipe wants each event when it happens.
    let _ = std::io::stdout().flush();
}

/// An event of yoke's, from the kernel's NUL-separated `action@path`, `KEY=value`... text.
pub(crate) fn parse(raw: &[u8]) -> Option<Event> {
    let text = String::from_utf8_lossy(raw);
    let mut fields = text.split('\0');
    let path = fields.next()?.split_once('@')?.1.to_string();
    let mut event = Event {
        object: path,
        from: String::new(),
        to: String::new(),
        reason: String::new(),
    };
    for field in fields {
        match field.split_once('=') {
            Some(("YOKE_STATE", value)) => event.to = value.to_string(),
            Some(("YOKE_OLD", value)) => event.from = value.to_string(),
            Some(("YOKE_REASON", value)) => event.reason = value.to_string(),
            Some(("YOKE_NAME", value)) => event.object = value.to_string(),
            _ => {}
        }
    }
    (!event.to.is_empty()).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_state_is_read() {
        let raw = b"change@/devices/virtual/block/yoke0\0ACTION=change\0YOKE_NAME=vol0\0YOKE_OLD=mirrored\0YOKE_STATE=holding\0YOKE_REASON=peer gone\0";
        let event = parse(raw).unwrap();
        assert_eq!(
            (
                event.object.as_str(),
                event.from.as_str(),
                event.to.as_str()
            ),
            ("vol0", "mirrored", "holding")
        );
        assert_eq!(event.reason, "peer gone");
    }

    #[test]
    fn what_others_say_is_passed_over() {
        assert_eq!(parse(b"change@/devices/pci\0ACTION=change\0"), None);
        assert_eq!(parse(b"garbage"), None);
        assert_eq!(parse(b"\xff\xfe\0\0"), None);
    }
}
