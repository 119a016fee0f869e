// SPDX-License-Identifier: GPL-2.0
//! The versions of one block.

use super::Position;

/// One write to a block, or, with `seq` 0, what was there before all writes.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) seq: u64,
    pub(super) issued: Position,
    /// `Position::MAX` while in flight.
    pub(super) done: Position,
    pub(super) acked: bool,
}

/// What one block may hold.
#[derive(Clone, Debug)]
pub(super) struct BlockHistory {
    pub(super) alive: Vec<Version>,
    /// Dead versions that were never acknowledged. (Dead acknowledged ones need no memory.)
    pub(super) dead_unacked: Vec<u64>,
    pub(super) last_acked: u64,
    pub(super) highest_seen: u64,
    /// Versions done before this are dead, unless they are in `alive`.
    pub(super) floor: Position,
}

impl BlockHistory {
    pub(super) fn new() -> Self {
        let before = Version {
            seq: 0,
            issued: 0,
            done: 0,
            acked: true,
        };
        BlockHistory {
            alive: vec![before],
            dead_unacked: Vec::new(),
            last_acked: 0,
            highest_seen: 0,
            floor: 0,
        }
    }

    pub(super) fn find(&mut self, seq: u64) -> Option<&mut Version> {
        self.alive.iter_mut().rev().find(|v| v.seq == seq)
    }

    pub(super) fn is_alive(&self, seq: u64) -> bool {
        self.alive.iter().any(|v| v.seq == seq)
    }

    /// Every version that was done before `floor` is dead, except `survivor`.
    pub(super) fn settle(&mut self, floor: Position, survivor: u64) {
        let dead_unacked = &mut self.dead_unacked;
        self.alive.retain(|v| {
            let alive = v.seq == survivor || v.done >= floor;
            if !alive && !v.acked {
                dead_unacked.push(v.seq);
            }
            alive
        });
        self.floor = self.floor.max(floor);
    }
}
