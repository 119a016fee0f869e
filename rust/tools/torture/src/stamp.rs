// SPDX-License-Identifier: GPL-2.0
//! What a written block looks like: eight sectors that each say which write they belong to.
//!
//! Every 512-byte sector carries the whole stamp and its own CRC, so a block made of two writes is recognised
//! wherever the seam lies: between sectors by their sequences, inside a sector by its CRC.

use crate::BLOCK_SIZE;

/// Bytes in a sector, the finest grain at which a tear is named.
pub const SECTOR_SIZE: usize = 512;
const SECTORS: usize = BLOCK_SIZE / SECTOR_SIZE;
const MAGIC: [u8; 8] = *b"yokeTORT";
const VERSION: u16 = 1;
const CRC_AT: usize = 36;
const HEADER_SIZE: usize = 40;

/// A block in memory, aligned for direct I/O.
#[derive(Clone)]
#[repr(C, align(4096))]
pub struct Block(pub [u8; BLOCK_SIZE]);

impl Default for Block {
    fn default() -> Self {
        Block([0; BLOCK_SIZE])
    }
}

/// The identity of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The run that wrote it.
    pub run: u64,
    /// The block it was meant for.
    pub block: u64,
    /// Its sequence, unique within a chain of runs, counted from 1.
    pub seq: u64,
}

/// What a block turned out to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No sector carries a stamp: zeros, or somebody else's data.
    Nothing,
    /// All sectors belong to one write. The stamp may still be another block's or another run's.
    Whole(Stamp),
    /// Sectors of different writes, or sectors that fail their CRC.
    Torn(Tear),
}

/// A block that is no single write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tear {
    /// The runs whose whole sectors are in it.
    pub runs: Vec<u64>,
    /// Names the sectors, for people.
    pub text: String,
}

enum Sector {
    Empty,
    Damaged,
    Stamped(Stamp),
}

impl Stamp {
    /// Fills `block` with this stamp.
    pub fn fill(&self, block: &mut Block) {
        for (index, sector) in block.0.chunks_exact_mut(SECTOR_SIZE).enumerate() {
            self.fill_sector(index, sector);
        }
    }

    fn fill_sector(&self, index: usize, sector: &mut [u8]) {
        let mut filler = Filler::new(self, index);
        for word in sector[HEADER_SIZE..].chunks_exact_mut(8) {
            word.copy_from_slice(&filler.next().to_le_bytes());
        }
        sector[0..8].copy_from_slice(&MAGIC);
        sector[8..16].copy_from_slice(&self.run.to_le_bytes());
        sector[16..24].copy_from_slice(&self.block.to_le_bytes());
        sector[24..32].copy_from_slice(&self.seq.to_le_bytes());
        sector[32..34].copy_from_slice(&(index as u16).to_le_bytes());
        sector[34..36].copy_from_slice(&VERSION.to_le_bytes());
        let crc = sector_crc(sector);
        sector[CRC_AT..HEADER_SIZE].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Says what `block` holds. Trusts nothing in it.
pub fn read(block: &Block) -> Found {
    let sectors: Vec<Sector> = block
        .0
        .chunks_exact(SECTOR_SIZE)
        .enumerate()
        .map(|(index, sector)| read_sector(index, sector))
        .collect();
    if sectors.iter().all(|s| matches!(s, Sector::Empty)) {
        return Found::Nothing;
    }
    if let Some(Sector::Stamped(first)) = sectors.first() {
        if sectors
            .iter()
            .all(|s| matches!(s, Sector::Stamped(stamp) if stamp == first))
        {
            return Found::Whole(*first);
        }
    }
    let mut runs: Vec<u64> = sectors
        .iter()
        .filter_map(|s| match s {
            Sector::Stamped(stamp) => Some(stamp.run),
            _ => None,
        })
        .collect();
    runs.dedup();
    Found::Torn(Tear {
        runs,
        text: describe(&sectors),
    })
}

fn read_sector(index: usize, sector: &[u8]) -> Sector {
    if sector[0..8] != MAGIC {
        return Sector::Empty;
    }
    let half = |at: usize| u16::from_le_bytes([sector[at], sector[at + 1]]);
    let crc = u32::from_le_bytes([
        sector[CRC_AT],
        sector[CRC_AT + 1],
        sector[CRC_AT + 2],
        sector[CRC_AT + 3],
    ]);
    if crc != sector_crc(sector) || usize::from(half(32)) != index || half(34) != VERSION {
        return Sector::Damaged;
    }
    Sector::Stamped(Stamp {
        run: word(sector, 8),
        block: word(sector, 16),
        seq: word(sector, 24),
    })
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0u8; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}

/// The CRC of a sector, taken with the CRC field left out.
fn sector_crc(sector: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&sector[..CRC_AT]), &sector[HEADER_SIZE..])
}

