// SPDX-License-Identifier: GPL-2.0
//! Shared memory, as the protocol sees it.
//!
//! The peer may change the memory at any moment, so nothing is ever used in place: it is copied out, checked, then
//! used. There is no read-modify-write here: a non-transparent bridge has none.

use core::cell::Cell;
use core::fmt;

/// Why an access was refused. It is always a mistake, or garbage, on the side that computed the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegionError {
    /// The access ends after the memory does.
    OutOfBounds {
        /// Where the access begins, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        len: u64,
        /// How long the memory is, in bytes.
        size: u64,
    },
    /// A word must stand at a multiple of eight.
    Misaligned {
        /// Where it was to stand, in bytes.
        offset: u64,
    },
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { offset, len, size } => {
                write!(
                    f,
                    "{len} bytes at offset {offset} do not fit into memory of {size} bytes"
                )
            }
            Self::Misaligned { offset } => write!(
                f,
                "a word cannot stand at offset {offset}: it is no multiple of 8"
            ),
        }
    }
}

/// Memory that another processor, or another controller, reads and writes at the same time.
///
/// It is implemented for an own window (memory of this controller, written by the peer), for a peer's window as seen
/// through a link (stores are posted, and may arrive late, but in the order given below; loads cross the link and may
/// answer all ones), and for the windows of tests.
///
/// # Order
///
/// Through one link, a [`store_release_u64`](Region::store_release_u64) arrives after everything that was written
/// before it by the same caller. What [`copy_in`](Region::copy_in) writes has no order in itself: it may arrive in
/// any order, and partly. What a [`load_acquire_u64`](Region::load_acquire_u64) has seen, everything read later sees too.
///
/// # Context
///
/// No method sleeps. A load from a peer's window may stall the processor for the completion timeout of the bus.
pub trait Region {
    /// Length in bytes. It never changes.
    fn size(&self) -> u64;

    /// Reads the word at `offset`; whatever is read after it is at least as new.
    ///
    /// # Errors
    ///
    /// If the word is not inside the memory, or `offset` is not a multiple of 8.
    fn load_acquire_u64(&self, offset: u64) -> Result<u64, RegionError>;

    /// Writes the word at `offset`, after everything that was written before.
    ///
    /// # Errors
    ///
    /// If the word is not inside the memory, or `offset` is not a multiple of 8. Nothing was written.
    fn store_release_u64(&self, offset: u64, value: u64) -> Result<(), RegionError>;

    /// Copies `data` into the memory at `offset` (any alignment).
    ///
    /// # Errors
    ///
    /// If it does not fit. Nothing was written.
    fn copy_in(&self, offset: u64, data: &[u8]) -> Result<(), RegionError>;

    /// Copies out of the memory at `offset` (any alignment) until `data` is full.
    ///
    /// # Errors
    ///
    /// If the memory ends before. `data` may hold anything.
    fn copy_out(&self, offset: u64, data: &mut [u8]) -> Result<(), RegionError>;
}

impl<R: Region + ?Sized> Region for &R {
    #[inline]
    fn size(&self) -> u64 {
        (**self).size()
    }
    #[inline]
    fn load_acquire_u64(&self, offset: u64) -> Result<u64, RegionError> {
        (**self).load_acquire_u64(offset)
    }
    #[inline]
    fn store_release_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
        (**self).store_release_u64(offset, value)
    }
    #[inline]
    fn copy_in(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        (**self).copy_in(offset, data)
    }
    #[inline]
    fn copy_out(&self, offset: u64, data: &mut [u8]) -> Result<(), RegionError> {
        (**self).copy_out(offset, data)
    }
}

/// Checks that `len` bytes at `offset` are inside memory of `size` bytes. For implementations of [`Region`].
///
/// # Errors
///
/// [`RegionError::OutOfBounds`] if they are not.
#[inline]
pub const fn check_range(offset: u64, len: u64, size: u64) -> Result<(), RegionError> {
    match offset.checked_add(len) {
        Some(end) if end <= size => Ok(()),
        _ => Err(RegionError::OutOfBounds { offset, len, size }),
    }
}

/// Checks that an aligned word at `offset` is inside memory of `size` bytes. For implementations of [`Region`].
///
/// # Errors
///
/// As for [`Region::load_acquire_u64`].
#[inline]
pub const fn check_word(offset: u64, size: u64) -> Result<(), RegionError> {
    if offset % 8 != 0 {
        return Err(RegionError::Misaligned { offset });
    }
    check_range(offset, 8, size)
}

/// Plain memory of one thread: both ends of a link in one test, or in one simulation. Stores arrive at once.
#[derive(Debug)]
pub struct CellRegion<'a> {
    words: &'a [Cell<u64>],
}

