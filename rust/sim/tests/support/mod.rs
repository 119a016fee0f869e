// SPDX-License-Identifier: GPL-2.0
//! What the tests of the simulator share.

pub mod explorer;

use std::io::Write;
use std::time::{Duration, Instant};

/// Says what is being done, and how far it is, past the test harness, which keeps what tests print to itself.
pub struct Progress {
    what: String,
    began: Instant,
    told: Instant,
}

impl Progress {
    pub fn new(what: &str) -> Self {
        let now = Instant::now();
        Self {
            what: what.into(),
            began: now,
            told: now,
        }
    }

    /// Says how far it is, every few seconds.
    pub fn tell(&mut self, how_far: impl FnOnce() -> String) {
        if self.told.elapsed() > Duration::from_secs(2) {
            self.told = Instant::now();
            self.say(&how_far());
        }
    }

    /// Says what came of it, if that took long.
    pub fn done(&self, words: &str) {
        if self.began.elapsed() > Duration::from_secs(2) {
            self.say(words);
        }
    }

    fn say(&self, words: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        let line = format!("  {} ({seconds:.0} s): {words}\n", self.what);
        // Nobody may be there to read it.
        drop(std::io::stderr().write_all(line.as_bytes()));
    }
}
