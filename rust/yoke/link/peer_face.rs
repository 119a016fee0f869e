// SPDX-License-Identifier: GPL-2.0

//! `/sys/class/yoke_peer/NODE/` (docs/abi.md).

use super::shared::{Enabled, Inner, Shared};
use kernel::{prelude::*, sync::Arc};
use yoke_core::{ids::NodeId, session::SessionState};
use yoke_sys::{
    attr::{Attr, Text},
    class::ClassItem,
};

/// A peer in sysfs.
pub(crate) struct PeerFace {
    pub(super) node: NodeId,
    pub(super) shared: Arc<Shared>,
}

/// The word for the state of a peer, with whom the session is in this state, if it is with this one.
pub(super) fn peer_word(state: Option<SessionState>) -> &'static str {
    match state {
        None | Some(SessionState::Idle | SessionState::Closed) => "absent",
        Some(SessionState::Open) => "ready",
        Some(SessionState::Severed) => "establishing",
        Some(SessionState::Ending) => "gone",
    }
}

/// Why there is no session with a peer in this state; nothing when there is.
pub(super) fn peer_reason(state: &str) -> &'static str {
    match state {
        "ready" => "",
        "establishing" => "no link is up; it may come back",
        "gone" => "its session is being closed",
        _ => "no link leads to it",
    }
}

impl PeerFace {
    /// Whether the session is with this peer.
    fn is_partner(&self, inner: &Inner) -> bool {
        inner
            .session
            .peer()
            .is_some_and(|peer| peer.node == self.node)
    }

    /// The word for its state.
    fn state(&self, inner: &Inner) -> &'static str {
        peer_word(self.is_partner(inner).then(|| inner.session.state()))
    }

    /// The links that carry the session with it.
    fn carriers<'a>(&'a self, inner: &'a Inner) -> impl Iterator<Item = &'a Enabled> {
        let partner = self.is_partner(inner);
        inner
            .links
            .iter()
            .flatten()
            .filter(move |enabled| partner && inner.session.contact(enabled.hold.id()).is_some())
    }

    fn links(&self, text: &mut Text<'_>) -> Result {
        self.shared.look(|inner| {
            let mut blank = "";
            for enabled in self.carriers(inner) {
                text.put(format_args!("{blank}"))?;
                text.bytes(enabled.name.to_bytes())?;
                blank = " ";
            }
            text.line("")
        })
    }

    fn links_up(&self) -> usize {
        self.shared.look(|inner| self.carriers(inner).count())
    }
}

impl ClassItem for PeerFace {
    const ATTRS: &'static [Attr<Self>] = &[
        Attr::ro(c"state", |face, text| {
            text.line(face.shared.look(|inner| face.state(inner)))
        }),
        Attr::ro(c"reason", |face, text| {
            text.line(peer_reason(face.shared.look(|inner| face.state(inner))))
        }),
        Attr::ro(c"incarnation", |face, text| {
            let incarnation = face.shared.look(|inner| {
                let peer = inner.session.peer().filter(|_| face.is_partner(inner));
                peer.map_or(0, |peer| peer.incarnation.get())
            });
            text.put(format_args!("{incarnation:016x}\n"))
        }),
        Attr::ro(c"links", |face, text| face.links(text)),
        Attr::ro(c"links_up", |face, text| {
            text.put(format_args!("{}\n", face.links_up()))
        }),
    ];
}
