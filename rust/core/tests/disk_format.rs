// SPDX-License-Identifier: GPL-2.0
//! The formats on the disk: golden bytes, round trips, and what is not accepted.
#![allow(missing_docs)]

mod support;

use proptest::prelude::*;
use yoke_core::crc::crc32c;
use yoke_core::disk::probe::{Contents, Probe};
use yoke_core::disk::{
    layout, Block, Identity, Lease, NodeBlock, Record, RecordState, Shadow, Superblock, VolumeName,
    BLOCK_SIZE,
};
use yoke_core::format::{FormatError, Malformed, TooNew};
use yoke_core::ids::{Epoch, Generation, Incarnation, NodeId, Uuid};
use yoke_core::terms::Terms;

fn identity() -> Identity {
    Identity {
        appliance: Uuid::from_bytes(*b"appliance-uuid-1"),
        volume: Uuid::from_bytes(*b"volume-uuid-0001"),
    }
}

fn node(number: u8) -> NodeId {
    NodeId::new(number).expect("a node number")
}

fn superblock() -> Superblock {
    let name = VolumeName::new("vol0").expect("a name");
    Superblock::for_disk(identity(), name, 65_536).expect("room for data")
}

fn shadow_block() -> NodeBlock {
    let epochs = [
        Epoch::new(0x1111_2222_3333_4444),
        Epoch::new(0x5555_6666_7777_8888),
        None,
        None,
        None,
        None,
        None,
        None,
    ];
    let holder_incarnation = Incarnation::new(0x0123_4567_89ab_cdef).expect("not zero");
    let shadow = Shadow {
        holder: node(1),
        holder_incarnation,
        epochs,
    };
    NodeBlock {
        node: node(0),
        incarnation: Incarnation::new(0xfedc_ba98_7654_3210),
        sequence: 7,
        lease: Lease {
            counter: 5,
            expiry_ms: 2000,
        },
        record: Record {
            generation: Generation::new(3),
            state: RecordState::Shadow(shadow),
            terms: Terms::from_micros(50_000, 30_000_000),
        },
        claim: Some(Generation::new(4)),
    }
}

fn encoded(block: &NodeBlock) -> Box<Block> {
    let mut bytes = Box::new([0xaa; BLOCK_SIZE]);
    block.encode(&identity(), &mut bytes);
    bytes
}

fn block_of(bytes: Vec<u8>) -> Box<Block> {
    bytes.into_boxed_slice().try_into().expect("4096 bytes")
}

/// Makes the checksum right again after a deliberate change.
fn seal(block: &mut Block) {
    let crc = crc32c(&block[..BLOCK_SIZE - 4]);
    block[BLOCK_SIZE - 4..].copy_from_slice(&crc.to_le_bytes());
}

// If this fails, do not change the test or the golden file: disks in the field look like that.
#[test]
fn golden_superblock_version_2() {
    let mut bytes = [0xaa; BLOCK_SIZE];
    superblock().encode(1, &mut bytes);
    support::check_golden("superblock-v2.hex", &bytes);
    let stored = block_of(support::golden("superblock-v2.hex", BLOCK_SIZE));
    assert_eq!(Superblock::parse(1, &stored), Ok(superblock()));
}

// If this fails, do not change the test or the golden files: disks in the field look like that.
#[test]
fn golden_node_block_version_2() {
    support::check_golden("node-block-shadow-v2.hex", &*encoded(&shadow_block()));
    support::check_golden(
        "node-block-blank-v2.hex",
        &*encoded(&NodeBlock::blank(node(63), 0)),
    );
    let stored = block_of(support::golden("node-block-shadow-v2.hex", BLOCK_SIZE));
    assert_eq!(
        NodeBlock::parse(&identity(), node(0), 1, &stored),
        Ok(shadow_block())
    );
    let stored = block_of(support::golden("node-block-blank-v2.hex", BLOCK_SIZE));
    assert_eq!(
        NodeBlock::parse(&identity(), node(63), 0, &stored),
        Ok(NodeBlock::blank(node(63), 0))
    );
}

