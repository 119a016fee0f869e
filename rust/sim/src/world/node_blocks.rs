// SPDX-License-Identifier: GPL-2.0
//! The nodes' own blocks on the shared disk: typed for speed, or as bytes.

use std::sync::Arc;

use yoke_core::disk::{Block as Sector, Identity, NodeBlock, BLOCK_SIZE};
use yoke_core::ids::NodeId;

use super::CONTROLLERS;
use crate::disk::{Cell, Place};

/// The head of a disk that was just formatted.
pub(super) fn format(identity: &Identity, bytes: bool) -> Vec<Cell> {
    let mut head = Vec::new();
    for node in (0..CONTROLLERS as u8).filter_map(NodeId::new) {
        head.push(cell(identity, &NodeBlock::blank(node, 0), bytes));
        head.push(cell(identity, &NodeBlock::blank(node, 1), bytes));
    }
    head
}

/// What a node's block looks like on the disk.
pub(super) fn cell(identity: &Identity, block: &NodeBlock, bytes: bool) -> Cell {
    if !bytes {
        return Cell::Node(Arc::new(*block));
    }
    let mut sector: Sector = [0; BLOCK_SIZE];
    block.encode(identity, &mut sector);
    Cell::Bytes(Arc::new((sector, *block)))
}

/// Where a node's block with this sequence goes.
pub(super) fn place(node: NodeId, sequence: u64) -> Place {
    Place::Head(2 * u32::from(node.get()) + (sequence & 1) as u32)
}

/// Both copies of the block of a node.
pub(super) fn places(node: u8) -> [Place; 2] {
    [
        Place::Head(2 * u32::from(node)),
        Place::Head(2 * u32::from(node) + 1),
    ]
}

/// What two copies amount to, if they amount to anything.
pub(super) fn newest(identity: &Identity, node: NodeId, copies: [&Cell; 2]) -> Option<NodeBlock> {
    match copies {
        [Cell::Bytes(first), Cell::Bytes(second)] => {
            let parsed = NodeBlock::parse_copies(identity, node, &first.0, &second.0);
            Some(parsed.ok()?.contents)
        }
        _ => written(copies),
    }
}

/// The newer one of two copies, as it was written.
pub(super) fn written(copies: [&Cell; 2]) -> Option<NodeBlock> {
    let typed = copies.into_iter().filter_map(|c| match c {
        Cell::Node(block) => Some(&**block),
        Cell::Bytes(both) => Some(&both.1),
        Cell::Block(_) => None,
    });
    typed.max_by_key(|b| b.sequence).copied()
}
