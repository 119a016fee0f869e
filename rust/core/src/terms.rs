// SPDX-License-Identifier: GPL-2.0
//! The times that two controllers of a volume have to agree on (PROTOCOL P3, P7, P12).
//!
//! Each end says its own in the greeting; the longer one counts for both. An owner promises what is agreed in its
//! record, and acts by what its record promises; who takes over waits by the record, not by its own settings.

/// Whole microseconds, as they are written: the longest is 71 minutes.
const GRAIN_NS: u64 = 1_000;

/// The times, in nanoseconds: whole microseconds up to 2^32 - 1 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    link_lease_ns: u64,
    io_life_ns: u64,
}

impl Terms {
    /// What a node promises that never owned the volume.
    pub const NONE: Self = Self {
        link_lease_ns: 0,
        io_life_ns: 0,
    };

    /// Times in nanoseconds, rounded up to what can be written.
    pub fn new(link_lease_ns: u64, io_life_ns: u64) -> Self {
        let whole = |time: u64| time.div_ceil(GRAIN_NS).min(u64::from(u32::MAX)) * GRAIN_NS;
        Self {
            link_lease_ns: whole(link_lease_ns),
            io_life_ns: whole(io_life_ns),
        }
    }

    /// From microseconds, as they are written.
    pub fn from_micros(link_lease: u32, io_life: u32) -> Self {
        Self {
            link_lease_ns: u64::from(link_lease) * GRAIN_NS,
            io_life_ns: u64::from(io_life) * GRAIN_NS,
        }
    }

    /// The link lease and T_io in microseconds.
    pub fn to_micros(self) -> (u32, u32) {
        // They are whole and fit: see `new` and `from_micros`.
        let micros = |time: u64| u32::try_from(time / GRAIN_NS).unwrap_or(u32::MAX);
        (micros(self.link_lease_ns), micros(self.io_life_ns))
    }

    /// L: how long a good fence read is a right to answer.
    pub fn link_lease_ns(&self) -> u64 {
        self.link_lease_ns
    }

    /// T_io: the longest life of a command in the disk's queue.
    pub fn io_life_ns(&self) -> u64 {
        self.io_life_ns
    }

    /// The longer of each.
    #[must_use]
    pub fn longer(self, other: Self) -> Self {
        Self {
            link_lease_ns: self.link_lease_ns.max(other.link_lease_ns),
            io_life_ns: self.io_life_ns.max(other.io_life_ns),
        }
    }

    /// The shorter of each.
    #[must_use]
    pub fn shorter(self, other: Self) -> Self {
        Self {
            link_lease_ns: self.link_lease_ns.min(other.link_lease_ns),
            io_life_ns: self.io_life_ns.min(other.io_life_ns),
        }
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_terms))]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_never_shorter_than_what_was_set() {
        let terms = Terms::new(50_000_001, 1);
        assert_eq!(terms.to_micros(), (50_001, 1));
        assert_eq!(Terms::from_micros(50_001, 1), terms);
        assert_eq!(Terms::new(u64::MAX, 0).to_micros(), (u32::MAX, 0));
    }

    #[test]
    fn the_longer_of_each_counts() {
        let (a, b) = (Terms::from_micros(50, 900), Terms::from_micros(80, 200));
        assert_eq!(a.longer(b), Terms::from_micros(80, 900));
        assert_eq!(a.shorter(b), Terms::from_micros(50, 200));
    }
}
