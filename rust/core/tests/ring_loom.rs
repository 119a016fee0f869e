// SPDX-License-Identifier: GPL-2.0
//! The memory ordering of the message ring, under every interleaving that loom tries.
#![allow(missing_docs)]

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::Arc;
use yoke_core::ids::LinkEpoch;
use yoke_core::region::{check_range, check_word, Region, RegionError};
use yoke_core::ring::{Consumer, Producer, Ring};
use yoke_core::wire::message::{Header, Port, MESSAGE_MAX};

/// The entries of a ring of two take 64 words; only the first five of each are used, so only those exist.
const USED: usize = 5;

/// Memory with only the words that the test touches: what `copy_in` and `copy_out` do has no order (relaxed).
///
/// loom never lets a load take effect after a store behind it, so atomics alone would not show an entry that is given back
/// before it was read. `touched` does: copying in writes it, copying out reads it, and loom refuses the two without an order.
struct Loom {
    words: Vec<AtomicU64>,
    touched: Vec<UnsafeCell<()>>,
    /// With what order words are stored: anything but `Release` is a fault that must be found.
    storing: Ordering,
}

// SAFETY: whether the cells are ever touched at once is what loom is here to judge; there is nothing in them.
unsafe impl Sync for Loom {}

impl Loom {
    fn new(storing: Ordering) -> Self {
        Self {
            words: (0..2 * USED + 1).map(|_| AtomicU64::new(0)).collect(),
            touched: (0..2).map(|_| UnsafeCell::new(())).collect(),
            storing,
        }
    }

    /// The cell of the entry that `offset` is in.
    fn touched(&self, offset: u64) -> &UnsafeCell<()> {
        &self.touched[offset as usize / 256]
    }

    fn word(&self, offset: u64) -> &AtomicU64 {
        let word = offset as usize / 8;
        match word {
            64 => &self.words[2 * USED],
            _ => &self.words[word / 32 * USED + word % 32],
        }
    }
}

impl Region for Loom {
    fn size(&self) -> u64 {
        520
    }
    fn load_acquire_u64(&self, offset: u64) -> Result<u64, RegionError> {
        check_word(offset, self.size())?;
        Ok(self.word(offset).load(Ordering::Acquire))
    }
    fn store_release_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
        check_word(offset, self.size())?;
        self.word(offset).store(value, self.storing);
        Ok(())
    }
    fn copy_in(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        check_range(offset, data.len() as u64, self.size())?;
        self.touched(offset).with_mut(|_| ());
        for (index, eight) in data.chunks_exact(8).enumerate() {
            let value = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
            self.word(offset + index as u64 * 8)
                .store(value, Ordering::Relaxed);
        }
        Ok(())
    }
    fn copy_out(&self, offset: u64, data: &mut [u8]) -> Result<(), RegionError> {
        check_range(offset, data.len() as u64, self.size())?;
        self.touched(offset).with(|_| ());
        for (index, eight) in data.chunks_exact_mut(8).enumerate() {
            let value = self.word(offset + index as u64 * 8).load(Ordering::Relaxed);
            eight.copy_from_slice(&value.to_le_bytes());
        }
        Ok(())
    }
}

/// Three messages through a ring of two, so that an entry is used twice: the second use must not overtake the first
/// reader, and no reader may see half an entry. The checksum would tell; here it must never have to. `pushing` and `giving_back`
/// are the orders of the words that say so.
fn three_messages(pushing: Ordering, giving_back: Ordering) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let epoch = LinkEpoch::new(1 << 40).expect("an epoch");
        let ring = Ring::at(0, 2, 512);
        let (there, here) = (
            Arc::new(Loom::new(pushing)),
            Arc::new(Loom::new(giving_back)),
        );
        let mut consumer = Consumer::new(ring, epoch);
        consumer.tell(&*here, true).expect("the word is inside");

        let (to, own) = (Arc::clone(&there), Arc::clone(&here));
        let sender = loom::thread::spawn(move || {
            let mut producer = Producer::new(ring, epoch);
            for seq in 1..=3_u64 {
                let message = seq.to_le_bytes();
                let header = Header {
                    seq,
                    ack: 0,
                    port: Port(1),
                    len: 8,
                };
                while producer.room() == 0 {
                    producer
                        .refresh(&*own)
                        .expect("only what was read is given back");
                    loom::thread::yield_now();
                }
                producer
                    .push(&*to, &header, &message)
                    .expect("there is room");
            }
        });
        let mut expected = 1_u64;
        while expected <= 3 {
            let mut buffer = [0; MESSAGE_MAX];
            match consumer
                .pop(&*there, &mut buffer)
                .expect("whole entries only")
            {
                Some((header, message)) => {
                    assert_eq!(
                        (header.seq, message),
                        (expected, &expected.to_le_bytes()[..])
                    );
                    consumer.tell(&*here, false).expect("the word is inside");
                    expected += 1;
                }
                None => loom::thread::yield_now(),
            }
        }
        sender.join().expect("the sender ends");
    });
}

#[test]
fn no_entry_is_seen_before_it_is_whole_or_overwritten_before_it_is_read() {
    three_messages(Ordering::Release, Ordering::Release);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn an_entry_that_is_given_back_without_order_is_found() {
    three_messages(Ordering::Release, Ordering::Relaxed);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn an_entry_that_is_pushed_without_order_is_found() {
    three_messages(Ordering::Relaxed, Ordering::Release);
}
