// SPDX-License-Identifier: GPL-2.0
//! A peer that writes whatever it likes into the window, and says whatever it likes: nothing panics, nothing is taken
//! for what it is not, and the volume serves on (DESIGN rule 6).

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use std::collections::BTreeMap;

use appliance::{crc_of, Appliance, BLOCKS, MS, SLOTS, VOLUME};
use yoke_core::ids::{Epoch, Generation, LinkEpoch, Uuid};
use yoke_core::mirror::header::{Content, SlotHeader};
use yoke_core::mirror::message::{Message, MESSAGE_SIZE};
use yoke_core::mirror::presence::{Presence, PRESENCE_SIZE};
use yoke_core::mirror::standing::Standing;
use yoke_core::volume::*;
use yoke_core::window::Place;

const SOLO: Role = Role::Owner(Mode::Solo);

/// Numbers that depend on a seed alone.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.roll() as u8)
    }

    /// A number that is nearly right at times.
    fn near(&mut self, right: u64) -> u64 {
        match self.below(4) {
            0 => right,
            1 => right.wrapping_add(1),
            2 => self.below(5),
            _ => self.roll(),
        }
    }
}

fn mirrored() -> Appliance {
    Appliance::mirrored(2, |_| ())
}

/// A message with every field at random; some of them are those of the moment. Not `Want`: that is obeyed.
fn message(a: &Appliance, dice: &mut Dice) -> Message {
    let wire = dice.below(2) as usize;
    let word = a.nodes.iter().flatten().map(|n| n.windows[wire].word).max();
    let life = LinkEpoch::new(dice.near(a.wires[wire].life).max(1)).unwrap();
    let epoch = Epoch::new(dice.near(word.unwrap_or(0)) | 1).unwrap_or(Epoch::new(1).unwrap());
    let generation = Generation::new(dice.near(1));
    let number = dice.near(1);
    match dice.below(6) {
        0 => Message::Ask {
            life,
            generation,
            number,
            slots: dice.near(SLOTS.into()) as u32,
        },
        1 => Message::Grant {
            life,
            number,
            epoch,
            place: Place {
                epoch_word: dice.roll() as u8,
                offset: dice.roll(),
                slots: dice.near(SLOTS.into()) as u32,
            },
        },
        2 => Message::Retire { epoch },
        3 => Message::Released { generation },
        4 => Message::Leaving,
        _ => {
            let (standing, count) = (dice.roll() as usize, Standing::ALL.len());
            Message::Standing {
                standing: Standing::ALL[standing % count],
                generation,
            }
        }
    }
}

/// Random bytes somewhere in the window of `n`, as its peer can write them.
fn scribble(a: &mut Appliance, n: usize, dice: &mut Dice) {
    let (wire, slot) = (dice.below(2) as usize, dice.below(SLOTS.into()) as usize);
    let window = &mut a.node(n).windows[wire];
    window.headers[slot] = dice.bytes();
    window.data[slot] = dice.roll();
}

#[test]
fn a_hostile_holder_costs_the_mirror_and_nothing_else() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut a = mirrored();
        let mut written = BTreeMap::new();
        for value in 1..60 {
            match dice.below(4) {
                0 => scribble(&mut a, 0, &mut dice),
                1 => {
                    let message = message(&a, &mut dice);
                    a.tell(0, Input::Message(message));
                }
                2 => {
                    let wire = dice.below(2) as usize;
                    let window = &mut a.node(1).windows[wire];
                    window.word = dice.near(window.word);
                }
                _ => a.pass(dice.below(20) * MS),
            }
            let block = dice.below(BLOCKS);
            a.write(0, block, value);
            written.insert(block, value);
            let block = dice.below(BLOCKS);
            let right = written.get(&block).copied().unwrap_or(0);
            assert_eq!(a.read(0, block), right, "seed {seed}");
        }
        a.kill(1);
        a.until("solo", |a| a.role(0) == SOLO);
        a.write(0, 0, 1_000);
        written.insert(0, 1_000);
        for (block, value) in written {
            assert_eq!(a.read(0, block), value, "seed {seed}");
        }
    }
}

