// SPDX-License-Identifier: GPL-2.0
//! The formats of the mirror, in slots and in messages: golden bytes, round trips, and what is not accepted.
//!
//! A new version gets new golden files (`YOKE_BLESS=1 cargo test -p yoke_core --test mirror_format`, once the constants
//! below say its number). The files of the versions before stay: [`older_versions_are_refused`] holds them against the
//! parsers.
#![allow(missing_docs)]

mod support;

use proptest::prelude::*;
use yoke_core::crc::crc32c;
use yoke_core::ids::{Epoch, Generation, LinkEpoch, Uuid};
use yoke_core::mirror::header::{Content, PassOp, SlotHeader, HEADER_SIZE};
use yoke_core::mirror::message::{Message, MESSAGE_SIZE};
use yoke_core::mirror::presence::{Presence, PRESENCE_SIZE};
use yoke_core::mirror::standing::Standing;
use yoke_core::terms::Terms;
use yoke_core::window::Place;

const HEADER_VERSION: u16 = 2;
const MESSAGE_VERSION: u8 = 2;
const PRESENCE_VERSION: u8 = 2;
/// Where the version stands.
const HEADER_VERSION_AT: usize = 4;
const MESSAGE_VERSION_AT: usize = 1;
const PRESENCE_VERSION_AT: usize = 1;

const SLOT: u32 = 0x0102_0304;
const VOLUME: Uuid = Uuid::from_bytes(*b"volume-uuid-0001");

fn epoch() -> Epoch {
    Epoch::new(0xa1a2_a3a4_a5a6_a7a8).expect("an epoch")
}

fn life() -> LinkEpoch {
    LinkEpoch::new(0xb1b2_b3b4_b5b6_b7b8).expect("a life")
}

/// One with data, and the two tombstones.
fn headers() -> [SlotHeader; 3] {
    let tombstone = |op, count| Content::Tombstone { op, count };
    [
        Content::Data { crc: 0x4142_4344 },
        tombstone(PassOp::Discard, 0x0a0b_0c0d_0e0f),
        tombstone(PassOp::WriteZeroes, 1),
    ]
    .map(|content| SlotHeader {
        volume: VOLUME,
        generation: Generation::new(0x1112_1314_1516_1718),
        sequence: 0x2122_2324_2526_2728,
        block: 0x3132_3334_3536_3738,
        slot: SLOT,
        content,
    })
}

/// One of each kind, in the order of their numbers.
fn messages() -> [Message; 8] {
    let generation = Generation::new(0x1112_1314_1516_1718);
    let (number, slots) = (0x5152_5354_5556_5758, 0x6162_6364);
    [
        Message::Ask {
            life: life(),
            generation,
            number,
            slots,
        },
        Message::Grant {
            life: life(),
            number,
            epoch: epoch(),
            place: Place {
                epoch_word: 0x3f,
                offset: 0x7172_7374_7576_7000,
                slots,
            },
        },
        Message::Retire { epoch: epoch() },
        Message::Released { generation },
        Message::Leaving,
        Message::Want,
        standing(Standing::Opening, 0),
        standing(Standing::Closing, 0),
    ]
}

fn standing(standing: Standing, generation: u64) -> Message {
    Message::Standing {
        standing,
        generation: Generation::new(generation),
    }
}

fn terms() -> Terms {
    Terms::from_micros(0x8182_8384, 0x9192_9394)
}

const PRESENCES: [Presence; 3] = [Presence::Opened, Presence::Here, Presence::Closed];

fn decode_header(raw: &[u8]) -> Option<SlotHeader> {
    SlotHeader::decode(raw.try_into().ok()?, epoch(), &VOLUME, SLOT)
}

/// The golden file of a format, all of its examples one behind the other.
fn examples(format: &str, version: u64, size: usize, count: usize) -> Vec<Vec<u8>> {
    let bytes = support::golden(&format!("{format}-v{version}.hex"), size * count);
    bytes.chunks(size).map(<[u8]>::to_vec).collect()
}

