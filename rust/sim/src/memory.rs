// SPDX-License-Identifier: GPL-2.0
//! The region area of a window: memory of a controller that its peer writes.
//!
//! Regions are laid out as in a real window (`yoke_core::window::Place`), but a
//! data block is kept as its two halves and headers apart from data, so that a
//! whole appliance costs little to copy and compare.

use yoke_core::window::{Place, EPOCH_WORDS, PAGE, SLOT_HEADER};

use crate::disk::Block;

/// The bytes of a slot's header.
pub type Header = [u8; SLOT_HEADER as usize];

/// A store into a window, as it travels on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Store {
    /// One half of the data block at this offset.
    Half {
        /// Offset of the block in the window, in bytes.
        at: u64,
        /// 0 or 1.
        half: u8,
        /// What is written.
        value: u64,
    },
    /// The header at this offset.
    Header {
        /// Offset in the window, in bytes.
        at: u64,
        /// What is written.
        bytes: Header,
    },
}

impl Store {
    /// Where it goes: stores to the same place keep their order on every bridge.
    pub fn place(&self) -> (u64, u8) {
        match *self {
            Store::Half { at, half, .. } => (at, half),
            Store::Header { at, .. } => (at, 0),
        }
    }
}

/// What one page of the region area is used for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Page {
    Blank,
    Data(Block),
    /// Headers that were ever written, by their place in the page, sorted.
    Headers(Vec<(u8, Header)>),
}

/// One window.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Memory {
    /// Offset of the first page.
    base: u64,
    pages: Vec<Page>,
    epochs: Vec<u64>,
}

impl Memory {
    /// A window whose region area begins at `base` and has `pages` pages, all zero.
    pub fn new(base: u64, pages: usize) -> Self {
        Memory {
            base,
            pages: vec![Page::Blank; pages],
            epochs: vec![0; EPOCH_WORDS.min(16)],
        }
    }

    /// Reads an epoch word; all ones outside of the window.
    pub fn epoch(&self, word: u8) -> u64 {
        self.epochs.get(word as usize).copied().unwrap_or(u64::MAX)
    }

    /// Writes an epoch word, as only the window's owner does.
    pub fn set_epoch(&mut self, word: u8, value: u64) {
        if let Some(epoch) = self.epochs.get_mut(word as usize) {
            *epoch = value;
        }
    }

    /// A store arrives. Outside of the region area it is lost.
    pub fn store(&mut self, store: &Store) {
        match *store {
            Store::Half { at, half, value } => {
                if let Some(page) = self.page_mut(at) {
                    if !matches!(page, Page::Data(_)) {
                        *page = Page::Data([0; 2]);
                    }
                    if let Page::Data(block) = page {
                        block[half as usize & 1] = value;
                    }
                }
            }
            Store::Header { at, bytes } => {
                let line = (at % PAGE / SLOT_HEADER) as u8;
                if let Some(page) = self.page_mut(at) {
                    if !matches!(page, Page::Headers(_)) {
                        *page = Page::Headers(Vec::new());
                    }
                    if let Page::Headers(lines) = page {
                        match lines.binary_search_by_key(&line, |l| l.0) {
                            Ok(i) => lines[i].1 = bytes,
                            Err(i) => lines.insert(i, (line, bytes)),
                        }
                    }
                }
            }
        }
    }

    /// Reads a header.
    pub fn header(&self, at: u64) -> Header {
        let line = (at % PAGE / SLOT_HEADER) as u8;
        match self.page(at) {
            Some(Page::Headers(lines)) => lines
                .binary_search_by_key(&line, |l| l.0)
                .map_or([0; SLOT_HEADER as usize], |i| lines[i].1),
            _ => [0; SLOT_HEADER as usize],
        }
    }

    /// Reads a data block.
    pub fn data(&self, at: u64) -> Block {
        match self.page(at) {
            Some(Page::Data(block)) => *block,
            _ => [0; 2],
        }
    }

    /// Zeroes the headers of a region.
    pub fn clear(&mut self, place: &Place) {
        for slot in 0..place.slots {
            if let Some(page) = place.header_at(slot).and_then(|at| self.page_mut(at)) {
                *page = Page::Blank;
            }
        }
    }

    fn page(&self, at: u64) -> Option<&Page> {
        let index = at.checked_sub(self.base)? / PAGE;
        self.pages.get(usize::try_from(index).ok()?)
    }

    fn page_mut(&mut self, at: u64) -> Option<&mut Page> {
        let index = at.checked_sub(self.base)? / PAGE;
        self.pages.get_mut(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_hold_what_was_stored() {
        let place = Place {
            epoch_word: 1,
            offset: 4 * PAGE,
            slots: 3,
        };
        let mut m = Memory::new(4 * PAGE, (place.size() / PAGE) as usize);
        let header_at = place.header_at(2).expect("there are three");
        let data_at = place.data_at(2).expect("there are three");
        m.store(&Store::Header {
            at: header_at,
            bytes: [7; 64],
        });
        m.store(&Store::Half {
            at: data_at,
            half: 1,
            value: 9,
        });
        m.store(&Store::Half {
            at: 0,
            half: 1,
            value: 9,
        });
        assert_eq!(m.header(header_at), [7; 64]);
        assert_eq!(m.header(header_at - 64), [0; 64]);
        assert_eq!(m.data(data_at), [0, 9]);
        m.clear(&place);
        assert_eq!(m.header(header_at), [0; 64]);
        m.set_epoch(1, 5);
        assert_eq!((m.epoch(1), m.epoch(200)), (5, u64::MAX));
    }
}
