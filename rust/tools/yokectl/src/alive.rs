// SPDX-License-Identifier: GPL-2.0
//! Whether somebody serves the volume on a disk at this moment, perhaps on a controller that we cannot ask.
//!
//! As the multi-host protection of other formats does it: an owner that rests on the disk renews its lease there, so its
//! block moves; whoever watches for a whole lease sees it. An owner with a partner rests on the link instead, and leaves
//! the disk alone: its record names the shadow, and nothing on the disk tells whether the two live.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};
use yoke_core::disk::layout::{node_block_at, NODE_BLOCKS, NODE_BLOCKS_AT, SUPERBLOCK_AT};
use yoke_core::disk::node_block::RecordState;
use yoke_core::disk::{Block, NodeBlock, Superblock, BLOCK_SIZE};
use yoke_core::ids::{NodeId, NODE_COUNT};
use yoke_core::terms::Terms;

/// How often the blocks are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// The shortest watch: where no lease is known.
const LEAST: Duration = Duration::from_secs(2);
/// The longest lease that can be configured (docs/abi.md); a block that says more is not believed.
const MOST: Duration = Duration::from_secs(60);

/// All node blocks, at an address that O_DIRECT takes.
#[repr(C, align(4096))]
struct NodeArea([Block; NODE_BLOCKS as usize]);

/// One block, likewise.
#[repr(C, align(4096))]
struct Aligned(Block);

/// What is known of the life of a volume.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Nobody serves it, as far as the disk tells.
    None,
    /// A node's block moves.
    Moves(NodeId),
    /// This owner's acknowledged writes are in the memory of this holder, too; both may live.
    Shadow { owner: NodeId, holder: NodeId },
}

fn read(disk: &File) -> io::Result<Box<NodeArea>> {
    let mut area = Box::new(NodeArea([[0; BLOCK_SIZE]; NODE_BLOCKS as usize]));
    disk.read_exact_at(
        area.0.as_flattened_mut(),
        NODE_BLOCKS_AT * BLOCK_SIZE as u64,
    )?;
    Ok(area)
}

/// The superblock; `None` where the disk holds no volume that can be read here.
fn superblock(disk: &File) -> io::Result<Option<Superblock>> {
    let mut copies = [(); 2].map(|()| Box::new(Aligned([0; BLOCK_SIZE])));
    for (copy, at) in copies.iter_mut().zip(SUPERBLOCK_AT) {
        disk.read_exact_at(&mut copy.0, at * BLOCK_SIZE as u64)?;
    }
    let [first, second] = &copies;
    let newest = Superblock::parse_copies(&first.0, &second.0);
    Ok(newest.ok().map(|newest| newest.contents))
}

/// What all nodes say, those that cannot be read apart.
fn blocks(superblock: &Superblock, area: &NodeArea) -> Vec<NodeBlock> {
    let place = |node, copy| {
        area.0
            .get((node_block_at(node, copy) - NODE_BLOCKS_AT) as usize)
    };
    (0..NODE_COUNT as u8)
        .filter_map(NodeId::new)
        .filter_map(|node| {
            let (first, second) = (place(node, 0)?, place(node, 1)?);
            NodeBlock::parse_copies(&superblock.identity, node, first, second).ok()
        })
        .map(|newest| newest.contents)
        .collect()
}

/// The node whose block differs between two looks.
fn moved(before: &NodeArea, after: &NodeArea) -> Option<NodeId> {
    let at = before.0.iter().zip(&after.0).position(|(b, a)| b != a)?;
    NodeId::new(u8::try_from(at / 2).ok()?)
}

/// How long to watch; `None` where nothing says that anybody has it.
fn patience(blocks: &[NodeBlock]) -> Option<Duration> {
    let top = blocks.iter().max_by_key(|block| block.record.generation)?;
    let claimed = blocks.iter().any(|block| block.claim.is_some());
    if top.record.state == RecordState::Released && !claimed {
        return None;
    }
    let longest = blocks.iter().map(|block| block.lease.expiry_ms).max();
    let lease = Duration::from_millis(longest.unwrap_or(0).into()).min(MOST);
    // Twice: a disk may be slow, and the lease renewed late.
    Some((lease * 2).max(LEAST))
}

/// What the owner of the volume on a disk promises in its record; none where nobody owns it.
///
/// # Errors
///
/// The disk cannot be read.
pub(crate) fn promised(disk: &File) -> io::Result<Option<(NodeId, Terms)>> {
    let Some(superblock) = superblock(disk)? else {
        return Ok(None);
    };
    let blocks = blocks(&superblock, &*read(disk)?);
    let top = blocks.iter().max_by_key(|block| block.record.generation);
    Ok(top
        .filter(|top| top.record.state != RecordState::Released)
        .map(|top| (top.node, top.record.terms)))
}

/// Looks whether somebody serves the volume on the disk. Takes as long as two leases, where there is one.
///
/// # Errors
///
/// The disk cannot be read.
pub(crate) fn look(disk: &File) -> io::Result<Life> {
    let Some(superblock) = superblock(disk)? else {
        return Ok(Life::None);
    };
    let first = read(disk)?;
    let blocks = blocks(&superblock, &first);
    let Some(patience) = patience(&blocks) else {
        return Ok(Life::None);
    };
    let until = Instant::now() + patience;
    while Instant::now() < until {
        std::thread::sleep(LOOK);
        if let Some(node) = moved(&first, &*read(disk)?) {
            return Ok(Life::Moves(node));
        }
    }
    let top = blocks.iter().max_by_key(|block| block.record.generation);
    Ok(match top.map(|top| (top.node, top.record.state)) {
        // One that holds its own shadow, after a takeover, rests on the disk: its block would have moved.
        Some((owner, RecordState::Shadow(shadow))) if shadow.holder != owner => Life::Shadow {
            owner,
            holder: shadow.holder,
        },
        _ => Life::None,
    })
}
