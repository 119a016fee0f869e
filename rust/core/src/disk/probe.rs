// SPDX-License-Identifier: GPL-2.0
//! What a disk holds, before a volume is made on it.
//!
//! The first and the last MiB are fed through piece by piece, so no memory of that size is needed. A disk is empty
//! only if all of that is zero: what is not recognised is something else all the same.

use core::fmt;

use super::frame::{Block, BLOCK_SIZE};
use super::layout::{PROBE_BLOCKS, SUPERBLOCK_AT};
use super::superblock::Superblock;
use crate::format::{FormatError, Malformed};
use crate::ids::Uuid;
use crate::le::is_zero;

/// What a disk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contents {
    /// Zeroes at both ends.
    Empty,
    /// A volume of this appliance.
    Ours(Superblock),
    /// A volume of another appliance.
    OtherAppliance(Superblock),
    /// A volume, of a yoke that this one does not understand or with a damaged superblock.
    Unreadable(FormatError),
    /// Something else, which was recognised.
    Foreign(&'static str),
    /// Something else, which was not recognised: where its first byte that is not zero stands, in bytes.
    Unknown(u64),
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing"),
            Self::Ours(superblock) => {
                write!(f, "the volume \"{}\" of this appliance", superblock.name)
            }
            Self::OtherAppliance(superblock) => {
                write!(
                    f,
                    "the volume \"{}\" of appliance {}",
                    superblock.name, superblock.identity.appliance
                )
            }
            Self::Unreadable(error) => write!(f, "a yoke volume that cannot be read ({error})"),
            Self::Foreign(what) => f.write_str(what),
            Self::Unknown(at) => write!(
                f,
                "data that is not recognised (the first of it at byte {at})"
            ),
        }
    }
}

/// A mark by which something else is known: at `at` bytes in block `block` of the disk.
struct Mark {
    what: &'static str,
    block: u64,
    at: usize,
    bytes: &'static [u8],
}

const fn mark(what: &'static str, offset: usize, bytes: &'static [u8]) -> Mark {
    Mark {
        what,
        block: (offset / BLOCK_SIZE) as u64,
        at: offset % BLOCK_SIZE,
        bytes,
    }
}

/// The first that is found names the disk: so a file system stands before a partition table, whose two bytes many
/// boot sectors have too.
static MARKS: [Mark; 19] = [
    mark("an ext2, ext3 or ext4 file system", 1080, &[0x53, 0xef]),
    mark("an XFS file system", 0, b"XFSB"),
    mark("a btrfs file system", 0x1_0040, b"_BHRfS_M"),
    mark("an F2FS file system", 1024, &[0x10, 0x20, 0xf5, 0xf2]),
    mark("an NTFS file system", 3, b"NTFS    "),
    mark("an exFAT file system", 3, b"EXFAT   "),
    mark("a FAT file system", 82, b"FAT32   "),
    mark("a FAT file system", 54, b"FAT1"),
    mark("an ISO 9660 file system", 0x8001, b"CD001"),
    mark("a squashfs file system", 0, b"hsqs"),
    mark("swap space", 4086, b"SWAPSPACE2"),
    mark("an LVM physical volume", 512, b"LABELONE"),
    mark("a LUKS container", 0, b"LUKS\xba\xbe"),
    mark("a member of an md array", 4096, &[0xfc, 0x4e, 0x2b, 0xa9]),
    mark("a member of an md array", 0, &[0xfc, 0x4e, 0x2b, 0xa9]),
    mark(
        "a bcache device",
        4120,
        &[0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca],
    ),
    mark("a GPT partition table", 512, b"EFI PART"),
    mark("a GPT partition table", 4096, b"EFI PART"),
    mark("a partition table or boot sector", 510, &[0x55, 0xaa]),
];

/// Finds out what a disk holds.
#[derive(Clone, Debug)]
pub struct Probe {
    appliance: Uuid,
    superblocks: [Result<Superblock, FormatError>; 2],
    mark: Option<usize>,
    first_data: Option<u64>,
}

impl Probe {
    /// Begins; `appliance` is this one.
    pub fn new(appliance: Uuid) -> Self {
        let none = Err(Malformed::Blank.into());
        Self {
            appliance,
            superblocks: [none; 2],
            mark: None,
            first_data: None,
        }
    }

    /// The blocks that must be fed, of a disk of `disk_blocks` blocks: its first and its last MiB, the same block never twice.
    pub fn wanted(disk_blocks: u64) -> impl Iterator<Item = u64> {
        let head = disk_blocks.min(PROBE_BLOCKS);
        let tail = disk_blocks.saturating_sub(PROBE_BLOCKS).max(head);
        (0..head).chain(tail..disk_blocks)
    }

    /// Takes in block number `at` of the disk.
    pub fn feed(&mut self, at: u64, block: &Block) {
        if is_zero(block) {
            return;
        }
        let byte = block.iter().position(|&byte| byte != 0).unwrap_or(0) as u64;
        let data = at.saturating_mul(BLOCK_SIZE as u64).saturating_add(byte);
        self.first_data = Some(self.first_data.map_or(data, |first| first.min(data)));
        for (copy, place) in SUPERBLOCK_AT.iter().enumerate() {
            if let (true, Some(slot)) = (*place == at, self.superblocks.get_mut(copy)) {
                *slot = Superblock::parse(copy as u16, block);
            }
        }
        for (index, mark) in MARKS.iter().enumerate() {
            let found = mark.block == at
                && block
                    .get(mark.at..)
                    .is_some_and(|rest| rest.starts_with(mark.bytes));
            if found && self.mark.is_none_or(|known| index < known) {
                self.mark = Some(index);
            }
        }
    }

    /// What the disk holds, once everything wanted was fed.
    pub fn finish(&self) -> Contents {
        let [first, second] = self.superblocks;
        for error in [first, second].into_iter().filter_map(Result::err) {
            if !matches!(error, FormatError::Malformed(_)) {
                return Contents::Unreadable(error);
            }
        }
        if let Some(superblock) = [first, second].into_iter().flatten().next() {
            let ours = superblock.identity.appliance == self.appliance;
            return if ours {
                Contents::Ours(superblock)
            } else {
                Contents::OtherAppliance(superblock)
            };
        }
        for error in [first, second].into_iter().filter_map(Result::err) {
            if !matches!(
                error,
                FormatError::Malformed(Malformed::Blank | Malformed::Magic)
            ) {
                return Contents::Unreadable(error);
            }
        }
        match (self.mark.and_then(|mark| MARKS.get(mark)), self.first_data) {
            (Some(mark), _) => Contents::Foreign(mark.what),
            (None, Some(at)) => Contents::Unknown(at),
            (None, None) => Contents::Empty,
        }
    }
}
