// SPDX-License-Identifier: GPL-2.0

//! `/sys/class/yoke_link/NAME/` (docs/abi.md).

use super::{shared::Shared, Hold};
use core::fmt::{Display, Formatter};
use kernel::{prelude::*, sync::Arc};
use yoke_core::{
    format::Malformed,
    link::{DownReason, Link, LinkState, Refusal},
};
use yoke_sys::{
    attr::{Attr, Text},
    class::ClassItem,
};

/// A link in sysfs.
pub(crate) struct LinkFace {
    port: Hold,
    shared: Arc<Shared>,
    /// What its port had counted when the link was enabled.
    before: Counts,
}

/// What a port counts for as long as it is there, which may be longer than one link is enabled.
struct Counts {
    downs: u64,
    posted_bytes: u64,
    fences: u64,
}

impl Counts {
    fn of(port: &Hold) -> Self {
        Counts {
            downs: port.downs.get(),
            posted_bytes: port.posted_bytes.get(),
            fences: port.fences.get(),
        }
    }
}

/// The word for the state of a link (docs/abi.md).
pub(super) fn link_word(state: LinkState) -> &'static str {
    match state {
        LinkState::Down | LinkState::Closed => "down",
        LinkState::Holdoff => "fenced",
        LinkState::Greeting | LinkState::Refused | LinkState::Agreed => "handshake",
        LinkState::Proving => "proving",
        LinkState::Up => "up",
    }
}

/// The state of a link, and why it is not up: a sentence; nothing when it is.
#[derive(Clone, Copy)]
pub(super) struct LinkWhy {
    state: LinkState,
    refusal: Option<Refusal>,
    garbage: Option<Malformed>,
    down: Option<DownReason>,
}

impl LinkWhy {
    pub(super) fn of(link: &Link) -> Self {
        LinkWhy {
            state: link.state(),
            refusal: link.refusal(),
            garbage: link.garbage(),
            down: link.last_down(),
        }
    }

    pub(super) fn word(&self) -> &'static str {
        link_word(self.state)
    }
}

impl Display for LinkWhy {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        if self.state == LinkState::Up {
            return Ok(());
        }
        if let Some(refusal) = self.refusal {
            return write!(f, "the peer cannot be worked with: {refusal}");
        }
        if let Some(garbage) = self.garbage {
            return write!(f, "no HELLO of a yoke in the window: {garbage}");
        }
        match (self.down, self.state) {
            (_, LinkState::Proving) => {
                f.write_str("it failed before and has to prove itself for a while")
            }
            (Some(reason), _) => write!(f, "{reason}"),
            (None, LinkState::Down) => {
                f.write_str("no carrier: the other end is not enabled, or not connected")
            }
            (None, _) => f.write_str("the peer has not answered yet"),
        }
    }
}

/// Why a link has no device, a sentence.
fn absence_reason(error: Error) -> &'static str {
    if error == ENODEV {
        "its device is not there: waiting for it"
    } else if error == EBUSY {
        "its device has another user: trying again"
    } else if error == ENOSPC {
        "its device's window is too small: trying again"
    } else if error == ENOMEM {
        "there is no memory for its window: trying again"
    } else if error == EOPNOTSUPP {
        "its device cannot carry a link"
    } else if error == ENOTRECOVERABLE {
        "its device may still lead to memory that is lost: boot this machine again"
    } else {
        "its device cannot be set up: trying again"
    }
}

impl LinkFace {
    pub(super) fn new(port: Hold, shared: &Arc<Shared>) -> Self {
        LinkFace {
            before: Counts::of(&port),
            port,
            shared: shared.clone(),
        }
    }

    /// Its state; `down` as long as its device was never there.
    fn state(&self) -> &'static str {
        self.look(|link| link_word(link.state())).unwrap_or("down")
    }

    fn reason(&self, text: &mut Text<'_>) -> Result {
        if let Some(error) = self.port.trouble() {
            return text.line(absence_reason(error));
        }
        match self.look(LinkWhy::of) {
            Ok(why) => text.put(format_args!("{why}\n")),
            // Its device has just come.
            Err(_) => text.line("the peer has not answered yet"),
        }
    }

    fn look<R>(&self, look: impl FnOnce(&Link) -> R) -> Result<R> {
        self.shared
            .look(|inner| inner.session.link(self.port.id()).map(look))
            .ok_or(ENODEV)
    }

    fn peer(&self, text: &mut Text<'_>) -> Result {
        let node = self.look(|link| link.receiving().map(|contact| contact.peer.node));
        match node.ok().flatten() {
            Some(node) => text.put(format_args!("{}\n", node.get())),
            None => text.line("-"),
        }
    }
}

/// What was counted since the link was enabled.
fn since(now: u64, before: u64) -> u64 {
    now.saturating_sub(before)
}

impl ClassItem for LinkFace {
    const ATTRS: &'static [Attr<Self>] = &[
        Attr::ro(c"interconnect", |face, text| {
            text.bytes(face.port.interconnect().to_bytes())?;
            text.line("")
        }),
        Attr::ro(c"device", |face, text| {
            text.bytes(face.port.device().to_bytes())?;
            text.line("")
        }),
        Attr::ro(c"state", |face, text| text.line(face.state())),
        Attr::ro(c"reason", |face, text| face.reason(text)),
        Attr::ro(c"peer", |face, text| face.peer(text)),
        Attr::ro(c"down_count", |face, text| {
            text.put(format_args!(
                "{}\n",
                since(face.port.downs.get(), face.before.downs)
            ))
        }),
        Attr::ro(c"latency_us", |face, text| {
            let ns = face.look(|link| link.round_trip_ns());
            let ns = ns.ok().flatten().unwrap_or(0);
            text.put(format_args!("{}\n", ns / 1000))
        }),
        Attr::ro(c"posted_bytes", |face, text| {
            text.put(format_args!(
                "{}\n",
                since(face.port.posted_bytes.get(), face.before.posted_bytes)
            ))
        }),
        Attr::ro(c"fences", |face, text| {
            text.put(format_args!(
                "{}\n",
                since(face.port.fences.get(), face.before.fences)
            ))
        }),
    ];
}
