// SPDX-License-Identifier: GPL-2.0

//! What the two ends of a bridge that translates at the sending end say to each other, in four message registers. Pure.
//!
//! ```text
//! bits   31..22  21 .................................. 0
//! word 0  life   zeroes (5) | stage (3) | version (4) | echo (10)
//! word 1  life   page, bits 0..22
//! word 2  life   page, bits 22..44
//! word 3  life   pages - 1 (14)         | page, bits 44..52
//! ```
//!
//! The registers are filled one by one, so a reader may find words of two letters. Each word carries the sender's *life*,
//! and with the same life only word 0 ever differs: whatever words with one life stand together are a letter.

/// How many words a letter has.
pub(crate) const WORDS: usize = 4;
/// Memory is given in pages of this size.
const PAGE: u64 = 4096;
/// Bits of a word below the life.
const BITS: u32 = 22;
/// What a life may be: 0 is none, and all ones are what reads from a device that is gone.
pub(crate) const LIFE_LAST: u16 = (1 << (32 - BITS)) - 2;
const VERSION: u32 = 1;
const PAGES_BITS: u32 = 14;

/// Memory of one end that the other one may write, as the bridge sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    address: u64,
    size: u64,
}

impl Place {
    /// `None`: not whole pages, none at all, more than a letter can say, or beyond the end of the addresses.
    pub(crate) fn new(address: u64, size: u64) -> Option<Self> {
        let whole = address % PAGE == 0 && size % PAGE == 0;
        let few = size > 0 && size / PAGE <= 1 << PAGES_BITS;
        let inside = address.checked_add(size).is_some();
        (whole && few && inside).then_some(Place { address, size })
    }

    /// For the bridge; only its owner knows whether it is right.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// In bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

/// How far the sender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It does not reach the other end's memory.
    Hello,
    /// It has pointed its window at the memory that the life in the echo named.
    Set,
    /// And has heard the same of the other end.
    Up,
    /// It goes: it does not reach the other end's memory any more, and its own is to be left alone.
    Bye,
    /// It leaves the memory of the life in the echo alone.
    Gone,
}

impl Stage {
    fn number(self) -> u32 {
        match self {
            Stage::Hello => 1,
            Stage::Set => 2,
            Stage::Up => 3,
            Stage::Bye => 4,
            Stage::Gone => 5,
        }
    }

    fn of(number: u32) -> Option<Self> {
        let all = [Stage::Hello, Stage::Set, Stage::Up, Stage::Bye, Stage::Gone];
        all.into_iter().find(|stage| stage.number() == number)
    }
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Of the sender: another one whenever the link was down, or its memory is another.
    pub(crate) life: u16,
    /// The life of the other end that it has heard of; 0: none.
    pub(crate) echo: u16,
    pub(crate) stage: Stage,
    pub(crate) place: Place,
}

impl Letter {
    /// As it stands in the registers.
    pub(crate) fn pack(&self) -> [u32; WORDS] {
        const PAYLOAD: u64 = (1 << BITS) - 1;
        let page = self.place.address / PAGE;
        let pages = self.place.size / PAGE - 1;
        let head = u64::from(self.echo) | u64::from(VERSION << 10 | self.stage.number() << 14);
        let last = page >> (2 * BITS) | pages << 8;
        [head, page, page >> BITS, last]
            .map(|payload| u32::from(self.life) << BITS | (payload & PAYLOAD) as u32)
    }

    /// From what the peer wrote, which may be anything. `None`: no letter of this version, or words of two.
    pub(crate) fn unpack(words: &[u32; WORDS]) -> Option<Self> {
        let [head, low, middle, last] = words.map(|word| word & ((1 << BITS) - 1));
        let life = (words[0] >> BITS) as u16;
        let one = words.iter().all(|word| word >> BITS == u32::from(life));
        let page =
            u64::from(low) | u64::from(middle) << BITS | u64::from(last & 0xff) << (2 * BITS);
        let known = head >> 17 == 0 && head >> 10 & 0xf == VERSION;
        let echo = (head & 0x3ff) as u16;
        if !one || !known || life == 0 || life > LIFE_LAST || echo > LIFE_LAST {
            return None;
        }
        Some(Letter {
            life,
            echo,
            stage: Stage::of(head >> 14 & 7)?,
            place: Place::new(page * PAGE, (u64::from(last >> 8) + 1) * PAGE)?,
        })
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_ntb_letter))]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn letter(life: u16, echo: u16, stage: Stage, address: u64, size: u64) -> Option<Letter> {
        Place::new(address, size).map(|place| Letter {
            life,
            echo,
            stage,
            place,
        })
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let highest = u64::MAX - (64 * MIB - 1) - 4096;
        let cases = [
            letter(1, 0, Stage::Hello, 0, 4096),
            letter(2, 1, Stage::Set, 0x1234_5678_9abc_d000, 64 * MIB),
            letter(LIFE_LAST, LIFE_LAST, Stage::Up, highest, 64 * MIB),
            letter(7, 9, Stage::Bye, 1 << 63, 768 << 10),
            letter(7, 9, Stage::Gone, 1 << 34, 65536),
        ];
        for letter in cases {
            assert!(letter.is_some());
            assert_eq!(letter.and_then(|some| Letter::unpack(&some.pack())), letter);
        }
    }

    #[test]
    fn the_words_are_these() {
        let letter = letter(3, 2, Stage::Up, 0x00ab_cdef_0123_4000, MIB);
        assert_eq!(
            letter.map(|some| some.pack()),
            Some([0x00c0_c402, 0x00f0_1234, 0x00ea_f37b, 0x00c0_ff00])
        );
    }

    #[test]
    fn what_is_no_letter_is_refused() {
        assert_eq!(Letter::unpack(&[0; 4]), None);
        assert_eq!(Letter::unpack(&[u32::MAX; 4]), None);
        let good = letter(3, 2, Stage::Up, MIB, MIB).map(|some| some.pack());
        let Some(good) = good else { return };
        for (word, flip) in [
            (0, 1 << 22),
            (1, 1 << 31),
            (2, 1 << 22),
            (3, 1 << 25),
            (0, 1 << 10),
            (0, 1 << 13),
            (0, 4 << 14),
            (0, 1 << 17),
            (0, 1 << 21),
        ] {
            let mut bad = good;
            bad[word] ^= flip;
            assert_eq!(Letter::unpack(&bad), None);
        }
    }

    #[test]
    fn a_place_is_whole_pages_that_can_be_said() {
        assert!(Place::new(4096, 64 * MIB).is_some());
        assert!(Place::new(4096, 64 * MIB + 4096).is_none());
        assert!(Place::new(4096, 0).is_none());
        assert!(Place::new(512, 4096).is_none());
        assert!(Place::new(4096, 6144).is_none());
        assert!(Place::new(u64::MAX - 4095, 8192).is_none());
    }
}
