// SPDX-License-Identifier: GPL-2.0
//! The layout of a window: memory of one controller that its peer writes through one link.
//!
//! ```text
//! 0              control page      written by the peer
//!   0            HELLO, 128 bytes
//!   512, 576     heartbeats, 64 bytes each: odd and even numbers
//!   1024         how far the peer has read the ring in *its* window (link epoch plus position)
//! 4096           epoch page        written by the window's owner only, read by the peer: 64 words, 64 bytes apart
//! 8192           message ring      written by the peer, 256 bytes an entry
//! R              regions           written by the peer; R: the end of the ring, at the next multiple of 4096
//!   0            slot headers, 64 bytes each
//!   H            slot data, 4096 bytes each; H: the end of the headers, at the next multiple of 4096
//! ```

pub mod carver;

use crate::wire::{heartbeat, hello, message};

pub use carver::Carver;

/// Granularity of the layout, in bytes.
pub const PAGE: u64 = 4096;

/// Where the peer's HELLO stands.
pub const HELLO_AT: u64 = 0;

/// Where the word stands with which the peer says how far it has read its own ring.
pub const CONSUMED_AT: u64 = 1024;

/// Where the epoch words begin.
pub const EPOCHS_AT: u64 = PAGE;

/// How many epoch words, and so regions, a window has.
pub const EPOCH_WORDS: usize = 64;

/// The distance of epoch words, so that no two share a cache line, in bytes.
pub const EPOCH_STRIDE: u64 = 64;

/// Where the message ring begins.
pub const RING_AT: u64 = 2 * PAGE;

/// How many entries a message ring can have: a power of two in this range.
pub const RING_ENTRIES: core::ops::RangeInclusive<u32> = 2..=1024;

/// The length of a slot's header, in bytes.
pub const SLOT_HEADER: u64 = 64;

/// The length of a slot's data, in bytes.
pub const SLOT_DATA: u64 = 4096;

const BEATS_AT: u64 = 512;
const BEAT_STRIDE: u64 = heartbeat::SIZE as u64;

/// Where the heartbeats with odd (1) or even (0) numbers stand; the lowest bit of `number` counts. Two places, so
/// that a reader has a whole interval to read one.
#[inline]
pub const fn beat_at(number: u64) -> u64 {
    BEATS_AT + (number & 1) * BEAT_STRIDE
}

/// Where epoch word `index` stands; `None` if there is no such word.
#[inline]
pub const fn epoch_word_at(index: u8) -> Option<u64> {
    if (index as usize) < EPOCH_WORDS {
        Some(EPOCHS_AT + index as u64 * EPOCH_STRIDE)
    } else {
        None
    }
}

/// The next multiple of [`PAGE`].
const fn page_up(bytes: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(PAGE)
}

/// What a window of a certain size, with a ring of a certain length, looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    size: u64,
    ring_entries: u32,
}

impl Layout {
    /// `None` if `ring_entries` is not in [`RING_ENTRIES`] or no power of two, or the window is too small for the ring.
    pub fn new(size: u64, ring_entries: u32) -> Option<Self> {
        let layout = Self { size, ring_entries };
        let proper = RING_ENTRIES.contains(&ring_entries) && ring_entries.is_power_of_two();
        (proper && layout.regions_at() <= size).then_some(layout)
    }

    /// The size of the window in bytes.
    #[inline]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// How many entries its ring has.
    #[inline]
    pub const fn ring_entries(&self) -> u32 {
        self.ring_entries
    }

    /// Where the regions begin.
    pub const fn regions_at(&self) -> u64 {
        let ring = self.ring_entries as u64 * message::ENTRY_SIZE as u64;
        // Cannot fail: a ring has at most 1024 entries of 256 bytes.
        match page_up(RING_AT + ring) {
            Some(at) => at,
            None => u64::MAX,
        }
    }

    /// How many slots the largest region has that an empty window of this kind holds.
    pub fn slots_max(&self) -> u32 {
        let room = self.size.saturating_sub(self.regions_at());
        let most = u32::try_from(room / (SLOT_DATA + SLOT_HEADER)).unwrap_or(u32::MAX);
        // The headers take whole pages, which may cost a slot more.
        match Place::size_for(most) <= room {
            true => most,
            false => most.saturating_sub(1),
        }
    }
}

/// Where a region stands in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which epoch word of the window belongs to it.
    pub epoch_word: u8,
    /// Where it begins, in bytes, a multiple of 4096.
    pub offset: u64,
    /// How many slots it has, at least one.
    pub slots: u32,
}

impl Place {
    /// The length of a region of `slots` slots, in bytes.
    pub const fn size_for(slots: u32) -> u64 {
        Self::headers_len(slots) + slots as u64 * SLOT_DATA
    }

