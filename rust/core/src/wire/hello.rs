// SPDX-License-Identifier: GPL-2.0
//! The HELLO: who stands at one end of a link, and which handshake it is in. 128 bytes.
//!
//! The first 20 bytes and the checksum stand where they do in every version, for ever, so that two ends of any
//! versions can tell each other why they do not fit.
//!
//! ```text
//! 0    8  write counter: another value with each write, written last, never 0
//! 8    8  magic
//! 16   2  lowest version spoken
//! 18   2  highest version spoken
//! 20   1  node
//! 21   1  the sender's number of this link
//! 22   1  flags: bit 0, the sender is leaving
//! 23   1  why the sender refuses the peer, 0 if it does not
//! 24  16  appliance uuid
//! 40   8  incarnation
//! 48   8  session number
//! 56   8  own nonce, of this attempt
//! 64   8  the peer's nonce as last heard, 0 if not heard
//! 72   8  features spoken
//! 80   8  features that the peer must speak
//! 88   8  size of the sender's window, in bytes
//! 96   4  entries of the ring in the sender's window
//! 100  4  heartbeat interval, in microseconds
//! 104 20  reserved
//! 124  4  CRC-32C of bytes 0 to 123
//! ```

use core::fmt;

use super::VERSIONS;
use crate::crc::crc32c;
use crate::format::Malformed;
use crate::ids::{Incarnation, LinkId, NodeId, Uuid};
use crate::le::{Reader, Writer};

/// Length in bytes.
pub const SIZE: usize = 128;

const MAGIC: &[u8; 8] = b"YOKEHELO";
const LEAVING: u8 = 1;

/// A range of versions of the link protocol, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Versions {
    /// The lowest.
    pub min: u16,
    /// The highest.
    pub max: u16,
}

impl Versions {
    /// The highest version in both ranges.
    pub const fn agree(self, other: Self) -> Option<u16> {
        let max = if self.max < other.max {
            self.max
        } else {
            other.max
        };
        let min = if self.min > other.min {
            self.min
        } else {
            other.min
        };
        if min <= max {
            Some(max)
        } else {
            None
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.max)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

/// Who stands at one end of a link, and for how long it has: another value in any field is another peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The controller.
    pub node: NodeId,
    /// Its life.
    pub incarnation: Incarnation,
    /// Which of its sessions it is in, or is ready for: 1 for the first of an incarnation. It counts up when it ends a
    /// session of its own accord, so that the other end learns of it.
    pub session: u64,
}

/// What one end of a link says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hello {
    /// The versions that it speaks.
    pub versions: Versions,
    /// Who it is.
    pub peer: Peer,
    /// Its own number of this link.
    pub link: LinkId,
    /// It is going for good, in order.
    pub leaving: bool,
    /// Why it refuses the peer: a code of [`crate::link::Refusal`], 0 if it does not.
    pub refusal: u8,
    /// The appliance that it belongs to.
    pub appliance: Uuid,
    /// The number of this attempt: random, not 0, never used again.
    pub nonce: u64,
    /// The number of the peer's attempt, as last heard; 0 before.
    pub echo: u64,
    /// The features that it speaks.
    pub features: u64,
    /// The features without which it refuses a peer.
    pub required: u64,
    /// The size of its window, in bytes.
    pub window_size: u64,
    /// How many entries the ring in its window has.
    pub ring_entries: u32,
    /// How often it sends a heartbeat, in microseconds.
    pub beat_interval_us: u32,
}

/// Why what stands in the HELLO area is not a HELLO that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreadable {
    /// It is no HELLO, or one that is being written. Nothing follows from it.
    Garbage(Malformed),
    /// It is one, of a peer that speaks other versions only. Nothing but these is known of it.
    Versions(Versions),
    /// It is one, in order, and says something that cannot be.
    Field(&'static str),
}

impl From<Malformed> for Unreadable {
    fn from(reason: Malformed) -> Self {
        Self::Garbage(reason)
    }
}

impl Hello {
    /// Writes the HELLO; `word` is the write counter.
    pub fn encode(&self, word: u64) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() {
            let mut writer = Writer::new(body);
            writer
                .u64(word)
                .bytes(MAGIC)
                .u16(self.versions.min)
                .u16(self.versions.max);
            writer.u8(self.peer.node.get()).u8(self.link.get());
            writer
                .u8(if self.leaving { LEAVING } else { 0 })
                .u8(self.refusal);
            writer
                .bytes(self.appliance.as_bytes())
                .u64(self.peer.incarnation.get())
                .u64(self.peer.session);
            writer
                .u64(self.nonce)
                .u64(self.echo)
                .u64(self.features)
                .u64(self.required);
            writer
                .u64(self.window_size)
                .u32(self.ring_entries)
                .u32(self.beat_interval_us);
            let fits = writer.fill();
            debug_assert!(fits);
            *crc = crc32c(body).to_le_bytes();
        }
        bytes
    }

    /// Reads the HELLO that was written with the write counter `word`.
    ///
    /// # Errors
    ///
    /// Why it cannot be answered.
    pub fn parse(word: u64, bytes: &[u8; SIZE]) -> Result<Self, Unreadable> {
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or(Malformed::Short)?;
        let mut reader = Reader::new(body);
        let written = reader.u64().ok_or(Malformed::Short)?;
        if reader.bytes().ok_or(Malformed::Short)? != *MAGIC {
            return Err(Malformed::Magic.into());
        }
        if written != word || crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(Malformed::Checksum.into());
        }
        Self::parse_fields(&mut reader).ok_or(Malformed::Short)?
    }

    fn parse_fields(reader: &mut Reader<'_>) -> Option<Result<Self, Unreadable>> {
        let versions = Versions {
            min: reader.u16()?,
            max: reader.u16()?,
        };
        if versions.min == 0 || versions.min > versions.max {
            return Some(Err(Unreadable::Field("versions")));
        }
        if versions.agree(VERSIONS).is_none() {
            return Some(Err(Unreadable::Versions(versions)));
        }
        let (node, link, flags, refusal) = (reader.u8()?, reader.u8()?, reader.u8()?, reader.u8()?);
        let appliance = Uuid::from_bytes(reader.bytes()?);
        let (incarnation, session) = (reader.u64()?, reader.u64()?);
        let (nonce, echo) = (reader.u64()?, reader.u64()?);
        let (features, required) = (reader.u64()?, reader.u64()?);
        let (window_size, ring_entries, beat_interval_us) =
            (reader.u64()?, reader.u32()?, reader.u32()?);
        let newer = versions.max > VERSIONS.max;
        let field = |name| Some(Err(Unreadable::Field(name)));
        let Some(node) = NodeId::new(node) else {
            return field("node");
        };
        let Some(link) = LinkId::new(link) else {
            return field("link");
        };
        let Some(incarnation) = Incarnation::new(incarnation) else {
            return field("incarnation");
        };
        if appliance.is_nil() {
            return field("appliance uuid");
        }
        if session == 0 {
            return field("session number");
        }
        if nonce == 0 {
            return field("nonce");
        }
        if !newer && (flags & !LEAVING != 0 || !reader.rest_is_zero()) {
            return field("reserved");
        }
        Some(Ok(Self {
            versions,
            peer: Peer {
                node,
                incarnation,
                session,
            },
            link,
            leaving: flags & LEAVING != 0,
            refusal,
            appliance,
            nonce,
            echo,
            features,
            required,
            window_size,
            ring_entries,
            beat_interval_us,
        }))
    }
}
