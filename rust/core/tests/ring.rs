// SPDX-License-Identifier: GPL-2.0
//! The message ring against a model of it, and against a peer that writes anything.
#![allow(missing_docs)]

use std::cell::Cell;
use std::collections::VecDeque;

use proptest::prelude::*;
use yoke_core::ids::LinkEpoch;
use yoke_core::region::{CellRegion, Region};
use yoke_core::ring::{Consumer, Producer, PushError, Ring};
use yoke_core::wire::message::{Header, Port, ENTRY_SIZE, MESSAGE_MAX};

const ENTRIES: u32 = 4;
const CONSUMED_AT: u64 = ENTRIES as u64 * ENTRY_SIZE as u64;
const RING: Ring = Ring::at(0, ENTRIES, CONSUMED_AT);

fn memory() -> Vec<Cell<u64>> {
    vec![Cell::new(0); CONSUMED_AT as usize / 8 + 1]
}

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<u8>),
    Pop,
    Tell,
    Refresh,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..=MESSAGE_MAX).prop_map(Step::Push),
        3 => Just(Step::Pop),
        1 => Just(Step::Tell),
        1 => Just(Step::Refresh),
    ]
}

proptest! {
    /// What comes out is what went in, and the ring is full exactly when the model is.
    #[test]
    fn the_ring_is_a_bounded_queue(epoch in 1..u64::MAX, steps in proptest::collection::vec(any_step(), 0..200)) {
        let epoch = LinkEpoch::new(epoch).expect("an epoch");
        let (there, here) = (memory(), memory());
        let (there, here) = (CellRegion::new(&there), CellRegion::new(&here));
        let (mut producer, mut consumer) = (Producer::new(RING, epoch), Consumer::new(RING, epoch));
        consumer.tell(&here, true).expect("inside");
        let mut queue: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        let (mut seq, mut read, mut told, mut known) = (0_u64, 0_u64, 0_u64, 0_u64);
        for step in steps {
            match step {
                Step::Push(message) => {
                    let header = Header { seq: seq + 1, ack: 0, port: Port(9), len: message.len() as u16 };
                    let pushed = producer.push(&there, &header, &message);
                    if seq - known == u64::from(ENTRIES) {
                        prop_assert_eq!(pushed, Err(PushError::Full));
                    } else {
                        prop_assert_eq!(pushed, Ok(()));
                        seq += 1;
                        queue.push_back((seq, message));
                    }
                }
                Step::Pop => {
                    let mut buffer = [0; MESSAGE_MAX];
                    let popped = consumer.pop(&there, &mut buffer).expect("in order");
                    let expected = queue.pop_front();
                    read += u64::from(expected.is_some());
                    prop_assert_eq!(popped.map(|(h, m)| (h.seq, m.to_vec())), expected);
                }
                Step::Tell => {
                    consumer.tell(&here, false).expect("inside");
                    told = read;
                }
                Step::Refresh => {
                    producer.refresh(&here).expect("in order");
                    known = told;
                }
            }
            prop_assert_eq!(producer.room(), u64::from(ENTRIES) - (seq - known));
        }
    }

    /// A bit that flips in an entry either hides the entry or is a fault; it never gives another message.
    #[test]
    fn a_flipped_bit_is_never_taken(len in 0..=MESSAGE_MAX, bit in 0..ENTRY_SIZE * 8) {
        let epoch = LinkEpoch::new(0x0123_4567_89ab_cdef).expect("an epoch");
        let words = memory();
        let there = CellRegion::new(&words);
        let message = vec![0x5a; len];
        let header = Header { seq: 1, ack: 0, port: Port(1), len: len as u16 };
        Producer::new(RING, epoch).push(&there, &header, &message).expect("room");
        words[bit / 64].set(words[bit / 64].get() ^ 1 << (bit % 64));
        let mut buffer = [0; MESSAGE_MAX];
        let popped = Consumer::new(RING, epoch).pop(&there, &mut buffer);
        let unused = bit / 8 >= 32 + len;
        prop_assert_eq!(matches!(popped, Ok(Some(_))), unused);
    }

    /// A window full of anything gives no message and no panic.
    #[test]
    fn arbitrary_memory_gives_nothing(
        epoch in 1..u64::MAX,
        garbage in proptest::collection::vec(any::<u64>(), CONSUMED_AT as usize / 8 + 1),
        invite in any::<bool>(),
    ) {
        let epoch = LinkEpoch::new(epoch).expect("an epoch");
        let words: Vec<Cell<u64>> = garbage.into_iter().map(Cell::new).collect();
        if invite {
            words[0].set(epoch.get());
        }
        let memory = CellRegion::new(&words);
        let mut buffer = [0; MESSAGE_MAX];
        let popped = Consumer::new(RING, epoch).pop(&memory, &mut buffer);
        prop_assert!(!matches!(popped, Ok(Some(_))));
        prop_assert_eq!(popped.is_err(), invite);
        let consumed = memory.load_acquire_u64(CONSUMED_AT).expect("inside");
        prop_assert_eq!(Producer::new(RING, epoch).refresh(&memory).is_ok(), consumed == epoch.get());
    }
}
