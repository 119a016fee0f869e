// SPDX-License-Identifier: GPL-2.0
//! The formats in the windows: golden bytes, round trips, and what is not accepted.
#![allow(missing_docs)]

mod support;

use proptest::prelude::*;
use yoke_core::crc::crc32c;
use yoke_core::format::Malformed;
use yoke_core::ids::{Incarnation, LinkEpoch, LinkId, NodeId, Uuid};
use yoke_core::wire::heartbeat::{self, Heartbeat};
use yoke_core::wire::hello::{self, Hello, Peer, Unreadable, Versions};
use yoke_core::wire::message::{Header, Port, HEADER_SIZE, MESSAGE_MAX};

const WORD: u64 = 0x0807_0605_0403_0201;

fn epoch() -> LinkEpoch {
    LinkEpoch::new(0xa1a2_a3a4_a5a6_a7a8).expect("an epoch")
}

fn peer() -> Peer {
    let incarnation = Incarnation::new(0x1112_1314_1516_1718).expect("not 0");
    Peer {
        node: NodeId::new(5).expect("a node"),
        incarnation,
        session: 3,
    }
}

fn hello() -> Hello {
    Hello {
        versions: Versions { min: 2, max: 2 },
        peer: peer(),
        link: LinkId::new(2).expect("a link"),
        leaving: false,
        refusal: 0,
        appliance: Uuid::from_bytes(*b"appliance-uuid-1"),
        nonce: 0x2122_2324_2526_2728,
        echo: 0x3132_3334_3536_3738,
        features: 0,
        required: 0,
        window_size: 0x10_0000,
        ring_entries: 256,
        beat_interval_us: 10_000,
    }
}

fn beat() -> Heartbeat {
    Heartbeat {
        number: 9,
        echo: 8,
        echo_age_us: 1234,
        produced: 77,
        ack: 66,
    }
}

/// Makes the checksum of a HELLO right again after a deliberate change.
fn seal(bytes: &mut [u8; hello::SIZE]) {
    let crc = crc32c(&bytes[..hello::SIZE - 4]);
    bytes[hello::SIZE - 4..].copy_from_slice(&crc.to_le_bytes());
}

// If one of these fails, do not change the test or the golden file: peers in the field speak like that.
#[test]
fn golden_hello_version_2() {
    support::check_golden("hello-v2.hex", &hello().encode(WORD));
    let stored = support::golden("hello-v2.hex", hello::SIZE)
        .try_into()
        .expect("a HELLO");
    assert_eq!(Hello::parse(WORD, &stored), Ok(hello()));
}

#[test]
fn a_hello_of_version_1_tells_its_version() {
    let stored = support::golden("hello-v1.hex", hello::SIZE)
        .try_into()
        .expect("a HELLO");
    let theirs = Versions { min: 1, max: 1 };
    assert_eq!(
        Hello::parse(WORD, &stored),
        Err(Unreadable::Versions(theirs))
    );
}

#[test]
fn golden_heartbeat_version_1() {
    support::check_golden("heartbeat-v1.hex", &beat().encode(epoch()));
    let stored = support::golden("heartbeat-v1.hex", heartbeat::SIZE)
        .try_into()
        .expect("a heartbeat");
    assert_eq!(Heartbeat::parse(epoch(), 9, &stored), Ok(beat()));
}

#[test]
fn golden_message_version_1() {
    let header = Header {
        seq: 41,
        ack: 40,
        port: Port(3),
        len: 5,
    };
    let mut entry = header.encode(epoch(), 99, b"hello").to_vec();
    entry.extend(b"hello");
    support::check_golden("message-v1.hex", &entry);
    let stored: [u8; HEADER_SIZE] = support::golden("message-v1.hex", 37)[..32]
        .try_into()
        .expect("a header");
    let parsed = Header::parse(&stored).expect("in order");
    assert_eq!(
        (parsed, parsed.check(epoch(), 99, &stored, b"hello")),
        (header, Ok(()))
    );
}

#[test]
fn a_hello_of_any_version_tells_its_versions() {
    let mut bytes = hello().encode(WORD);
    bytes[16..20].copy_from_slice(&[3, 0, 9, 0]);
    bytes[20..124].fill(0xee);
    seal(&mut bytes);
    let theirs = Versions { min: 3, max: 9 };
    assert_eq!(
        Hello::parse(WORD, &bytes),
        Err(Unreadable::Versions(theirs))
    );
    assert_eq!(theirs.agree(Versions { min: 1, max: 4 }), Some(4));
    assert_eq!(theirs.agree(Versions { min: 1, max: 2 }), None);
}

#[test]
fn a_newer_peer_may_say_more_and_an_equal_one_may_not() {
    let mut bytes = hello().encode(WORD);
    bytes[110] = 1;
    seal(&mut bytes);
    assert_eq!(
        Hello::parse(WORD, &bytes),
        Err(Unreadable::Field("reserved"))
    );
    bytes[18] = 3;
    seal(&mut bytes);
    let newer = Hello {
        versions: Versions { min: 2, max: 3 },
        ..hello()
    };
    assert_eq!(Hello::parse(WORD, &bytes), Ok(newer));
}

