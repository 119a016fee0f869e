// SPDX-License-Identifier: GPL-2.0
//! When a fence counts for what was posted before it (PROTOCOL P2), where posts can fail and links do not latch.
//!
//! A post that failed is proved by nothing. Nor is one that is older than the shortest down of its link: the link may
//! have gone down and come back after it, without anybody having heard of it yet. What is younger is proved, since a link
//! that went down after it would not be back when the word is read.

use super::header::SlotHeader;
use crate::volume::{FenceSample, PostTo};

/// How often something is posted that takes longer than the shortest down of its link. Then the region is given up, as if
/// the link had failed.
pub const TRIES: u32 = 8;
/// Posts that are kept, to be posted again: a batch of copies, or a round of frees. Where both go to one region there are
/// more, and a fence in between.
pub const BATCH: usize = 32;

/// The sample that proves nothing.
pub fn nothing_proved(now: u64) -> FenceSample {
    FenceSample {
        issued_ns: now,
        word: u64::MAX,
        downs: u64::MAX,
    }
}

/// A link to a region, as far as proving needs it.
pub trait Way {
    /// The clock, in nanoseconds.
    fn now(&self) -> u64;

    /// What every down of the link lasts at least, in nanoseconds; 0: nothing can be proved.
    fn min_down_ns(&self) -> u64;

    /// Posts; `false`: not all of it was posted.
    fn send(&self, to: &PostTo, post: &Post) -> bool;

    /// Reads the fence.
    fn fence(&self, to: &PostTo) -> FenceSample;

    /// Whether no down can have come and gone since then.
    fn is_young(&self, since: u64) -> bool {
        self.now().saturating_sub(since) < self.min_down_ns()
    }
}

/// One post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Post {
    /// A slot's data, then this header.
    Slot(u32, SlotHeader),
    /// An invalid header in place of this slot's.
    Invalid(u32),
}

/// Posts, and reads the fence that proves it; does all of it again while it takes too long. `post` says whether all was
/// posted.
pub fn prove(way: &impl Way, to: &PostTo, post: impl Fn() -> bool) -> FenceSample {
    for _ in 0..TRIES {
        let since = way.now();
        if !post() {
            break;
        }
        let sample = way.fence(to);
        if way.is_young(since) {
            return sample;
        }
    }
    nothing_proved(way.now())
}

/// What was posted to one region since its last fence.
#[derive(Clone, Debug)]
pub struct Batch {
    to: Option<PostTo>,
    since: u64,
    posts: [Option<Post>; BATCH],
    len: usize,
    /// One has failed, or a fence in between has.
    failed: bool,
}

impl Batch {
    /// Nothing.
    pub const fn new() -> Self {
        Batch {
            to: None,
            since: 0,
            posts: [None; BATCH],
            len: 0,
            failed: false,
        }
    }

    fn begin(&mut self, to: Option<PostTo>, now: u64) {
        (self.to, self.since) = (to, now);
        (self.len, self.failed) = (0, false);
    }

    /// Posts now, and remembers it. What was posted to another region or life of the link is forgotten: no fence of that
    /// comes any more.
    pub fn post(&mut self, way: &impl Way, to: &PostTo, post: Post) {
        if self.to != Some(*to) {
            self.begin(Some(*to), way.now());
        } else if self.len == BATCH {
            self.fence_between(way, to);
        }
        self.failed |= !way.send(to, &post);
        if let Some(place) = self.posts.get_mut(self.len) {
            *place = Some(post);
            self.len += 1;
        }
    }

    /// Makes room. Whether the region still lives is judged by the fence that the machine asks for: downs are counted on,
    /// and a word that is wrong stays wrong. Here it only counts that no flap has swallowed what was posted so far.
    fn fence_between(&mut self, way: &impl Way, to: &PostTo) {
        let sample = self.fence(way, to);
        self.begin(Some(*to), way.now());
        self.failed = sample.word != to.epoch.get();
    }

    /// Fences what was posted to a region; posts it again where it is too old for its link.
    pub fn fence(&mut self, way: &impl Way, to: &PostTo) -> FenceSample {
        if self.to != Some(*to) {
            // Nothing was posted: it only asks.
            return way.fence(to);
        }
        let mut sample = nothing_proved(way.now());
        if !self.failed {
            sample = way.fence(to);
            if !way.is_young(self.since) {
                let all = self.posts.iter().take(self.len).flatten();
                sample = prove(way, to, || all.clone().all(|post| way.send(to, post)));
            }
        }
        self.begin(None, way.now());
        sample
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_proof))]
mod tests {
    use super::*;
    use crate::ids::{Epoch, LinkEpoch, LinkId};
    use crate::window::Place;
    use core::cell::Cell;

    const MS: u64 = 1_000_000;

    /// A link whose posts take time, fail, or get lost in a flap that nobody has heard of.
    struct Link {
        now: Cell<u64>,
        post_ns: Cell<u64>,
        /// Posts from now on until the flap; the link is down for `min_down` and then answers again.
        flap_after: Cell<Option<u32>>,
        fails: bool,
        arrived: Cell<u32>,
    }

    impl Link {
        fn new(post_ns: u64) -> Self {
            Link {
                now: Cell::new(5 * MS),
                post_ns: Cell::new(post_ns),
                flap_after: Cell::new(None),
                fails: false,
                arrived: Cell::new(0),
            }
        }
    }

    impl Way for Link {
        fn now(&self) -> u64 {
            self.now.get()
        }

        fn min_down_ns(&self) -> u64 {
            MS
        }

