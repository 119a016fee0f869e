// SPDX-License-Identifier: GPL-2.0

//! Which window of a bridge is used, and what memory may stand behind it. Pure.
//!
//! | bridge | address | size | window known |
//! | --- | --- | --- | --- |
//! | Intel, before gen 4 and some of it | a multiple of the BAR | any | at once |
//! | Intel gen 4 and later, AMD, EPF | a multiple of 4 KiB | any | at once |
//! | Switchtec, direct | a multiple of the power of two in the size, though 4 KiB is announced | 4 KiB | by the peer |
//! | Switchtec, LUT | as the size | exactly the window | by the peer |
//! | IDT, direct | a multiple of 4 | any | at once |
//! | IDT, LUT | a multiple of 4 | exactly the window | at once |
//! | ntb_hw_ivshmem | the window itself | 4 KiB | at once |

use core::num::NonZeroU64;

/// More than this is never asked for: 64 MiB hold the slots of all volumes.
pub(crate) const SIZE_MAX: u64 = 64 << 20;
/// Less than this is no window: it could hold no more than a few slots.
pub(crate) const SIZE_MIN: u64 = 64 << 10;
/// Sizes are multiples of it (include/yoke/interconnect.h).
const UNIT: NonZeroU64 = match NonZeroU64::new(4096) {
    Some(unit) => unit,
    None => NonZeroU64::MIN,
};

/// What a bridge says of an inbound window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Addresses are multiples of it; a power of two.
    pub(crate) address: NonZeroU64,
    /// Sizes are multiples of it.
    pub(crate) unit: NonZeroU64,
    /// No window is larger.
    pub(crate) largest: u64,
}

impl Limits {
    /// From what `ntb_mw_get_align` says. `None`: no limits of a window, as where the peer is not there yet to tell.
    pub(crate) fn new(address: u64, unit: u64, largest: u64) -> Option<Self> {
        let address = NonZeroU64::new(address.max(1))?;
        let unit = least_common_multiple(NonZeroU64::new(unit.max(1))?, UNIT)?;
        let sound = address.is_power_of_two() && largest != 0 && largest != u64::MAX;
        sound.then_some(Limits {
            address,
            unit,
            largest,
        })
    }

    /// Whether memory of `size` bytes at `at` fits.
    pub(crate) fn allow(&self, at: u64, size: u64) -> bool {
        at % self.address == 0 && size % self.unit == 0 && size <= self.largest
    }

    /// The largest size up to `size` that may be had; 0: none.
    pub(crate) fn floor(&self, size: u64) -> u64 {
        let size = size.min(self.largest);
        size - size % self.unit
    }
}

/// `None`: too large for any window.
fn least_common_multiple(a: NonZeroU64, b: NonZeroU64) -> Option<NonZeroU64> {
    let (mut x, mut y) = (a, b.get());
    while let Some(divisor) = NonZeroU64::new(y) {
        (x, y) = (divisor, x.get() % divisor);
    }
    NonZeroU64::new(a.get() / x)?.checked_mul(b)
}

/// The largest power of two that is not larger.
pub(crate) fn power_of_two_in(size: u64) -> u64 {
    1u64.wrapping_shl(63u32.saturating_sub(size.leading_zeros()))
}

/// The window to use, of these sizes (0: it cannot be used): the largest, and of equally large ones the first.
///
/// One end calls this with its inbound windows, the other one with its outbound ones. Those have the same sizes, so
/// both come to the same window without a word.
pub(crate) fn choose(sizes: impl Iterator<Item = u64>) -> Option<(usize, u64)> {
    let mut best: Option<(usize, u64)> = None;
    for (index, size) in sizes.enumerate() {
        let size = size.min(SIZE_MAX);
        if size >= SIZE_MIN && best.is_none_or(|(_, other)| size > other) {
            best = Some((index, size));
        }
    }
    best
}

/// Memory to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) size: u64,
    /// Of the address; a power of two.
    pub(crate) align: u64,
}

impl Wish {
    /// The first aligned place from `at` on. `None`: there is none.
    pub(crate) fn rounded(&self, at: u64) -> Option<u64> {
        let mask = self.align.wrapping_sub(1);
        Some(at.checked_add(mask)? & !mask)
    }
}

/// Wishes, one after the other until one is granted: as much as the window takes, then half as much, and so on. Each
/// size first as the bridge says it, then aligned to the power of two in it, which some want and do not say.
pub(crate) struct Wishes {
    limits: Limits,
    size: u64,
    natural: bool,
}

impl Wishes {
    pub(crate) fn new(limits: Limits) -> Self {
        Wishes {
            limits,
            size: limits.floor(SIZE_MAX),
            natural: false,
        }
    }
}

