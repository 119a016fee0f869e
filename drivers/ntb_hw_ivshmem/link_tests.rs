// SPDX-License-Identifier: GPL-2.0

//! Walks through every interleaving of two sides, the server and time, to a fixpoint.

use super::*;
use std::collections::{HashSet, VecDeque};

/// One side as the world sees it. `None`: its machine is off, its words stay behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Side {
    lseq: u32,
    ack: u64,
    /// What the clients were told, and until when the guard runs (relative to now, clipped).
    told_up: bool,
    guard_left: i64,
    settled: bool,
    /// The clients have not yet done what they queued when they were told "down", or enabled.
    clients_busy: bool,
    alive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct World {
    side: [Side; 2],
    down_count: u32,
    cut: bool,
}

/// Bounds of the walk: enables, restarts and cuts are counted by words that only grow.
const LSEQ_MAX: u32 = 7;
const CUTS_MAX: u32 = 2;

const OFF: Side = Side {
    lseq: 0,
    ack: 0,
    told_up: false,
    guard_left: 0,
    settled: false,
    clients_busy: false,
    alive: true,
};

impl World {
    fn view(&self, i: usize) -> View {
        let (own, peer) = (&self.side[i], &self.side[1 - i]);
        View {
            own_lseq: own.lseq,
            own_ack: own.ack,
            peer_lseq: peer.lseq,
            peer_ack: peer.ack,
            down_count: self.down_count,
            cut: self.cut,
            torn: false,
        }
    }

    fn is_up(&self) -> bool {
        assert_eq!(self.view(0).is_up(), self.view(1).is_up(), "{self:?}");
        self.view(0).is_up()
    }

    fn handshake(&self, i: usize) -> Handshake {
        let side = &self.side[i];
        Handshake {
            state: match side.told_up {
                true => State::Open,
                false => State::Closed {
                    until: side.guard_left,
                    settled: side.settled,
                },
            },
        }
    }

    /// Writes a handshake back; time is always 0, the guard is what is left of it.
    fn put(&mut self, i: usize, handshake: Handshake) {
        let side = &mut self.side[i];
        (side.told_up, side.guard_left, side.settled) = match handshake.state {
            State::Open => (true, 0, false),
            State::Closed { until, settled } => (false, until.max(0), settled),
        };
    }

    fn run(&self, i: usize) -> (World, Step) {
        let mut next = *self;
        let mut handshake = self.handshake(i);
        let step = handshake.step(&self.view(i), 0);
        // Waiting ends when the clients are done, and not before.
        if let Step::Settle(ticket) = step {
            if !self.side[i].clients_busy {
                handshake.settled(ticket);
            }
        }
        next.put(i, handshake);
        match step {
            Step::Accept(word) => next.side[i].ack = word,
            Step::Report(false) => next.side[i].clients_busy = true,
            _ => {}
        }
        (next, step)
    }

    fn clients_work(&self, i: usize) -> World {
        let mut next = *self;
        next.side[i].clients_busy = false;
        next
    }

    fn enable(&self, i: usize) -> World {
        let mut next = *self;
        let mut handshake = self.handshake(i);
        next.side[i].lseq += 1;
        handshake.enable(0);
        next.put(i, handshake);
        next.side[i].clients_busy = true;
        next
    }

    /// The driver of side `i` disables: the ACK goes first, then the LSEQ.
    fn disable(&self, i: usize) -> World {
        let mut next = *self;
        let mut handshake = self.handshake(i);
        handshake.disable(0);
        next.side[i].ack = 0;
        next.side[i].lseq += 1;
        next.put(i, handshake);
        next
    }

    /// The machine of side `i` dies and its driver is loaded again.
    fn restart(&self, i: usize) -> World {
        let mut next = *self;
        next.side[i] = Side {
            lseq: next_disabled(self.side[i].lseq),
            ..OFF
        };
        next
    }

