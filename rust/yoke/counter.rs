// SPDX-License-Identifier: GPL-2.0

//! What sysfs counts.

use kernel::sync::atomic::{Atomic, Relaxed};

/// A number that only rises.
pub(crate) struct Counter(Atomic<u64>);

impl Counter {
    /// At zero.
    pub(crate) const fn new() -> Self {
        Counter(Atomic::new(0))
    }

    /// Adds to it. Context: any.
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// What it has come to. Context: any.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
