// SPDX-License-Identifier: GPL-2.0
//! What a session asks of its surroundings, and tells its clients.

use core::fmt;

use crate::ids::{Incarnation, LinkEpoch, LinkId};
use crate::link::{DownReason, Refusal};
use crate::wire::hello::Peer;

/// One thing to do or to tell, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// To every client: there is a partner. No message of an earlier session comes after this.
    SessionUp {
        /// The partner.
        peer: Peer,
    },
    /// To every client: this link carries messages and slots.
    LinkUp {
        /// The link.
        link: LinkId,
        /// Its new epoch.
        epoch: LinkEpoch,
        /// The partner.
        peer: Peer,
    },
    /// To every client: this link does not any more. Nothing that was posted and not proved is proved.
    LinkDown {
        /// The link.
        link: LinkId,
        /// The epoch that is over.
        epoch: LinkEpoch,
        /// Why.
        reason: DownReason,
    },
    /// To every client: the partner is gone, with what was not acknowledged. All links are down. When every client
    /// has closed, [`super::Session::drained`] is to be called.
    SessionGone {
        /// Who was the partner.
        peer: Peer,
        /// Why.
        reason: GoneReason,
    },
    /// To people: the peer on this link cannot be worked with.
    Refused {
        /// The link.
        link: LinkId,
        /// Why.
        refusal: Refusal,
    },
    /// To the driver of this link: wake the peer.
    Doorbell {
        /// The link.
        link: LinkId,
    },
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GoneReason {
    /// The partner lives in another incarnation.
    Restarted(Incarnation),
    /// The partner has ended the session.
    EndedByPeer,
    /// All links were down for too long.
    NoLink,
    /// The partner had not received what was sent before, and there was no room for another message.
    Behind,
    /// This end wanted it.
    Ended,
    /// This end closes for good.
    Closed,
}

impl fmt::Display for GoneReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restarted(incarnation) => write!(
                f,
                "the partner was started again (incarnation {incarnation})"
            ),
            Self::EndedByPeer => f.write_str("the partner has ended the session"),
            Self::NoLink => f.write_str("all links to the partner were down for too long"),
            Self::Behind => f.write_str("the partner was too far behind with what was sent to it"),
            Self::Ended => f.write_str("ended at this end"),
            Self::Closed => f.write_str("closed at this end"),
        }
    }
}

/// More actions than one call can bring about: a link goes down or up at most once in it, and is refused at most once.
pub(super) const ACTIONS_MAX: usize = 32;

/// The actions that were not taken yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Actions {
    queue: [Option<Action>; ACTIONS_MAX],
    first: usize,
    len: usize,
    doorbells: u8,
}

impl Actions {
    pub(super) const fn new() -> Self {
        Self {
            queue: [None; ACTIONS_MAX],
            first: 0,
            len: 0,
            doorbells: 0,
        }
    }

    /// Whether nothing is left to tell. Doorbells do not count: they are hints.
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push(&mut self, action: Action) {
        debug_assert!(self.len < ACTIONS_MAX);
        if let Some(place) = self.queue.get_mut((self.first + self.len) % ACTIONS_MAX) {
            *place = Some(action);
            self.len += 1;
        }
    }

    pub(super) fn ring(&mut self, link: LinkId) {
        self.doorbells |= 1 << link.get();
    }

    pub(super) fn pop(&mut self) -> Option<Action> {
        if self.len > 0 {
            let action = self.queue.get_mut(self.first).and_then(Option::take);
            self.first = (self.first + 1) % ACTIONS_MAX;
            self.len -= 1;
            if self.len == 0 {
                self.first = 0;
            }
            return action;
        }
        let link = LinkId::new(self.doorbells.trailing_zeros() as u8)?;
        self.doorbells &= self.doorbells.wrapping_sub(1);
        Some(Action::Doorbell { link })
    }
}
