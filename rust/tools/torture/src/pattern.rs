// SPDX-License-Identifier: GPL-2.0
//! Which block is written next.

use clap::ValueEnum;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The order of the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pattern {
    /// Any block, each as likely.
    Random,
    /// One after the other, round and round.
    Seq,
    /// Nine writes in ten go to the first tenth of the range.
    Hot,
}

/// Chooses blocks.
pub struct Chooser {
    pattern: Pattern,
    first: u64,
    blocks: u64,
    cursor: u64,
    rng: SmallRng,
}

impl Chooser {
    /// Chooses among `blocks` (at least 1) blocks from `first` on. The same seed makes the same choice.
    pub fn new(pattern: Pattern, first: u64, blocks: u64, seed: u64) -> Self {
        Chooser {
            pattern,
            first,
            blocks: blocks.max(1),
            cursor: 0,
            rng: SmallRng::seed_from_u64(seed),
        }
    }

    /// The next block of the pattern.
    pub fn pick(&mut self) -> u64 {
        let offset = match self.pattern {
            Pattern::Random => self.rng.random_range(0..self.blocks),
            Pattern::Seq => self.step(),
            Pattern::Hot => {
                let hot = (self.blocks / 10).max(1);
                let span = if self.chance(0.9) { hot } else { self.blocks };
                self.rng.random_range(0..span)
            }
        };
        self.first + offset
    }

    /// The next block that `free` accepts: a few picks of the pattern, then the next free one in order.
    /// `None` if no block of the range is free.
    pub fn pick_free(&mut self, free: impl Fn(u64) -> bool) -> Option<u64> {
        for _ in 0..16 {
            let block = self.pick();
            if free(block) {
                return Some(block);
            }
        }
        (0..self.blocks)
            .map(|_| self.first + self.step())
            .find(|block| free(*block))
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability.clamp(0.0, 1.0))
    }

    fn step(&mut self) -> u64 {
        let at = self.cursor;
        self.cursor = (self.cursor + 1) % self.blocks;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn choices_stay_in_range_and_reach_all_of_it() {
        for pattern in [Pattern::Random, Pattern::Seq, Pattern::Hot] {
            let mut chooser = Chooser::new(pattern, 100, 20, 1);
            let seen: HashSet<u64> = (0..2000).map(|_| chooser.pick()).collect();
            assert_eq!(seen, (100..120).collect());
        }
    }

    #[test]
    fn hot_is_hot() {
        let mut chooser = Chooser::new(Pattern::Hot, 0, 1000, 1);
        let hot = (0..1000).filter(|_| chooser.pick() < 100).count();
        assert!(hot > 800, "{hot}");
    }

    #[test]
    fn the_only_free_block_is_found() {
        let mut chooser = Chooser::new(Pattern::Hot, 0, 1000, 1);
        assert_eq!(chooser.pick_free(|block| block == 777), Some(777));
        assert_eq!(chooser.pick_free(|_| false), None);
    }
}
