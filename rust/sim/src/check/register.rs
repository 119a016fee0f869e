// SPDX-License-Identifier: GPL-2.0
//! Is the history of one block that of one register? (DESIGN rules 1 and 3.)
//!
//! An online monitor: it keeps every state in which a correct block could be
//! after the invocations and responses seen so far, and complains when none is
//! left. The check is *strict*: a write that was refused, or whose controller
//! died, has happened by then or never happens, so it cannot come back after
//! somebody has read or written past it.

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

/// One state in which the block may be. Requests are named by their place among
/// those that are open, in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct World {
    value: Value,
    /// Open writes that have taken effect: one bit each.
    done: u32,
    /// How many of the open requests began before the last effect: each write
    /// among them may have taken effect, unseen, just before that one.
    before: u8,
    /// What each open read may have seen so far, sorted.
    seen: Vec<(u8, Value)>,
}

impl World {
    fn new(value: Value) -> Self {
        World {
            value,
            done: 0,
            before: 0,
            seen: Vec::new(),
        }
    }

    fn is_done(&self, place: usize) -> bool {
        self.done & 1 << place != 0
    }

    fn see(&mut self, read: usize, value: Value) {
        if let Err(at) = self.seen.binary_search(&(read as u8, value)) {
            self.seen.insert(at, (read as u8, value));
        }
    }

    /// The write at `place` takes effect now.
    fn effect(&mut self, open: &[Open], place: usize, value: Value) {
        self.value = value;
        self.done |= 1 << place;
        self.before = open.len() as u8;
        self.show(open, open.len(), value);
    }

    /// The write at `place` took effect just before the last effect. Whether it can have.
    fn hide(&mut self, open: &[Open], place: usize, value: Value) -> bool {
        let can = place < self.before as usize;
        if can {
            self.done |= 1 << place;
            self.show(open, self.before as usize, value);
        }
        can
    }

    fn show(&mut self, open: &[Open], upto: usize, value: Value) {
        for (read, _) in open
            .iter()
            .enumerate()
            .take(upto)
            .filter(|(_, o)| o.writes.is_none())
        {
            self.see(read, value);
        }
    }

    /// The request at `place` is open no more.
    fn forget(&mut self, place: usize) {
        let low = (1 << place) - 1;
        self.done = self.done & low | (self.done >> 1) & !low;
        self.before -= u8::from((self.before as usize) > place);
        forget(&mut self.seen, place);
    }

    /// Whether everything that `other` allows is allowed here too.
    fn covers(&self, other: &World) -> bool {
        self.value == other.value
            && self.done == other.done
            && self.before >= other.before
            && other
                .seen
                .iter()
                .all(|s| self.seen.binary_search(s).is_ok())
    }
}

/// What reads may have seen, without the request at `place`, which is open no more.
fn forget(seen: &mut Vec<(u8, Value)>, place: usize) {
    seen.retain(|(read, _)| *read as usize != place);
    for (read, _) in seen {
        *read -= u8::from(*read as usize > place);
    }
}

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
}

