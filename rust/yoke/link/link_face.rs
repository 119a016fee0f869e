// SPDX-License-Identifier: GPL-2.0

//! `/sys/class/yoke_link/NAME/` (docs/abi.md).

use super::{manager::Shared, Port};
use core::fmt::{Display, Formatter};
use kernel::{prelude::*, sync::Arc};
use yoke_core::link::{Link, LinkState};
use yoke_sys::{
    attr::{Attr, Text},
    class::ClassItem,
};

/// A link in sysfs.
pub(crate) struct LinkFace {
    pub(super) port: Arc<Port>,
    pub(super) shared: Arc<Shared>,
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

/// Why a link is not up, a sentence; nothing when it is.
pub(super) struct LinkReason<'a>(pub(super) &'a Link);

impl Display for LinkReason<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        let link = self.0;
        if link.state() == LinkState::Up {
            return Ok(());
        }
        if let Some(refusal) = link.refusal() {
            return write!(f, "the peer cannot be worked with: {refusal}");
        }
        if let Some(garbage) = link.garbage() {
            return write!(f, "no HELLO of a yoke in the window: {garbage}");
        }
        match (link.last_down(), link.state()) {
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
    } else {
        "its device cannot be set up: trying again"
    }
}

impl LinkFace {
    /// Its state; `down` as long as its device was never there.
    fn state(&self) -> &'static str {
        self.look(|link| link_word(link.state())).unwrap_or("down")
    }

    fn reason(&self, text: &mut Text<'_>) -> Result {
        if let Some(error) = self.port.trouble() {
            return text.line(absence_reason(error));
        }
        // Its device has just come.
        if self.look(|_| ()).is_err() {
            return text.line("the peer has not answered yet");
        }
        self.look(|link| text.put(format_args!("{}\n", LinkReason(link))))?
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
            text.put(format_args!("{}\n", face.port.downs.get()))
        }),
        Attr::ro(c"latency_us", |face, text| {
            let ns = face.look(|link| link.round_trip_ns());
            let ns = ns.ok().flatten().unwrap_or(0);
            text.put(format_args!("{}\n", ns / 1000))
        }),
        Attr::ro(c"posted_bytes", |face, text| {
            text.put(format_args!("{}\n", face.port.posted_bytes.get()))
        }),
        Attr::ro(c"fences", |face, text| {
            text.put(format_args!("{}\n", face.port.fences.get()))
        }),
    ];
}
