// SPDX-License-Identifier: GPL-2.0

//! For tests of `exchange`: two ends and the registers between them, at the mercy of chance.

use crate::{
    exchange::Exchange,
    letter::{Letter, Place, WORDS},
};

const SIZE: u64 = 1 << 20;
/// Looks at a part of a letter, after which it is thrown away.
const PATIENCE: u32 = 3;

struct End {
    exchange: Exchange,
    memory: Place,
    window: Option<Place>,
    /// The registers that the other end fills.
    inbound: [Option<u32>; WORDS],
    /// The last letter that stood there, which may come once more.
    late: Option<[u32; WORDS]>,
    /// What is being written, and how much of it is.
    writing: Option<([u32; WORDS], usize)>,
    looks: u32,
    /// An event of the link that it has not dealt with.
    down: bool,
}

impl End {
    /// Loaded anew, with other memory. What stands in the registers stays there.
    fn load(&mut self, chance: u32) {
        let at = (u64::from(chance) + 1) * 4096;
        self.memory = Place::new(at, SIZE).unwrap_or_else(|| unreachable!());
        self.exchange = Exchange::new(self.memory, SIZE, chance);
        (self.window, self.writing, self.looks) = (None, None, 0);
        self.down = true;
    }

    /// What the driver does when it is called.
    fn step(&mut self) {
        if self.down {
            self.down = false;
            self.window = None;
            self.inbound = [None; WORDS];
            self.writing = None;
            self.exchange.restart();
        }
        if let [Some(a), Some(b), Some(c), Some(d)] = self.inbound {
            self.inbound = [None; WORDS];
            self.late = Some([a, b, c, d]);
            self.looks = 0;
            if Letter::unpack(&[a, b, c, d]).is_some_and(|letter| self.exchange.hear(letter)) {
                self.window = None;
            }
        } else if self.inbound.iter().any(|word| word.is_some()) {
            self.looks += 1;
            if self.looks > PATIENCE {
                self.inbound = [None; WORDS];
                self.looks = 0;
            }
        }
        if let Some(place) = self.exchange.wants() {
            self.window = Some(place);
            self.exchange.pointed();
        }
        if !self.exchange.settled() && self.writing.is_none() {
            self.writing = Some((self.exchange.say().pack(), 0));
        }
    }
}

pub(crate) struct Pair {
    ends: [End; 2],
    chance: u32,
}

impl Pair {
    pub(crate) fn new(seed: u32) -> Self {
        let end = |chance| {
            let memory = Place::new(0, SIZE).unwrap_or_else(|| unreachable!());
            let mut end = End {
                exchange: Exchange::new(memory, SIZE, 0),
                memory,
                window: None,
                inbound: [None; WORDS],
                late: None,
                writing: None,
                looks: 0,
                down: false,
            };
            end.load(chance);
            end
        };
        Pair {
            ends: [end(seed), end(seed + 1000)],
            chance: seed,
        }
    }

    fn chance(&mut self, below: u32) -> u32 {
        self.chance = self
            .chance
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        (self.chance >> 16) % below
    }

    /// One word on its way; the letter is told once all of it has been taken, and begun again if not.
    fn write(&mut self, from: usize) {
        let Some((words, at)) = self.ends[from].writing else {
            return;
        };
        let to = &mut self.ends[1 - from].inbound[at];
        let taken = to.is_none();
        if taken {
            *to = Some(words[at]);
        }
        let end = &mut self.ends[from];
        end.writing = (taken && at + 1 < WORDS).then_some((words, at + 1));
        if taken && at + 1 == WORDS && end.exchange.say().pack() == words {
            end.exchange.told();
        }
    }

    /// Something happens.
    pub(crate) fn anything(&mut self) {
        let (what, end) = (self.chance(40), self.chance(2) as usize);
        match what {
            0 => {
                let chance = self.chance(1 << 15);
                self.ends[end].load(chance);
                self.ends[1 - end].down = true;
            }
            // A short down, of which the ends hear when they come to it.
            1 => self.ends.iter_mut().for_each(|end| end.down = true),
            2 if self.ends[end].inbound == [None; WORDS] => {
                if let Some(words) = self.ends[end].late.take() {
                    self.ends[end].inbound = words.map(Some);
                }
            }
            3..=15 => self.ends[end].step(),
            _ => self.write(end),
        }
    }

    /// Who has heard of the last down uses nothing but the memory that there is.
    pub(crate) fn check(&self) {
        for (end, other) in [(0, 1), (1, 0)] {
            let (end, other) = (&self.ends[end], &self.ends[other]);
            if end.exchange.reach() > 0 && !end.down {
                assert_eq!(end.window, Some(other.memory));
            }
        }
    }

    /// Nothing happens any more but what the ends do: they agree, and are silent.
    pub(crate) fn calm_down(&mut self) {
        for _ in 0..40 {
            self.ends.iter_mut().for_each(|end| end.late = None);
            for end in 0..2 {
                self.ends[end].step();
                for _ in 0..WORDS {
                    self.write(end);
                }
                self.check();
            }
        }
        for end in &self.ends {
            assert_eq!(end.exchange.reach(), SIZE);
        }
        // Who lost a part of its last letter goes on saying it: the other one has no more to say.
        assert!(self.ends.iter().any(|end| end.exchange.settled()));
    }
}
