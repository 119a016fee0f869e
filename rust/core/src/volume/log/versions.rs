// SPDX-License-Identifier: GPL-2.0
//! The versions of a block: the newest is in a hash bucket, the older ones hang below it.

use super::entry::{Entry, EntryId, NONE};
use super::{Log, Slab};
use crate::ids::mix;

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    /// How many of the buckets are the index.
    #[inline]
    pub(super) fn heads(&self) -> usize {
        self.buckets.len() / 2
    }

    #[inline]
    fn bucket_of(&self, block: u64) -> usize {
        mix(block ^ self.salt) as usize & (self.heads().wrapping_sub(1))
    }

    #[inline]
    fn bucket(&self, bucket: usize) -> EntryId {
        self.buckets
            .get(bucket)
            .map_or(NONE, |entry| EntryId::new(*entry))
    }

    fn set_bucket(&mut self, bucket: usize, entry: EntryId) {
        if let Some(place) = self.buckets.get_mut(bucket) {
            *place = entry.index();
        }
    }

    /// The newest version of a block.
    pub(crate) fn newest(&self, block: u64) -> Option<EntryId> {
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
    fn replace_in_bucket(&mut self, old: EntryId, with: EntryId) {
        let (block, after) = (self.at(old).block, self.at(old).chain);
        let (ready, busy) = (self.at(old).block_ready, self.at(old).block_busy);
        let follow = if with == NONE {
            after
        } else {
            let at = self.at_mut(with);
            (at.chain, at.block_ready, at.block_busy) = (after, ready, busy);
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
        let at = self.at_mut(old);
        (at.chain, at.block_ready, at.block_busy) = (NONE, NONE, NONE);
    }

    /// Which version of the block of `entry` may be destaged, and of which one a write is in flight.
    pub(super) fn block_state(&self, entry: EntryId) -> (EntryId, EntryId) {
        let newest = self.newest(self.at(entry).block);
        newest.map_or((NONE, NONE), |newest| {
            let at = self.at(newest);
            (at.block_ready, at.block_busy)
        })
    }

    pub(super) fn set_block_ready(&mut self, entry: EntryId, ready: EntryId) {
        if let Some(newest) = self.newest(self.at(entry).block) {
            self.at_mut(newest).block_ready = ready;
        }
    }

    pub(super) fn set_block_busy(&mut self, entry: EntryId, busy: EntryId) {
        if let Some(newest) = self.newest(self.at(entry).block) {
            self.at_mut(newest).block_busy = busy;
        }
    }

    /// Hangs an entry above all versions of its block.
    pub(super) fn hook(&mut self, entry: EntryId) {
        let block = self.at(entry).block;
        match self.newest(block) {
            Some(older) => {
                self.replace_in_bucket(older, entry);
                self.at_mut(older).newer = entry;
                self.at_mut(entry).older = older;
            }
            None => {
                let bucket = self.bucket_of(block);
                self.at_mut(entry).chain = self.bucket(bucket);
                self.set_bucket(bucket, entry);
            }
        }
    }

    /// Takes an entry out from among the versions of its block.
    pub(super) fn unhook(&mut self, entry: EntryId) {
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
