// SPDX-License-Identifier: GPL-2.0
//! A small mutator for bounded runs in tests: no coverage, but the same inputs in every run of one seed.

use std::cell::Cell;
use std::panic::{catch_unwind, set_hook, take_hook, AssertUnwindSafe};
use std::sync::Once;

/// The longest input.
const LENGTH_MAX: usize = 8192;

/// Numbers that parsers tend to get wrong.
const ODD: [u64; 12] = [
    0,
    1,
    2,
    63,
    64,
    127,
    255,
    4095,
    4096,
    1 << 31,
    u32::MAX as u64,
    u64::MAX,
];

/// Random numbers from one seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound.max(1) as u64) as usize
    }
}

thread_local! {
    /// Whether a panic of this thread is what is looked for, and need not be told twice.
    static LOOKING: Cell<bool> = const { Cell::new(false) };
}

/// Keeps the panics of targets quiet, and those alone.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = take_hook();
        set_hook(Box::new(move |panic| {
            if !LOOKING.get() {
                tell(panic);
            }
        }));
    });
}

/// An input that broke a target.
#[derive(Debug)]
pub struct Broken {
    /// The input.
    pub input: Vec<u8>,
    /// What the target said.
    pub said: String,
}

/// Runs `target` on one input.
///
/// # Errors
///
/// The input, if the target panics.
pub fn run_one(target: fn(&[u8]), input: &[u8]) -> Result<(), Broken> {
    install_hook();
    LOOKING.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    LOOKING.set(false);
    outcome.map_err(|panic| Broken {
        input: input.to_vec(),
        said: panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default(),
    })
}

/// Runs `target` on `count` mutations of `corpus`.
///
/// # Errors
///
/// The first input on which it panics.
pub fn run(target: fn(&[u8]), corpus: &[Vec<u8>], count: u32, seed: u64) -> Result<(), Broken> {
    let mut dice = Dice(seed);
    for _ in 0..count {
        let mut input = corpus
            .get(dice.below(corpus.len()))
            .cloned()
            .unwrap_or_default();
        for _ in 0..=dice.below(4) {
            mutate(&mut input, corpus, &mut dice);
        }
        input.truncate(LENGTH_MAX);
        run_one(target, &input)?;
    }
    Ok(())
}

/// One change.
fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    let at = dice.below(input.len());
    match dice.below(8) {
        0 => change(input, at, |byte| byte ^ 1 << (at % 8)),
        1 => {
            let value = dice.roll() as u8;
            change(input, at, |_| value);
        }
        2 => change(input, at, |byte| byte.wrapping_add(1)),
        3 => change(input, at, |byte| byte.wrapping_sub(1)),
        4 => {
            let size = 1 << dice.below(4);
            let value = ODD[dice.below(ODD.len())].to_le_bytes();
            for (place, byte) in input.iter_mut().skip(at).take(size).zip(value) {
                *place = byte;
            }
        }
        5 => input.truncate(at),
        6 => {
            let more = dice.below(16) + 1;
            let bytes: Vec<u8> = (0..more).map(|_| dice.roll() as u8).collect();
            input.splice(at..at, bytes);
        }
        _ => {
            // The beginning of this one, the end of another.
            let other = corpus.get(dice.below(corpus.len())).cloned();
            let other = other.unwrap_or_default();
            let from = dice.below(other.len());
            input.truncate(at);
            input.extend(other.iter().skip(from));
        }
    }
}

fn change(input: &mut [u8], at: usize, how: impl FnOnce(u8) -> u8) {
    if let Some(byte) = input.get_mut(at) {
        *byte = how(*byte);
    }
}
