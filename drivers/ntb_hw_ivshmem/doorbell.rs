// SPDX-License-Identifier: GPL-2.0

//! Doorbells: one word a bit in the receiver's page, and an interrupt that says "look".
//!
//! A ring may be lost or delayed (the server can do that to a link on purpose), the word stays. A
//! masked bit stays pending in its word; whoever unmasks it rings himself, as hardware would.

use crate::layout::{ControlPage, DOORBELLS, VECTOR_DOORBELL};
use core::num::NonZero;
use kernel::sync::{
    atomic::{Atomic, Relaxed},
    barrier,
};

/// The bits that exist.
pub(crate) const VALID: u64 = (1 << DOORBELLS) - 1;

/// The doorbell bits that share the vector of number `index` (0 is the first doorbell vector),
/// when a side listens on `vectors` of them.
pub(crate) fn bits_of_vector(index: usize, vectors: usize) -> u64 {
    if vectors == 0 || index >= vectors {
        return 0;
    }
    (index..DOORBELLS)
        .step_by(vectors)
        .fold(0, |bits, bit| bits | 1 << bit)
}

/// The vector that a doorbell bit rings on a side that listens on `vectors` of them.
pub(crate) fn vector_of_bit(bit: usize, vectors: usize) -> u32 {
    // A divisor that is seen not to be 0 leaves no panic in the code, whatever compiles it.
    let divisor = NonZero::new(vectors.min(DOORBELLS));
    VECTOR_DOORBELL + divisor.map_or(0, |divisor| bit % divisor) as u32
}

/// The set bits of `bits`, lowest first.
pub(crate) fn each(bits: u64) -> impl Iterator<Item = usize> {
    (0..DOORBELLS).filter(move |bit| bits & (1 << bit) != 0)
}

/// Stores 1 into the words of `bits`.
pub(crate) fn set(page: &ControlPage, bits: u64) {
    // What the ring is about comes before the ring; write-combined stores included.
    barrier::mb(barrier::Full);
    store(&page.doorbell, bits, 1);
}

/// Stores 0 into the words of `bits`. What the caller reads afterwards is as new as any ring that
/// this has cleared.
pub(crate) fn clear(page: &ControlPage, bits: u64) {
    store(&page.doorbell, bits, 0);
    barrier::mb(barrier::Full);
}

/// The bits whose words are not 0.
pub(crate) fn pending(page: &ControlPage) -> u64 {
    let bits = load(&page.doorbell);
    // What the caller reads next is at least as new as the ring.
    barrier::mb(barrier::Read);
    bits
}

/// The local mask. A word for each bit, so that no two CPUs change one word.
pub(crate) struct Mask([Atomic<u32>; DOORBELLS]);

impl Mask {
    /// Everything masked.
    pub(crate) const fn all() -> Self {
        Mask([const { Atomic::new(1) }; DOORBELLS])
    }

    /// The masked bits.
    pub(crate) fn read(&self) -> u64 {
        load(&self.0)
    }

    /// Masks `bits`.
    pub(crate) fn set(&self, bits: u64) {
        store(&self.0, bits, 1);
        barrier::mb(barrier::Full);
    }

    /// Unmasks `bits`. Look at [`pending`] afterwards: what rang before was not told.
    pub(crate) fn clear(&self, bits: u64) {
        store(&self.0, bits, 0);
        barrier::mb(barrier::Full);
    }
}

fn store(words: &[Atomic<u32>; DOORBELLS], bits: u64, value: u32) {
    for word in each(bits).filter_map(|bit| words.get(bit)) {
        word.store(value, Relaxed);
    }
}

fn load(words: &[Atomic<u32>; DOORBELLS]) -> u64 {
    words
        .iter()
        .enumerate()
        .filter(|(_, word)| word.load(Relaxed) != 0)
        .fold(0, |bits, (bit, _)| bits | 1 << bit)
}

#[cfg(yoke_kunit)]
#[kernel::macros::kunit_tests(ntb_hw_ivshmem_doorbell)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_rings_the_vector_that_listens_to_it() {
        for vectors in 1..=DOORBELLS {
            for bit in 0..DOORBELLS {
                let rung = (vector_of_bit(bit, vectors) - VECTOR_DOORBELL) as usize;
                for index in 0..DOORBELLS {
                    let listens = bits_of_vector(index, vectors) & (1 << bit) != 0;
                    assert_eq!(listens, index == rung);
                }
            }
        }
    }

    #[test]
    fn numbers_of_vectors_that_cannot_be_are_bounded() {
        assert_eq!(bits_of_vector(0, 0), 0);
        assert_eq!(bits_of_vector(usize::MAX, DOORBELLS), 0);
        assert_eq!(vector_of_bit(15, 0), VECTOR_DOORBELL);
        assert_eq!(vector_of_bit(15, usize::MAX), VECTOR_DOORBELL + 15);
    }

    #[test]
    fn bits_that_do_not_exist_are_not_walked() {
        assert_eq!(each(!0).count(), DOORBELLS);
        assert_eq!(each(!VALID).count(), 0);
        assert!(each(0b1010).eq([1, 3]));
    }

    #[test]
    fn a_mask_begins_full() {
        let mask = Mask::all();
        assert_eq!(mask.read(), VALID);
        mask.clear(0b11);
        mask.set(0b1);
        assert_eq!(mask.read(), VALID & !0b10);
    }
}
