// SPDX-License-Identifier: GPL-2.0
//! What may a block hold after all power was lost? (DESIGN rule 1: a completed
//! FLUSH or FUA survives all power.) Keeps when each write began, ended, and
//! whether a FLUSH that began after its acknowledgement has completed.

use super::register::{OpId, Value};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Written {
    op: OpId,
    value: Value,
    start: u64,
    /// When it was acknowledged, failed, or lost its controller; `u64::MAX` while pending.
    end: u64,
    acked: bool,
    fua: bool,
    durable: bool,
}

/// The durability ledger of one volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable {
    blocks: Vec<Vec<Written>>,
    flushes: Vec<(OpId, u64)>,
    /// Counts invocations and responses: their order is all that matters.
    tick: u64,
}

impl std::hash::Hash for Durable {
    /// Of the times only the order matters.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let writes = || self.blocks.iter().flatten();
        let mut times: Vec<u64> = writes().flat_map(|w| [w.start, w.end]).collect();
        times.extend(self.flushes.iter().map(|f| f.1));
        times.sort_unstable();
        times.dedup();
        let rank = |time: u64| times.binary_search(&time).unwrap_or(times.len());
        for list in &self.blocks {
            list.len().hash(state);
            for w in list {
                let what = (w.op, w.value, w.acked, w.fua, w.durable);
                (what, rank(w.start), rank(w.end), w.end == u64::MAX).hash(state);
            }
        }
        for (op, start) in &self.flushes {
            (op, rank(*start)).hash(state);
        }
    }
}

impl Durable {
    /// A volume of `blocks` blocks that all hold 0, durably.
    pub fn new(blocks: usize) -> Self {
        let zero = Written {
            op: 0,
            value: 0,
            start: 0,
            end: 0,
            acked: true,
            fua: false,
            durable: true,
        };
        Durable {
            blocks: vec![vec![zero]; blocks],
            flushes: Vec::new(),
            tick: 0,
        }
    }

    /// A write of `value` to `block` was submitted, with or without FUA.
    pub fn write_begin(&mut self, block: usize, op: OpId, value: Value, fua: bool) {
        self.tick += 1;
        let start = self.tick;
        if let Some(list) = self.blocks.get_mut(block) {
            list.push(Written {
                op,
                value,
                start,
                end: u64::MAX,
                acked: false,
                fua,
                durable: false,
            });
        }
    }

    /// The write of `block` ended: acknowledged, or not.
    pub fn write_end(&mut self, block: usize, op: OpId, acked: bool) {
        self.tick += 1;
        let end = self.tick;
        let Some(list) = self.blocks.get_mut(block) else {
            return;
        };
        // Open writes are among the youngest; names are not in use twice.
        let mut open = list.iter_mut().rev();
        if let Some(w) = open.find(|w| w.op == op && w.end == u64::MAX) {
            w.end = end;
            w.acked = acked;
            w.durable = acked && w.fua;
        }
    }

    /// A FLUSH was submitted.
    pub fn flush_begin(&mut self, op: OpId) {
        self.tick += 1;
        self.flushes.push((op, self.tick));
    }

    /// The FLUSH ended: completed, or not.
    pub fn flush_end(&mut self, op: OpId, completed: bool) {
        self.tick += 1;
        let Some(at) = self.flushes.iter().position(|(o, _)| *o == op) else {
            return;
        };
        let (_, start) = self.flushes.remove(at);
        if !completed {
            return;
        }
        for w in self.blocks.iter_mut().flatten() {
            if w.acked && w.end < start {
                w.durable = true;
            }
        }
        self.blocks.iter_mut().for_each(prune);
    }

    /// All power is lost now. Returns the values that each block may hold
    /// afterwards, and starts anew from there.
    pub fn power_loss(&mut self) -> Vec<Vec<Value>> {
        self.tick += 1;
        self.flushes.clear();
        let end = self.tick;
        for list in &mut self.blocks {
            prune(list);
            // No order is left between what survived: none supersedes another.
            for w in list.iter_mut().filter(|w| w.end != u64::MAX) {
                (w.start, w.end) = (0, end);
                (w.acked, w.durable) = (true, true);
            }
        }
        self.blocks
            .iter()
            .map(|list| list.iter().map(|w| w.value).collect())
            .collect()
    }
}

/// Drops every version that ended before a durable one began.
fn prune(list: &mut Vec<Written>) {
    let newest = list
        .iter()
        .filter(|w| w.durable)
        .map(|w| w.start)
        .max()
        .unwrap_or(0);
    list.retain(|w| w.end >= newest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acked(d: &mut Durable, op: OpId, value: Value, fua: bool) {
        d.write_begin(0, op, value, fua);
        d.write_end(0, op, true);
    }

    fn flush(d: &mut Durable, op: OpId) {
        d.flush_begin(op);
        d.flush_end(op, true);
    }

    #[test]
    fn what_was_flushed_stays() {
        let mut d = Durable::new(1);
        acked(&mut d, 1, 5, false);
        assert_eq!(d.clone().power_loss(), [[0, 5]]);
        flush(&mut d, 2);
        assert_eq!(d.clone().power_loss(), [[5]]);
        acked(&mut d, 3, 6, false);
        assert_eq!(d.clone().power_loss(), [[5, 6]]);
        acked(&mut d, 4, 7, true);
        assert_eq!(d.power_loss(), [[7]]);
    }

    #[test]
    fn a_flush_covers_only_what_was_acknowledged_before_it() {
        let mut d = Durable::new(1);
        d.flush_begin(9);
        acked(&mut d, 1, 5, false);
        d.flush_end(9, true);
        assert_eq!(d.clone().power_loss(), [[0, 5]]);
        d.write_begin(0, 2, 6, false);
        flush(&mut d, 10);
        assert_eq!(d.power_loss(), [[5, 6]]);
    }

    #[test]
    fn a_second_loss_keeps_the_first_choice_open() {
        let mut d = Durable::new(1);
        acked(&mut d, 1, 5, false);
        d.power_loss();
        assert_eq!(d.clone().power_loss(), [[0, 5]]);
        acked(&mut d, 2, 6, true);
        assert_eq!(d.power_loss(), [[6]]);
    }
}
