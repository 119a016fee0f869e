// SPDX-License-Identifier: GPL-2.0
//! Whether the twin of a volume is there: a volume may be open at one controller only, or be opened later than the
//! session began. What the twins themselves say is in [`super::message`].
//!
//! ```text
//! 0   1  kind: 1 opened, 2 here, 3 closed
//! 1   1  version
//! 2   6  reserved
//! 8  16  volume uuid
//! 24  4  link lease that its sender would keep, in microseconds
//! 28  4  T_io that its sender reckons with, in microseconds
//! ```

use crate::ids::Uuid;
use crate::le::{Reader, Writer};
use crate::terms::Terms;

/// Length in bytes; no other message of the mirror has it.
pub const PRESENCE_SIZE: usize = 32;

const VERSION: u8 = 2;

/// What one end tells of one of its volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// It was opened, or the session is new: begin from the beginning, and say whether you are there.
    Opened,
    /// The answer of one that is there.
    Here,
    /// It is closed.
    Closed,
}

impl Presence {
    /// As bytes.
    pub fn encode(self, volume: &Uuid, terms: Terms) -> [u8; PRESENCE_SIZE] {
        let kind = match self {
            Self::Opened => 1,
            Self::Here => 2,
            Self::Closed => 3,
        };
        let mut raw = [0; PRESENCE_SIZE];
        let mut writer = Writer::new(&mut raw);
        writer.u8(kind).u8(VERSION).reserved::<6>();
        let (link_lease, io_life) = terms.to_micros();
        writer.bytes(volume.as_bytes()).u32(link_lease).u32(io_life);
        let fits = writer.fill();
        debug_assert!(fits);
        raw
    }

    /// Reads one. `None`: these bytes are none.
    pub fn decode(raw: &[u8]) -> Option<(Uuid, Self, Terms)> {
        (raw.len() == PRESENCE_SIZE).then_some(())?;
        let mut reader = Reader::new(raw);
        let (kind, version, reserved) = (reader.u8()?, reader.u8()?, reader.bytes::<6>()?);
        let volume = Uuid::from_bytes(reader.bytes()?);
        let terms = Terms::from_micros(reader.u32()?, reader.u32()?);
        (version == VERSION && reserved == [0; 6]).then_some(())?;
        let presence = match kind {
            1 => Self::Opened,
            2 => Self::Here,
            3 => Self::Closed,
            _ => return None,
        };
        Some((volume, presence, terms))
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_mirror_presence))]
mod tests {
    use super::*;

    #[test]
    fn every_presence_comes_back_and_nothing_else_does() {
        let volume = Uuid::from_bytes([7; 16]);
        for presence in [Presence::Opened, Presence::Here, Presence::Closed] {
            let terms = Terms::from_micros(50_000, 30_000_000);
            let mut raw = presence.encode(&volume, terms);
            assert_eq!(Presence::decode(&raw), Some((volume, presence, terms)));
            assert_eq!(Presence::decode(&raw[1..]), None);
            raw[2] = 1;
            assert_eq!(Presence::decode(&raw), None);
        }
        assert_eq!(Presence::decode(&[0; PRESENCE_SIZE]), None);
    }
}