    fn kill(&self, i: usize) -> World {
        let mut next = *self;
        next.side[i].alive = false;
        next
    }

    fn pass(&self, ns: i64) -> World {
        let mut next = *self;
        for side in &mut next.side {
            side.guard_left = (side.guard_left - ns).max(0);
        }
        next
    }

    fn successors(&self) -> Vec<World> {
        let mut all = vec![self.pass(GUARD_NS / 2)];
        for i in 0..2 {
            let side = &self.side[i];
            if side.alive {
                all.push(self.run(i).0);
                all.push(self.clients_work(i));
                all.push(self.kill(i));
                if side.lseq < LSEQ_MAX {
                    all.push(match enabled(side.lseq) {
                        true => self.disable(i),
                        false => self.enable(i),
                    });
                }
            }
            if side.lseq + 2 <= LSEQ_MAX {
                all.push(self.restart(i));
            }
        }
        if !self.cut && self.down_count < CUTS_MAX {
            let counted = World {
                down_count: self.down_count + 1,
                ..*self
            };
            all.push(counted);
            all.push(World {
                cut: true,
                ..counted
            });
        }
        if self.cut {
            all.push(World {
                cut: false,
                ..*self
            });
        }
        all
    }
}

fn reachable() -> HashSet<World> {
    let start = World {
        side: [OFF, OFF],
        down_count: 0,
        cut: false,
    };
    let mut seen = HashSet::from([start]);
    let mut todo = VecDeque::from([start]);
    while let Some(world) = todo.pop_front() {
        for next in world.successors() {
            check_turn(&world, &next);
            if seen.insert(next) {
                todo.push_back(next);
            }
        }
    }
    seen
}

/// When the link comes up, both sides have told "down" and have sat out their guards.
fn check_turn(before: &World, after: &World) {
    if before.is_up() || !after.is_up() {
        return;
    }
    for side in &after.side {
        assert!(
            !side.told_up,
            "a side missed a down: {before:?} -> {after:?}"
        );
        assert_eq!(side.guard_left, 0, "too early: {before:?} -> {after:?}");
    }
    // A side whose machine died in between has nobody to disturb.
    let busy = |side: &Side| side.alive && side.clients_busy;
    assert!(
        !after.side.iter().any(busy),
        "clients are not done: {before:?} -> {after:?}"
    );
    assert!(!after.cut && after.side.iter().all(|s| enabled(s.lseq)));
}

#[test]
fn no_side_misses_a_down_and_no_up_comes_early() {
    let worlds = reachable();
    assert!(worlds.len() > 10_000, "only {} states", worlds.len());
    assert!(worlds.iter().any(World::is_up));
}

#[test]
fn the_link_comes_up_from_every_state_when_left_alone() {
    for start in reachable() {
        let healthy = |s: &Side| s.alive && enabled(s.lseq);
        if start.cut || !start.side.iter().all(healthy) {
            continue;
        }
        let mut world = start;
        for _ in 0..4 {
            for i in [0, 1, 0, 1, 0, 1, 0, 1] {
                world = world.clients_work(i).run(i).0;
            }
            world = world.pass(GUARD_NS);
        }
        assert!(world.is_up(), "stuck: {start:?} -> {world:?}");
        assert!(world.side.iter().all(|s| s.told_up), "untold: {world:?}");
    }
}

#[test]
fn who_disables_is_not_told_and_the_other_side_is() {
    for world in reachable() {
        if world.is_up() && world.side.iter().all(|s| s.told_up) {
            let after = world.disable(0);
            assert_eq!(after.run(0).1, Step::Idle, "{world:?}");
            assert_eq!(after.run(1).1, Step::Report(false), "{world:?}");
        }
    }
}

#[test]
fn a_settled_link_is_idle() {
    for world in reachable() {
        if world.is_up() && world.side.iter().all(|s| s.told_up) {
            assert_eq!(world.run(0).1, Step::Idle);
            assert_eq!(world.run(1).1, Step::Idle);
        }
    }
}
