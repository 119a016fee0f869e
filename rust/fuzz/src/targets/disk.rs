// SPDX-License-Identifier: GPL-2.0
//! What stands on a shared disk.

use super::{array, short};
use yoke_core::crc::crc32c;
use yoke_core::disk::probe::Probe;
use yoke_core::disk::{
    Block, Identity, Lease, NodeBlock, Record, RecordState, Superblock, VolumeName, BLOCK_SIZE,
};
use yoke_core::ids::{Generation, Incarnation, NodeId, Uuid};
use yoke_core::terms::Terms;

const IDENTITY: Identity = Identity {
    appliance: Uuid::from_bytes(*b"appliance-uuid-1"),
    volume: Uuid::from_bytes(*b"volume-uuid-0001"),
};

fn sealed(mut block: Block) -> Block {
    if let Some((body, crc)) = block.split_last_chunk_mut::<4>() {
        *crc = crc32c(body).to_le_bytes();
    }
    block
}

/// Written again, what was accepted is accepted and means the same; its version may be a newer one, its bytes are not.
pub(super) fn superblock(data: &[u8]) {
    let raw: Block = array(data);
    for block in [raw, sealed(raw)] {
        for copy in 0..2 {
            let Ok(parsed) = Superblock::parse(copy, &block) else {
                continue;
            };
            let mut again = [0xaa; BLOCK_SIZE];
            parsed.encode(copy, &mut again);
            assert_eq!(Superblock::parse(copy, &again), Ok(parsed));
            let _ = Superblock::parse_copies(&block, &again);
            let _ = (parsed.fits(0), parsed.fits(u64::MAX));
        }
    }
    let _ = Superblock::parse_copies(&sealed(raw), &raw);
}

pub(super) fn superblock_seeds() -> Vec<Vec<u8>> {
    let name = VolumeName::new("vol0").expect("a name");
    let superblock = Superblock::for_disk(IDENTITY, name, 65_536).expect("room for data");
    let mut block = [0; BLOCK_SIZE];
    superblock.encode(0, &mut block);
    // The checksum stands at the end, and is put right by the target.
    vec![short(&block[..BLOCK_SIZE - 4])]
}

pub(super) fn node_block(data: &[u8]) {
    let raw: Block = array(data);
    for block in [raw, sealed(raw)] {
        // The place is checked too: of those that the block may say, two.
        let node = NodeId::new(block[72] % 64).expect("a node");
        for sequence in [0, 1] {
            let Ok(parsed) = NodeBlock::parse(&IDENTITY, node, sequence, &block) else {
                continue;
            };
            let mut again = [0xaa; BLOCK_SIZE];
            parsed.encode(&IDENTITY, &mut again);
            let reread = NodeBlock::parse(&IDENTITY, node, parsed.sequence, &again);
            assert_eq!(reread, Ok(parsed));
            // There is one form of each state; only a newer writer may have more to say.
            if again[8..10] == block[8..10] {
                assert_eq!(again[72..208], block[72..208]);
            }
            let _ = NodeBlock::parse_copies(&IDENTITY, node, &block, &again);
        }
    }
}

pub(super) fn node_block_seeds() -> Vec<Vec<u8>> {
    let node = NodeId::new(3).expect("a node");
    let states = [RecordState::Released, RecordState::Disk];
    let with = |state| NodeBlock {
        node,
        incarnation: Incarnation::new(7),
        sequence: 5,
        lease: Lease {
            counter: 9,
            expiry_ms: 1000,
        },
        record: Record {
            generation: Generation::new(4),
            state,
            terms: Terms::from_micros(50_000, 30_000_000),
        },
        claim: Some(Generation::new(5)),
    };
    let blocks = states
        .map(with)
        .into_iter()
        .chain([NodeBlock::blank(node, 1)]);
    blocks
        .map(|block| {
            let mut bytes = [0; BLOCK_SIZE];
            block.encode(&IDENTITY, &mut bytes);
            short(&bytes[..BLOCK_SIZE - 4])
        })
        .collect()
}

/// A disk of a few blocks: the input is its beginning, and stands once more at its end.
pub(super) fn probe(data: &[u8]) {
    let block: Block = array(data);
    let mut probe = Probe::new(IDENTITY.appliance);
    for at in Probe::wanted(300) {
        let stored = match at {
            0 | 299 => block,
            1 => sealed(block),
            _ => [0; BLOCK_SIZE],
        };
        probe.feed(at, &stored);
    }
    let _ = probe.finish();
}

pub(super) fn probe_seeds() -> Vec<Vec<u8>> {
    let mut ext4 = vec![0; 1082];
    ext4[1080..].copy_from_slice(&[0x53, 0xef]);
    let mut partitions = vec![0; 512];
    partitions[510..].copy_from_slice(&[0x55, 0xaa]);
    let mut all = superblock_seeds();
    all.extend([ext4, partitions]);
    all
}
