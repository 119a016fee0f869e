// SPDX-License-Identifier: GPL-2.0
//! The lists of the log: free, not done, done. An entry stands in one of them.

use super::entry::{Entry, EntryId, List, NONE};
use super::{Log, Slab};

/// The lists that share `prev` and `next`.
#[derive(Clone, Copy)]
pub(super) enum Which {
    Free,
    Order,
    Done,
}

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    fn list_mut(&mut self, which: Which) -> &mut List {
        match which {
            Which::Free => &mut self.free,
            Which::Order => &mut self.order,
            Which::Done => &mut self.done,
        }
    }

    pub(super) fn push(&mut self, which: Which, entry: EntryId) {
        let list = self.list_mut(which);
        let tail = list.tail;
        list.tail = entry;
        list.len = list.len.saturating_add(1);
        if tail == NONE {
            list.head = entry;
        } else {
            self.at_mut(tail).next = entry;
        }
        let at = self.at_mut(entry);
        (at.prev, at.next) = (tail, NONE);
    }

    /// Hangs an entry behind the last of a list that goes by `ready_prev` and `ready_next`.
    pub(super) fn link(&mut self, list: &mut List, entry: EntryId) {
        let tail = list.tail;
        list.tail = entry;
        list.len = list.len.saturating_add(1);
        if tail == NONE {
            list.head = entry;
        } else {
            self.at_mut(tail).ready_next = entry;
        }
        let at = self.at_mut(entry);
        (at.ready_prev, at.ready_next) = (tail, NONE);
    }

    /// Takes an entry out of such a list.
    pub(super) fn unlink(&mut self, list: &mut List, entry: EntryId) {
        let (prev, next) = (self.at(entry).ready_prev, self.at(entry).ready_next);
        list.len = list.len.saturating_sub(1);
        if prev == NONE {
            list.head = next;
        } else {
            self.at_mut(prev).ready_next = next;
        }
        if next == NONE {
            list.tail = prev;
        } else {
            self.at_mut(next).ready_prev = prev;
        }
        let at = self.at_mut(entry);
        (at.ready_prev, at.ready_next) = (NONE, NONE);
    }

    pub(super) fn remove(&mut self, which: Which, entry: EntryId) {
        let (prev, next) = (self.at(entry).prev, self.at(entry).next);
        self.sorting.leaves(entry, next);
        let list = self.list_mut(which);
        list.len = list.len.saturating_sub(1);
        if prev == NONE {
            list.head = next;
        }
        if next == NONE {
            list.tail = prev;
        }
        if prev != NONE {
            self.at_mut(prev).next = next;
        }
        if next != NONE {
            self.at_mut(next).prev = prev;
        }
        let at = self.at_mut(entry);
        (at.prev, at.next) = (NONE, NONE);
    }
}
