// SPDX-License-Identifier: GPL-2.0
//! Little-endian fields, one after the other: how every wire and disk format is written and read.
//!
//! Neither panics. A [`Writer`] that runs over its end and a [`Reader`] that runs short say so once, at their end or
//! by `None`; the formats have fixed sizes, so only a mistake in this crate could cause either.

/// Writes fields into a buffer from its beginning.
#[derive(Debug)]
pub struct Writer<'a> {
    rest: &'a mut [u8],
    overrun: bool,
}

impl<'a> Writer<'a> {
    /// Writes from the beginning of `buffer`.
    #[inline]
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            rest: buffer,
            overrun: false,
        }
    }

    /// Writes an array of bytes.
    #[inline]
    pub fn bytes<const N: usize>(&mut self, bytes: &[u8; N]) -> &mut Self {
        match core::mem::take(&mut self.rest).split_first_chunk_mut::<N>() {
            Some((head, rest)) => {
                *head = *bytes;
                self.rest = rest;
            }
            None => self.overrun = true,
        }
        self
    }

    /// Writes one byte.
    #[inline]
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Writes two bytes.
    #[inline]
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Writes four bytes.
    #[inline]
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Writes eight bytes.
    #[inline]
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Writes `N` zero bytes: reserved, until a later version gives them a meaning.
    #[inline]
    pub fn reserved<const N: usize>(&mut self) -> &mut Self {
        self.bytes(&[0; N])
    }

    /// Fills what is left with zeroes. `false` if the fields did not fit.
    #[inline]
    pub fn fill(self) -> bool {
        self.rest.fill(0);
        !self.overrun
    }
}

/// Reads fields from the beginning of a buffer. Every method answers `None` when the buffer ends too early.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the beginning of `buffer`.
    #[inline]
    pub fn new(buffer: &'a [u8]) -> Self {
        Self { rest: buffer }
    }

    /// Reads an array of bytes.
    #[inline]
    pub fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    /// Reads one byte.
    #[inline]
    pub fn u8(&mut self) -> Option<u8> {
        self.bytes().map(u8::from_le_bytes)
    }

    /// Reads two bytes.
    #[inline]
    pub fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_le_bytes)
    }

    /// Reads four bytes.
    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    /// Reads eight bytes.
    #[inline]
    pub fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// Whether all that is left is zero, as reserved bytes must be.
    #[inline]
    pub fn rest_is_zero(&self) -> bool {
        is_zero(self.rest)
    }
}

/// Whether all bytes are zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut seen = 0_u64;
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        seen |= u64::from_ne_bytes(*eight);
        rest = after;
    }
    seen == 0 && rest.iter().all(|&byte| byte == 0)
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_le))]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_in_order() {
        let mut buffer = [0xff_u8; 24];
        let mut writer = Writer::new(&mut buffer);
        writer
            .u8(1)
            .u16(0x0302)
            .u32(0x0706_0504)
            .u64(0x0f0e_0d0c_0b0a_0908)
            .reserved::<2>();
        assert!(writer.fill());
        assert_eq!(
            buffer,
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        );
        let mut reader = Reader::new(&buffer);
        assert_eq!(reader.u8(), Some(1));
        assert_eq!(reader.u16(), Some(0x0302));
        assert_eq!(reader.u32(), Some(0x0706_0504));
        assert_eq!(reader.u64(), Some(0x0f0e_0d0c_0b0a_0908));
        assert!(reader.rest_is_zero());
        assert_eq!(reader.bytes::<9>(), Some([0; 9]));
        assert_eq!(reader.u8(), None);
    }

    #[test]
    fn an_overrun_is_told_and_writes_nothing_outside() {
        let mut buffer = [0_u8; 3];
        let mut writer = Writer::new(&mut buffer);
        writer.u16(0xffff).u16(0xffff);
        assert!(!writer.fill());
        assert_eq!(buffer, [0xff, 0xff, 0]);
    }

    #[test]
    fn one_bit_is_not_zero() {
        let mut bytes = [0_u8; 19];
        assert!(is_zero(&bytes));
        for at in 0..19_usize {
            bytes[at] = 0x80;
            assert!(!is_zero(&bytes));
            bytes[at] = 0;
        }
    }
}
