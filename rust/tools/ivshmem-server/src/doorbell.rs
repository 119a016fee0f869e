// SPDX-License-Identifier: GPL-2.0
//! What becomes of a doorbell: passed on, dropped, or held back. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most doorbells that are held back at one time. One more coalesces with the
/// newest held one for the same ear, or is lost and counted as dropped.
pub const HELD_MAX: usize = 4096;

/// One ring: who rang, and which vector of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ring {
    /// The side that rang.
    pub from: u16,
    /// The side that is to hear it.
    pub to: u16,
    /// Vector of the hearing side.
    pub vector: u16,
}

/// How many of the next doorbells are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Drop {
    /// None.
    #[default]
    None,
    /// The next so many.
    Next(u64),
    /// Every one.
    All,
}

/// Counts since the server started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Reached the other side's machine.
    pub passed: u64,
    /// Lost: by a cut, by a drop, or since nobody is there to hear.
    pub dropped: u64,
}

/// The doorbell wire between the sides.
#[derive(Debug, Default)]
pub struct Doorbells {
    drop: Drop,
    delay: Duration,
    /// Held rings with the time they are due, in the order they were rung.
    /// Due times do not decrease: a shorter delay does not overtake.
    held: VecDeque<(Instant, Ring)>,
    counts: Counts,
}

impl Doorbells {
    /// What is lost from now on.
    pub fn set_drop(&mut self, drop: Drop) {
        self.drop = match drop {
            Drop::Next(0) => Drop::None,
            other => other,
        };
    }

    /// What is still to be lost.
    pub fn drop_setting(&self) -> Drop {
        self.drop
    }

    /// How long doorbells take from now on; those already held keep their time.
    pub fn set_delay(&mut self, delay: Duration) {
        self.delay = delay;
    }

    /// How long doorbells take.
    pub fn delay_setting(&self) -> Duration {
        self.delay
    }

    /// Counts since the start.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many are held back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// A side rang; `lost` where the cable is cut or nobody is at its other end. The answer is true when the
    /// ring is to be passed on now.
    #[must_use]
    pub fn ring(&mut self, now: Instant, ring: Ring, lost: bool) -> bool {
        if lost || self.take_drop() {
            self.counts.dropped += 1;
            return false;
        }
        let latest = self.held.back().map(|&(due, _)| due);
        if self.delay.is_zero() && latest.is_none() {
            self.counts.passed += 1;
            return true;
        }
        let due = latest.map_or(now + self.delay, |latest| latest.max(now + self.delay));
        self.hold(due, ring);
        false
    }

    fn take_drop(&mut self) -> bool {
        match self.drop {
            Drop::None => false,
            Drop::All => true,
            Drop::Next(left) => {
                self.set_drop(Drop::Next(left - 1));
                true
            }
        }
    }

    fn hold(&mut self, due: Instant, ring: Ring) {
        if self.held.len() < HELD_MAX {
            self.held.push_back((due, ring));
        } else if !self.held.iter().rev().any(|(_, held)| *held == ring) {
            self.counts.dropped += 1;
        }
    }

    /// The next held ring that is due, to be passed on now.
    pub fn pop_due(&mut self, now: Instant) -> Option<Ring> {
        let &(due, ring) = self.held.front()?;
        if due > now {
            return None;
        }
        self.held.pop_front();
        self.counts.passed += 1;
        Some(ring)
    }

    /// When [`Self::pop_due`] has something next.
    pub fn deadline(&self) -> Option<Instant> {
        self.held.front().map(|&(due, _)| due)
    }

    /// Forgets the held rings that `lost` names; they count as dropped.
    pub fn forget(&mut self, lost: impl Fn(&Ring) -> bool) {
        let before = self.held.len();
        self.held.retain(|(_, ring)| !lost(ring));
        self.counts.dropped += (before - self.held.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: Ring = Ring {
        from: 0,
        to: 1,
        vector: 3,
    };
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn passes_unless_told_otherwise() {
        let mut bells = Doorbells::default();
        assert!(bells.ring(Instant::now(), RING, false));
        assert_eq!(
            bells.counts(),
            Counts {
                passed: 1,
                dropped: 0
            }
        );
    }

    #[test]
    fn a_cut_cable_carries_nothing() {
        let mut bells = Doorbells::default();
        assert!(!bells.ring(Instant::now(), RING, true));
        assert_eq!(
            bells.counts(),
            Counts {
                passed: 0,
                dropped: 1
            }
        );
    }

    #[test]
    fn drops_exactly_as_many_as_told() {
        let (mut bells, now) = (Doorbells::default(), Instant::now());
        bells.set_drop(Drop::Next(2));
        let heard: Vec<bool> = (0..4).map(|_| bells.ring(now, RING, false)).collect();
        assert_eq!(heard, [false, false, true, true]);
        assert_eq!(bells.drop_setting(), Drop::None);
        bells.set_drop(Drop::All);
        assert!(!bells.ring(now, RING, false));
        bells.set_drop(Drop::Next(0));
        assert!(bells.ring(now, RING, false));
    }

    #[test]
    fn holds_for_the_delay_and_keeps_the_order() {
        let (mut bells, now) = (Doorbells::default(), Instant::now());
        let second = Ring { vector: 4, ..RING };
        bells.set_delay(5 * MS);
        assert!(!bells.ring(now, RING, false));
        bells.set_delay(Duration::ZERO);
        // Not held by itself, but it must not overtake.
        assert!(!bells.ring(now, second, false));
        assert_eq!(bells.deadline(), Some(now + 5 * MS));
        assert_eq!(bells.pop_due(now + 4 * MS), None);
        assert_eq!(bells.pop_due(now + 5 * MS), Some(RING));
        assert_eq!(bells.pop_due(now + 5 * MS), Some(second));
        assert_eq!(bells.pop_due(now + 9 * MS), None);
        assert!(bells.ring(now + 9 * MS, RING, false));
        assert_eq!(bells.counts().passed, 3);
    }

    #[test]
    fn holds_no_more_than_the_bound_and_still_wakes_every_ear() {
        let (mut bells, now) = (Doorbells::default(), Instant::now());
        bells.set_delay(MS);
        for _ in 0..HELD_MAX + 10 {
            assert!(!bells.ring(now, RING, false));
        }
        assert_eq!(bells.held(), HELD_MAX);
        assert_eq!(bells.counts().dropped, 0, "coalesced rings are not lost");
        assert!(!bells.ring(now, Ring { to: 0, ..RING }, false));
        assert_eq!(bells.counts().dropped, 1);
    }

    #[test]
    fn forgets_what_was_under_way() {
        let (mut bells, now) = (Doorbells::default(), Instant::now());
        bells.set_delay(MS);
        let _ = bells.ring(now, RING, false);
        let _ = bells.ring(
            now,
            Ring {
                from: 1,
                to: 0,
                vector: 1,
            },
            false,
        );
        bells.forget(|ring| ring.to == 1);
        assert_eq!(bells.held(), 1);
        assert_eq!(bells.counts().dropped, 1);
    }
}
