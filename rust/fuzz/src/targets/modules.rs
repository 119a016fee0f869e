// SPDX-License-Identifier: GPL-2.0
//! What the kernel modules read: a peer's message registers, the words of an emulated bridge, what a user writes into a
//! file. Their sources are pure and taken as they are.

use super::array;
use yoke_core::ids::Uuid;

#[path = "../../../../drivers/interconnect/ntb/letter.rs"]
mod letter;
#[path = "../../../../drivers/ntb_hw_ivshmem/link.rs"]
mod link;
#[path = "../../../sys/attr/value.rs"]
mod value;

use letter::{Letter, Place, Stage, LIFE_LAST, WORDS};
use link::{ack, enabled, next_disabled, Handshake, Step, View, GUARD_NS};

const PAGE: u64 = 4096;

fn words(data: &[u8]) -> [u32; WORDS] {
    let bytes: [u8; 4 * WORDS] = array(data);
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_le_bytes(array(bytes));
    }
    words
}

/// The words as they come, and as those of one life and our version. Words of two letters never make a third.
pub(super) fn ntb_letter(data: &[u8]) {
    let raw = words(data);
    let life = raw[0] & 0xffc0_0000;
    let mut sealed = raw.map(|word| word & 0x003f_ffff | life);
    sealed[0] = sealed[0] & 0xffc1_c3ff | 1 << 10;
    for words in [raw, sealed] {
        let Some(letter) = Letter::unpack(&words) else {
            continue;
        };
        assert_eq!(letter.pack(), words);
        assert!((1..=LIFE_LAST).contains(&letter.life) && letter.echo <= LIFE_LAST);
        let (address, size) = (letter.place.address(), letter.place.size());
        assert!(size > 0 && address % PAGE == 0 && size % PAGE == 0);
        assert!(address.checked_add(size).is_some());
        mixed(&letter, data.get(4 * WORDS).copied().unwrap_or_default());
    }
}

/// A reader finds some words of a letter, and the others of the next one, of another life.
fn mixed(letter: &Letter, which: u8) {
    let next = Letter {
        life: letter.life % LIFE_LAST + 1,
        place: Place::new(PAGE, PAGE).expect("a place"),
        ..*letter
    };
    let (mut words, later) = (letter.pack(), next.pack());
    for (at, (word, later)) in words.iter_mut().zip(later).enumerate() {
        if which >> at & 1 == 1 {
            *word = later;
        }
    }
    let read = Letter::unpack(&words);
    assert!(
        read.is_none_or(|read| read == *letter || read == next),
        "{read:?}"
    );
}

pub(super) fn ntb_letter_seeds() -> Vec<Vec<u8>> {
    let letter = |life, echo, stage, address, size| {
        let place = Place::new(address, size).expect("a place");
        let letter = Letter {
            life,
            echo,
            stage,
            place,
        };
        letter.pack().map(u32::to_le_bytes).concat()
    };
    let mut two_letters = letter(7, 9, Stage::Bye, 1 << 34, 1 << 20);
    two_letters.push(0b0110);
    vec![
        letter(1, 0, Stage::Hello, 0, PAGE),
        letter(3, 2, Stage::Up, 0x1234_5678_9abc_d000, 64 << 20),
        two_letters,
    ]
}

/// Bytes of a step in [`ivshmem_link`].
const LOOK: usize = 20;

/// One side of an emulated bridge, and words of the peer and of the server that may be anything. Whatever they are, the
/// clients are told "up" and "down" in turns, "up" only while it is; and nothing is accepted that cannot be up, nor too
/// soon, nor before what the clients had queued has run.
pub(super) fn ivshmem_link(data: &[u8]) {
    let mut side = Side::new();
    for step in data.chunks_exact(LOOK) {
        side.step(&array(step));
    }
}

struct Side {
    handshake: Handshake,
    lseq: u32,
    ack: u64,
    now: i64,
    told_up: bool,
    /// Until when nothing may be accepted, and whether the clients' work has run since it was set.
    guard: i64,
    settled: bool,
}

impl Side {
    fn new() -> Self {
        Side {
            handshake: Handshake::new(),
            lseq: 0,
            ack: 0,
            now: 0,
            told_up: false,
            guard: 0,
            settled: false,
        }
    }

    fn guard(&mut self) {
        (self.guard, self.settled) = (self.now + GUARD_NS, false);
    }

