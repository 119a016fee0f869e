// SPDX-License-Identifier: GPL-2.0
//! Is the history of one block that of one register? (DESIGN rules 1 and 3.)
//!
//! An online monitor: it keeps every state in which a correct block could be
//! after the invocations and responses seen so far, and complains when none is
//! left. The check is *strict*: a write that was refused, or whose controller
//! died, has happened by then or never happens, so it cannot come back after
//! somebody has read or written past it.

mod world;

use world::{forget, World};

/// What a block holds: the stamp of the write that put it there; 0 at first.
pub type Value = u64;
/// Names an operation while it is pending.
pub type OpId = u32;

/// Why no correct block can have this history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotARegister {
    /// The operation whose response cannot be explained.
    pub op: OpId,
    /// What it returned, for a read.
    pub got: Option<Value>,
    /// What it could have returned.
    pub allowed: Vec<Value>,
}

/// A request that was submitted and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Open {
    op: OpId,
    /// What it writes; a read writes nothing.
    writes: Option<Value>,
}

/// Worlds that are always tidied, so that the same set is always the same state.
const FEW: usize = 8;

/// From this number on it is looked for what the worlds have in common.
const SEEN_MAX: usize = 24;

/// Open requests of one block, at most.
const OPEN_MAX: usize = 32;

/// The monitor of one block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Register {
    worlds: Vec<World>,
    open: Vec<Open>,
    /// What each open read may have seen in every one of the worlds, sorted: told once, since a loss of power leaves a
    /// world for each of many values.
    shared: Vec<(u8, Value)>,
    /// Always empty: its storage is that of the next worlds.
    spare: Vec<World>,
}

