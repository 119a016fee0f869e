// SPDX-License-Identifier: GPL-2.0
//! The heartbeat: one end of a link says that it lives, what it has heard and what it has received. 64 bytes.
//!
//! ```text
//! 0    8  link epoch plus number of this beat, written last
//! 8    8  number of the peer's newest beat that was heard
//! 16   4  microseconds between hearing that beat and sending this one
//! 20   4  reserved
//! 24   8  how many messages the sender has put into the ring
//! 32   8  session: every message up to this number has been received
//! 40  20  reserved
//! 60   4  CRC-32C of the link epoch and bytes 0 to 59
//! ```

use crate::crc::Crc32c;
use crate::format::Malformed;
use crate::ids::LinkEpoch;
use crate::le::{Reader, Writer};

/// Length in bytes.
pub const SIZE: usize = 64;

/// What one end of a link says with a beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Heartbeat {
    /// Its number: 1 for the first one in a link epoch.
    pub number: u64,
    /// The peer's newest beat that was heard; 0 before the first.
    pub echo: u64,
    /// How long ago that was heard, in microseconds, at most `u32::MAX`.
    pub echo_age_us: u32,
    /// How many messages the sender has put into the ring of this window, in this link epoch.
    pub produced: u64,
    /// Every message of the session up to this number has been received; 0 for none.
    pub ack: u64,
}

/// The word of beat `number`.
#[inline]
pub const fn word(epoch: LinkEpoch, number: u64) -> u64 {
    epoch.get().wrapping_add(number)
}

/// The number of the beat with this word. Of a word of another epoch it is an arbitrary number.
#[inline]
pub const fn number(epoch: LinkEpoch, word: u64) -> u64 {
    word.wrapping_sub(epoch.get())
}

fn checksum(epoch: LinkEpoch, body: &[u8]) -> u32 {
    Crc32c::new().update_u64(epoch.get()).update(body).finish()
}

impl Heartbeat {
    /// Writes the beat.
    pub fn encode(&self, epoch: LinkEpoch) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() {
            let mut writer = Writer::new(body);
            writer
                .u64(word(epoch, self.number))
                .u64(self.echo)
                .u32(self.echo_age_us)
                .u32(0);
            writer.u64(self.produced).u64(self.ack);
            let fits = writer.fill();
            debug_assert!(fits);
            *crc = checksum(epoch, body).to_le_bytes();
        }
        bytes
    }

    /// Reads beat `number`.
    ///
    /// # Errors
    ///
    /// If it is damaged, being written, another beat, or of another epoch.
    pub fn parse(epoch: LinkEpoch, number: u64, bytes: &[u8; SIZE]) -> Result<Self, Malformed> {
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or(Malformed::Short)?;
        if checksum(epoch, body) != u32::from_le_bytes(*crc) {
            return Err(Malformed::Checksum);
        }
        let mut reader = Reader::new(body);
        let beat = Self::read(&mut reader, number, epoch).ok_or(Malformed::Short)?;
        match beat {
            Some(beat) if reader.rest_is_zero() => Ok(beat),
            Some(_) => Err(Malformed::Reserved),
            None => Err(Malformed::Place),
        }
    }

    fn read(reader: &mut Reader<'_>, number: u64, epoch: LinkEpoch) -> Option<Option<Self>> {
        let right = reader.u64()? == word(epoch, number);
        let (echo, echo_age_us, reserved) = (reader.u64()?, reader.u32()?, reader.u32()?);
        let (produced, ack) = (reader.u64()?, reader.u64()?);
        let beat = Self {
            number,
            echo,
            echo_age_us,
            produced,
            ack,
        };
        Some((right && reserved == 0).then_some(beat))
    }
}
