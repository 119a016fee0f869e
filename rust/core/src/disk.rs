// SPDX-License-Identifier: GPL-2.0
//! What stands on the backing disk of a volume, before the data: two superblock copies and a block for each node.
//! See docs/on-disk-format.md.

mod frame;
pub mod key;
pub mod layout;
pub mod node_block;
pub mod probe;
pub mod superblock;

pub use frame::{Block, Identity, Newest, BLOCK_SIZE};
pub use key::Key;
pub use node_block::{Claim, Lease, NodeBlock, Record, RecordState, Shadow};
pub use superblock::{Superblock, VolumeName};
