// SPDX-License-Identifier: GPL-2.0
//! Where things stand on the backing disk, in blocks of 4096 bytes.
//!
//! ```text
//! 0          superblock, copy 0
//! 1..=128    node blocks: node n has copy 0 at 1 + 2n and copy 1 at 2 + 2n
//! 129..=254  zero
//! 255        superblock, copy 1
//! 256..      data
//! last 256   zero
//! ```

use crate::ids::{NodeId, NODE_COUNT};

/// Where the two superblock copies stand.
pub const SUPERBLOCK_AT: [u64; 2] = [0, HEADER_BLOCKS - 1];

/// Where the first node block stands.
pub const NODE_BLOCKS_AT: u64 = 1;

/// How many blocks of node blocks there are.
pub const NODE_BLOCKS: u64 = 2 * NODE_COUNT as u64;

/// The length of the header area (1 MiB). Data begins here.
pub const HEADER_BLOCKS: u64 = 256;

/// What is left free behind the data of a new volume (1 MiB), zeroed when it is made. Much that stands on disks is looked
/// for from their end: what somebody puts at the end of the volume would be found at the end of its backing disk, too.
pub const TAIL_BLOCKS: u64 = 256;

/// How much of each end of a disk is looked at before a volume is made on it (1 MiB).
pub const PROBE_BLOCKS: u64 = 256;

/// Where a copy (0 or 1, the lowest bit counts) of the block of `node` stands.
pub const fn node_block_at(node: NodeId, copy: u64) -> u64 {
    NODE_BLOCKS_AT + 2 * node.get() as u64 + (copy & 1)
}

const _: () = assert!(NODE_BLOCKS_AT + NODE_BLOCKS < HEADER_BLOCKS - 1);
