// SPDX-License-Identifier: GPL-2.0
//! What a peer writes into a window: HELLO, heartbeat, message ring.

use super::array;
use std::cell::Cell;
use yoke_core::crc::{crc32c, Crc32c};
use yoke_core::ids::{Incarnation, LinkEpoch, LinkId, NodeId, Uuid};
use yoke_core::region::{CellRegion, Region};
use yoke_core::ring::{Consumer, Producer, Ring};
use yoke_core::wire::heartbeat::{self, Heartbeat};
use yoke_core::wire::hello::{self, Hello, Peer, Versions};
use yoke_core::wire::message::{self, Header, Port, ENTRY_SIZE, HEADER_SIZE, MESSAGE_MAX};
use yoke_core::wire::VERSIONS;

const WORD: u64 = 0x0807_0605_0403_0201;
const ENTRIES: u32 = 4;
const CONSUMED: u64 = 9;

fn epoch() -> LinkEpoch {
    LinkEpoch::new(0xa1a2_a3a4_a5a6_a7a8).expect("an epoch")
}

/// A HELLO that fits.
pub(super) fn good_hello() -> Hello {
    Hello {
        versions: VERSIONS,
        peer: Peer {
            node: NodeId::new(5).expect("a node"),
            incarnation: Incarnation::new(0x1112).expect("not 0"),
            session: 1,
        },
        link: LinkId::new(0).expect("a link"),
        leaving: false,
        refusal: 0,
        appliance: Uuid::from_bytes([7; 16]),
        nonce: 0x2122_2324_2526_2728,
        echo: 0,
        features: 0,
        required: 0,
        window_size: 0x10_0000,
        ring_entries: 8,
        beat_interval_us: 10_000,
    }
}

pub(super) fn hello(data: &[u8]) {
    let raw: [u8; hello::SIZE] = array(data);
    let mut sealed = raw;
    sealed[..8].copy_from_slice(&WORD.to_le_bytes());
    let crc = crc32c(&sealed[..hello::SIZE - 4]);
    sealed[hello::SIZE - 4..].copy_from_slice(&crc.to_le_bytes());
    for raw in [raw, sealed] {
        let Ok(parsed) = Hello::parse(WORD, &raw) else {
            continue;
        };
        let again = parsed.encode(WORD);
        assert_eq!(Hello::parse(WORD, &again), Ok(parsed));
        // Only one that speaks a higher version too may say more than we know.
        if parsed.versions.max == VERSIONS.max {
            assert_eq!(again, raw);
        }
        let _ = parsed.versions.agree(VERSIONS);
    }
}

pub(super) fn hello_seeds() -> Vec<Vec<u8>> {
    let newer = Hello {
        versions: Versions {
            min: VERSIONS.min,
            max: VERSIONS.max + 1,
        },
        leaving: true,
        refusal: 4,
        ..good_hello()
    };
    vec![
        good_hello().encode(WORD).to_vec(),
        newer.encode(WORD).to_vec(),
    ]
}

pub(super) fn heartbeat(data: &[u8]) {
    let raw: [u8; heartbeat::SIZE] = array(data);
    let mut sealed = raw;
    sealed[..8].copy_from_slice(&heartbeat::word(epoch(), 9).to_le_bytes());
    if let Some((body, crc)) = sealed.split_last_chunk_mut::<4>() {
        let sum = Crc32c::new()
            .update_u64(epoch().get())
            .update(body)
            .finish();
        *crc = sum.to_le_bytes();
    }
    for raw in [raw, sealed] {
        if let Ok(beat) = Heartbeat::parse(epoch(), 9, &raw) {
            assert_eq!(beat.number, 9);
            assert_eq!(beat.encode(epoch()), raw);
        }
    }
}

pub(super) fn heartbeat_seeds() -> Vec<Vec<u8>> {
    let beat = Heartbeat {
        number: 9,
        echo: 8,
        echo_age_us: 1234,
        produced: 77,
        ack: 66,
    };
    vec![beat.encode(epoch()).to_vec()]
}

/// A ring whose memory is the input, once as it comes and once with every entry put right. It gives only what is in
/// order, and never more than it has entries.
pub(super) fn ring(data: &[u8]) {
    let raw: [u8; ENTRY_SIZE * ENTRIES as usize] = array(data);
    let mut sealed = raw;
    for (position, entry) in (0..).zip(sealed.chunks_exact_mut(ENTRY_SIZE)) {
        seal_entry(entry, position);
    }
    for raw in [raw, sealed] {
        let memory: Vec<Cell<u64>> = raw
            .chunks_exact(8)
            .map(|word| Cell::new(u64::from_le_bytes(array(word))))
            .collect();
        let own = CellRegion::new(&memory);
        let ring = Ring::at(0, ENTRIES, 0);
        let mut consumer = Consumer::new(ring, epoch());
        let mut buffer = [0; MESSAGE_MAX];
        let mut taken = 0;
        while let Ok(Some((header, message))) = consumer.pop(&own, &mut buffer) {
            assert_eq!(usize::from(header.len), message.len());
            assert_eq!(
                header.encode(epoch(), taken, message)[..],
                raw[taken as usize * ENTRY_SIZE..][..HEADER_SIZE]
            );
            taken += 1;
            assert!(taken <= u64::from(ENTRIES), "more than there is room for");
        }
        assert_eq!(consumer.consumed(), taken);
    }
    consumed_word(u64::from_le_bytes(array(data)));
}

fn seal_entry(entry: &mut [u8], position: u64) {
    let len = usize::from(u16::from_le_bytes(array(&entry[24..26])));
    entry[..8].copy_from_slice(&message::word(epoch(), position).to_le_bytes());
    let message = entry
        .get(HEADER_SIZE..HEADER_SIZE + len)
        .unwrap_or_default();
    let sum = Crc32c::new()
        .update_u64(epoch().get())
        .update(&entry[..28])
        .update(message)
        .finish();
    entry[28..32].copy_from_slice(&sum.to_le_bytes());
}

/// What the peer says that it has read is believed only within what was sent.
fn consumed_word(word: u64) {
    let memory = vec![Cell::new(0); ENTRY_SIZE * ENTRIES as usize / 8 + 2];
    let window = CellRegion::new(&memory);
    let at = ENTRY_SIZE as u64 * u64::from(ENTRIES);
    let mut producer = Producer::new(Ring::at(0, ENTRIES, at), epoch());
    let header = Header {
        seq: 1,
        ack: 0,
        port: Port(3),
        len: 0,
    };
    for _ in 0..2 {
        producer.push(&window, &header, &[]).expect("there is room");
    }
    window
        .store_release_u64(at, word)
        .expect("the word is in the window");
    let read = word.wrapping_sub(epoch().get());
    assert_eq!(producer.refresh(&window).is_ok(), read <= 2, "{read}");
    assert!(producer.room() <= u64::from(ENTRIES));
}

pub(super) fn ring_seeds() -> Vec<Vec<u8>> {
    let entry = |position: u64, text: &[u8]| {
        let header = Header {
            seq: CONSUMED + position,
            ack: 8,
            port: Port(3),
            len: text.len() as u16,
        };
        let mut entry = header.encode(epoch(), position, text).to_vec();
        entry.extend(text);
        entry.resize(ENTRY_SIZE, 0);
        entry
    };
    let full = [
        entry(0, b"hello"),
        entry(1, b""),
        entry(2, &[0x5a; MESSAGE_MAX]),
    ];
    let two_read = message::word(epoch(), 2).to_le_bytes().to_vec();
    vec![full.concat(), entry(0, b"one"), two_read]
}
