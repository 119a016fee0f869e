// SPDX-License-Identifier: GPL-2.0
//! One of the states in which a block may be, as its monitor keeps them.

use super::{Open, Value};

/// One state in which the block may be. Requests are named by their place among
/// those that are open, in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct World {
    pub(super) value: Value,
    /// Open writes that have taken effect: one bit each.
    pub(super) done: u32,
    /// How many of the open requests began before the last effect: each write
    /// among them may have taken effect, unseen, just before that one.
    pub(super) before: u8,
    /// What each open read may have seen so far, sorted.
    pub(super) seen: Vec<(u8, Value)>,
}

impl World {
    pub(super) fn new(value: Value) -> Self {
        World {
            value,
            done: 0,
            before: 0,
            seen: Vec::new(),
        }
    }

    pub(super) fn is_done(&self, place: usize) -> bool {
        self.done & 1 << place != 0
    }

    pub(super) fn see(&mut self, read: usize, value: Value) {
        if let Err(at) = self.seen.binary_search(&(read as u8, value)) {
            self.seen.insert(at, (read as u8, value));
        }
    }

    /// The write at `place` takes effect now.
    pub(super) fn effect(&mut self, open: &[Open], place: usize, value: Value) {
        self.value = value;
        self.done |= 1 << place;
        self.before = open.len() as u8;
        self.show(open, open.len(), value);
    }

    /// The write at `place` took effect just before the last effect. Whether it can have.
    pub(super) fn hide(&mut self, open: &[Open], place: usize, value: Value) -> bool {
        let can = place < self.before as usize;
        if can {
            self.done |= 1 << place;
            self.show(open, self.before as usize, value);
        }
        can
    }

    pub(super) fn show(&mut self, open: &[Open], upto: usize, value: Value) {
        for (read, _) in open
            .iter()
            .enumerate()
            .take(upto)
            .filter(|(_, o)| o.writes.is_none())
        {
            self.see(read, value);
        }
    }

    /// Whether the request at `place` makes a difference.
    pub(super) fn speaks_of(&self, place: usize) -> bool {
        self.is_done(place) || self.seen.iter().any(|(read, _)| *read as usize == place)
    }

    /// The request at `place` is open no more.
    pub(super) fn forget(&mut self, place: usize) {
        let low = (1 << place) - 1;
        self.done = self.done & low | (self.done >> 1) & !low;
        self.before -= u8::from((self.before as usize) > place);
        forget(&mut self.seen, place);
    }

    /// Whether everything that `other` allows is allowed here too.
    pub(super) fn covers(&self, other: &World) -> bool {
        self.value == other.value
            && self.done == other.done
            && self.before >= other.before
            && includes(&self.seen, &other.seen)
    }
}

/// Whether all of `few` is in `many`. Both are sorted.
fn includes(many: &[(u8, Value)], few: &[(u8, Value)]) -> bool {
    if few.len() > many.len() {
        return false;
    }
    let mut rest = many.iter();
    few.iter()
        .all(|saw| rest.by_ref().find(|m| *m >= saw) == Some(saw))
}

/// What reads may have seen, without the request at `place`, which is open no more.
pub(super) fn forget(seen: &mut Vec<(u8, Value)>, place: usize) {
    seen.retain(|(read, _)| *read as usize != place);
    for (read, _) in seen {
        *read -= u8::from(*read as usize > place);
    }
}
