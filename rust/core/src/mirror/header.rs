// SPDX-License-Identifier: GPL-2.0
//! The header of a slot in the partner's region. It is posted after the slot's data.
//!
//! ```text
//! 0    4  magic "YSLT"; a slot whose magic is anything else holds nothing
//! 4    2  version
//! 6    2  reserved
//! 8    8  sequence
//! 16   8  owner generation
//! 24   8  block of the volume
//! 32  16  volume uuid
//! 48   4  slot
//! 52   4  CRC-32C of the data
//! 56   4  reserved
//! 60   4  CRC-32C of the region's epoch, then bytes 0 to 59
//! ```

use crate::crc::Crc32c;
use crate::ids::{Epoch, Generation, Uuid};
use crate::le::{Reader, Writer};

/// Length of a header in bytes.
pub const HEADER_SIZE: usize = 64;

const MAGIC: [u8; 4] = *b"YSLT";
const VERSION: u16 = 1;

/// What a slot holds: one version of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotHeader {
    /// The volume.
    pub volume: Uuid,
    /// The owner generation in which the version was written.
    pub generation: Generation,
    /// Its number in that generation.
    pub sequence: u64,
    /// The block.
    pub block: u64,
    /// The slot, so that a header in a wrong place counts for nothing.
    pub slot: u32,
    /// The CRC-32C of the data.
    pub data_crc: u32,
}

fn checksum(epoch: Epoch, body: &[u8]) -> u32 {
    Crc32c::new().update_u64(epoch.get()).update(body).finish()
}

impl SlotHeader {
    /// The header as it stands in a region that was granted under `epoch`.
    pub fn encode(&self, epoch: Epoch) -> [u8; HEADER_SIZE] {
        let mut raw = [0; HEADER_SIZE];
        if let Some((body, crc)) = raw.split_last_chunk_mut::<4>() {
            let mut writer = Writer::new(body);
            writer.bytes(&MAGIC).u16(VERSION).u16(0);
            writer
                .u64(self.sequence)
                .u64(self.generation.get())
                .u64(self.block)
                .bytes(self.volume.as_bytes())
                .u32(self.slot)
                .u32(self.data_crc);
            let fits = writer.fill();
            debug_assert!(fits);
            *crc = checksum(epoch, body).to_le_bytes();
        }
        raw
    }

    /// Reads a header that was *copied* out of a region granted under `epoch`. `None`: the slot holds nothing of this
    /// grant and this volume.
    pub fn decode(raw: &[u8; HEADER_SIZE], epoch: Epoch, volume: &Uuid, slot: u32) -> Option<Self> {
        let (body, crc) = raw.split_last_chunk::<4>()?;
        let mut reader = Reader::new(body);
        if reader.bytes()? != MAGIC || reader.u16()? != VERSION || reader.u16()? != 0 {
            return None;
        }
        let (sequence, generation, block) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let header = Self {
            volume: Uuid::from_bytes(reader.bytes()?),
            generation: Generation::new(generation),
            sequence,
            block,
            slot: reader.u32()?,
            data_crc: reader.u32()?,
        };
        let proper = reader.rest_is_zero() && header.volume == *volume && header.slot == slot;
        (proper && checksum(epoch, body) == u32::from_le_bytes(*crc)).then_some(header)
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_mirror_header))]
mod tests {
    use super::*;

    const fn epoch(number: u64) -> Epoch {
        match Epoch::new(number) {
            Some(epoch) => epoch,
            None => panic!(),
        }
    }

    const EPOCH: Epoch = epoch(9);
    const OTHER: Epoch = epoch(10);

    fn header() -> SlotHeader {
        SlotHeader {
            volume: Uuid::from_bytes([7; 16]),
            generation: Generation::new(3),
            sequence: 11,
            block: 5,
            slot: 2,
            data_crc: 0x1234_5678,
        }
    }

    #[test]
    fn comes_back_under_its_epoch_only() {
        let (epoch, other) = (EPOCH, OTHER);
        let raw = header().encode(epoch);
        let volume = Uuid::from_bytes([7; 16]);
        assert_eq!(SlotHeader::decode(&raw, epoch, &volume, 2), Some(header()));
        assert_eq!(SlotHeader::decode(&raw, other, &volume, 2), None);
        assert_eq!(SlotHeader::decode(&raw, epoch, &volume, 3), None);
        assert_eq!(SlotHeader::decode(&raw, epoch, &Uuid::NIL, 2), None);
        assert_eq!(
            SlotHeader::decode(&[0; HEADER_SIZE], epoch, &volume, 2),
            None
        );
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let epoch = EPOCH;
        let volume = Uuid::from_bytes([7; 16]);
        for bit in 0..HEADER_SIZE * 8 {
            let mut raw = header().encode(epoch);
            if let Some(byte) = raw.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            assert_eq!(SlotHeader::decode(&raw, epoch, &volume, 2), None);
        }
    }
}
