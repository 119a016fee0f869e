// SPDX-License-Identifier: GPL-2.0
//! Who is posting over a link at this moment, of all volumes (PROTOCOL P6).
//!
//! A place in the peer's window belongs to one volume after the other. Whoever posts to it may stand still in the middle
//! of that, its processor taken away, while its region is lost, the volume closed at the peer, and the place granted to
//! another volume: what it stores then would lie over what that one has proved. An epoch word keeps such a store from being
//! taken for something, not from being made. So a grant counts only when all who were posting over its link, when it came,
//! have left.
//!
//! There are two counts, of those who came in even and in odd phases. A phase ends when nobody of the one before it is left.

/// How far a phase has come when somebody entered; or when a grant came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase(u64);

/// Those who post over one link. Guarded by its owner.
#[derive(Clone, Debug, Default)]
pub struct Posters {
    phase: u64,
    even: u32,
    odd: u32,
}

impl Posters {
    /// Nobody.
    pub const fn new() -> Self {
        Posters {
            phase: 0,
            even: 0,
            odd: 0,
        }
    }

    /// How many are inside that entered in phases like this.
    fn inside(&mut self, phase: u64) -> &mut u32 {
        if phase & 1 == 0 {
            &mut self.even
        } else {
            &mut self.odd
        }
    }

    /// Somebody begins to post.
    pub fn enter(&mut self) -> Phase {
        let inside = self.inside(self.phase);
        *inside = inside.saturating_add(1);
        Phase(self.phase)
    }

    /// It has posted: its stores are on their way to the peer, before any that are made from now on.
    pub fn leave(&mut self, entered: Phase) {
        let inside = self.inside(entered.0);
        *inside = inside.saturating_sub(1);
    }

    /// The present phase: those who are inside entered in it at the latest.
    pub fn mark(&self) -> Phase {
        Phase(self.phase)
    }

    /// Whether all who were inside at the mark have left. Who asks now and then is told in the end, however many come
    /// and go meanwhile.
    pub fn have_left(&mut self, mark: Phase) -> bool {
        // Those of the mark's phase have left when two phases have ended since: the one before it, and itself.
        let enough = mark.0.saturating_add(2);
        while self.phase < enough && *self.inside(self.phase ^ 1) == 0 {
            self.phase = self.phase.saturating_add(1);
        }
        self.phase >= enough
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_posters))]
mod tests {
    use super::*;

    #[test]
    fn with_nobody_inside_it_is_so_at_once() {
        let mut posters = Posters::new();
        for _ in 0..3 {
            let mark = posters.mark();
            assert!(posters.have_left(mark));
        }
        let entered = posters.enter();
        posters.leave(entered);
        let mark = posters.mark();
        assert!(posters.have_left(mark));
    }

    #[test]
    fn who_was_inside_is_waited_for() {
        let mut posters = Posters::new();
        let old = posters.enter();
        let mark = posters.mark();
        for _ in 0..3 {
            assert!(!posters.have_left(mark));
            // Those who come later do not count.
            let later = posters.enter();
            posters.leave(later);
        }
        posters.leave(old);
        assert!(posters.have_left(mark));
        // For good.
        let _later = posters.enter();
        assert!(posters.have_left(mark));
    }

    /// One is always inside; each entered after the one before had, and before that left.
    #[test]
    fn an_end_comes_though_somebody_is_always_inside() {
        let mut posters = Posters::new();
        let mut inside = posters.enter();
        let mark = posters.mark();
        let mut asked = 0;
        while !posters.have_left(mark) {
            let next = posters.enter();
            posters.leave(inside);
            inside = next;
            asked += 1;
            assert!(asked < 4);
        }
        assert!(asked > 0);
    }

    /// All orders of what three who post and one who waits can do: nobody who was inside is overlooked.
    #[test]
    fn nobody_is_overlooked() {
        for order in 0..4_usize.pow(8) {
            let mut posters = Posters::new();
            let mut inside = [None; 3];
            let mut waits = None;
            let mut rest = order;
            for _ in 0..8 {
                let who = rest % 4;
                rest /= 4;
                if let Some(place) = inside.get_mut(who) {
                    match place.take() {
                        Some(entered) => posters.leave(entered),
                        None => *place = Some(posters.enter()),
                    }
                    if let Some((_, before)) = &mut waits {
                        let before: &mut [bool; 3] = before;
                        before[who] = false;
                    }
                } else if let Some((mark, before)) = waits {
                    if posters.have_left(mark) {
                        assert_eq!(before, [false; 3]);
                    }
                } else {
                    waits = Some((posters.mark(), inside.map(|entered| entered.is_some())));
                }
            }
        }
    }
}