impl<'a> CellRegion<'a> {
    /// Shared memory in `words`.
    pub const fn new(words: &'a [Cell<u64>]) -> Self {
        Self { words }
    }

    /// The word that holds byte `offset`, and the shift of that byte in it.
    fn place(&self, offset: u64) -> Option<(&'a Cell<u64>, u32)> {
        let word = self.words.get(usize::try_from(offset / 8).ok()?)?;
        Some((word, (offset % 8) as u32 * 8))
    }
}

impl Region for CellRegion<'_> {
    fn size(&self) -> u64 {
        self.words.len() as u64 * 8
    }

    fn load_acquire_u64(&self, offset: u64) -> Result<u64, RegionError> {
        check_word(offset, self.size())?;
        Ok(self.place(offset).map_or(0, |(word, _)| word.get()))
    }

    fn store_release_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
        check_word(offset, self.size())?;
        if let Some((word, _)) = self.place(offset) {
            word.set(value);
        }
        Ok(())
    }

    fn copy_in(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        check_range(offset, data.len() as u64, self.size())?;
        let (mut at, mut rest) = (offset, data);
        while let Some((&first, after)) = rest.split_first() {
            let Some((word, shift)) = self.place(at) else {
                break;
            };
            if let (0, Some((eight, after))) = (shift, rest.split_first_chunk::<8>()) {
                word.set(u64::from_le_bytes(*eight));
                (at, rest) = (at + 8, after);
            } else {
                word.set(word.get() & !(0xff << shift) | u64::from(first) << shift);
                (at, rest) = (at + 1, after);
            }
        }
        Ok(())
    }

    fn copy_out(&self, offset: u64, data: &mut [u8]) -> Result<(), RegionError> {
        check_range(offset, data.len() as u64, self.size())?;
        let mut at = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let Some((word, shift)) = self.place(at) else {
                break;
            };
            let bytes = word.get().to_le_bytes();
            let from = bytes.get(shift as usize / 8..).unwrap_or(&[]);
            let take = from.len().min(rest.len());
            let (head, tail) = core::mem::take(&mut rest).split_at_mut(take);
            head.copy_from_slice(from.get(..take).unwrap_or(&[]));
            (at, rest) = (at + take as u64, tail);
        }
        Ok(())
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_region))]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_in_comes_out_at_any_alignment() {
        let words = [const { Cell::new(0) }; 8];
        let memory = CellRegion::new(&words);
        let data: [u8; 19] = [
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
        ];
        for offset in 0..45 {
            for word in &words {
                word.set(u64::MAX);
            }
            assert!(memory.copy_in(offset, &data).is_ok());
            let mut back = [0; 19];
            assert!(memory.copy_out(offset, &mut back).is_ok());
            assert!(back == data);
            let mut edge = [0; 1];
            assert!(memory.copy_out(offset + 19, &mut edge).is_ok());
            assert_eq!(edge[0], 0xff);
            if offset > 0 {
                assert!(memory.copy_out(offset - 1, &mut edge).is_ok());
                assert_eq!(edge[0], 0xff);
            }
        }
    }

    #[test]
    fn words_are_little_endian() {
        let words = [const { Cell::new(0) }; 2];
        let memory = CellRegion::new(&words);
        assert!(memory.copy_in(8, &[1, 2, 0, 0, 0, 0, 0, 0]).is_ok());
        assert_eq!(memory.load_acquire_u64(8), Ok(0x0201));
        assert!(memory.store_release_u64(0, 0x0403).is_ok());
        let mut low = [0; 2];
        assert!(memory.copy_out(0, &mut low).is_ok());
        assert_eq!(low, [3, 4]);
    }

    #[test]
    fn nothing_outside_is_reached() {
        let words = [const { Cell::new(7) }; 2];
        let memory = CellRegion::new(&words);
        let outside = |offset, len| {
            Err(RegionError::OutOfBounds {
                offset,
                len,
                size: 16,
            })
        };
        assert_eq!(memory.load_acquire_u64(16).map(|_| ()), outside(16, 8));
        assert_eq!(
            memory.load_acquire_u64(4),
            Err(RegionError::Misaligned { offset: 4 })
        );
        assert_eq!(
            memory.store_release_u64(u64::MAX - 7, 1),
            outside(u64::MAX - 7, 8)
        );
        assert_eq!(memory.copy_in(9, &[1; 8]), outside(9, 8));
        assert_eq!(memory.copy_out(u64::MAX, &mut [0; 2]), outside(u64::MAX, 2));
        assert_eq!(memory.copy_in(16, &[]), Ok(()));
        assert_eq!(memory.load_acquire_u64(8), Ok(7));
    }
}
