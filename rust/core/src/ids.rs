// SPDX-License-Identifier: GPL-2.0
//! The identities that everything else is built on.
//!
//! Each is a plain number that was checked once, when it was made: code that holds one need not check again.

use core::fmt;

/// Number of controllers that an appliance can have.
pub const NODE_COUNT: usize = 64;

/// Number of links that a controller can have to one peer.
pub const LINK_COUNT: usize = 8;

/// A controller of the appliance: 0 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u8);

impl NodeId {
    /// Checks that `node` is below [`NODE_COUNT`].
    pub const fn new(node: u8) -> Option<Self> {
        if (node as usize) < NODE_COUNT {
            Some(Self(node))
        } else {
            None
        }
    }

    /// The number, 0 to 63.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The number as an index below [`NODE_COUNT`].
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

/// One link of this controller to a peer: 0 to 7. The peer may number the same link differently; what both call
/// by the same name is its [`LinkEpoch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(u8);

impl LinkId {
    /// Checks that `link` is below [`LINK_COUNT`].
    pub const fn new(link: u8) -> Option<Self> {
        if (link as usize) < LINK_COUNT {
            Some(Self(link))
        } else {
            None
        }
    }

    /// The number, 0 to 7.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The number as an index below [`LINK_COUNT`].
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All links, lowest first.
    #[inline]
    pub fn all() -> impl Iterator<Item = LinkId> {
        Self::first(LINK_COUNT as u8)
    }

    /// The first `count` links, lowest first; all, if there are fewer.
    #[inline]
    pub fn first(count: u8) -> impl Iterator<Item = LinkId> {
        (0..count.min(LINK_COUNT as u8)).map(LinkId)
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// One life of a controller: a random number drawn when the module was loaded. Two lives never share one.
/// Incarnations have no order: of two, nothing tells which is the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation(u64);

impl Incarnation {
    /// `value` is random and not 0 (0 stands for "none" on the wire and on the disk).
    pub const fn new(value: u64) -> Option<Self> {
        if value == 0 {
            None
        } else {
            Some(Self(value))
        }
    }

    /// The number, never 0.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Numbers the owners of a volume, one after the other. [`Generation::NONE`] was never anybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// What the record of a node says that has never owned the volume.
    pub const NONE: Self = Self(0);

    /// The generation with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number; 0 is [`Generation::NONE`].
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The generation after this one. `None` after 2^64 - 1 takeovers.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {}", self.0)
    }
}

/// Whether a random number may be an epoch. Zero is what empty memory reads as, all ones what a dead link reads as.
const fn is_epoch(value: u64) -> bool {
    value != 0 && value != u64::MAX
}

/// The random number of one region grant, never used again (PROTOCOL P2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// `None` for 0 and all ones, which no grant ever has.
    pub const fn new(value: u64) -> Option<Self> {
        if is_epoch(value) {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The number, never 0 or all ones.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One life of a link, from a handshake until the link goes down at either end: formed from a fresh random number
/// of each end, so both know it, and neither end alone can bring an old one back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkEpoch(u64);

impl LinkEpoch {
    /// The epoch with this number; `None` for 0 and all ones.
    pub const fn new(value: u64) -> Option<Self> {
        if is_epoch(value) {
            Some(Self(value))
        } else {
            None
        }
    }

    /// Forms the epoch from the nonces of the two ends: `low` is that of the end with the lower node number.
    pub const fn form(low: u64, high: u64) -> Self {
        let mixed = mix(mix(low) ^ high.rotate_left(32));
        if is_epoch(mixed) {
            Self(mixed)
        } else {
            Self(1)
        }
    }

    /// The number, never 0 or all ones.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LinkEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A bijection of 64-bit numbers that spreads every input bit over the result (the finaliser of SplitMix64).
pub const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A 128-bit name of an appliance or a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// All zero: no appliance and no volume has it.
    pub const NIL: Self = Self([0; 16]);

    /// The uuid with these bytes, in the order in which they are printed.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, in the order in which they are printed.
    #[inline]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether this is [`Uuid::NIL`].
    pub fn is_nil(&self) -> bool {
        *self == Self::NIL
    }

    /// Reads the usual form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, in either case. `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return None;
        }
        let mut bytes = [0; 16];
        let mut nibbles = 0_usize;
        for (at, &byte) in text.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            let nibble = char::from(byte).to_digit(16)? as u8;
            let target = bytes.get_mut(nibbles / 2)?;
            *target = (*target << 4) | nibble;
            nibbles += 1;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_ids))]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert!(NodeId::new(63).is_some());
        assert!(NodeId::new(64).is_none());
        assert!(LinkId::new(7).is_some());
        assert!(LinkId::new(8).is_none());
        assert!(Incarnation::new(0).is_none());
        assert!(Epoch::new(0).is_none());
        assert!(Epoch::new(u64::MAX).is_none());
        assert!(Epoch::new(1).is_some());
        assert!(Generation::new(u64::MAX).next().is_none());
        assert_eq!(Generation::NONE.next(), Some(Generation::new(1)));
    }

    #[test]
    fn a_link_epoch_depends_on_both_nonces_and_their_order() {
        let epoch = LinkEpoch::form(1, 2);
        assert!(epoch != LinkEpoch::form(2, 1));
        assert!(epoch != LinkEpoch::form(1, 3));
        assert!(epoch != LinkEpoch::form(3, 2));
        assert_eq!(epoch, LinkEpoch::form(1, 2));
    }

    #[test]
    fn a_uuid_is_read_in_its_usual_form_only() {
        let uuid = Uuid::parse("00010203-0405-0607-0809-0a0b0c0d0e0F");
        assert_eq!(
            uuid,
            Some(Uuid::from_bytes([
                0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
            ]))
        );
        assert!(Uuid::parse("").is_none());
        assert!(Uuid::parse("00010203-0405-0607-0809-0a0b0c0d0e0").is_none());
        assert!(Uuid::parse("00010203-0405-0607-0809-0a0b0c0d0e0g").is_none());
        assert!(Uuid::parse("00010203_0405-0607-0809-0a0b0c0d0e0f").is_none());
        assert!(Uuid::parse("000102030-405-0607-0809-0a0b0c0d0e0f").is_none());
    }
}
