// SPDX-License-Identifier: GPL-2.0
//! What a partner puts into slots, and says of volumes.

use super::array;
use yoke_core::crc::Crc32c;
use yoke_core::ids::{Epoch, Generation, LinkEpoch, Uuid};
use yoke_core::mirror::header::{Content, PassOp, SlotHeader, HEADER_SIZE};
use yoke_core::mirror::message::{Message, MESSAGE_SIZE};
use yoke_core::mirror::presence::Presence;
use yoke_core::mirror::standing::Standing;
use yoke_core::terms::Terms;
use yoke_core::window::{Layout, Place};

const VOLUME: Uuid = Uuid::from_bytes(*b"volume-uuid-0001");
const SLOT: u32 = 7;

fn epoch() -> Epoch {
    Epoch::new(0xa1a2_a3a4_a5a6_a7a8).expect("an epoch")
}

pub(super) fn header(data: &[u8]) {
    let raw: [u8; HEADER_SIZE] = array(data);
    let mut sealed = raw;
    if let Some((body, crc)) = sealed.split_last_chunk_mut::<4>() {
        let sum = Crc32c::new()
            .update_u64(epoch().get())
            .update(body)
            .finish();
        *crc = sum.to_le_bytes();
    }
    for raw in [raw, sealed] {
        if let Some(header) = SlotHeader::decode(&raw, epoch(), &VOLUME, SLOT) {
            assert_eq!((header.volume, header.slot), (VOLUME, SLOT));
            assert_eq!(header.encode(epoch()), raw);
            let other = Epoch::new(epoch().get() ^ 1).expect("an epoch");
            assert_eq!(SlotHeader::decode(&raw, other, &VOLUME, SLOT), None);
        }
    }
}

pub(super) fn header_seeds() -> Vec<Vec<u8>> {
    let header = SlotHeader {
        volume: VOLUME,
        generation: Generation::new(3),
        sequence: 11,
        block: 5,
        slot: SLOT,
        content: Content::Data { crc: 0x1234_5678 },
    };
    let tombstone = SlotHeader {
        content: Content::Tombstone {
            op: PassOp::WriteZeroes,
            count: 9,
        },
        ..header
    };
    vec![
        header.encode(epoch()).to_vec(),
        tombstone.encode(epoch()).to_vec(),
    ]
}

pub(super) fn message(data: &[u8]) {
    let volume = Message::volume(data);
    assert_eq!(volume.is_some(), data.len() == MESSAGE_SIZE);
    let (Some(volume), Some(message)) = (volume, Message::decode(data)) else {
        return;
    };
    // Fields that do not belong to a kind are passed over, so the bytes may differ; the meaning may not.
    let again = message.encode(&volume);
    assert_eq!(Message::volume(&again), Some(volume));
    assert_eq!(Message::decode(&again), Some(message));
    if let (Message::Grant { place, .. }, Some(window)) = (message, Layout::new(1 << 20, 64)) {
        if place.check(&window) {
            // What the check lets pass lies in the window with every slot.
            let last = place.slots.saturating_sub(1);
            assert!(place.epoch_at().is_some() && place.header_at(0).is_some());
            let end = place.data_at(last).and_then(|at| at.checked_add(4096));
            assert!(place.offset >= window.regions_at() && end <= Some(window.size()));
        }
    }
}

pub(super) fn message_seeds() -> Vec<Vec<u8>> {
    let life = LinkEpoch::new(3).expect("a life");
    let generation = Generation::new(5);
    let place = Place {
        epoch_word: 6,
        offset: 24_576,
        slots: 8,
    };
    let (number, epoch) = (7, epoch());
    let messages = [
        Message::Ask {
            life,
            generation,
            number,
            slots: 8,
        },
        Message::Grant {
            life,
            number,
            epoch,
            place,
        },
        Message::Retire { epoch },
        Message::Released { generation },
        Message::Leaving,
        Message::Want,
        Message::Standing {
            standing: Standing::Stopped,
            generation,
        },
    ];
    messages.map(|m| m.encode(&VOLUME).to_vec()).to_vec()
}

pub(super) fn presence(data: &[u8]) {
    if let Some((volume, presence, terms)) = Presence::decode(data) {
        assert_eq!(presence.encode(&volume, terms)[..], *data);
    }
}

pub(super) fn presence_seeds() -> Vec<Vec<u8>> {
    [Presence::Opened, Presence::Here, Presence::Closed]
        .map(|presence| {
            presence
                .encode(&VOLUME, Terms::from_micros(50_000, 30_000_000))
                .to_vec()
        })
        .to_vec()
}
