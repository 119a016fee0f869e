// SPDX-License-Identifier: GPL-2.0

//! What a client of the session is told.

use super::Hold;
use yoke_core::{
    ids::{LinkEpoch, LinkId, NodeId},
    link::Contact,
    session::GoneReason,
    wire::hello::Peer,
    wire::message,
};

/// The partner at the other end of a session.
pub(crate) type Partner = Peer;

/// The way to the twin.
pub(crate) trait Outlet {
    /// Sends a message to the twin on the peer. Context: may sleep; waits for nothing. Where it does not fit the session
    /// ends: no twin misses one message of a session and has the next.
    fn send(&self, port: message::Port, bytes: &[u8]);
}

/// Kernel code that talks to its twin on the peer.
///
/// Context of all calls: the clients' thread, no lock is held, one at a time and in the order in which things happened;
/// memory that is allocated is not found by block I/O. A client may sleep for moments: the other clients wait for it,
/// heartbeats do not. It must not wait for the peer.
pub(crate) trait Client: Send + Sync {
    /// The number that both ends know it by.
    fn port(&self) -> message::Port;

    /// There is a partner.
    fn session_up(&self, partner: &Partner, out: &dyn Outlet);

    /// This link carries slots from now on, as agreed in `contact`.
    fn link_up(&self, link: &Hold, contact: &Contact);

    /// It does not any more: nothing that was posted and not proved is proved.
    fn link_down(&self, link: LinkId, epoch: LinkEpoch);

    /// What stood in the own window of this link is gone, with its device. The link is down, or will be soon, or was
    /// disabled; told before it is up again.
    fn window_gone(&self, link: &Hold);

    /// The link was disabled, and this is after its `link_down`. Every hold on its port is to be dropped as soon as
    /// nothing in its window is needed any more.
    fn link_going(&self, link: LinkId);

    /// The partner is gone, with what was not acknowledged. All links are down.
    fn session_gone(&self, node: NodeId, reason: GoneReason);

    /// A message of the twin: hostile until checked.
    fn message(&self, bytes: &[u8], out: &dyn Outlet);
}