/// One slot as a hostile owner may leave it, with one defect or none; what it is worth: version, block and value.
fn forge(a: &mut Appliance, dice: &mut Dice, sequence: u64) -> Option<((u64, u64), u64, u64)> {
    let owner = a.status(0).record.generation.get();
    // A slot has one number in all regions, and holds one version: it is adopted once.
    let slot = dice.below(SLOTS.into()) as u32;
    let window = &mut a.node(1).windows[slot as usize % 2];
    let (value, block) = (dice.roll(), dice.below(BLOCKS / 4));
    let mut header = SlotHeader {
        volume: VOLUME,
        generation: Generation::new(owner),
        sequence,
        block,
        slot,
        content: Content::Data { crc: crc_of(value) },
    };
    let mut word = window.word;
    let defect = dice.below(12);
    match defect {
        0 => header.volume = Uuid::NIL,
        1 => header.slot = slot + 1,
        2 => {
            let crc = crc_of(value) ^ 1 << dice.below(32);
            header.content = Content::Data { crc };
        }
        3 => header.block = BLOCKS + dice.near(0),
        4 => header.generation = Generation::new(owner + 1 + dice.below(9)),
        5 => word ^= 1 << dice.below(63),
        _ => (),
    }
    let mut raw = header.encode(Epoch::new(word)?);
    if defect == 6 {
        raw[dice.below(64) as usize] ^= 1 << dice.below(8);
    }
    (window.headers[slot as usize], window.data[slot as usize]) = (raw, value);
    (defect > 6).then_some(((owner, sequence), block, value))
}

#[test]
fn of_what_a_hostile_owner_leaves_only_what_is_proper_is_adopted() {
    let mut adopted = 0;
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let mut a = mirrored();
        a.hold_destage = true;
        // What each slot holds now, by wire and slot.
        let mut left = BTreeMap::new();
        for sequence in 1..40 {
            let before = a.node(1).windows.clone();
            let worth = forge(&mut a, &mut dice, sequence);
            let after = &a.node(1).windows;
            for wire in 0..2 {
                for slot in 0..SLOTS as usize {
                    if before[wire].headers[slot] != after[wire].headers[slot] {
                        left.insert((wire, slot), worth);
                    }
                }
            }
        }
        a.kill(0);
        a.until("it serves", |a| matches!(a.role(1), Role::Owner(_)));
        let mut newest = BTreeMap::new();
        for (version, block, value) in left.into_values().flatten() {
            let place = newest.entry(block).or_insert((version, value));
            if version > place.0 {
                *place = (version, value);
            }
        }
        adopted += newest.len();
        for block in 0..BLOCKS {
            let right = newest.get(&block).map_or(0, |(_, value)| *value);
            assert_eq!(a.read(1, block), right, "seed {seed}");
        }
        assert_eq!(a.status(1).adopted as usize, newest.len(), "seed {seed}");
        a.hold_destage = false;
        a.until("solo", |a| a.role(1) == SOLO);
        a.write(1, 7, 77);
        assert_eq!(a.read(1, 7), 77);
    }
    assert!(adopted > 500, "too little was proper: {adopted}");
}

#[test]
fn a_hostile_owner_that_talks_is_survived_or_refused_aloud() {
    let mut served = 0;
    for seed in 0..100 {
        let mut dice = Dice(seed);
        let mut a = mirrored();
        for _ in 0..40 {
            match dice.below(3) {
                0 => scribble(&mut a, 1, &mut dice),
                1 => {
                    let message = message(&a, &mut dice);
                    a.tell(1, Input::Message(message));
                    a.settle();
                }
                _ => a.pass(dice.below(10) * MS),
            }
        }
        a.kill(0);
        a.pass(2_000 * MS);
        if matches!(a.role(1), Role::Owner(_)) {
            served += 1;
            a.until("solo", |a| a.role(1) == SOLO);
            a.write(1, 7, 77);
            assert_eq!(a.read(1, 7), 77);
        } else {
            // Its own question has wiped the shadow that its record names.
            let status = a.status(1);
            assert!(
                status.takeover.is_err() && status.reason.is_some(),
                "seed {seed}"
            );
        }
    }
    assert!(served > 10, "{served}");
}

#[test]
fn bytes_are_a_message_or_they_are_not() {
    let mut dice = Dice(1);
    let mut messages = 0;
    for _ in 0..200_000 {
        let mut raw: [u8; MESSAGE_SIZE] = dice.bytes();
        if dice.below(2) == 0 {
            // Nearly a message.
            (raw[0], raw[1]) = (dice.below(9) as u8, 2);
            raw[2..8].fill(0);
            raw[69..].fill(0);
        }
        if let Some(message) = Message::decode(&raw) {
            messages += 1;
            assert_eq!(Message::decode(&message.encode(&VOLUME)), Some(message));
        }
        let cut = dice.below(MESSAGE_SIZE as u64) as usize;
        assert_eq!(Message::decode(&raw[..cut]), None);
        let presence = &raw[..PRESENCE_SIZE];
        if let Some((volume, presence, terms)) = Presence::decode(presence) {
            assert_eq!(
                Presence::decode(&presence.encode(&volume, terms)),
                Some((volume, presence, terms))
            );
        }
    }
    assert!(messages > 10_000);
}
