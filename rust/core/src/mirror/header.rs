// SPDX-License-Identifier: GPL-2.0
//! The header of a slot in the partner's region. It is posted after the slot's data; a tombstone is a header alone.
//!
//! ```text
//! 0    4  magic "YSLT"; a slot whose magic is anything else holds nothing
//! 4    2  version, 2; a slot of another version holds nothing
//! 6    2  kind: 0 data, 1 discard, 2 write-zeroes; a slot of another kind holds nothing
//! 8    8  sequence
//! 16   8  owner generation
//! 24   8  block of the volume; of a tombstone the first
//! 32  16  volume uuid
//! 48   4  slot
//! 52   4  data: CRC-32C of the data      tombstone: 8 bytes, how many blocks, at least 1
//! 56   4  data: reserved
//! 60   4  CRC-32C of the region's epoch, then bytes 0 to 59
//! ```
//!
//! Version 1 knew data only. Both ends of a session speak the same version (it is agreed on in the greeting), and a
//! region is cleared before it is granted, so no slot of another version is met but by a mistake.

use crate::crc::Crc32c;
use crate::ids::{Epoch, Generation, Uuid};
use crate::le::{Reader, Writer};

/// Length of a header in bytes.
pub const HEADER_SIZE: usize = 64;

const MAGIC: [u8; 4] = *b"YSLT";
const VERSION: u16 = 2;

/// What goes past the log, to the disk itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassOp {
    /// The blocks need not be kept.
    Discard,
    /// The blocks are to read as zero.
    WriteZeroes,
}

/// What a slot is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// The block's data is in the slot.
    Data {
        /// Its CRC-32C.
        crc: u32,
    },
    /// Nothing is in the slot: the blocks from this one on are on their way to be empty.
    Tombstone {
        /// By which operation.
        op: PassOp,
        /// How many blocks, at least 1.
        count: u64,
    },
}

const DATA: u16 = 0;
const DISCARD: u16 = 1;
const WRITE_ZEROES: u16 = 2;

/// What a slot holds: one version of one block, or a tombstone for many.
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
    /// What it is about.
    pub content: Content,
}

fn checksum(epoch: Epoch, body: &[u8]) -> u32 {
    Crc32c::new().update_u64(epoch.get()).update(body).finish()
}

impl SlotHeader {
    /// The header as it stands in a region that was granted under `epoch`.
    pub fn encode(&self, epoch: Epoch) -> [u8; HEADER_SIZE] {
        let mut raw = [0; HEADER_SIZE];
        if let Some((body, crc)) = raw.split_last_chunk_mut::<4>() {
            let (kind, rest) = match self.content {
                Content::Data { crc } => (DATA, crc.into()),
                Content::Tombstone { op, count } => match op {
                    PassOp::Discard => (DISCARD, count),
                    PassOp::WriteZeroes => (WRITE_ZEROES, count),
                },
            };
            let mut writer = Writer::new(body);
            writer.bytes(&MAGIC).u16(VERSION).u16(kind);
            writer
                .u64(self.sequence)
                .u64(self.generation.get())
                .u64(self.block)
                .bytes(self.volume.as_bytes())
                .u32(self.slot)
                .u64(rest);
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
        if reader.bytes()? != MAGIC || reader.u16()? != VERSION {
            return None;
        }
        let kind = reader.u16()?;
        let (sequence, generation, block) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let header = Self {
            volume: Uuid::from_bytes(reader.bytes()?),
            generation: Generation::new(generation),
            sequence,
            block,
            slot: reader.u32()?,
            content: Content::decode(kind, reader.u64()?)?,
        };
        let proper = reader.rest_is_zero() && header.volume == *volume && header.slot == slot;
        (proper && checksum(epoch, body) == u32::from_le_bytes(*crc)).then_some(header)
    }
}

impl Content {
    fn decode(kind: u16, rest: u64) -> Option<Self> {
        let op = match kind {
            DATA => {
                let crc = u32::try_from(rest).ok()?;
                return Some(Self::Data { crc });
            }
            DISCARD => PassOp::Discard,
            WRITE_ZEROES => PassOp::WriteZeroes,
            _ => return None,
        };
        (rest > 0).then_some(Self::Tombstone { op, count: rest })
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
            content: Content::Data { crc: 0x1234_5678 },
        }
    }

    fn tombstone(op: PassOp, count: u64) -> SlotHeader {
        SlotHeader {
            content: Content::Tombstone { op, count },
            ..header()
        }
    }

    /// The checksum of what a slot says, made right again.
    fn seal(raw: &mut [u8; HEADER_SIZE]) {
        if let Some((body, crc)) = raw.split_last_chunk_mut::<4>() {
            *crc = checksum(EPOCH, body).to_le_bytes();
        }
    }

    #[test]
    fn tombstones_come_back_and_empty_ones_are_nothing() {
        let volume = Uuid::from_bytes([7; 16]);
        for op in [PassOp::Discard, PassOp::WriteZeroes] {
            for count in [1, u64::from(u32::MAX) + 1, u64::MAX] {
                let tomb = tombstone(op, count);
                let raw = tomb.encode(EPOCH);
                assert_eq!(SlotHeader::decode(&raw, EPOCH, &volume, 2), Some(tomb));
            }
            let raw = tombstone(op, 0).encode(EPOCH);
            assert_eq!(SlotHeader::decode(&raw, EPOCH, &volume, 2), None);
        }
    }

    #[test]
    fn other_versions_and_kinds_are_nothing() {
        let volume = Uuid::from_bytes([7; 16]);
        // Version 1 and 3; kind 3; data with something where nothing is to be.
        for (at, byte) in [(4, 1), (4, 3), (6, 3), (56, 1)] {
            let mut raw = header().encode(EPOCH);
            if let Some(place) = raw.get_mut(at) {
                *place = byte;
            }
            seal(&mut raw);
            assert_eq!(SlotHeader::decode(&raw, EPOCH, &volume, 2), None);
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
        // An interpreter takes a second for each.
        let step = if cfg!(miri) { 31 } else { 1 };
        for bit in (0..HEADER_SIZE * 8).step_by(step) {
            let mut raw = header().encode(epoch);
            if let Some(byte) = raw.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            assert_eq!(SlotHeader::decode(&raw, epoch, &volume, 2), None);
        }
    }
}