        fn send(&self, _to: &PostTo, post: &Post) -> bool {
            self.now.set(self.now.get() + self.post_ns.get());
            let Post::Invalid(slot) = post else {
                return false;
            };
            if self.flap_after.get() == Some(0) {
                // Lost, with what stood in the bridge; and time passes before the link answers again.
                self.now.set(self.now.get() + MS);
                self.flap_after.set(None);
                self.arrived.set(0);
                return true;
            }
            if let Some(left) = self.flap_after.get() {
                self.flap_after.set(Some(left - 1));
            }
            self.arrived.set(self.arrived.get() | 1 << slot);
            !self.fails
        }

        fn fence(&self, to: &PostTo) -> FenceSample {
            FenceSample {
                issued_ns: self.now.get(),
                word: to.epoch.get(),
                // The driver has not been called yet.
                downs: 3,
            }
        }
    }

    fn region() -> Option<PostTo> {
        Some(PostTo {
            link: LinkId::new(0)?,
            life: LinkEpoch::form(1, 2),
            epoch: Epoch::new(7)?,
            place: Place {
                epoch_word: 0,
                offset: 8192,
                slots: 32,
            },
        })
    }

    fn post_all(batch: &mut Batch, link: &Link, to: &PostTo, count: u32) {
        for slot in 0..count {
            batch.post(link, to, Post::Invalid(slot));
        }
    }

    #[test]
    fn what_is_young_is_proved() {
        let Some(to) = region() else { return };
        let (link, mut batch) = (Link::new(1000), Batch::new());
        post_all(&mut batch, &link, &to, 32);
        assert_eq!(batch.fence(&link, &to).word, 7);
        assert_eq!(prove(&link, &to, || true).word, 7);
    }

    #[test]
    fn a_flap_that_nobody_has_heard_of_proves_nothing() {
        let Some(to) = region() else { return };
        for after in 0..4 {
            let (link, mut batch) = (Link::new(1000), Batch::new());
            link.flap_after.set(Some(after));
            post_all(&mut batch, &link, &to, 4);
            assert_ne!(link.arrived.get(), 0b1111);
            // Right word, same count, and still: what was lost is posted again before it counts.
            assert_eq!(batch.fence(&link, &to).word, 7);
            assert_eq!(link.arrived.get(), 0b1111);
        }
    }

    #[test]
    fn who_is_always_too_slow_gives_up() {
        let Some(to) = region() else { return };
        let (link, mut batch) = (Link::new(2 * MS), Batch::new());
        post_all(&mut batch, &link, &to, 1);
        assert_eq!(batch.fence(&link, &to).word, u64::MAX);
        let before = link.now();
        let sample = prove(&link, &to, || link.send(&to, &Post::Invalid(0)));
        assert_eq!(sample.word, u64::MAX);
        assert_eq!(link.now() - before, u64::from(TRIES) * 2 * MS);
    }

    #[test]
    fn a_post_that_failed_is_proved_by_nothing() {
        let Some(to) = region() else { return };
        let mut link = Link::new(1000);
        link.fails = true;
        let mut batch = Batch::new();
        post_all(&mut batch, &link, &to, 1);
        // The rest goes well.
        link.fails = false;
        batch.post(&link, &to, Post::Invalid(1));
        assert_eq!(batch.fence(&link, &to).word, u64::MAX);
        // The next batch is another matter.
        post_all(&mut batch, &link, &to, 1);
        assert_eq!(batch.fence(&link, &to).word, 7);
        assert_eq!(prove(&link, &to, || false).word, u64::MAX);
    }

    #[test]
    fn more_than_is_kept_is_fenced_in_between() {
        let Some(to) = region() else { return };
        let more = BATCH as u32 + 3;
        let (link, mut batch) = (Link::new(10), Batch::new());
        for slot in 0..more {
            batch.post(&link, &to, Post::Invalid(slot % 32));
        }
        assert_eq!(batch.fence(&link, &to).word, 7);
        // A flap that nobody has heard of takes what came before it along, on either side of the fence in between.
        for after in [5, more - 1] {
            let (link, mut batch) = (Link::new(10), Batch::new());
            link.flap_after.set(Some(after));
            for slot in 0..more {
                batch.post(&link, &to, Post::Invalid(slot % 32));
            }
            assert_eq!(batch.fence(&link, &to).word, 7);
            let kept = 0b111;
            let all = if after == 5 { u32::MAX } else { kept };
            assert_eq!(link.arrived.get() & all, all);
        }
    }

    #[test]
    fn a_fence_in_between_that_fails_is_remembered() {
        let Some(to) = region() else { return };
        let mut link = Link::new(10);
        link.fails = true;
        let mut batch = Batch::new();
        post_all(&mut batch, &link, &to, 1);
        link.fails = false;
        for _ in 0..3 {
            post_all(&mut batch, &link, &to, BATCH as u32);
        }
        assert_eq!(batch.fence(&link, &to).word, u64::MAX);
    }

    #[test]
    fn another_life_of_the_link_starts_afresh() {
        let Some(to) = region() else { return };
        let mut link = Link::new(10);
        link.fails = true;
        let mut batch = Batch::new();
        post_all(&mut batch, &link, &to, 3);
        link.fails = false;
        let other = PostTo {
            life: LinkEpoch::form(3, 4),
            ..to
        };
        batch.post(&link, &other, Post::Invalid(0));
        assert_eq!(batch.fence(&link, &other).word, 7);
        assert_eq!(batch.fence(&link, &to).word, 7);
    }
}
