// SPDX-License-Identifier: GPL-2.0
//! An entry of the message ring: a header of 32 bytes, then up to 224 bytes of a client's message.
//!
//! ```text
//! 0    8  link epoch plus position in the ring's stream of entries, written last
//! 8    8  session: number of this message
//! 16   8  session: every message up to this number has been received
//! 24   2  length of the message in bytes
//! 26   1  port
//! 27   1  reserved
//! 28   4  CRC-32C of the link epoch, bytes 0 to 27, and the message
//! 32      the message
//! ```

use crate::crc::Crc32c;
use crate::format::Malformed;
use crate::ids::LinkEpoch;
use crate::le::{Reader, Writer};

/// Length of an entry in bytes.
pub const ENTRY_SIZE: usize = 256;

/// Length of its header in bytes.
pub const HEADER_SIZE: usize = 32;

/// The longest message in bytes.
pub const MESSAGE_MAX: usize = ENTRY_SIZE - HEADER_SIZE;

/// The client that a message is for, the same number at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(pub u8);

/// What stands before a message in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The number of the message in the session: 1 for the first.
    pub seq: u64,
    /// Every message up to this number has been received by the sender; 0 for none.
    pub ack: u64,
    /// The client that it is for.
    pub port: Port,
    /// The length of the message, at most [`MESSAGE_MAX`].
    pub len: u16,
}

/// The word of the entry at `position` (0 for the first in a link epoch).
#[inline]
pub const fn word(epoch: LinkEpoch, position: u64) -> u64 {
    epoch.get().wrapping_add(position)
}

fn checksum(epoch: LinkEpoch, header: &[u8], message: &[u8]) -> u32 {
    Crc32c::new()
        .update_u64(epoch.get())
        .update(header)
        .update(message)
        .finish()
}

impl Header {
    /// Writes the header of `message`, the entry at `position`.
    pub fn encode(&self, epoch: LinkEpoch, position: u64, message: &[u8]) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() {
            let mut writer = Writer::new(body);
            writer
                .u64(word(epoch, position))
                .u64(self.seq)
                .u64(self.ack)
                .u16(self.len)
                .u8(self.port.0)
                .u8(0);
            let fits = writer.fill();
            debug_assert!(fits);
            *crc = checksum(epoch, body, message).to_le_bytes();
        }
        bytes
    }

    /// Reads a header, as far as it can be without the message: afterwards its length is in range, and nothing else
    /// of it may be used before [`Header::check`].
    ///
    /// # Errors
    ///
    /// [`Malformed::Field`] if the length is not possible.
    pub fn parse(bytes: &[u8; HEADER_SIZE]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let header = Self::read(&mut reader).ok_or(Malformed::Short)?;
        if usize::from(header.len) > MESSAGE_MAX {
            return Err(Malformed::Field("length"));
        }
        Ok(header)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let _word = reader.u64()?;
        let (seq, ack, len, port) = (reader.u64()?, reader.u64()?, reader.u16()?, reader.u8()?);
        Some(Self {
            seq,
            ack,
            port: Port(port),
            len,
        })
    }

    /// Checks the whole entry at `position`, whose header was read from `bytes`.
    ///
    /// # Errors
    ///
    /// If it is damaged, or another entry than that.
    pub fn check(
        &self,
        epoch: LinkEpoch,
        position: u64,
        bytes: &[u8; HEADER_SIZE],
        message: &[u8],
    ) -> Result<(), Malformed> {
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or(Malformed::Short)?;
        if checksum(epoch, body, message) != u32::from_le_bytes(*crc) {
            return Err(Malformed::Checksum);
        }
        if bytes.first_chunk::<8>() != Some(&word(epoch, position).to_le_bytes()) {
            return Err(Malformed::Place);
        }
        if self.seq == 0 {
            return Err(Malformed::Field("message number"));
        }
        match body.last() {
            Some(0) => Ok(()),
            _ => Err(Malformed::Reserved),
        }
    }
}
