// SPDX-License-Identifier: GPL-2.0
//! The keys that are registered with a disk, as it tells them.

use super::Key;
use kernel::{error::code::*, prelude::*};

/// Most keys that are read at once. Drivers allocate up to 64 bytes for each, in one piece.
pub const MAX_KEYS: u32 = 128;

/// Room for keys, made beforehand, so that reading them needs no memory of ours.
pub struct KeyRoom {
    // INVARIANT: `capacity` words, of which there is one at least, behind the one for the kernel's own use.
    words: KVec<u64>,
    capacity: u32,
}

impl KeyRoom {
    /// Room for so many keys. Every path of a host has a registration of its own with most SCSI disks.
    ///
    /// # Errors
    /// `EINVAL`: not 1..=[`MAX_KEYS`]; `ENOMEM`.
    pub fn new(capacity: u32) -> Result<Self> {
        if !(1..=MAX_KEYS).contains(&capacity) {
            return Err(EINVAL);
        }
        // INVARIANT: one more than that.
        let words = KVec::from_elem(0, capacity as usize + 1, GFP_KERNEL)?;
        Ok(Self { words, capacity })
    }

    /// Where the first word is, and how many there are behind it.
    pub(super) fn parts(&mut self) -> (*mut u64, u32) {
        (self.words.as_mut_ptr(), self.capacity)
    }

    /// What was read into it.
    pub(super) fn keys(&self, generation: u32, total: u32) -> Keys<'_> {
        // What the disk says may be more than it was given room for.
        let count = total.min(self.capacity) as usize;
        Keys {
            words: self.words.get(1..=count).unwrap_or_default(),
            generation,
            total,
        }
    }
}

/// Keys that were read.
pub struct Keys<'r> {
    words: &'r [u64],
    /// Counts the changes of registrations, as the disk does: LIO and nvmet begin anew when they are restarted.
    pub generation: u32,
    /// How many registrations there are, as the disk says: more than [`Self::iter`] has, if there was no room for them,
    /// or if some have no key.
    pub total: u32,
}

impl Keys<'_> {
    /// The keys, one for each registration: a host with two paths may have its key here twice.
    pub fn iter(&self) -> impl Iterator<Item = Key> + '_ {
        self.words.iter().filter_map(|word| Key::new(*word))
    }

    /// Whether a key is there. `false` means something only if [`Self::is_complete`].
    pub fn contains(&self, key: Key) -> bool {
        self.iter().any(|one| one == key)
    }

    /// Whether these are all registrations. Not so: there was no room for some, or the disk counts some without a key.
    pub fn is_complete(&self) -> bool {
        self.iter().count() == self.total as usize
    }
}
