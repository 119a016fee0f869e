// SPDX-License-Identifier: GPL-2.0
//! CRC-32C (Castagnoli): the checksum of every wire and disk format. Slicing by eight, tables made at compile time.

/// The Castagnoli polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `TABLES[n][b]`: what byte `b`, followed by `n` zero bytes, contributes.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0_u32; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut slice = 1;
    while slice < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[slice - 1][byte];
            tables[slice][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        slice += 1;
    }
    tables
}

/// What `byte` contributes when `SLICE` zero bytes follow. A `u8` cannot leave a table of 256: no bounds check is left.
#[inline(always)]
fn term<const SLICE: usize>(byte: u8) -> u32 {
    TABLES[SLICE][byte as usize]
}

/// A checksum that is being formed over several pieces.
#[derive(Clone, Copy, Debug)]
pub struct Crc32c(u32);

impl Crc32c {
    /// The checksum of nothing, yet.
    #[inline]
    pub const fn new() -> Self {
        Self(u32::MAX)
    }

    /// Takes in `bytes`, which follow what was taken in before.
    #[must_use]
    pub fn update(self, bytes: &[u8]) -> Self {
        let mut crc = self.0;
        let mut rest = bytes;
        while let Some((eight, after)) = rest.split_first_chunk::<8>() {
            let low = crc.to_le_bytes();
            crc = term::<7>(eight[0] ^ low[0])
                ^ term::<6>(eight[1] ^ low[1])
                ^ term::<5>(eight[2] ^ low[2])
                ^ term::<4>(eight[3] ^ low[3])
                ^ term::<3>(eight[4])
                ^ term::<2>(eight[5])
                ^ term::<1>(eight[6])
                ^ term::<0>(eight[7]);
            rest = after;
        }
        for &byte in rest {
            crc = (crc >> 8) ^ term::<0>(crc as u8 ^ byte);
        }
        Self(crc)
    }

    /// Takes in a number, as its little-endian bytes.
    #[inline]
    #[must_use]
    pub fn update_u64(self, value: u64) -> Self {
        self.update(&value.to_le_bytes())
    }

    /// The checksum of all that was taken in.
    #[inline]
    pub const fn finish(self) -> u32 {
        !self.0
    }
}

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

/// The checksum of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    Crc32c::new().update(bytes).finish()
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_crc))]
mod tests {
    use super::*;

    #[test]
    fn known_vectors() {
        // The check value of the catalogue of CRC algorithms, then the iSCSI examples (RFC 3720, B.4).
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[]), 0);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let mut rising = [0_u8; 32];
        let mut falling = [0_u8; 32];
        for at in 0..32_u8 {
            rising[at as usize] = at;
            falling[at as usize] = 31 - at;
        }
        assert_eq!(crc32c(&rising), 0x46dd_794e);
        assert_eq!(crc32c(&falling), 0x113f_db5c);
    }

    #[test]
    fn pieces_give_the_checksum_of_the_whole() {
        let mut bytes = [0_u8; 61];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = (at as u8).wrapping_mul(37);
        }
        let whole = crc32c(&bytes);
        for cut in 0..bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(Crc32c::new().update(head).update(tail).finish(), whole);
        }
        assert_eq!(
            Crc32c::new().update_u64(0x0102).finish(),
            crc32c(&[2, 1, 0, 0, 0, 0, 0, 0])
        );
    }
}