#[test]
fn the_version_before_is_refused_by_name() {
    let too_old = FormatError::TooOld {
        version: 1,
        reads: 2,
    };
    let stored = block_of(support::golden("superblock-v1.hex", BLOCK_SIZE));
    assert_eq!(Superblock::parse(1, &stored), Err(too_old));
    let stored = block_of(support::golden("node-block-shadow-v1.hex", BLOCK_SIZE));
    let parsed = NodeBlock::parse(&identity(), node(0), 1, &stored);
    assert_eq!(parsed, Err(too_old));
    let words = too_old.to_string();
    assert!(
        words.contains("format version 1, this yoke reads 2"),
        "{words}"
    );
}

#[test]
fn a_newer_format_is_too_new_and_not_malformed() {
    let mut bytes = encoded(&shadow_block());
    (bytes[8], bytes[10]) = (3, 3);
    seal(&mut bytes);
    let parsed = NodeBlock::parse(&identity(), node(0), 1, &bytes);
    assert_eq!(parsed, Err(TooNew::Version { needs: 3, knows: 2 }.into()));
    (bytes[10], bytes[16]) = (2, 4);
    seal(&mut bytes);
    assert_eq!(
        NodeBlock::parse(&identity(), node(0), 1, &bytes),
        Err(TooNew::Features(4).into())
    );
}

#[test]
fn a_newer_writer_may_use_reserved_bytes_and_an_equal_one_may_not() {
    let mut bytes = encoded(&shadow_block());
    bytes[300] = 1;
    seal(&mut bytes);
    assert_eq!(
        NodeBlock::parse(&identity(), node(0), 1, &bytes),
        Err(Malformed::Reserved.into())
    );
    bytes[8] = 3;
    seal(&mut bytes);
    assert_eq!(
        NodeBlock::parse(&identity(), node(0), 1, &bytes),
        Ok(shadow_block())
    );
}

#[test]
fn a_block_of_something_else_is_refused_with_its_reason() {
    let bytes = encoded(&shadow_block());
    let other = Uuid::from_bytes([9; 16]);
    let parse =
        |identity: Identity, number, copy| NodeBlock::parse(&identity, node(number), copy, &bytes);
    assert_eq!(
        parse(
            Identity {
                appliance: other,
                ..identity()
            },
            0,
            1
        ),
        Err(Malformed::Appliance.into())
    );
    assert_eq!(
        parse(
            Identity {
                volume: other,
                ..identity()
            },
            0,
            1
        ),
        Err(Malformed::Volume.into())
    );
    assert_eq!(parse(identity(), 1, 1), Err(Malformed::Place.into()));
    assert_eq!(parse(identity(), 0, 0), Err(Malformed::Place.into()));
    assert_eq!(
        NodeBlock::parse(&identity(), node(0), 1, &[0; BLOCK_SIZE]),
        Err(Malformed::Blank.into())
    );
    assert_eq!(
        NodeBlock::parse(&identity(), node(0), 1, &[1; BLOCK_SIZE]),
        Err(Malformed::Magic.into())
    );
}

#[test]
fn impossible_fields_are_refused() {
    // (offset, value, the field that is then wrong)
    let cases: [(usize, u8, &str); 12] = [
        (72, 64, "node"),
        (73, 3, "state of the record"),
        (73, 1, "shadow of a record without one"),
        (74, 2, "number of holders"),
        (76 + 1, 0, "lease"),
        (96, 0, "generation"),
        (112, 0x88, ""),
        (128, 64, "holder"),
        (129, 1, "region epochs"),
        (136, 1, ""),
        (144, 0x55, ""),
        (160, 1, "region epochs"),
    ];
    for (at, value, field) in cases {
        let mut bytes = encoded(&shadow_block());
        bytes[at] = value;
        if field == "lease" {
            bytes[76..80].fill(0);
        }
        seal(&mut bytes);
        let parsed = NodeBlock::parse(&identity(), node(0), 1, &bytes);
        let expected = Err(FormatError::from(Malformed::Field(field)));
        assert!(
            field.is_empty() && parsed.is_ok() || parsed == expected,
            "{at}: {parsed:?}"
        );
    }
}

