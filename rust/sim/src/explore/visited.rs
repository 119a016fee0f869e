// SPDX-License-Identifier: GPL-2.0
//! The set of states that were visited, shared by the searching threads.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

/// A fingerprint is a hash already.
#[derive(Clone, Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {}

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

type Shard = HashSet<u64, BuildHasherDefault<Identity>>;

const SHARDS: usize = 64;

/// Fingerprints of visited states.
pub(super) struct Visited {
    shards: Vec<Mutex<Shard>>,
}

impl Visited {
    pub(super) fn new() -> Self {
        Visited {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect(),
        }
    }

    /// Whether this one is new; afterwards it is not.
    pub(super) fn insert(&self, fingerprint: u64) -> bool {
        let shard = &self.shards[(fingerprint >> 58) as usize % SHARDS];
        shard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(fingerprint)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }
}
