// SPDX-License-Identifier: GPL-2.0
//! The superblock: which volume of which appliance a disk holds, and where its data stands.
//!
//! Contents, after the frame of a block:
//!
//! ```text
//! 72   8  length of the disk when the volume was made, in blocks
//! 80   8  first block of data
//! 88   8  length of the data, in blocks
//! 96   4  size of a block in bytes: 4096
//! 100  2  number of node blocks: 64
//! 102  2  copy: 0 or 1
//! 104 32  name, zero padded
//! 136  4  size of the blocks that the volume shows, in bytes: 4096
//! ```

use core::fmt;

use super::frame::{self, Block, Identity, Newest, BLOCK_SIZE};
use super::layout::{HEADER_BLOCKS, TAIL_BLOCKS};
use crate::format::{FormatError, Known, Malformed};
use crate::ids::NODE_COUNT;

const MAGIC: &[u8; 8] = b"YOKESUPR";

/// The versions of the superblock known here.
pub const KNOWN: Known = Known {
    current: 2,
    min_reader: 2,
    oldest: 2,
    features: 0,
};

/// The name of a volume: 1 to 31 of `A-Z a-z 0-9 . _ -`, not beginning with `.` or `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VolumeName([u8; 32]);

impl VolumeName {
    /// Checks the name.
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        bytes
            .get_mut(..name.len())?
            .copy_from_slice(name.as_bytes());
        Self::from_padded(bytes)
    }

    /// Checks a zero-padded name.
    fn from_padded(bytes: [u8; 32]) -> Option<Self> {
        let len = bytes.iter().position(|&byte| byte == 0)?;
        let (name, padding) = bytes.split_at_checked(len)?;
        let first = name.first()?;
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let ok = !matches!(first, b'.' | b'-')
            && name.iter().all(plain)
            && padding.iter().all(|&byte| byte == 0);
        ok.then_some(Self(bytes))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|&byte| byte == 0).unwrap_or(0);
        self.0
            .get(..len)
            .and_then(|name| core::str::from_utf8(name).ok())
            .unwrap_or("")
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a superblock says. It is written when the volume is made or grows, never while the volume is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Superblock {
    /// Which volume this is.
    pub identity: Identity,
    /// Counts the writes of the superblock; both copies are written with the same.
    pub sequence: u64,
    /// The name of the volume.
    pub name: VolumeName,
    /// Length of the disk when the volume was made, in blocks of 4096 bytes.
    pub disk_blocks: u64,
    /// Length of the volume, in blocks of 4096 bytes. It begins at block [`HEADER_BLOCKS`] of the disk.
    pub data_blocks: u64,
}

impl Superblock {
    /// The superblock of a new volume that fills a disk of `disk_blocks` blocks of 4096 bytes. `None` if there is no
    /// room for data, or a uuid is nil.
    pub fn for_disk(identity: Identity, name: VolumeName, disk_blocks: u64) -> Option<Self> {
        let data_blocks = disk_blocks
            .checked_sub(HEADER_BLOCKS + TAIL_BLOCKS)
            .filter(|&blocks| blocks > 0)?;
        let named = !identity.appliance.is_nil() && !identity.volume.is_nil();
        named.then_some(Self {
            identity,
            sequence: 1,
            name,
            disk_blocks,
            data_blocks,
        })
    }

    /// Writes copy `copy` (0 or 1), for the place [`super::layout::SUPERBLOCK_AT`] of that copy.
    pub fn encode(&self, copy: u16, block: &mut Block) {
        frame::encode(
            block,
            MAGIC,
            &KNOWN,
            &self.identity,
            self.sequence,
            |writer| {
                writer
                    .u64(self.disk_blocks)
                    .u64(HEADER_BLOCKS)
                    .u64(self.data_blocks);
                writer
                    .u32(BLOCK_SIZE as u32)
                    .u16(NODE_COUNT as u16)
                    .u16(copy)
                    .bytes(&self.name.0)
                    .u32(BLOCK_SIZE as u32);
            },
        );
    }

    /// Reads copy `copy` (0 or 1) of a superblock.
    ///
    /// # Errors
    ///
    /// Why these bytes are no superblock that can be used here.
    pub fn parse(copy: u16, block: &Block) -> Result<Self, FormatError> {
        let frame = frame::parse(block, MAGIC, &KNOWN)?;
        Self::parse_contents(copy, frame).ok_or(Malformed::Short)?
    }

    fn parse_contents(copy: u16, frame: frame::Frame<'_>) -> Option<Result<Self, FormatError>> {
        let mut reader = frame.contents;
        let (disk_blocks, data_at, data_blocks) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (block_size, nodes, written_copy) = (reader.u32()?, reader.u16()?, reader.u16()?);
        let name = VolumeName::from_padded(reader.bytes()?);
        let shown_size = reader.u32()?;
        let bad = if shown_size as usize != BLOCK_SIZE {
            Some(Malformed::Field("size of the blocks that it shows"))
        } else if block_size as usize != BLOCK_SIZE {
            Some(Malformed::Field("block size"))
        } else if usize::from(nodes) != NODE_COUNT {
            Some(Malformed::Field("number of node blocks"))
        } else if data_at != HEADER_BLOCKS {
            Some(Malformed::Field("first block of data"))
        } else if data_blocks == 0 || !Self::ends_within(data_blocks, disk_blocks) {
            Some(Malformed::Field("length of the data"))
        } else if frame.sequence == 0 {
            Some(Malformed::Field("sequence"))
        } else if written_copy != copy {
            Some(Malformed::Place)
        } else if !frame.newer && !reader.rest_is_zero() {
            Some(Malformed::Reserved)
        } else {
            None
        };
        if let Some(reason) = bad {
            return Some(Err(reason.into()));
        }
        let Some(name) = name else {
            return Some(Err(Malformed::Field("name").into()));
        };
        Some(Ok(Self {
            identity: frame.identity,
            sequence: frame.sequence,
            name,
            disk_blocks,
            data_blocks,
        }))
    }

    /// Reads both copies and chooses.
    ///
    /// # Errors
    ///
    /// If neither can be used, one is too new, or they contradict each other.
    pub fn parse_copies(first: &Block, second: &Block) -> Result<Newest<Self>, FormatError> {
        frame::newest(
            Self::parse(0, first),
            Self::parse(1, second),
            |superblock| superblock.sequence,
        )
    }

    /// Whether the volume still fits on a disk of `disk_blocks` blocks.
    pub fn fits(&self, disk_blocks: u64) -> bool {
        Self::ends_within(self.data_blocks, disk_blocks)
    }

    fn ends_within(data_blocks: u64, disk_blocks: u64) -> bool {
        HEADER_BLOCKS
            .checked_add(data_blocks)
            .is_some_and(|end| end <= disk_blocks)
    }
}