#[test]
fn impossible_fields_of_a_hello_are_named() {
    let cases: [(std::ops::Range<usize>, u8, &str); 8] = [
        (16..18, 0, "versions"),
        (20..21, 64, "node"),
        (21..22, 8, "link"),
        (22..23, 2, "reserved"),
        (24..40, 0, "appliance uuid"),
        (40..48, 0, "incarnation"),
        (48..56, 0, "session number"),
        (56..64, 0, "nonce"),
    ];
    for (place, value, field) in cases {
        let mut bytes = hello().encode(WORD);
        bytes[place].fill(value);
        seal(&mut bytes);
        assert_eq!(Hello::parse(WORD, &bytes), Err(Unreadable::Field(field)));
    }
    let bytes = hello().encode(WORD);
    assert_eq!(
        Hello::parse(WORD + 1, &bytes),
        Err(Malformed::Checksum.into())
    );
}

#[test]
fn nothing_of_another_epoch_or_place_is_taken() {
    let other = LinkEpoch::new(0xa1a2_a3a4_a5a6_a7a9).expect("an epoch");
    // The word of beat 9 of one epoch is the word of beat 8 of the other: the checksum tells them apart.
    let bytes = beat().encode(epoch());
    assert_eq!(heartbeat::word(epoch(), 9), heartbeat::word(other, 8));
    assert_eq!(Heartbeat::parse(other, 8, &bytes), Err(Malformed::Checksum));
    assert_eq!(Heartbeat::parse(epoch(), 10, &bytes), Err(Malformed::Place));
    let header = Header {
        seq: 41,
        ack: 40,
        port: Port(3),
        len: 0,
    };
    let bytes = header.encode(epoch(), 99, &[]);
    assert_eq!(
        header.check(other, 98, &bytes, &[]),
        Err(Malformed::Checksum)
    );
    assert_eq!(
        header.check(epoch(), 100, &bytes, &[]),
        Err(Malformed::Place)
    );
}

prop_compose! {
    fn any_hello()(
        node in 0_u8..64, link in 0_u8..8, flags in any::<(bool, u8)>(), appliance in any::<[u8; 16]>(),
        lives in (1_u64.., 1_u64.., 1_u64..), rest in any::<(u64, u64, u64, u64, u32, u32)>(),
    ) -> Hello {
        let (echo, features, required, window_size, ring_entries, beat_interval_us) = rest;
        let mut appliance = appliance;
        appliance[0] |= 1;
        Hello {
            versions: Versions { min: 2, max: 2 },
            peer: Peer {
                node: NodeId::new(node).expect("a node"),
                incarnation: Incarnation::new(lives.0).expect("not 0"),
                session: lives.1,
            },
            link: LinkId::new(link).expect("a link"),
            leaving: flags.0,
            refusal: flags.1,
            appliance: Uuid::from_bytes(appliance),
            nonce: lives.2,
            echo,
            features,
            required,
            window_size,
            ring_entries,
            beat_interval_us,
        }
    }
}

proptest! {
    #[test]
    fn every_hello_comes_back(hello in any_hello(), word in 1_u64.., bit in 0..hello::SIZE * 8) {
        let mut bytes = hello.encode(word);
        prop_assert_eq!(Hello::parse(word, &bytes), Ok(hello));
        bytes[bit / 8] ^= 1 << (bit % 8);
        let damaged = Hello::parse(word, &bytes);
        prop_assert!(matches!(damaged, Err(Unreadable::Garbage(_))), "{:?}", damaged);
    }

    #[test]
    fn a_sealed_hello_of_anything_is_refused_or_means_what_it_says(mut bytes in any::<[u8; hello::SIZE]>(), keep in 0..hello::SIZE) {
        let good = hello().encode(WORD);
        bytes[..20].copy_from_slice(&good[..20]);
        bytes[keep.max(20)..].copy_from_slice(&good[keep.max(20)..]);
        seal(&mut bytes);
        if let Ok(parsed) = Hello::parse(WORD, &bytes) {
            prop_assert_eq!(parsed.encode(WORD), bytes);
        }
    }

    #[test]
    fn every_heartbeat_comes_back(
        numbers in any::<(u64, u64, u64, u64, u64)>(),
        age in any::<u32>(),
        bit in 0..heartbeat::SIZE * 8,
    ) {
        let epoch = LinkEpoch::new(numbers.0).unwrap_or(epoch());
        let beat = Heartbeat { number: numbers.1, echo: numbers.2, echo_age_us: age, produced: numbers.3, ack: numbers.4 };
        let mut bytes = beat.encode(epoch);
        prop_assert_eq!(heartbeat::number(epoch, heartbeat::word(epoch, beat.number)), beat.number);
        prop_assert_eq!(Heartbeat::parse(epoch, beat.number, &bytes), Ok(beat));
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Heartbeat::parse(epoch, beat.number, &bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_never_taken(
        hello in any::<[u8; hello::SIZE]>(),
        beat in any::<[u8; heartbeat::SIZE]>(),
        header in any::<[u8; HEADER_SIZE]>(),
        message in proptest::collection::vec(any::<u8>(), 0..=MESSAGE_MAX),
    ) {
        let word = u64::from_le_bytes(hello[..8].try_into().expect("eight bytes"));
        prop_assert!(Hello::parse(word, &hello).is_err());
        prop_assert!(Heartbeat::parse(epoch(), 1, &beat).is_err());
        if let Ok(parsed) = Header::parse(&header) {
            prop_assert!(usize::from(parsed.len) <= MESSAGE_MAX);
            prop_assert!(parsed.check(epoch(), 0, &header, &message).is_err());
        }
    }

    #[test]
    fn epochs_differ_when_a_nonce_does(a in any::<u64>(), b in any::<u64>(), c in any::<u64>()) {
        prop_assume!(b != c);
        prop_assert_ne!(LinkEpoch::form(a, b), LinkEpoch::form(a, c));
        prop_assert_ne!(LinkEpoch::form(b, a), LinkEpoch::form(c, a));
    }
}
