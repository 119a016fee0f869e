// SPDX-License-Identifier: GPL-2.0

//! The generation of a link: a number that every down raises.
//!
//! The NTB API says whether a link is up now, and calls when that has changed. By the time of the call it may have
//! changed back. So every call counts, whatever the state is then: a generation too many costs a handshake, one too few
//! an acknowledged write. Where the bridge's driver has a count of its own (include/yoke/ntb_down_count.h), which is
//! there before anybody is called, that is the generation.
//!
//! Between a down and the call that tells of it a link may come back, and answer a fence. Then time tells: see
//! `min_down_us` in include/yoke/interconnect.h.

#[cfg(not(test))]
use kernel::sync::{
    atomic::{Atomic, Relaxed},
    barrier,
};
#[cfg(test)]
use tests::stand_in::{barrier, Atomic, Relaxed};

/// Of a bridge whose driver does not say. A PCIe link that has gone down trains anew before it carries anything: it looks
/// for a receiver, exchanges at least 1024 ordered sets, and initialises flow control; in practice that takes tens of
/// milliseconds. See docs/limits.md.
pub(crate) const MIN_DOWN_US: u32 = 1000;

/// The calls that may have told of a down.
pub(crate) struct Calls {
    count: Atomic<u64>,
}

impl Calls {
    pub(crate) const fn new() -> Self {
        Calls {
            count: Atomic::new(0),
        }
    }

    /// Something happened to the link. Returns the count with it. Any context.
    pub(crate) fn note(&self) -> u64 {
        self.count.fetch_add(1, Relaxed).wrapping_add(1)
    }

    /// So many so far.
    #[inline]
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }
}

/// Reads a word through the link, and then the generation: what was raised before the word came shows.
#[inline]
pub(crate) fn fence(read: impl FnOnce() -> u64, generation: impl FnOnce() -> u64) -> (u64, u64) {
    let word = read();
    barrier::mb(barrier::Read);
    (word, generation())
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_ntb_down))]
mod tests {
    use super::*;

    /// What the kernel has, for the host.
    #[cfg(test)]
    pub(super) mod stand_in {
        use std::sync::atomic::{AtomicU64, Ordering};
        pub(crate) struct Relaxed;
        pub(crate) struct Atomic<T>(AtomicU64, std::marker::PhantomData<T>);
        impl Atomic<u64> {
            pub(crate) const fn new(value: u64) -> Self {
                Atomic(AtomicU64::new(value), std::marker::PhantomData)
            }
            pub(crate) fn load(&self, _: Relaxed) -> u64 {
                self.0.load(Ordering::Relaxed)
            }
            pub(crate) fn fetch_add(&self, value: u64, _: Relaxed) -> u64 {
                self.0.fetch_add(value, Ordering::Relaxed)
            }
        }
        pub(crate) mod barrier {
            pub(crate) struct Read;
            pub(crate) fn mb(_: Read) {
                std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
            }
        }
    }

    /// The link goes down, loses what was posted, comes back, and only then its driver calls: all of it while a fence
    /// waits for its word.
    #[test]
    fn a_flap_while_a_fence_reads_shows() {
        let calls = Calls::new();
        let before = calls.count();
        let (word, after) = fence(
            || {
                calls.note();
                7
            },
            || calls.count(),
        );
        assert_eq!(word, 7);
        assert_ne!(before, after);
    }

    #[test]
    fn a_fence_without_a_down_proves() {
        let calls = Calls::new();
        calls.note();
        let before = calls.count();
        assert_eq!(fence(|| 7, || calls.count()), (7, before));
    }
}
