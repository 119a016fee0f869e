// SPDX-License-Identifier: GPL-2.0
//! What clients of a session may rely on, checked from outside: it knows nothing of how the session works.
//!
//! - A session is announced and ended by turns; links come and go by turns, and only within a session.
//! - What is received in a session of one end was sent in one session of the other, from its first message on, in
//!   order, none twice, none missing.
//! - What was sent in one session is never received in two.

use std::collections::HashSet;

use yoke_core::ids::LinkId;
use yoke_core::session::{Action, GoneReason};

/// One session as one end sees it: node, incarnation, and which of its sessions.
type Key = (u8, u64, u64);

#[derive(Debug, Default)]
struct Client {
    /// The session that it is in.
    session: Option<Key>,
    sessions: u64,
    links: Vec<LinkId>,
    sent: u64,
    received: u64,
    /// The session of the other end that messages came from.
    from: Option<Key>,
}

#[derive(Debug, Default)]
pub struct Checker {
    clients: [Client; 2],
    /// The sessions of senders that a session of a receiver was bound to.
    bound: HashSet<Key>,
    pub total_received: u64,
    pub gone: Vec<(usize, GoneReason)>,
    /// (when, node, what) of all actions, for tests of times.
    pub log: Vec<(u64, usize, Action)>,
}

impl Checker {
    /// The next message of a node, if it has a partner.
    pub fn message(&self, node: usize) -> Option<Vec<u8>> {
        let client = &self.clients[node];
        let (number, incarnation, session) = client.session?;
        let mut message = vec![number];
        message.extend(incarnation.to_le_bytes());
        message.extend(session.to_le_bytes());
        message.extend((client.sent + 1).to_le_bytes());
        message.resize(message.len() + (client.sent % 190) as usize, 0xc3);
        Some(message)
    }

    pub fn sent(&mut self, node: usize) {
        self.clients[node].sent += 1;
    }

    pub fn received(&mut self, node: usize, message: &[u8]) {
        let number =
            |at: usize| u64::from_le_bytes(message[at..at + 8].try_into().expect("eight bytes"));
        let (from, index): (Key, u64) = ((message[0], number(1), number(9)), number(17));
        let client = &mut self.clients[node];
        assert!(
            client.session.is_some(),
            "node {node} received without a partner"
        );
        assert_ne!(
            from.0 as usize, node,
            "node {node} received its own message"
        );
        match client.from {
            None => {
                assert!(
                    self.bound.insert(from),
                    "messages of {from:?} were received in two sessions"
                );
                client.from = Some(from);
            }
            Some(bound) => assert_eq!(bound, from, "node {node} received from two sessions in one"),
        }
        assert_eq!(
            index,
            client.received + 1,
            "node {node} received out of order"
        );
        client.received = index;
        self.total_received += 1;
    }

    pub fn died(&mut self, node: usize) {
        self.clients[node] = Client::default();
    }

    pub fn action(&mut self, node: usize, incarnation: u64, now: u64, action: &Action) {
        self.log.push((now, node, *action));
        let client = &mut self.clients[node];
        match action {
            Action::SessionUp { peer } => {
                assert!(
                    client.session.is_none(),
                    "node {node}: a session began in another"
                );
                assert_eq!(peer.node.index(), 1 - node);
                client.sessions += 1;
                client.session = Some((node as u8, incarnation, client.sessions));
                (client.sent, client.received, client.from) = (0, 0, None);
            }
            Action::SessionGone { reason, .. } => {
                assert!(
                    client.session.take().is_some(),
                    "node {node}: a session ended twice"
                );
                assert!(
                    client.links.is_empty(),
                    "node {node}: a session ended before its links"
                );
                self.gone.push((node, *reason));
            }
            Action::LinkUp { link, .. } => {
                assert!(
                    client.session.is_some(),
                    "node {node}: a link came up without a session"
                );
                assert!(
                    !client.links.contains(link),
                    "node {node}: {link} came up twice"
                );
                client.links.push(*link);
            }
            Action::LinkDown { link, .. } => {
                assert!(
                    client.links.contains(link),
                    "node {node}: {link} went down twice"
                );
                client.links.retain(|other| other != link);
            }
            Action::Refused { .. } | Action::Doorbell { .. } => {}
        }
    }

    /// Everything that was sent has been received, both ways, in one session of each.
    pub fn all_received(&self) -> bool {
        let [a, b] = &self.clients;
        let bound = |one: &Client, other: &Client| one.sent == 0 || other.from == one.session;
        a.sent == b.received && b.sent == a.received && bound(a, b) && bound(b, a)
    }

    pub fn describe(&self, node: usize) -> String {
        let Client {
            session,
            links,
            sent,
            received,
            ..
        } = &self.clients[node];
        format!("session {session:?}, links {links:?}, sent {sent}, received {received}")
    }

    pub fn links(&self, node: usize) -> usize {
        self.clients[node].links.len()
    }

    pub fn sessions(&self, node: usize) -> u64 {
        self.clients[node].sessions
    }
}