// If one of these fails, do not change the test or the golden file: controllers in the field speak like that.
#[test]
fn golden_slot_headers() {
    let bytes: Vec<u8> = headers().iter().flat_map(|h| h.encode(epoch())).collect();
    support::check_golden(&format!("slot-header-v{HEADER_VERSION}.hex"), &bytes);
    let stored = examples(
        "slot-header",
        HEADER_VERSION.into(),
        HEADER_SIZE,
        headers().len(),
    );
    for (raw, header) in stored.iter().zip(headers()) {
        assert_eq!(decode_header(raw), Some(header));
    }
}

#[test]
fn golden_messages() {
    let bytes: Vec<u8> = messages().iter().flat_map(|m| m.encode(&VOLUME)).collect();
    let version = u64::from(MESSAGE_VERSION);
    support::check_golden(&format!("mirror-messages-v{version}.hex"), &bytes);
    let stored = examples("mirror-messages", version, MESSAGE_SIZE, messages().len());
    for (raw, message) in stored.iter().zip(messages()) {
        assert_eq!(Message::volume(raw), Some(VOLUME));
        assert_eq!(Message::decode(raw), Some(message));
    }
}

#[test]
fn golden_standings() {
    let messages = [
        standing(Standing::Serving, 0x5152_5354_5556_5758),
        standing(Standing::Offering, 7),
    ];
    let bytes: Vec<u8> = messages.iter().flat_map(|m| m.encode(&VOLUME)).collect();
    support::check_golden("mirror-standings-v2.hex", &bytes);
    let stored = examples("mirror-standings", 2, MESSAGE_SIZE, messages.len());
    for (raw, message) in stored.iter().zip(messages) {
        assert_eq!(Message::decode(raw), Some(message));
    }
}

#[test]
fn golden_presence() {
    let bytes: Vec<u8> = PRESENCES
        .iter()
        .flat_map(|p| p.encode(&VOLUME, terms()))
        .collect();
    let version = u64::from(PRESENCE_VERSION);
    support::check_golden(&format!("presence-v{version}.hex"), &bytes);
    let stored = examples("presence", version, PRESENCE_SIZE, PRESENCES.len());
    for (raw, presence) in stored.iter().zip(PRESENCES) {
        assert_eq!(Presence::decode(raw), Some((VOLUME, presence, terms())));
    }
}

/// What was written by a yoke of an older version is never taken for something of this one.
#[test]
fn older_versions_are_refused() {
    for version in 1..u64::from(HEADER_VERSION) {
        let raw = support::golden(&format!("slot-header-v{version}.hex"), HEADER_SIZE);
        assert_eq!(decode_header(&raw), None, "slot header of {version}");
    }
    // How long they were, and how many kinds there were.
    for (version, size, count) in [(1, 72, 7)] {
        assert!(version < MESSAGE_VERSION);
        for raw in examples("mirror-messages", version.into(), size, count) {
            assert_ne!(raw, vec![0; size]);
            assert_eq!(Message::decode(&raw), None, "message of {version}");
        }
    }
    for (version, size, count) in [(1, 24, 3)] {
        assert!(version < PRESENCE_VERSION);
        for raw in examples("presence", version.into(), size, count) {
            assert_ne!(raw, vec![0; size]);
            assert_eq!(Presence::decode(&raw), None, "presence of {version}");
        }
    }
}

/// Nothing but the version is changed: it is looked at, and not only what surrounds it.
#[test]
fn other_versions_are_refused() {
    let good = headers()[0].encode(epoch());
    assert_eq!(sealed(good, epoch()), good);
    for other in [0, HEADER_VERSION.wrapping_add(1), u16::MAX] {
        let mut raw = good;
        raw[HEADER_VERSION_AT..][..2].copy_from_slice(&other.to_le_bytes());
        assert_eq!(decode_header(&sealed(raw, epoch())), None);
    }
    for other in [0, MESSAGE_VERSION + 1, u8::MAX] {
        for message in messages() {
            let mut raw = message.encode(&VOLUME);
            raw[MESSAGE_VERSION_AT] = other;
            assert_eq!(Message::decode(&raw), None);
        }
    }
    for other in [0, PRESENCE_VERSION + 1, u8::MAX] {
        for presence in PRESENCES {
            let mut raw = presence.encode(&VOLUME, terms());
            raw[PRESENCE_VERSION_AT] = other;
            assert_eq!(Presence::decode(&raw), None);
        }
    }
}

