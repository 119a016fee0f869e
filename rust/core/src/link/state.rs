// SPDX-License-Identifier: GPL-2.0
//! The states of a link and the one function that moves between them. Drawn in docs/protocol-link.md; the whole table
//! stands in tests/snapshots/link-states.txt.

/// Where a link is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// There is no carrier. Nothing is read or written; whatever was agreed is void.
    Down,
    /// The link was fenced, and rests for a while so that a fault does not repeat at full speed. The peer has been
    /// told a new nonce, so it knows that whatever was agreed is void. Nothing is read.
    Holdoff,
    /// A HELLO with a nonce never used before is in the peer's window. The peer has not proved that it has read it:
    /// nothing in the own window counts, but a HELLO.
    Greeting,
    /// As `Greeting`, and the peer cannot be worked with. The reason is known, and told to the peer.
    Refused,
    /// The peer has echoed the own nonce: it lives, everything posted under earlier epochs has arrived, and the link
    /// epoch and the version are agreed at this end. The ring is empty, and heartbeats are sent. Whether the peer
    /// knows the epoch is open.
    Agreed,
    /// The peer's heartbeats carry the epoch: both ends are agreed. Messages are received. The link failed before
    /// under this peer, and is not yet trusted to carry what this end sends.
    Proving,
    /// Both ends are agreed, and the link has proved itself: it carries messages and slots.
    Up,
    /// Closed for good by this end, which told the peer so. Nothing is read or written.
    Closed,
}

/// What can happen to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkEvent {
    /// The driver says that both ends are connected.
    CarrierUp,
    /// The driver says that the link is down, or that it was since it was looked at last.
    CarrierDown,
    /// An acceptable HELLO, which does not echo the own nonce.
    HelloHeard,
    /// An acceptable HELLO that echoes the own nonce.
    HelloEchoed,
    /// A HELLO of somebody who cannot be worked with, or who says so of this end.
    HelloRefused,
    /// A HELLO with another nonce than the agreed one: the peer has begun anew.
    PeerReset,
    /// The peer says that it closes the link.
    PeerLeft,
    /// A heartbeat under the agreed epoch.
    BeatHeard,
    /// The link has shown enough heartbeats both ways.
    Proved,
    /// The peer has not shown in time that it knows the epoch.
    NoAnswer,
    /// Too many heartbeats in a row were missing.
    Silent,
    /// This end closes the epoch: garbage in the window, or the session ended.
    Fenced,
    /// The rest is over.
    HoldoffOver,
    /// This end closes the link for good.
    Close,
}

/// What an event does to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkStep {
    /// It moves to this state, which is entered anew even if it is the same.
    To(LinkState),
    /// It changes nothing, and may happen.
    NoOp,
    /// It cannot happen here: only a mistake in this program brings it about.
    Invalid,
}

impl LinkState {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Down,
        Self::Holdoff,
        Self::Greeting,
        Self::Refused,
        Self::Agreed,
        Self::Proving,
        Self::Up,
        Self::Closed,
    ];

    /// Whether an epoch is agreed, as far as this end knows.
    #[inline]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Agreed | Self::Proving | Self::Up)
    }

    /// The transition function.
    pub const fn on(self, event: LinkEvent) -> LinkStep {
        use LinkEvent as E;
        use LinkState as S;
        use LinkStep::{Invalid, NoOp, To};

        match (self, event) {
            (S::Closed, _) => NoOp,
            (_, E::Close) => To(S::Closed),

            (S::Down, E::CarrierUp) => To(S::Greeting),
            (S::Down, E::CarrierDown | E::Fenced) => NoOp,
            (S::Down, _) => Invalid,
            (_, E::CarrierUp) => NoOp,
            (_, E::CarrierDown) => To(S::Down),

            (S::Holdoff, E::HoldoffOver) => To(S::Greeting),
            (S::Holdoff, E::Fenced) => NoOp,
            (S::Holdoff, _) => Invalid,
            (_, E::HoldoffOver) => Invalid,

            (S::Greeting, E::HelloHeard | E::PeerLeft) => NoOp,
            (S::Greeting, E::HelloEchoed) => To(S::Agreed),
            (S::Greeting, E::HelloRefused) => To(S::Refused),
            (S::Greeting, E::Fenced) => To(S::Holdoff),
            (S::Greeting, _) => Invalid,

            (S::Refused, E::HelloHeard | E::PeerLeft) => To(S::Greeting),
            (S::Refused, E::HelloEchoed) => To(S::Agreed),
            (S::Refused, E::HelloRefused) => NoOp,
            (S::Refused, E::Fenced) => To(S::Holdoff),
            (S::Refused, _) => Invalid,

            // What follows is live. The same HELLO may come again: the peer repeats it until it has heard a heartbeat.
            (_, E::HelloHeard | E::HelloEchoed) => NoOp,
            (_, E::HelloRefused) => To(S::Refused),
            (_, E::PeerReset | E::PeerLeft) => To(S::Greeting),
            (_, E::Fenced) => To(S::Holdoff),

            (S::Agreed, E::BeatHeard) => To(S::Proving),
            (S::Agreed, E::NoAnswer) => To(S::Greeting),
            (S::Agreed, E::Proved | E::Silent) => Invalid,

            (S::Proving, E::Proved) => To(S::Up),
            (S::Proving | S::Up, E::BeatHeard) => NoOp,
            (S::Proving | S::Up, E::Silent) => To(S::Greeting),
            (S::Proving | S::Up, E::NoAnswer) => Invalid,
            (S::Up, E::Proved) => Invalid,
        }
    }
}

impl LinkEvent {
    /// All events.
    pub const ALL: [Self; 14] = [
        Self::CarrierUp,
        Self::CarrierDown,
        Self::HelloHeard,
        Self::HelloEchoed,
        Self::HelloRefused,
        Self::PeerReset,
        Self::PeerLeft,
        Self::BeatHeard,
        Self::Proved,
        Self::NoAnswer,
        Self::Silent,
        Self::Fenced,
        Self::HoldoffOver,
        Self::Close,
    ];
}