impl Register {
    /// A block that holds `value`.
    pub fn new(value: Value) -> Self {
        Register {
            worlds: vec![World::new(value)],
            open: Vec::new(),
            shared: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// The block may now hold any of `values`: what a loss of all power leaves of
    /// writes that no FLUSH has covered. What is open stays open, and an open read
    /// may have seen any of them.
    pub fn restart(&mut self, values: &[Value]) {
        let mut all = values.to_vec();
        all.extend(self.worlds.iter().map(|w| w.value));
        self.shared.extend(self.worlds.iter().flat_map(|w| &w.seen));
        self.worlds = values.iter().map(|v| World::new(*v)).collect();
        for world in &mut self.worlds {
            world.before = self.open.len() as u8;
        }
        let reads = (0u8..).zip(&self.open).filter(|(_, o)| o.writes.is_none());
        let seen = reads.flat_map(|(read, _)| all.iter().map(move |v| (read, *v)));
        self.shared.extend(seen);
        self.shared.sort_unstable();
        self.shared.dedup();
        self.tidy();
    }

    /// Number of open writes.
    pub fn pending_writes(&self) -> usize {
        self.open.iter().filter(|o| o.writes.is_some()).count()
    }

    /// Number of open reads.
    pub fn pending_reads(&self) -> usize {
        self.open.len() - self.pending_writes()
    }

    /// The values the block may hold if nothing more happens, sorted.
    pub fn values(&self) -> Vec<Value> {
        let mut values: Vec<Value> = self.worlds.iter().map(|w| w.value).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    fn begin(&mut self, op: OpId, writes: Option<Value>) {
        assert!(
            self.open.len() < OPEN_MAX,
            "too many requests for the monitor of one block"
        );
        self.open.push(Open { op, writes });
    }

    /// A write of `value` was submitted.
    pub fn write_begin(&mut self, op: OpId, value: Value) {
        self.begin(op, Some(value));
    }

    /// Takes the worlds out, so that others can take their place.
    fn worlds_before(&mut self) -> Vec<World> {
        core::mem::replace(&mut self.worlds, core::mem::take(&mut self.spare))
    }

    /// The write was acknowledged: it has happened.
    pub fn write_acked(&mut self, op: OpId) {
        let Some((place, value)) = self.find_write(op) else {
            return;
        };
        let mut before = self.worlds_before();
        for mut world in before.drain(..) {
            if !world.is_done(place) {
                let mut now = world.clone();
                now.effect(&self.open, place, value);
                self.worlds.push(now);
                if !world.hide(&self.open, place, value) {
                    continue;
                }
            }
            self.worlds.push(world);
        }
        self.spare = before;
        self.close(place);
    }

    /// The write failed, or its controller died: it has happened, or never will.
    pub fn write_unknown(&mut self, op: OpId) {
        let Some((place, value)) = self.find_write(op) else {
            return;
        };
        let mut before = self.worlds_before();
        for mut world in before.drain(..) {
            if !world.is_done(place) {
                let mut now = world.clone();
                now.effect(&self.open, place, value);
                self.worlds.push(now);
                world.hide(&self.open, place, value);
            }
            self.worlds.push(world);
        }
        self.spare = before;
        self.close(place);
    }

    /// The write was refused before anything was done: it never happens.
    ///
    /// # Errors
    /// When somebody has read it all the same.
    pub fn write_refused(&mut self, op: OpId) -> Result<(), NotARegister> {
        let Some((place, _)) = self.find_write(op) else {
            return Ok(());
        };
        let allowed = self.values();
        self.worlds.retain(|world| !world.is_done(place));
        if self.worlds.is_empty() {
            return Err(NotARegister {
                op,
                got: None,
                allowed,
            });
        }
        self.close(place);
        Ok(())
    }

    /// A read was submitted.
    pub fn read_begin(&mut self, op: OpId) {
        let place = self.open.len();
        self.begin(op, None);
        for world in &mut self.worlds {
            world.see(place, world.value);
        }
    }

    /// The read returned `got`.
    ///
    /// # Errors
    /// When no correct block could have returned it.
    pub fn read_done(&mut self, op: OpId, got: Value) -> Result<(), NotARegister> {
        let Some(read) = self.open.iter().position(|o| o.op == op) else {
            return Ok(());
        };
        let mut before = self.worlds_before();
        for world in &before {
            self.explain(world, read, got);
        }
        if self.worlds.is_empty() {
            let seen = before
                .iter()
                .flat_map(|w| &w.seen)
                .chain(&self.shared)
                .filter(|(r, _)| *r as usize == read);
            let mut allowed: Vec<Value> = seen.map(|(_, v)| *v).collect();
            allowed.extend(self.open.iter().filter_map(|o| o.writes));
            allowed.sort_unstable();
            allowed.dedup();
            return Err(NotARegister {
                op,
                got: Some(got),
                allowed,
            });
        }
        before.clear();
        self.spare = before;
        self.close(read);
        Ok(())
    }

    /// Adds every state, reached from `world`, in which the read returns `got`.
    fn explain(&mut self, world: &World, read: usize, got: Value) {
        let saw = (read as u8, got);
        if world.seen.binary_search(&saw).is_ok() || self.shared.binary_search(&saw).is_ok() {
            self.worlds.push(world.clone());
        }
        let writers = (0..self.open.len()).filter(|p| self.open[*p].writes == Some(got));
        for place in writers.filter(|p| !world.is_done(*p)).collect::<Vec<_>>() {
            let mut now = world.clone();
            now.effect(&self.open, place, got);
            self.worlds.push(now);
            let mut hidden = world.clone();
            if (read as u8) < world.before && hidden.hide(&self.open, place, got) {
                self.worlds.push(hidden);
            }
        }
    }

    /// The read failed, or its controller died: it says nothing.
    pub fn read_dropped(&mut self, op: OpId) {
        if let Some(place) = self.open.iter().position(|o| o.op == op) {
            self.close(place);
        }
    }

    fn find_write(&self, op: OpId) -> Option<(usize, Value)> {
        let place = self.open.iter().position(|o| o.op == op)?;
        Some((place, self.open[place].writes?))
    }

    fn close(&mut self, place: usize) {
        self.open.remove(place);
        // What says nothing of this request differs afterwards as it did before.
        let mut differs = self.worlds.len() <= FEW;
        for world in &mut self.worlds {
            differs |= world.speaks_of(place);
            world.forget(place);
        }
        forget(&mut self.shared, place);
        if differs {
            self.tidy();
        }
    }

    /// Drops the worlds that others cover. Sorted, those that can cover each other stand together.
    fn tidy(&mut self) {
        if self.worlds.len() < 2 {
            return;
        }
        self.worlds.sort_unstable();
        self.worlds.dedup();
        let mut worlds = self.worlds_before();
        let all = worlds.len();
        let key = |world: &World| (world.value, world.done);
        for group in worlds.chunk_by_mut(|a, b| key(a) == key(b)) {
            let mut left = group.len();
            let mut at = 0;
            while at < left {
                if (0..left).any(|i| i != at && group[i].covers(&group[at])) {
                    left -= 1;
                    group.swap(at, left);
                } else {
                    at += 1;
                }
            }
            self.worlds
                .extend(group.iter_mut().take(left).map(core::mem::take));
        }
        worlds.clear();
        self.spare = worlds;
        if self.worlds.len() < all {
            // The same set is the same state, in whichever order it came about.
            self.worlds.sort_unstable();
        }
        self.share();
    }

    /// What a read that stays open for long may have seen gets long: what is the same in all worlds is kept once.
    fn share(&mut self) {
        let Some((first, others)) = self.worlds.split_first() else {
            return;
        };
        if first.seen.len() < SEEN_MAX {
            return;
        }
        let mut common = first.seen.clone();
        common.retain(|saw| others.iter().all(|w| w.seen.binary_search(saw).is_ok()));
        for world in &mut self.worlds {
            world.seen.retain(|saw| common.binary_search(saw).is_err());
        }
        self.shared.extend(common);
        self.shared.sort_unstable();
    }
}

#[cfg(test)]
mod tests;