/// Names runs of equal sectors: "0-2 seq 7, 3 damaged, 4-7 seq 9".
fn describe(sectors: &[Sector]) -> String {
    let name = |sector: &Sector| match sector {
        Sector::Empty => "no stamp".to_string(),
        Sector::Damaged => "damaged".to_string(),
        Sector::Stamped(s) => format!("seq {} of block {}", s.seq, s.block),
    };
    let mut parts: Vec<(usize, usize, String)> = Vec::with_capacity(SECTORS);
    for (index, sector) in sectors.iter().enumerate() {
        let text = name(sector);
        match parts.last_mut() {
            Some((_, last, previous)) if *previous == text => *last = index,
            _ => parts.push((index, index, text)),
        }
    }
    let texts: Vec<String> = parts
        .into_iter()
        .map(|(from, to, text)| match from == to {
            true => format!("sector {from}: {text}"),
            false => format!("sectors {from}-{to}: {text}"),
        })
        .collect();
    texts.join(", ")
}

/// Cheap bytes that differ between any two writes (a splitmix64 sequence).
struct Filler(u64);

impl Filler {
    fn new(stamp: &Stamp, sector: usize) -> Self {
        let mixed = stamp.run ^ stamp.seq.rotate_left(17) ^ stamp.block.rotate_left(41);
        Filler(mixed.wrapping_add(sector as u64))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(seq: u64) -> Block {
        let mut block = Block::default();
        Stamp {
            run: 0xabcd,
            block: 5,
            seq,
        }
        .fill(&mut block);
        block
    }

    #[test]
    fn a_stamp_reads_back() {
        assert_eq!(
            read(&filled(9)),
            Found::Whole(Stamp {
                run: 0xabcd,
                block: 5,
                seq: 9
            })
        );
        assert_eq!(read(&Block::default()), Found::Nothing);
        assert_eq!(read(&Block([0xff; BLOCK_SIZE])), Found::Nothing);
    }

    /// The bytes on the disk are a format: a changed layout needs a new version. If this fails, do not change the test.
    #[test]
    fn golden_bytes() {
        let block = filled(9);
        let expected: [u8; 36] = [
            b'y', b'o', b'k', b'e', b'T', b'O', b'R', b'T', 0xcd, 0xab, 0, 0, 0, 0, 0, 0, 5, 0, 0,
            0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0, 1, 0,
        ];
        assert_eq!(block.0[7 * 512..7 * 512 + 36], expected);
        assert_eq!(crc32c::crc32c(&block.0), GOLDEN_CRC);
    }
    /// Computed by an independent implementation.
    const GOLDEN_CRC: u32 = 2007420670;

    #[test]
    fn swapped_sectors_are_torn() {
        let mut block = filled(9);
        let first: Vec<u8> = block.0[..512].to_vec();
        block.0.copy_within(512..1024, 0);
        block.0[512..1024].copy_from_slice(&first);
        assert!(matches!(read(&block), Found::Torn(_)));
    }

    #[test]
    fn a_tear_is_described() {
        let mut block = filled(9);
        block.0[..1024].copy_from_slice(&filled(8).0[..1024]);
        block.0[1024] = 0;
        let Found::Torn(tear) = read(&block) else {
            panic!("not torn")
        };
        assert_eq!(tear.runs, [0xabcd]);
        assert_eq!(
            tear.text,
            "sectors 0-1: seq 8 of block 5, sector 2: no stamp, sectors 3-7: seq 9 of block 5"
        );
    }

    proptest! {
        /// Whatever the seam, in the middle of a sector too, two writes never pass for one.
        #[test]
        fn every_seam_is_seen(cut in 1usize..BLOCK_SIZE, old in 1u64..100, new in 101u64..200) {
            let mut block = filled(new);
            block.0[..cut].copy_from_slice(&filled(old).0[..cut]);
            // A cut inside the bytes that both writes share moves nothing that tells them apart.
            let same = block.0 == filled(new).0 || block.0 == filled(old).0;
            prop_assert_eq!(matches!(read(&block), Found::Torn(_)), !same);
        }

        #[test]
        fn every_flipped_bit_is_seen(at in 0usize..BLOCK_SIZE, bit in 0u8..8) {
            let mut block = filled(3);
            block.0[at] ^= 1 << bit;
            prop_assert!(matches!(read(&block), Found::Torn(_)));
        }
    }
}