    fn step(&mut self, step: &[u8; LOOK]) {
        self.now += i64::from(u16::from_le_bytes(array(&step[2..]))) * 1_000_000;
        match step[0] % 4 {
            1 if !enabled(self.lseq) => {
                self.lseq = self.lseq.wrapping_add(1);
                self.handshake.enable(self.now);
                if !self.told_up {
                    self.guard();
                }
            }
            2 => {
                self.lseq = next_disabled(self.lseq);
                assert!(!enabled(self.lseq));
                assert_eq!(self.handshake.disable(self.now), self.told_up);
                self.told_up = false;
                self.guard();
            }
            _ => {}
        }
        let view = |ack: u64, lseq: u32| View {
            own_lseq: lseq,
            own_ack: ack,
            peer_lseq: u32::from_le_bytes(array(&step[4..])),
            peer_ack: u64::from_le_bytes(array(&step[8..])),
            down_count: u32::from_le_bytes(array(&step[16..])),
            cut: step[1] & 1 != 0,
            torn: step[1] & 2 != 0,
        };
        // The acknowledgement of a side is its own: what the peer does with its words changes nothing of it.
        let runs = step[0] % 4 == 3;
        for _ in 0..5 {
            let view = view(self.ack, self.lseq);
            if self.look(&view, runs) {
                assert!(!self.told_up || view.is_up());
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// Takes the next step; whether it was the last. `runs`: what the clients have queued has run.
    fn look(&mut self, view: &View, runs: bool) -> bool {
        match self.handshake.step(view, self.now) {
            Step::Idle => return true,
            Step::Settle(ticket) => {
                if !runs {
                    return true;
                }
                // The ticket of another wait is worth nothing.
                self.handshake.settled(ticket.wrapping_add(1));
                assert_eq!(self.handshake.peek(view, self.now), Step::Settle(ticket));
                self.handshake.settled(ticket);
                self.settled = true;
            }
            Step::Accept(word) => {
                assert!(self.now >= self.guard && self.settled, "too soon");
                assert!(!view.cut && !view.torn && enabled(view.own_lseq));
                assert!(enabled(view.peer_lseq) && !self.told_up);
                assert_eq!(word, ack(view.peer_lseq, view.down_count));
                self.ack = word;
            }
            Step::Report(up) => {
                assert!(up != self.told_up && up == view.is_up(), "{view:?}");
                self.told_up = up;
                if !up {
                    self.guard();
                }
            }
        }
        false
    }
}

pub(super) fn ivshmem_link_seeds() -> Vec<Vec<u8>> {
    let look = |what: u8, flags: u8, ms: u16, lseq: u32, ack: u64, downs: u32| {
        let mut step = vec![what, flags];
        step.extend(ms.to_le_bytes());
        step.extend(lseq.to_le_bytes());
        step.extend(ack.to_le_bytes());
        step.extend(downs.to_le_bytes());
        step
    };
    let up = [
        look(1, 0, 5, 2, 0, 7),
        look(0, 0, 100, 3, 0, 7),
        look(3, 0, 1, 3, 0, 7),
        look(0, 0, 1, 3, ack(1, 7), 7),
    ]
    .concat();
    let cut = [up.clone(), look(0, 1, 9, 3, ack(1, 7), 8)].concat();
    let again = [
        cut.clone(),
        look(2, 0, 1, 3, ack(1, 8), 8),
        look(1, 2, 1, 5, 0, 8),
        look(3, 0, 200, 5, ack(3, 8), 8),
    ]
    .concat();
    vec![up, cut, again]
}

/// A number, a flag and a uuid are the texts that they are written as.
pub(super) fn attr_input(data: &[u8]) {
    let text = value::text(data);
    let (number, flag) = (value::number(data), value::flag(data));
    let Some(text) = text else {
        assert_eq!((number, flag), (None, None));
        return;
    };
    assert!(text.trim() == text && !text.contains('\0'));
    assert_eq!(value::text(text.as_bytes()), Some(text));
    if let Some(number) = number {
        let again = format!(" {number}\n");
        assert_eq!(value::number(again.as_bytes()), Some(number));
    }
    if let Some(flag) = flag {
        assert_eq!(number, Some(flag.into()));
    }
    if let Some(uuid) = Uuid::parse(text) {
        assert_eq!(uuid.to_string(), text.to_ascii_lowercase());
    }
}

pub(super) fn attr_input_seeds() -> Vec<Vec<u8>> {
    [
        "1\n",
        " 18446744073709551615\n",
        "6a3e5f0e-52b1-4a7e-9c1d-BE5C00000002\n",
        "vol0\0",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
