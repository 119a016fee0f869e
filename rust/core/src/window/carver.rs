// SPDX-License-Identifier: GPL-2.0
//! Hands out regions of an own window to the volumes that grant them to the peer.

use super::{Layout, Place, EPOCH_WORDS};

/// Which regions of one window are in use. First fit, bounded by the number of epoch words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Carver<const WORDS: usize = EPOCH_WORDS> {
    window: Layout,
    taken: [Option<Place>; WORDS],
}

impl<const WORDS: usize> Carver<WORDS> {
    /// All of the window's region area is free. `WORDS` is at most [`EPOCH_WORDS`].
    pub const fn new(window: Layout) -> Self {
        const { assert!(WORDS <= EPOCH_WORDS) };
        Self {
            window,
            taken: [const { None }; WORDS],
        }
    }

    /// Takes a region of `slots` slots. `None` if there is no room, or no epoch word left.
    ///
    /// The memory holds what it held before: it must be cleared, and its epoch word set, before the peer is told.
    pub fn carve(&mut self, slots: u32) -> Option<Place> {
        let word = self.taken.iter().position(Option::is_none)?;
        let place = self
            .starts()
            .filter_map(|offset| self.fit(word as u8, offset, slots))
            .min_by_key(|p| p.offset)?;
        *self.taken.get_mut(word)? = Some(place);
        Some(place)
    }

    /// Gives a region back. `false` if it was not taken.
    ///
    /// Its epoch word must be another one by then, or the peer could still write there.
    pub fn give_back(&mut self, place: Place) -> bool {
        match self.taken.get_mut(usize::from(place.epoch_word)) {
            Some(taken) if *taken == Some(place) => {
                *taken = None;
                true
            }
            _ => false,
        }
    }

    /// The regions in use.
    pub fn taken(&self) -> impl Iterator<Item = &Place> {
        self.taken.iter().flatten()
    }

    /// Where a region could begin under first fit: at the front, or behind one that is taken.
    fn starts(&self) -> impl Iterator<Item = u64> + '_ {
        let behind = self
            .taken()
            .map(|place| place.offset.saturating_add(place.size()));
        core::iter::once(self.window.regions_at()).chain(behind)
    }

    fn fit(&self, epoch_word: u8, offset: u64, slots: u32) -> Option<Place> {
        let place = Place {
            epoch_word,
            offset,
            slots,
        };
        (place.check(&self.window) && !self.taken().any(|taken| taken.meets(&place)))
            .then_some(place)
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_carver))]
mod tests {
    use super::super::PAGE;
    use super::*;

    fn with_carver(test: impl FnOnce(&mut Carver<4>)) -> bool {
        Layout::new(64 * PAGE, 2)
            .map(Carver::new)
            .as_mut()
            .map(test)
            .is_some()
    }

    #[test]
    fn the_largest_region_is_as_large_as_the_layout_says() {
        for bytes in (20 * PAGE..600 * PAGE).step_by(1111) {
            let layout = Layout::new(bytes, 64);
            let most = layout.map_or(0, |layout| layout.slots_max());
            let fits = |slots| {
                layout
                    .map(Carver::<1>::new)
                    .and_then(|mut carver| carver.carve(slots))
            };
            assert!(most > 0 && fits(most).is_some() && fits(most + 1).is_none());
        }
    }

    #[test]
    fn regions_do_not_meet_and_holes_are_used_again() {
        let mut offsets = [None; 4];
        let mut given_back = [false; 2];
        assert!(with_carver(|carver| {
            let first = carver.carve(9);
            offsets[0] = first.map(|place| place.offset);
            offsets[1] = carver.carve(9).map(|place| place.offset);
            given_back = [(); 2].map(|()| first.is_some_and(|place| carver.give_back(place)));
            offsets[2] = carver.carve(10).map(|place| place.offset);
            offsets[3] = carver.carve(9).map(|place| place.offset);
        }));
        assert_eq!(given_back, [true, false]);
        assert_eq!(
            offsets,
            [
                Some(3 * PAGE),
                Some(13 * PAGE),
                Some(23 * PAGE),
                Some(3 * PAGE)
            ]
        );
    }

    #[test]
    fn room_and_words_are_bounds() {
        let mut carved = [false; 7];
        assert!(with_carver(|carver| {
            carved = [0, 61, 1, 1, 1, 1, 1].map(|slots| carver.carve(slots).is_some());
        }));
        assert_eq!(carved, [false, false, true, true, true, true, false]);
    }
}
