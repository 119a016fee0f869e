// SPDX-License-Identifier: GPL-2.0
//! The hardware of one link between two controllers.
//!
//! Posted stores arrive late, in order; those of another link may overtake them.
//! A link that goes down loses what is posted from that moment on, and perhaps
//! the last of what was under way; the rest still arrives later, as a *late
//! post*. A link that latches stays closed at both ends until the handshake has
//! run again; one that does not works again at once, and only counts its downs.

use std::collections::VecDeque;

use crate::memory::Store;

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct End {
    /// Latched: stores are dropped and reads are all ones until the handshake.
    closed: bool,
    /// How often the link went down, as far as this end can tell.
    downs: u64,
}

/// A link between controllers 0 and 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    up: bool,
    latches: bool,
    ends: [End; 2],
    /// Posted by end 0 and 1, oldest first.
    posted: [VecDeque<Store>; 2],
}

impl Link {
    /// A connected link whose handshake has not run yet.
    pub fn new(latches: bool) -> Self {
        Link {
            up: true,
            latches,
            ends: [End {
                closed: true,
                downs: 0,
            }; 2],
            posted: [VecDeque::new(), VecDeque::new()],
        }
    }

    /// Whether both ends are connected.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Whether an end may post and read.
    pub fn is_open(&self, end: usize) -> bool {
        self.up && !self.ends[end].closed
    }

    /// What an end reads from its count of downs.
    pub fn downs(&self, end: usize) -> u64 {
        self.ends[end].downs
    }

    /// Posts a store. Whether it got onto the link: nobody at that end can tell.
    pub fn post(&mut self, end: usize, store: Store) -> bool {
        let goes = self.is_open(end);
        if goes {
            self.posted[end].push_back(store);
        }
        goes
    }

    /// How many stores of an end are under way.
    pub fn under_way(&self, end: usize) -> usize {
        self.posted[end].len()
    }

    /// The oldest store of an end arrives.
    pub fn arrive(&mut self, end: usize) -> Option<Store> {
        self.posted[end].pop_front()
    }

    /// Store `index` of an end and the next one change places, unless they go to the same place.
    pub fn swap(&mut self, end: usize, index: usize) {
        let posted = &mut self.posted[end];
        if let (Some(first), Some(second)) = (posted.get(index), posted.get(index + 1)) {
            if first.place() != second.place() {
                posted.swap(index, index + 1);
            }
        }
    }

    /// Whether a read through the link would be answered by the other memory.
    /// All earlier stores of that end must have arrived before it is.
    pub fn answers(&self, end: usize) -> bool {
        self.up && self.ends.iter().all(|e| !e.closed) && end < 2
    }

    /// The link goes down. Of the stores under way, the first `keep` of each end
    /// survive and arrive later.
    pub fn cut(&mut self, keep: [usize; 2]) {
        self.up = false;
        for (end, keep) in keep.into_iter().enumerate() {
            self.posted[end].truncate(keep);
            self.ends[end].downs += 1;
            self.ends[end].closed |= self.latches;
        }
    }

    /// The link is connected again. What latches stays closed.
    pub fn mend(&mut self) {
        self.up = true;
    }

    /// An end stops using the link, until the handshake.
    pub fn close(&mut self, end: usize) {
        self.ends[end].closed = true;
    }

    /// The handshake has gone both ways: both ends are open. The caller has let
    /// everything posted before arrive.
    pub fn open(&mut self) {
        for end in &mut self.ends {
            end.closed = false;
        }
    }

    /// The controller at `end` is gone; the first `keep` of its stores are still
    /// under way.
    pub fn lose_end(&mut self, end: usize, keep: usize) {
        self.posted[end].truncate(keep);
        self.ends[end].closed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn half(value: u64) -> Store {
        Store::Half {
            at: 0,
            half: 0,
            value,
        }
    }

    fn open(latches: bool) -> Link {
        let mut link = Link::new(latches);
        link.open();
        link
    }

    #[test]
    fn stores_arrive_in_order_and_late_ones_survive_a_cut() {
        let mut link = open(true);
        for v in 0..3 {
            assert!(link.post(0, half(v)));
        }
        link.cut([2, 0]);
        assert!(!link.post(0, half(9)));
        link.mend();
        assert!(!link.is_open(0) && !link.answers(0));
        assert_eq!(link.arrive(0), Some(half(0)));
        assert_eq!(link.arrive(0), Some(half(1)));
        assert_eq!(link.arrive(0), None);
        link.open();
        assert!(link.answers(0) && link.answers(1));
    }

    #[test]
    fn without_a_latch_only_the_count_tells() {
        let mut link = open(false);
        link.post(0, half(1));
        link.cut([0, 0]);
        link.post(0, half(2));
        link.mend();
        assert!(link.answers(0));
        assert_eq!(link.under_way(0), 0);
        assert_eq!(link.downs(0), 1);
    }
}
