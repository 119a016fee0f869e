// SPDX-License-Identifier: GPL-2.0
//! The versions of a block: the newest is in a hash bucket, the older ones hang below it.

use super::entry::{Entry, BELOW_BUSY, BUSY, NONE};
use super::log::{Log, Slab};
use crate::ids::mix;

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    #[inline]
    fn bucket_of(&self, block: u64) -> usize {
        mix(block) as usize & (self.buckets.len().wrapping_sub(1))
    }

    #[inline]
    fn bucket(&self, bucket: usize) -> u32 {
        self.buckets.get(bucket).copied().unwrap_or(NONE)
    }

    fn set_bucket(&mut self, bucket: usize, entry: u32) {
        if let Some(place) = self.buckets.get_mut(bucket) {
            *place = entry;
        }
    }

    /// The newest version of a block.
    pub(crate) fn newest(&self, block: u64) -> Option<u32> {
        let mut entry = self.bucket(self.bucket_of(block));
        while entry != NONE {
            let at = self.at(entry);
            if at.block == block {
                return Some(entry);
            }
            entry = at.chain;
        }
        None
    }

    /// Puts `with` in the place of `old` in its bucket; `NONE` takes `old` out.
    fn replace_in_bucket(&mut self, old: u32, with: u32) {
        let (block, after) = (self.at(old).block, self.at(old).chain);
        let follow = if with == NONE {
            after
        } else {
            self.at_mut(with).chain = after;
            with
        };
        let bucket = self.bucket_of(block);
        let mut entry = self.bucket(bucket);
        if entry == old {
            self.set_bucket(bucket, follow);
        } else {
            while entry != NONE && self.at(entry).chain != old {
                entry = self.at(entry).chain;
            }
            self.at_mut(entry).chain = follow;
        }
        self.at_mut(old).chain = NONE;
    }

    /// Hangs an entry above all versions of its block.
    pub(super) fn hook(&mut self, entry: u32) {
        let block = self.at(entry).block;
        match self.newest(block) {
            Some(older) => {
                let busy = self.at(older).is(BUSY | BELOW_BUSY);
                self.replace_in_bucket(older, entry);
                self.at_mut(older).newer = entry;
                self.at_mut(entry).older = older;
                if busy {
                    self.at_mut(entry).set(BELOW_BUSY);
                }
            }
            None => {
                let bucket = self.bucket_of(block);
                self.at_mut(entry).chain = self.bucket(bucket);
                self.set_bucket(bucket, entry);
            }
        }
    }

    /// Takes an entry out from among the versions of its block.
    pub(super) fn unhook(&mut self, entry: u32) {
        let (older, newer) = (self.at(entry).older, self.at(entry).newer);
        if newer == NONE {
            self.replace_in_bucket(entry, older);
        } else {
            self.at_mut(newer).older = older;
        }
        if older != NONE {
            self.at_mut(older).newer = newer;
        }
        let at = self.at_mut(entry);
        (at.older, at.newer) = (NONE, NONE);
    }
}