/// Makes the checksum of a header right again after a deliberate change.
fn sealed(mut raw: [u8; HEADER_SIZE], epoch: Epoch) -> [u8; HEADER_SIZE] {
    let mut covered = epoch.get().to_le_bytes().to_vec();
    covered.extend_from_slice(&raw[..HEADER_SIZE - 4]);
    raw[HEADER_SIZE - 4..].copy_from_slice(&crc32c(&covered).to_le_bytes());
    raw
}

#[test]
fn reserved_bytes_and_unknown_kinds_are_refused() {
    for at in (6..8).chain(56..60) {
        let mut raw = headers()[0].encode(epoch());
        // As a kind, it is one that nobody knows.
        raw[at] = 3;
        assert_eq!(decode_header(&sealed(raw, epoch())), None, "byte {at}");
    }
    for at in (2..8).chain(69..72) {
        for message in messages() {
            let mut raw = message.encode(&VOLUME);
            raw[at] = 1;
            assert_eq!(Message::decode(&raw), None, "byte {at} of {message:?}");
        }
    }
    for kind in (0..=u8::MAX).filter(|kind| !(1..=7).contains(kind)) {
        let mut raw = Message::Leaving.encode(&VOLUME);
        raw[0] = kind;
        assert_eq!(Message::decode(&raw), None, "kind {kind}");
    }
    for kind in (0..=u8::MAX).filter(|kind| !(1..=3).contains(kind)) {
        let mut raw = Presence::Here.encode(&VOLUME, terms());
        raw[0] = kind;
        assert_eq!(Presence::decode(&raw), None, "kind {kind}");
    }
}

#[test]
fn words_that_stand_for_nothing_are_refused_where_something_is_needed() {
    let cases = [
        (0, 24, "the life of an Ask"),
        (1, 24, "the life of a Grant"),
        (1, 48, "the epoch of a Grant"),
        (2, 48, "the epoch of a Retire"),
    ];
    for (kind, at, what) in cases {
        for nothing in [0_u64, if at == 48 { u64::MAX } else { 0 }] {
            let mut raw = messages()[kind].encode(&VOLUME);
            raw[at..][..8].copy_from_slice(&nothing.to_le_bytes());
            assert_eq!(Message::decode(&raw), None, "{what}: {nothing:#x}");
        }
    }
}

proptest! {
    #[test]
    fn every_header_comes_back_and_no_flipped_bit_does(
        words in any::<(u64, u64, u64)>(),
        volume in any::<[u8; 16]>(),
        slot in any::<u32>(),
        data_crc in any::<u32>(),
        number in 1..u64::MAX,
        bit in 0..HEADER_SIZE * 8,
    ) {
        let (epoch, volume) = (Epoch::new(number).expect("an epoch"), Uuid::from_bytes(volume));
        let generation = Generation::new(words.0);
        let header = SlotHeader { volume, generation, sequence: words.1, block: words.2, slot, content: Content::Data { crc: data_crc } };
        let mut raw = header.encode(epoch);
        prop_assert_eq!(SlotHeader::decode(&raw, epoch, &volume, slot), Some(header));
        raw[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(SlotHeader::decode(&raw, epoch, &volume, slot), None);
    }

    // There is one form of each message: what is accepted would have been written just so, but for fields that do not
    // belong to its kind.
    #[test]
    fn what_is_accepted_means_what_it_says(
        mut raw in any::<[u8; MESSAGE_SIZE]>(), kind in 0_u8..10, plain in any::<bool>(),
    ) {
        (raw[0], raw[1]) = (kind, MESSAGE_VERSION);
        if plain {
            raw[2..8].fill(0);
            raw[69..].fill(0);
        }
        let volume = Message::volume(&raw).expect("the right length");
        if let Some(message) = Message::decode(&raw) {
            prop_assert!((1..=7).contains(&kind) && raw[2..8] == [0; 6] && raw[69..] == [0; 3]);
            prop_assert_eq!(Message::decode(&message.encode(&volume)), Some(message));
        }
    }
}