    const fn headers_len(slots: u32) -> u64 {
        // Cannot fail: 2^32 headers of 64 bytes.
        match page_up(slots as u64 * SLOT_HEADER) {
            Some(len) => len,
            None => 0,
        }
    }

    /// Checks a place that a peer has named: it must lie in the region area of that peer's window.
    pub fn check(&self, window: &Layout) -> bool {
        let inside = self.offset.checked_add(self.size());
        usize::from(self.epoch_word) < EPOCH_WORDS
            && self.slots > 0
            && self.offset % PAGE == 0
            && self.offset >= window.regions_at()
            && inside.is_some_and(|end| end <= window.size())
    }

    /// Its length in bytes.
    #[inline]
    pub const fn size(&self) -> u64 {
        Self::size_for(self.slots)
    }

    /// Where its epoch word stands; `None` if there is no such word.
    #[inline]
    pub const fn epoch_at(&self) -> Option<u64> {
        epoch_word_at(self.epoch_word)
    }

    /// Where the header of `slot` stands; `None` if there is no such slot.
    #[inline]
    pub const fn header_at(&self, slot: u32) -> Option<u64> {
        if slot < self.slots {
            self.offset.checked_add(slot as u64 * SLOT_HEADER)
        } else {
            None
        }
    }

    /// Where the data of `slot` stands; `None` if there is no such slot.
    #[inline]
    pub const fn data_at(&self, slot: u32) -> Option<u64> {
        if slot < self.slots {
            self.offset
                .checked_add(Self::headers_len(self.slots) + slot as u64 * SLOT_DATA)
        } else {
            None
        }
    }

    /// Whether the two have a byte in common.
    fn meets(&self, other: &Self) -> bool {
        let end = |place: &Self| place.offset.saturating_add(place.size());
        self.offset < end(other) && other.offset < end(self)
    }
}

const _: () = assert!(HELLO_AT + hello::SIZE as u64 <= BEATS_AT);
const _: () = assert!(BEATS_AT + 2 * BEAT_STRIDE <= CONSUMED_AT);
const _: () = assert!(CONSUMED_AT + 8 <= EPOCHS_AT);
const _: () = assert!(EPOCHS_AT + EPOCH_WORDS as u64 * EPOCH_STRIDE <= RING_AT);

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_window))]
mod tests {
    use super::*;

    #[test]
    fn a_layout_needs_room_and_a_ring_of_a_power_of_two() {
        assert!(Layout::new(1 << 20, 256).is_some());
        assert!(Layout::new(1 << 20, 255).is_none());
        assert!(Layout::new(1 << 20, 0).is_none());
        assert!(Layout::new(1 << 20, 2048).is_none());
        assert!(Layout::new(8192 + 65536, 256).is_some());
        assert!(Layout::new(8192 + 65535, 256).is_none());
        assert_eq!(
            Layout::new(1 << 20, 2).map(|layout| layout.regions_at()),
            Some(3 * PAGE)
        );
    }

    #[test]
    fn a_region_has_its_headers_before_its_data() {
        let place = Place {
            epoch_word: 63,
            offset: 5 * PAGE,
            slots: 65,
        };
        assert_eq!(place.header_at(0), Some(5 * PAGE));
        assert_eq!(place.header_at(64), Some(6 * PAGE));
        assert_eq!(place.header_at(65), None);
        assert_eq!(place.data_at(0), Some(7 * PAGE));
        assert_eq!(place.data_at(64), Some(71 * PAGE));
        assert_eq!(place.data_at(65), None);
        assert_eq!(place.size(), 67 * PAGE);
        assert_eq!(place.epoch_at(), Some(2 * PAGE - 64));
    }

    #[test]
    fn a_place_that_a_peer_names_must_lie_in_its_region_area() {
        let window = Layout::new(64 * PAGE, 2);
        assert!(window.is_some());
        let Some(window) = window else { return };
        let place = Place {
            epoch_word: 0,
            offset: 3 * PAGE,
            slots: 60,
        };
        assert!(place.check(&window));
        assert!(!Place { slots: 61, ..place }.check(&window));
        assert!(!Place { slots: 0, ..place }.check(&window));
        assert!(!Place {
            slots: u32::MAX,
            ..place
        }
        .check(&window));
        assert!(!Place {
            offset: 2 * PAGE,
            ..place
        }
        .check(&window));
        assert!(!Place {
            offset: 3 * PAGE + 64,
            slots: 1,
            ..place
        }
        .check(&window));
        assert!(!Place {
            offset: 0u64.wrapping_sub(PAGE),
            ..place
        }
        .check(&window));
        assert!(!Place {
            epoch_word: 64,
            ..place
        }
        .check(&window));
    }
}