#[test]
fn the_newest_valid_copy_counts() {
    let old = NodeBlock {
        sequence: 6,
        claim: None,
        ..shadow_block()
    };
    let (first, second) = (encoded(&old), encoded(&shadow_block()));
    let pick = |first: &Block, second: &Block| {
        NodeBlock::parse_copies(&identity(), node(0), first, second)
    };
    let newest = pick(&first, &second).expect("both are valid");
    assert_eq!((newest.contents, newest.damaged), (shadow_block(), None));

    let mut torn = second.clone();
    torn[512..].fill(0);
    let newest = pick(&first, &torn).expect("one is valid");
    assert_eq!(
        (newest.contents, newest.damaged),
        (old, Some(Malformed::Checksum.into()))
    );

    let mut newer = second;
    (newer[8], newer[10]) = (9, 9);
    seal(&mut newer);
    let too_new = TooNew::Version { needs: 9, knows: 2 };
    assert_eq!(
        pick(&first, &newer),
        Err(too_new.into()),
        "the older copy must not be used instead"
    );
    assert_eq!(pick(&torn, &torn), Err(Malformed::Checksum.into()));
}

#[test]
fn superblock_copies_that_differ_under_one_sequence_are_a_conflict() {
    let mut copies = [[0; BLOCK_SIZE]; 2];
    superblock().encode(0, &mut copies[0]);
    Superblock {
        data_blocks: 7,
        ..superblock()
    }
    .encode(1, &mut copies[1]);
    assert_eq!(
        Superblock::parse_copies(&copies[0], &copies[1]),
        Err(Malformed::Conflict.into())
    );
    superblock().encode(1, &mut copies[1]);
    assert!(Superblock::parse_copies(&copies[0], &copies[1])
        .is_ok_and(|newest| newest.damaged.is_none()));
    assert!(!superblock().fits(1000));
    assert!(superblock().fits(65_536));
    // What stands at the end of the volume does not stand at the end of its disk.
    let end = layout::HEADER_BLOCKS + superblock().data_blocks;
    assert_eq!(end + layout::TAIL_BLOCKS, superblock().disk_blocks);
    assert!(superblock().fits(end));
}

#[test]
fn names_are_plain() {
    for good in ["vol0", "A", "a.b_c-d", "0123456789012345678901234567890"] {
        assert_eq!(
            VolumeName::new(good)
                .map(|name| name.as_str().to_owned())
                .as_deref(),
            Some(good)
        );
    }
    for bad in [
        "",
        ".",
        "-x",
        "a/b",
        "a b",
        "a\0b",
        "ä",
        "01234567890123456789012345678901",
    ] {
        assert!(VolumeName::new(bad).is_none(), "{bad:?}");
    }
}

#[test]
fn no_two_writers_share_a_block() {
    let mut places = layout::SUPERBLOCK_AT.to_vec();
    for number in 0..64 {
        places.extend([
            layout::node_block_at(node(number), 0),
            layout::node_block_at(node(number), 1),
        ]);
    }
    let count = places.len();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), count);
    assert!(places.iter().all(|&place| place < layout::HEADER_BLOCKS));
}

fn probe(disk: &[u8]) -> Contents {
    let mut probe = Probe::new(identity().appliance);
    for at in Probe::wanted((disk.len() / BLOCK_SIZE) as u64) {
        let from = at as usize * BLOCK_SIZE;
        probe.feed(
            at,
            disk[from..from + BLOCK_SIZE].try_into().expect("a block"),
        );
    }
    probe.finish()
}

#[test]
fn a_probe_tells_what_a_disk_holds() {
    let mut disk = vec![0; 600 * BLOCK_SIZE];
    assert_eq!(probe(&disk), Contents::Empty);
    assert_eq!(probe(&[]), Contents::Empty);
    disk[1080..1082].copy_from_slice(&[0x53, 0xef]);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(
        probe(&disk),
        Contents::Foreign("an ext2, ext3 or ext4 file system")
    );
    disk[1080..1082].fill(0);
    assert_eq!(
        probe(&disk),
        Contents::Foreign("a partition table or boot sector")
    );
    disk[510..512].fill(0);
    *disk.last_mut().expect("not empty") = 1;
    assert_eq!(probe(&disk), Contents::Unknown(600 * BLOCK_SIZE as u64 - 1));

    superblock().encode(0, (&mut disk[..BLOCK_SIZE]).try_into().expect("a block"));
    assert_eq!(probe(&disk), Contents::Ours(superblock()));
    let identity = Identity {
        appliance: Uuid::from_bytes([7; 16]),
        ..identity()
    };
    let other = Superblock {
        identity,
        ..superblock()
    };
    other.encode(0, (&mut disk[..BLOCK_SIZE]).try_into().expect("a block"));
    assert_eq!(probe(&disk), Contents::OtherAppliance(other));
    disk[100] ^= 1;
    assert_eq!(
        probe(&disk),
        Contents::Unreadable(Malformed::Checksum.into())
    );
    let second = layout::SUPERBLOCK_AT[1] as usize * BLOCK_SIZE;
    superblock().encode(
        1,
        (&mut disk[second..second + BLOCK_SIZE])
            .try_into()
            .expect("a block"),
    );
    assert_eq!(probe(&disk), Contents::Ours(superblock()));
}