impl Register {
    /// A block that holds `value`.
    pub fn new(value: Value) -> Self {
        Register {
            worlds: vec![World::new(value)],
            open: Vec::new(),
            shared: Vec::new(),
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

    /// The write was acknowledged: it has happened.
    pub fn write_acked(&mut self, op: OpId) {
        let Some((place, value)) = self.find_write(op) else {
            return;
        };
        for mut world in core::mem::take(&mut self.worlds) {
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
        self.close(place);
    }

    /// The write failed, or its controller died: it has happened, or never will.
    pub fn write_unknown(&mut self, op: OpId) {
        let Some((place, value)) = self.find_write(op) else {
            return;
        };
        for mut world in core::mem::take(&mut self.worlds) {
            if !world.is_done(place) {
                let mut now = world.clone();
                now.effect(&self.open, place, value);
                self.worlds.push(now);
                world.hide(&self.open, place, value);
            }
            self.worlds.push(world);
        }
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
        let before = core::mem::take(&mut self.worlds);
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
        for world in &mut self.worlds {
            world.forget(place);
        }
        forget(&mut self.shared, place);
        self.tidy();
    }

    /// Drops the worlds that others cover. Sorted, those that can cover each other stand together.
    fn tidy(&mut self) {
        if self.worlds.len() < 2 {
            return;
        }
        self.worlds.sort_unstable();
        self.worlds.dedup();
        let mut worlds = core::mem::take(&mut self.worlds);
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
mod tests {
    use super::*;

    fn read(r: &mut Register, got: Value) -> bool {
        r.read_begin(99);
        r.read_done(99, got).is_ok()
    }

    #[test]
    fn an_acknowledged_write_is_read() {
        let mut r = Register::new(0);
        r.write_begin(1, 5);
        r.write_acked(1);
        assert!(read(&mut r.clone(), 5));
        assert!(!read(&mut r, 0));
    }

    #[test]
    fn a_pending_write_may_be_seen_and_then_stays() {
        let mut r = Register::new(0);
        r.write_begin(1, 5);
        assert!(read(&mut r, 0));
        assert!(read(&mut r, 5));
        assert!(!read(&mut r, 0));
    }

    #[test]
    fn two_pending_writes_in_any_order() {
        for (first, second) in [(5, 6), (6, 5)] {
            let mut r = Register::new(0);
            r.write_begin(1, 5);
            r.write_begin(2, 6);
            assert!(read(&mut r, first));
            assert!(read(&mut r, second));
            r.write_acked(1);
            r.write_acked(2);
            assert!(!read(&mut r.clone(), first));
            assert!(read(&mut r, second));
        }
    }

    #[test]
    fn an_unknown_write_never_comes_back() {
        let mut r = Register::new(0);
        r.write_begin(1, 5);
        r.write_unknown(1);
        assert!(read(&mut r.clone(), 5));
        assert!(read(&mut r, 0));
        assert!(!read(&mut r, 5), "decided by the read of 0");
        let mut r = Register::new(0);
        r.write_begin(1, 5);
        r.write_unknown(1);
        r.write_begin(2, 6);
        r.write_acked(2);
        assert!(!read(&mut r, 5));
    }

    #[test]
    fn a_refused_write_never_happened() {
        let mut r = Register::new(0);
        r.write_begin(1, 5);
        assert!(r.write_refused(1).is_ok());
        assert!(!read(&mut r, 5));
        let mut r = Register::new(0);
        r.write_begin(1, 5);
        assert!(read(&mut r, 5));
        assert!(r.write_refused(1).is_err());
    }

    #[test]
    fn a_long_read_may_return_any_value_of_its_time() {
        for got in [0, 5, 6] {
            let mut r = Register::new(0);
            r.read_begin(9);
            for (op, value) in [(1, 5), (2, 6)] {
                r.write_begin(op, value);
                r.write_acked(op);
            }
            assert!(r.read_done(9, got).is_ok(), "{got}");
        }
        let mut r = Register::new(4);
        r.write_begin(1, 5);
        r.write_acked(1);
        r.read_begin(9);
        r.write_begin(2, 6);
        r.write_acked(2);
        assert_eq!(r.read_done(9, 4).unwrap_err().allowed, vec![5, 6]);
    }

    #[test]
    fn a_write_may_have_been_hidden_by_another() {
        let mut r = Register::new(0);
        r.read_begin(9);
        r.write_begin(1, 5);
        r.write_begin(2, 6);
        r.write_acked(2);
        let mut after = r.clone();
        after.write_acked(1);
        assert_eq!(after.values(), vec![5, 6]);
        assert!(r.read_done(9, 5).is_ok(), "5 was there before 6");
        r.write_acked(1);
        assert_eq!(r.values(), vec![5, 6]);
        assert!(read(&mut r, 6));
        assert!(!read(&mut r, 5));
    }

    /// Every history of a correct register is accepted, whatever the moments of effect.
    #[test]
    fn correct_registers_are_never_accused() {
        let mut rng = crate::rng::Rng::new(3);
        for _ in 0..2_000 {
            let mut monitor = Register::new(0);
            let (mut value, mut next) = (0, 1);
            // (op, value, taken effect, what a read saw)
            let mut open: Vec<(OpId, Option<Value>, bool, Value)> = Vec::new();
            for op in 1..40 {
                match rng.below(4) {
                    0 if open.len() < 6 => {
                        monitor.write_begin(op, next);
                        open.push((op, Some(next), false, 0));
                        next += 1;
                    }
                    1 if open.len() < 6 => {
                        monitor.read_begin(op);
                        open.push((op, None, false, 0));
                    }
                    2 if !open.is_empty() => {
                        let at = rng.index(open.len());
                        let o = &mut open[at];
                        if !o.2 {
                            o.2 = true;
                            match o.1 {
                                Some(v) => value = v,
                                None => o.3 = value,
                            }
                        }
                    }
                    _ if !open.is_empty() => {
                        let at = rng.index(open.len());
                        let (op, writes, done, saw) = open.remove(at);
                        match (writes, done) {
                            (Some(_), true) if rng.chance(800) => monitor.write_acked(op),
                            (Some(_), _) => monitor.write_unknown(op),
                            (None, true) => assert!(monitor.read_done(op, saw).is_ok()),
                            (None, false) => monitor.read_dropped(op),
                        }
                    }
                    _ => {}
                }
            }
            assert!(read(&mut monitor, value));
        }
    }

    #[test]
    fn an_open_read_may_have_seen_both_sides_of_a_restart() {
        for (got, right) in [(0, true), (5, true), (3, true), (4, true), (7, false)] {
            let mut r = Register::new(0);
            r.read_begin(9);
            r.write_begin(1, 5);
            r.write_acked(1);
            r.restart(&[3, 4]);
            assert_eq!(r.read_done(9, got).is_ok(), right, "{got}");
        }
        let mut r = Register::new(0);
        r.restart(&[3, 4]);
        r.read_begin(9);
        assert!(
            r.read_done(9, 0).is_err(),
            "a later read sees one side only"
        );
    }

    #[test]
    fn many_values_after_a_restart_cost_little() {
        let mut r = Register::new(0);
        r.read_begin(9);
        let values: Vec<Value> = (0..5_000).collect();
        r.restart(&values);
        for op in 10..60 {
            r.write_begin(op, 10_000 + u64::from(op));
            r.write_acked(op);
        }
        assert_eq!(r.values(), [10_059]);
        assert!(r.read_done(9, 4_999).is_ok());
    }

    #[test]
    fn a_restart_allows_what_it_names() {
        let mut r = Register::new(0);
        r.restart(&[3, 4]);
        assert_eq!(r.values(), vec![3, 4]);
        assert!(read(&mut r, 4));
        assert!(!read(&mut r, 3));
    }
}
