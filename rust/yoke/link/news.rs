// SPDX-License-Identifier: GPL-2.0

//! What the session brought about, on its way to clients and to people.

use super::{link_face::LinkWhy, Hold, Partner};
use yoke_core::{
    ids::{LinkEpoch, LinkId, NodeId},
    link::{Contact, DownReason, Refusal},
    session::GoneReason,
    wire::message::{Port, MESSAGE_MAX},
};

/// For the clients, in the order in which it happened.
pub(super) enum News {
    /// There is a partner.
    SessionUp(Partner),
    /// A link carries slots.
    LinkUp(Hold, Contact),
    /// It does not any more.
    LinkDown(LinkId, LinkEpoch),
    /// What stood in the own window of a link is gone.
    WindowGone(Hold),
    /// A link was disabled: its users are to let go.
    LinkGoing(LinkId),
    /// The partner is gone.
    SessionGone(NodeId, GoneReason),
    /// A message of the partner: so many bytes of it.
    Message(Port, usize, [u8; MESSAGE_MAX]),
}

/// For people, in the order in which it happened.
pub(super) enum Said {
    /// A link went from one state to another.
    LinkState {
        /// Which enabling of a link it was.
        serial: u64,
        link: LinkId,
        from: &'static str,
        why: LinkWhy,
    },
    /// The peer did.
    PeerState {
        node: NodeId,
        from: &'static str,
        to: &'static str,
    },
    SessionUp(Partner),
    LinkUp(LinkId, NodeId),
    LinkDown(LinkId, DownReason),
    SessionGone(NodeId, GoneReason),
    Refused(LinkId, Refusal),
}