#[test]
fn a_probe_looks_at_both_ends_and_at_no_block_twice() {
    for blocks in [0, 1, 255, 256, 257, 511, 512, 513, 100_000] {
        let wanted: Vec<u64> = Probe::wanted(blocks).collect();
        assert_eq!(wanted.len() as u64, blocks.min(512));
        assert!(wanted.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(blocks == 0 || wanted.last() == Some(&(blocks - 1)));
    }
}

prop_compose! {
    fn any_shadow()(
        holder in 0_u8..64,
        incarnation in 1_u64..,
        epochs in proptest::collection::hash_set(1_u64..u64::MAX, 1..=8),
    ) -> Shadow {
        let mut places = [None; 8];
        for (place, epoch) in places.iter_mut().zip(epochs) {
            *place = Epoch::new(epoch);
        }
        let holder_incarnation = Incarnation::new(incarnation).expect("not zero");
        Shadow { holder: node(holder), holder_incarnation, epochs: places }
    }
}

prop_compose! {
    fn any_block()(
        number in 0_u8..64,
        incarnation in any::<u64>(),
        sequence in any::<u64>(),
        lease in (any::<u64>(), 1_u32..),
        generation in 1_u64..,
        state in prop_oneof![
            Just(RecordState::Released),
            Just(RecordState::Disk),
            any_shadow().prop_map(RecordState::Shadow),
        ],
        claim in any::<u64>(),
        terms in (1_u32.., any::<u32>()),
    ) -> NodeBlock {
        NodeBlock {
            node: node(number),
            incarnation: Incarnation::new(incarnation),
            sequence,
            lease: Lease { counter: lease.0, expiry_ms: lease.1 },
            record: Record {
                generation: Generation::new(generation),
                state,
                terms: Terms::from_micros(terms.0, terms.1),
            },
            claim: Some(Generation::new(claim)).filter(|&claim| claim != Generation::NONE),
        }
    }
}

proptest! {
    #[test]
    fn every_node_block_comes_back(block in any_block()) {
        let bytes = encoded(&block);
        prop_assert_eq!(NodeBlock::parse(&identity(), block.node, block.sequence, &bytes), Ok(block));
    }

    #[test]
    fn a_flipped_bit_is_never_accepted(block in any_block(), bit in 0..BLOCK_SIZE * 8) {
        let mut bytes = encoded(&block);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(NodeBlock::parse(&identity(), block.node, block.sequence, &bytes).is_err());
        superblock().encode(0, &mut bytes);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Superblock::parse(0, &bytes).is_err());
    }

    // What is accepted is exactly what would have been written: there is one form of each state.
    #[test]
    fn arbitrary_contents_are_refused_or_mean_what_they_say(
        changes in proptest::collection::vec((0..200_usize, any::<u8>()), 0..12),
        base in any_block(),
    ) {
        let mut bytes = encoded(&base);
        for (at, value) in changes {
            // A newer version may use what is reserved here.
            if !(8..24).contains(&at) {
                bytes[at] = value;
            }
        }
        seal(&mut bytes);
        let _ = Superblock::parse(0, &bytes);
        if let Ok(parsed) = NodeBlock::parse(&identity(), base.node, base.sequence, &bytes) {
            let again = encoded(&parsed);
            prop_assert_eq!(&again[72..208], &bytes[72..208]);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), BLOCK_SIZE)) {
        let block = block_of(bytes);
        prop_assert!(NodeBlock::parse(&identity(), node(0), 0, &block).is_err());
        prop_assert!(Superblock::parse(0, &block).is_err());
        let mut probe = Probe::new(identity().appliance);
        probe.feed(0, &block);
        let _ = probe.finish();
    }
}
