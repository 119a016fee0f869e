// SPDX-License-Identifier: GPL-2.0
//! The two sides of reads. Freeing begins with a flip, and ends when nobody is left on the old side.

/// How many reads are on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sides {
    counts: [u32; 2],
    /// The side on which reads begin.
    new_side: u8,
}

impl Sides {
    pub(super) const NONE: Self = Self {
        counts: [0; 2],
        new_side: 0,
    };

    /// A read begins; says on which side.
    pub(super) fn begin(&mut self) -> u8 {
        let side = self.new_side & 1;
        if let Some(count) = self.counts.get_mut(usize::from(side)) {
            *count = count.saturating_add(1);
        }
        side
    }

    /// A read is handed back. Whether it was the last one on the old side.
    pub(super) fn end(&mut self, side: u8) -> bool {
        self.counts
            .get_mut(usize::from(side & 1))
            .is_some_and(|count| {
                *count = count.saturating_sub(1);
                *count == 0 && side & 1 != self.new_side & 1
            })
    }

    /// Whether this is the side on which reads begin.
    pub(super) fn is_new(&self, side: u8) -> bool {
        side & 1 == self.new_side & 1
    }

    /// Whether nobody is left on the old side.
    pub(super) fn old_is_empty(&self) -> bool {
        self.counts.get(usize::from(self.new_side & 1 ^ 1)).copied() == Some(0)
    }

    /// What was the new side is the old one.
    pub(super) fn flip(&mut self) {
        self.new_side ^= 1;
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_sides))]
mod tests {
    use super::*;

    #[test]
    fn the_old_side_is_empty_when_its_last_read_is_handed_back() {
        let mut sides = Sides::NONE;
        let (first, second) = (sides.begin(), sides.begin());
        assert!(sides.old_is_empty() && sides.is_new(first));
        sides.flip();
        assert!(!sides.old_is_empty() && !sides.is_new(first));
        let third = sides.begin();
        assert!(!sides.end(third) && !sides.end(first));
        assert!(!sides.old_is_empty());
        assert!(sides.end(second) && sides.old_is_empty());
    }
}
