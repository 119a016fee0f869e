// SPDX-License-Identifier: GPL-2.0
//! Why a link is not up, in words for people.

use core::fmt;

use crate::ids::{NodeId, Uuid};
use crate::ring::RingFault;
use crate::wire::hello::Versions;
use crate::wire::VERSIONS;

/// Why a peer cannot be worked with. It does not go away by trying again: something has to be set right first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It speaks other versions only.
    Version(Versions),
    /// It belongs to another appliance.
    Appliance(Uuid),
    /// It has the node number of this controller.
    SameNode(NodeId),
    /// It is another node than the one that this link should lead to.
    OtherNode {
        /// The node that the link should lead to.
        expected: NodeId,
        /// The node that it leads to.
        found: NodeId,
    },
    /// One end needs features that the other lacks: the bits.
    Features(u64),
    /// Its window, or what this end can reach of it, is too small: the size in bytes.
    Window(u64),
    /// Its HELLO is in order, but for the named field, which cannot be so.
    Field(&'static str),
    /// Another controller has its node number, and is in the session now.
    Duplicate(NodeId),
    /// It refuses this end, for the reason with this code (its own words are the better ones).
    ByPeer(u8),
}

impl Refusal {
    /// The code that tells the peer, 1 to 255. Codes are never used again for something else.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Version(_) => 1,
            Self::Appliance(_) => 2,
            Self::SameNode(_) => 3,
            Self::OtherNode { .. } => 4,
            Self::Features(_) => 5,
            Self::Window(_) => 6,
            Self::Field(_) => 7,
            Self::Duplicate(_) => 8,
            // An end that is refused has nothing against the other: it says so, or neither would ever try again.
            Self::ByPeer(_) => 0,
        }
    }

    /// What a code of the peer means.
    const fn of_code(code: u8) -> &'static str {
        match code {
            1 => "it speaks other protocol versions only",
            2 => "it belongs to another appliance",
            3 => "it has the same node number",
            4 => "it expects another node on this link",
            5 => "one end needs features that the other lacks",
            6 => "the window is too small",
            7 => "it finds our HELLO impossible",
            8 => "another controller has our node number",
            _ => "for a reason that this yoke does not know",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(theirs) => write!(
                f,
                "the peer speaks protocol version {theirs}, this yoke {VERSIONS}; upgrade the older of the two"
            ),
            Self::Appliance(theirs) => write!(
                f,
                "the peer belongs to appliance {theirs}; check the cable, and the appliance uuid of both controllers"
            ),
            Self::SameNode(node) => {
                write!(f, "the peer says that it is {node}, as this controller is; give one of them another number")
            }
            Self::OtherNode { expected, found } => {
                write!(f, "the link leads to {found}, but should lead to {expected}; check the cable")
            }
            Self::Features(missing) => {
                write!(f, "one end needs features that the other lacks (bits {missing:#x}); upgrade the older")
            }
            Self::Window(size) => {
                write!(f, "only {size} bytes of the peer's window can be reached, too few; make the window larger")
            }
            Self::Field(name) => write!(f, "the peer's HELLO is impossible in its field \"{name}\""),
            Self::Duplicate(node) => {
                write!(f, "two controllers say that they are {node}; give one of them another number")
            }
            Self::ByPeer(code) => write!(f, "the peer refuses this controller: {}", Self::of_code(*code)),
        }
    }
}

/// Why a link that was agreed is not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DownReason {
    /// The driver says that it is down, or was.
    Carrier,
    /// No heartbeat came for this many microseconds.
    Silent(u64),
    /// The peer has begun anew: it lost the link, or was loaded again.
    PeerReset,
    /// The peer has closed the link in order.
    PeerLeft,
    /// The peer did not show that it knows the new epoch.
    NoAnswer,
    /// The peer cannot be worked with any more.
    Refused,
    /// What stands in the window is not what a peer in order writes.
    Fault(LinkFault),
    /// The session over this link has ended at this end.
    SessionEnded,
    /// This end has closed the link.
    Closed,
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Carrier => f.write_str("the driver lost the connection"),
            Self::Silent(us) => write!(f, "no heartbeat for {us} us"),
            Self::PeerReset => {
                f.write_str("the peer has begun anew: it lost the link, or was started again")
            }
            Self::PeerLeft => f.write_str("the peer has closed the link"),
            Self::NoAnswer => f.write_str("the peer answered the handshake and then fell silent"),
            Self::Refused => f.write_str("the peer cannot be worked with any more"),
            Self::Fault(fault) => write!(f, "fenced: {fault}"),
            Self::SessionEnded => f.write_str("the session was ended"),
            Self::Closed => f.write_str("closed"),
        }
    }
}

/// What was found in the window that no peer in order writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkFault {
    /// In the message ring.
    Ring(RingFault),
    /// In a heartbeat that is valid: the named field cannot be so.
    Beat(&'static str),
    /// In the numbers of the session's messages.
    Session(&'static str),
}

impl From<RingFault> for LinkFault {
    fn from(fault: RingFault) -> Self {
        Self::Ring(fault)
    }
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring(fault) => fault.fmt(f),
            Self::Beat(name) => write!(f, "a heartbeat is impossible in its field \"{name}\""),
            Self::Session(what) => f.write_str(what),
        }
    }
}
