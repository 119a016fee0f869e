// SPDX-License-Identifier: GPL-2.0
//! Clients: random requests, mostly to the owner.

use yoke_core::volume::{PassOp, Role};

use super::Driver;
use crate::check::history::Request;
use crate::event::{Ask, Event};
use crate::plan::settle;
use crate::world::CONTROLLERS;

/// Writes, and reads, of one block that are under way at a time. The monitor of a block keeps every order in which they
/// may have happened: their number is bounded so that its work is. Requests pile up at controllers that stand still.
const WRITES_PER_BLOCK: usize = 5;
const READS_PER_BLOCK: usize = 4;

/// Clients in a thousand that ask where nobody says that it owns the volume.
const IMPATIENT: u32 = 150;

impl Driver {
    /// The controller that would answer; or one that says that it owns the
    /// volume; or any.
    pub fn path(&mut self) -> u8 {
        match self.owner() {
            Some(at) => at,
            None => self.rng.below(CONTROLLERS as u64) as u8,
        }
    }

    /// The controller that would answer; or one that says that it owns the volume.
    fn owner(&self) -> Option<u8> {
        let runs = |at: &u8| self.world.controllers[*at as usize].runs();
        let owns = |at: &u8| matches!(settle::role(&self.world, *at), Some(Role::Owner(_)));
        let mut owners = (0..CONTROLLERS as u8).filter(runs).filter(owns);
        let first = owners.next()?;
        // Only when two say so one of them has to be chosen.
        let Some(second) = owners.next() else {
            return Some(first);
        };
        let serves = |at| settle::serves(&self.world, at);
        Some(if !serves(first) && serves(second) {
            second
        } else {
            first
        })
    }

    /// A client asks for something, and the time of the next request is set.
    pub(super) fn client(&mut self) {
        self.turn_to_any();
        let w = self.scenario.workload;
        self.client_ns = self.world.now_ns + self.rng.delay(w.pause_ns / 64, w.pause_ns);
        let busy: usize = self
            .world
            .controllers
            .iter()
            .filter(|c| c.runs())
            .flat_map(|c| &c.live)
            .map(|l| l.busy())
            .sum();
        if busy >= w.depth as usize {
            return;
        }
        let owner = self.owner();
        // Where nobody serves most clients wait: one who is refused tells little.
        if owner.is_none() && !self.rng.chance(IMPATIENT) {
            return;
        }
        let stray = owner.is_none() || self.rng.chance(w.stray);
        let at = match owner {
            Some(at) if !stray => at,
            _ => self.rng.below(CONTROLLERS as u64) as u8,
        };
        let ask = self.draw_ask();
        if let Some(ask) = ask {
            self.take(Event::Submit { at, ask });
        }
    }

    fn draw_ask(&mut self) -> Option<Ask> {
        let w = self.scenario.workload;
        let blocks = self.scenario.blocks;
        let count = self.rng.range(1, w.blocks_max.clamp(1, blocks).into()) as u32;
        let block = self.rng.below(u64::from(blocks - count) + 1) as u32;
        let kind = self
            .rng
            .weighted(&[w.read, w.write, w.fua, w.flush, w.discard, w.zeroes]);
        let crowded = |b: u32| match kind {
            0 => self.world.history.pending_reads(b) >= READS_PER_BLOCK,
            3 => false,
            _ => self.world.history.pending_writes(b) >= WRITES_PER_BLOCK,
        };
        if (block..block + count).any(crowded) {
            return None;
        }
        Some(match kind {
            0 => Ask::Io(Request::Read { block, count }),
            1 => Ask::Io(Request::Write {
                block,
                count,
                value: 0,
                fua: false,
            }),
            2 => Ask::Io(Request::Write {
                block,
                count,
                value: 0,
                fua: true,
            }),
            3 => Ask::Io(Request::Flush),
            4 => Ask::Pass {
                op: PassOp::Discard,
                block,
                count,
            },
            _ => Ask::Pass {
                op: PassOp::WriteZeroes,
                block,
                count,
            },
        })
    }
}