impl Iterator for Wishes {
    type Item = Wish;

    fn next(&mut self) -> Option<Wish> {
        let size = self.size;
        if size < SIZE_MIN {
            return None;
        }
        let stated = self.limits.address.get();
        let natural = power_of_two_in(size);
        if !self.natural && stated < natural {
            self.natural = true;
            return Some(Wish {
                size,
                align: stated,
            });
        }
        self.natural = false;
        self.size = self.limits.floor(size / 2);
        Some(Wish {
            size,
            align: stated.max(natural),
        })
    }
}

/// How much to allocate for a wish, one after the other: memory comes aligned to its size in most cases, and where it
/// does not, a part of more is.
pub(crate) fn lengths(wish: Wish) -> impl Iterator<Item = u64> {
    /// More is not spent on alignment.
    const MOST: u64 = 2 * SIZE_MAX;
    let rounded = wish.rounded(wish.size);
    let spare = wish.size.checked_add(wish.align);
    [
        Some(wish.size),
        rounded.filter(|len| *len != wish.size),
        spare,
    ]
    .into_iter()
    .flatten()
    .filter(|len| *len <= MOST)
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_ntb_fit))]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn first_two(limits: Limits) -> (Option<Wish>, Option<Wish>) {
        let mut wishes = Wishes::new(limits);
        (wishes.next(), wishes.next())
    }

    fn wish(size: u64, align: u64) -> Option<Wish> {
        Some(Wish { size, align })
    }

    #[test]
    fn every_wish_fits_and_they_end() {
        let cases = [
            (4096, 1, 31 * MIB),
            (64 * MIB, 1, 64 * MIB),
            (1 << 30, 1, 1 << 30),
            (4096, 4096, 5 * MIB + 4096),
            (65536, 65536, 65536),
            (4, 1, 128 * 1024),
            (1, 3, 7 * MIB),
        ];
        for (address, unit, largest) in cases {
            let limits = Limits::new(address, unit, largest);
            assert!(limits.is_some());
            let Some(limits) = limits else { continue };
            let mut count = 0;
            for wish in Wishes::new(limits) {
                assert!(limits.allow(wish.align, wish.size));
                assert!(wish.size >= SIZE_MIN && wish.size <= SIZE_MAX);
                assert!(wish.align.is_power_of_two());
                for len in lengths(wish) {
                    assert!(len >= wish.size);
                }
                count += 1;
            }
            assert!(count > 0 && count < 32);
        }
    }

    #[test]
    fn what_the_bridges_of_the_kernel_say() {
        // AMD: aligned to pages, and a BAR that is no power of two.
        let amd = Limits::new(4096, 1, 3 * MIB);
        assert_eq!(
            amd.map(first_two),
            Some((wish(3 * MIB, 4096), wish(3 * MIB, 2 * MIB)))
        );
        // Intel: aligned to the BAR.
        let intel = Limits::new(32 * MIB, 1, 32 * MIB);
        assert_eq!(
            intel.map(first_two),
            Some((wish(32 * MIB, 32 * MIB), wish(16 * MIB, 32 * MIB)))
        );
        // A look-up table: this size or none.
        let lut = Limits::new(65536, 65536, 65536);
        assert_eq!(lut.map(first_two), Some((wish(65536, 65536), None)));
        // Switchtec before the peer is there.
        assert_eq!(Limits::new(4096, 4096, u64::MAX), None);
        assert_eq!(Limits::new(4096, 4096, 0), None);
        assert_eq!(Limits::new(12288, 1, MIB), None);
    }

    #[test]
    fn memory_that_is_not_aligned_is_a_part_of_more() {
        let mut lens = lengths(Wish {
            size: 4 * MIB,
            align: 32 * MIB,
        });
        assert_eq!(lens.next(), Some(4 * MIB));
        assert_eq!(lens.next(), Some(32 * MIB));
        assert_eq!(lens.next(), Some(36 * MIB));
        assert_eq!(lens.next(), None);
        // A BAR of a GiB is not paid for with a GiB of memory.
        let huge = lengths(Wish {
            size: MIB,
            align: 1 << 30,
        });
        assert_eq!(huge.count(), 1);
    }

    #[test]
    fn both_ends_choose_the_same_window() {
        assert_eq!(
            choose([4096, MIB, 2 * MIB, 2 * MIB].into_iter()),
            Some((2, 2 * MIB))
        );
        // Beyond what is used, larger is not better.
        assert_eq!(
            choose([0, 64 * MIB, 1 << 30].into_iter()),
            Some((1, SIZE_MAX))
        );
        assert_eq!(choose([0, 4096, SIZE_MIN - 1].into_iter()), None);
        assert_eq!(choose([].into_iter()), None);
    }
}
