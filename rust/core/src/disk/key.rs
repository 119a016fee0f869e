// SPDX-License-Identifier: GPL-2.0
//! The key under which a controller is registered for the persistent reservation of the shared disk (SCSI-3, NVMe).
//!
//! Every life of a controller has a key of its own for each volume, so that a preemption meets one life and no other. It can
//! be told apart from the keys of other software, and says whose it is:
//!
//! ```text
//! 63       40 39   32 31          0
//! | volume   | node  | life       |     top bit: 1
//! ```

use core::fmt;

use crate::ids::{mix, Incarnation, NodeId, Uuid};

/// A registration key: never 0, which stands for "none" at a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// The key of this life of this controller.
    pub const fn of(volume: &Uuid, node: NodeId, life: Incarnation) -> Self {
        Self(tag(volume) | (node.get() as u64) << 32 | mix(life.get()) & 0xffff_ffff)
    }

    /// As a target reports it; `None` for 0.
    pub const fn from_raw(raw: u64) -> Option<Self> {
        if raw == 0 {
            None
        } else {
            Some(Self(raw))
        }
    }

    /// As a target takes it.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The controller of the volume whose key it is; `None`: it is somebody else's.
    pub fn node(self, volume: &Uuid) -> Option<NodeId> {
        let node = NodeId::new((self.0 >> 32) as u8)?;
        (self.0 & TAG == tag(volume)).then_some(node)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

const TAG: u64 = 0xffff_ff00_0000_0000;

/// What all keys of a volume have in common.
const fn tag(volume: &Uuid) -> u64 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *volume.as_bytes();
    let high = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let low = u64::from_le_bytes([i, j, k, l, m, n, o, p]);
    mix(mix(high) ^ low) & TAG | 1 << 63
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_key))]
mod tests {
    use super::*;

    fn key(volume: u8, node: u8, life: u64) -> Option<Key> {
        let volume = Uuid::from_bytes([volume; 16]);
        Some(Key::of(
            &volume,
            NodeId::new(node)?,
            Incarnation::new(life)?,
        ))
    }

    #[test]
    fn a_key_says_whose_it_is() {
        let volume = Uuid::from_bytes([7; 16]);
        let node = |raw| Key::from_raw(raw).and_then(|key| key.node(&volume));
        let raw = |key: Option<Key>| key.map_or(0, Key::get);
        assert_eq!(node(raw(key(7, 63, 9))), NodeId::new(63));
        assert_eq!(node(raw(key(7, 0, 9))), NodeId::new(0));
        // Of another volume, of other software, of a node that cannot be, and none.
        assert_eq!(node(raw(key(8, 63, 9))), None);
        assert_eq!(node(0xabcd), None);
        assert_eq!(node(raw(key(7, 0, 9)) | 64 << 32), None);
        assert_eq!(Key::from_raw(0), None);
    }

    #[test]
    fn every_life_has_a_key_of_its_own() {
        assert!(key(7, 1, 1).is_some());
        assert!(key(7, 1, 1) != key(7, 1, 2));
        assert!(key(7, 1, 1) != key(7, 2, 1));
    }
}
