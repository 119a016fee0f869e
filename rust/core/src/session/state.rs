// SPDX-License-Identifier: GPL-2.0
//! The states of a session and the one function that moves between them. Drawn in docs/protocol-link.md; the whole
//! table stands in tests/snapshots/session-states.txt.

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// There is no partner, and every client knows. Nothing is kept to be sent.
    Idle,
    /// At least one link is up. Every client knows the partner, and what is sent arrives in order, exactly once.
    Open,
    /// No link is up, and every client knows. The partner may be alive: what was sent is kept, and arrives if a link
    /// comes back in time.
    Severed,
    /// The session is over and every client was told; some may still be closing. What was not acknowledged may or may
    /// not have arrived. Another session does not begin before they are done, or out of time.
    Ending,
    /// Closed for good by this end. Nothing is sent or received.
    Closed,
}

/// What can happen to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionEvent {
    /// A link to the partner is up.
    LinkUp,
    /// The last link that was up is not any more.
    LastLinkDown,
    /// No link came back in time.
    LingerOver,
    /// The partner lives in another incarnation, or has ended the session.
    PeerChanged,
    /// This end wants to end the session.
    End,
    /// Every client has closed, or had time enough.
    Drained,
    /// This end closes for good.
    Close,
}

/// What an event does to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionStep {
    /// It moves to this state.
    To(SessionState),
    /// It changes nothing, and may happen.
    NoOp,
    /// It cannot happen here: only a mistake in this program brings it about.
    Invalid,
}

impl SessionState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Idle,
        Self::Open,
        Self::Severed,
        Self::Ending,
        Self::Closed,
    ];

    /// Whether there is a partner that clients know of.
    #[inline]
    pub const fn has_partner(self) -> bool {
        matches!(self, Self::Open | Self::Severed)
    }

    /// The transition function.
    pub const fn on(self, event: SessionEvent) -> SessionStep {
        use SessionEvent as E;
        use SessionState as S;
        use SessionStep::{Invalid, NoOp, To};

        match (self, event) {
            (S::Closed, _) => NoOp,
            (_, E::Close) => To(S::Closed),

            (S::Idle, E::LinkUp) => To(S::Open),
            (S::Idle, E::End | E::Drained) => NoOp,
            (S::Idle, _) => Invalid,

            (S::Open, E::LinkUp) => NoOp,
            (S::Open, E::LastLinkDown) => To(S::Severed),
            (S::Open, E::LingerOver) => Invalid,

            (S::Severed, E::LinkUp) => To(S::Open),
            (S::Severed, E::LingerOver) => To(S::Ending),
            (S::Severed, E::LastLinkDown) => Invalid,

            (S::Open | S::Severed, E::PeerChanged | E::End) => To(S::Ending),
            // A client may report late that it has closed for the session before.
            (S::Open | S::Severed, E::Drained) => NoOp,

            (S::Ending, E::Drained) => To(S::Idle),
            (S::Ending, E::End) => NoOp,
            // No link belongs to a session that is over: they wait for the next one.
            (S::Ending, _) => Invalid,
        }
    }
}

impl SessionEvent {
    /// All events.
    pub const ALL: [Self; 7] = [
        Self::LinkUp,
        Self::LastLinkDown,
        Self::LingerOver,
        Self::PeerChanged,
        Self::End,
        Self::Drained,
        Self::Close,
    ];
}
