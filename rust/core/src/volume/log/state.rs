// SPDX-License-Identifier: GPL-2.0
//! The state of an entry of the log: where it stands, and who has it in hand.

/// Where an entry stands. From `Dirty` on it is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// It holds nothing.
    Free,
    /// It holds nothing that counts; whoever has it in hand brings it back.
    Orphan,
    /// Not on the disk, as far as is known.
    Dirty,
    /// Of an adopted slot: its data is not what was adopted. Its block cannot be read until it is written anew.
    Condemned,
    /// It, or a newer version, is on the disk by a completed write.
    Done,
    /// As `Done`, though no write of it was: a person gave up what was condemned.
    GivenUp,
    /// As `Done`, and it is being freed.
    Freeing,
}

/// Who has an entry in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hand {
    /// Nobody.
    Nobody,
    /// Nobody, and it is in the list of what may be destaged.
    Ready,
    /// Somebody outside the lock is copying or posting it.
    Filler,
    /// A write of it to the disk is in flight.
    Disk,
    /// A write of it to the disk failed and may still land. Nobody has its data.
    Doubt,
}

/// Both. What goes together stands in [`State::is_legal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    place: Place,
    hand: Hand,
}

impl State {
    pub(super) const FREE: Self = Self {
        place: Place::Free,
        hand: Hand::Nobody,
    };

    pub(super) const fn new(place: Place, hand: Hand) -> Self {
        Self { place, hand }
    }

    #[inline]
    pub(crate) const fn place(self) -> Place {
        self.place
    }

    #[inline]
    pub(crate) const fn hand(self) -> Hand {
        self.hand
    }

    /// Whether this can be. An older version may be done by the write of a newer one while somebody is still filling it; a
    /// condemned one, given up or not, may have a write in flight, or one that may still land. An orphan is in no doubt.
    pub(super) const fn is_legal(self) -> bool {
        match self.place {
            Place::Free | Place::Freeing => matches!(self.hand, Hand::Nobody),
            Place::Orphan => matches!(self.hand, Hand::Filler | Hand::Disk),
            Place::Dirty => true,
            Place::Condemned | Place::GivenUp => {
                matches!(self.hand, Hand::Nobody | Hand::Disk | Hand::Doubt)
            }
            Place::Done => !matches!(self.hand, Hand::Ready),
        }
    }

    /// It moves to another place.
    #[inline]
    pub(super) fn put(&mut self, place: Place) {
        self.place = place;
        debug_assert!(self.is_legal());
    }

    /// Somebody takes it in hand, or lets go of it.
    #[inline]
    pub(super) fn give(&mut self, hand: Hand) {
        self.hand = hand;
        debug_assert!(self.is_legal());
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_entry_state))]
mod tests {
    use super::*;

    #[test]
    fn what_goes_together() {
        let places = [
            (Place::Free, [true, false, false, false, false]),
            (Place::Orphan, [false, false, true, true, false]),
            (Place::Dirty, [true, true, true, true, true]),
            (Place::Condemned, [true, false, false, true, true]),
            (Place::Done, [true, false, true, true, true]),
            (Place::GivenUp, [true, false, false, true, true]),
            (Place::Freeing, [true, false, false, false, false]),
        ];
        let hands = [
            Hand::Nobody,
            Hand::Ready,
            Hand::Filler,
            Hand::Disk,
            Hand::Doubt,
        ];
        for (place, legal) in places {
            for (hand, legal) in hands.into_iter().zip(legal) {
                assert_eq!(State::new(place, hand).is_legal(), legal);
            }
        }
    }

    #[test]
    fn the_places_from_dirty_on_are_in_the_log() {
        assert!(Place::Free < Place::Orphan && Place::Orphan < Place::Dirty);
        assert!(Place::Dirty < Place::Condemned && Place::Condemned < Place::Done);
        assert!(Place::Done < Place::GivenUp && Place::GivenUp < Place::Freeing);
        assert_eq!(core::mem::size_of::<State>(), 2);
    }
}
