// SPDX-License-Identifier: GPL-2.0
//! The history of a volume as its clients see it: every read, write and FLUSH
//! that was submitted, and what became of it. Feeds the monitors of its blocks.

use super::durable::Durable;
use super::register::{OpId, Register, Value};
use super::{Kind, Violation};
use crate::disk::Block;

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Read these blocks.
    Read {
        /// First block.
        block: u32,
        /// How many.
        count: u32,
    },
    /// Write these blocks, each with the stamp `value`, all zeroes if 0.
    Write {
        /// First block.
        block: u32,
        /// How many.
        count: u32,
        /// The stamp.
        value: Value,
        /// Safe from power loss when it completes.
        fua: bool,
    },
    /// Make everything acknowledged so far safe from power loss.
    Flush,
}

/// The history of one volume.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct History {
    registers: Vec<Register>,
    durable: Option<Durable>,
    open: Vec<(OpId, Request)>,
}

impl History {
    /// A volume of `blocks` blocks that read as 0. `durability`: whether losses
    /// of all power are to be judged, which costs memory.
    pub fn new(blocks: u32, durability: bool) -> Self {
        History {
            registers: vec![Register::new(0); blocks as usize],
            durable: durability.then(|| Durable::new(blocks as usize)),
            open: Vec::new(),
        }
    }

    /// How many writes of a block are under way.
    pub fn pending_writes(&self, block: u32) -> usize {
        self.registers
            .get(block as usize)
            .map_or(0, Register::pending_writes)
    }

    /// How many reads of a block are under way.
    pub fn pending_reads(&self, block: u32) -> usize {
        self.registers
            .get(block as usize)
            .map_or(0, Register::pending_reads)
    }

    /// What a block may hold now.
    pub fn values(&self, block: u32) -> Vec<Value> {
        self.registers
            .get(block as usize)
            .map_or_else(Vec::new, Register::values)
    }

    /// A request was submitted. Its name is the lowest that is not in use.
    pub fn submit(&mut self, request: Request) -> OpId {
        let mut op = 1;
        while self.open.iter().any(|(o, _)| *o == op) {
            op += 1;
        }
        self.open.push((op, request));
        match request {
            Request::Read { block, count } => {
                for b in block..block + count {
                    self.registers[b as usize].read_begin(op);
                }
            }
            Request::Write {
                block,
                count,
                value,
                fua,
            } => {
                for b in block..block + count {
                    self.registers[b as usize].write_begin(op, value);
                    if let Some(d) = &mut self.durable {
                        d.write_begin(b as usize, op, value, fua);
                    }
                }
            }
            Request::Flush => {
                if let Some(d) = &mut self.durable {
                    d.flush_begin(op);
                }
            }
        }
        op
    }

    /// The request completed; `data` is what a read returned.
    ///
    /// # Errors
    /// If no correct volume could have answered that.
    pub fn completed(&mut self, op: OpId, data: &[Block]) -> Result<(), Violation> {
        let Some(request) = self.close(op) else {
            return Ok(());
        };
        match request {
            Request::Read { block, .. } => {
                for (b, got) in (block..).zip(data) {
                    if got[0] != got[1] {
                        let words = format!("torn block: read of block {b} returned {got:?}");
                        return Err(Violation::new(Kind::Torn, words));
                    }
                    self.registers[b as usize]
                        .read_done(op, got[0])
                        .map_err(|e| {
                            let words = format!(
                                "lost or resurrected: read of block {b} returned {}, allowed were {:?}",
                                got[0], e.allowed
                            );
                            Violation::new(Kind::Lost, words)
                        })?;
                }
            }
            Request::Write { block, count, .. } => {
                for b in block..block + count {
                    self.registers[b as usize].write_acked(op);
                    if let Some(d) = &mut self.durable {
                        d.write_end(b as usize, op, true);
                    }
                }
            }
            Request::Flush => {
                if let Some(d) = &mut self.durable {
                    d.flush_end(op, true);
                }
            }
        }
        Ok(())
    }

    /// A discard or write-zeroes completed. The blocks that are `zeroed` hold zeroes from now on, as after a write of
    /// them. The disk has ignored the discard of the others: these hold what they held, or zeroes, if somebody had to do
    /// it once more; but one of these, for good.
    pub fn passed(&mut self, op: OpId, zeroed: impl Fn(u32) -> bool) {
        let Some(Request::Write { block, count, .. }) = self.close(op) else {
            return;
        };
        for b in block..block + count {
            let register = &mut self.registers[b as usize];
            if zeroed(b) {
                register.write_acked(op);
            } else {
                register.write_unknown(op);
            }
            if let Some(d) = &mut self.durable {
                d.write_end(b as usize, op, zeroed(b));
            }
        }
    }

    /// The request failed, or its controller died: nobody knows whether it was done.
    pub fn unknown(&mut self, op: OpId) {
        match self.close(op) {
            Some(Request::Read { block, count }) => {
                for b in block..block + count {
                    self.registers[b as usize].read_dropped(op);
                }
            }
            Some(Request::Write { block, count, .. }) => {
                for b in block..block + count {
                    self.registers[b as usize].write_unknown(op);
                    if let Some(d) = &mut self.durable {
                        d.write_end(b as usize, op, false);
                    }
                }
            }
            Some(Request::Flush) => {
                if let Some(d) = &mut self.durable {
                    d.flush_end(op, false);
                }
            }
            None => {}
        }
    }

    /// The request was refused before anything was done.
    ///
    /// # Errors
    /// If somebody has seen its effect all the same.
    pub fn refused(&mut self, op: OpId) -> Result<(), Violation> {
        let request = self.open.iter().find(|(o, _)| *o == op).map(|(_, r)| *r);
        if let Some(Request::Write {
            block,
            count,
            value,
            ..
        }) = request
        {
            for b in block..block + count {
                let judgement = self.registers[b as usize].write_refused(op);
                judgement.map_err(|_| seen_all_the_same(b, value))?;
            }
        }
        self.unknown(op);
        Ok(())
    }

    /// All power was lost, or both memories were: what no FLUSH has covered may be
    /// gone. Requests that are open at a controller that lives stay open.
    pub fn power_loss(&mut self) {
        if let Some(durable) = &mut self.durable {
            for (register, values) in self.registers.iter_mut().zip(durable.power_loss()) {
                register.restart(&values);
            }
        }
    }

    fn close(&mut self, op: OpId) -> Option<Request> {
        let at = self.open.iter().position(|(o, _)| *o == op)?;
        Some(self.open.remove(at).1)
    }
}

/// Somebody has read what a refused write would have put there. Zeroes are written by many, and are what a block held at
/// first: who reads them has read what is gone, and not what was refused.
fn seen_all_the_same(block: u32, value: Value) -> Violation {
    if value == 0 {
        let words = format!(
            "lost or resurrected: block {block} was read as zeroes, which only a refused write would have put there"
        );
        return Violation::new(Kind::Lost, words);
    }
    let words = format!("a refused write of block {block} was read");
    Violation::new(Kind::Ghost, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(h: &mut History, block: u32, count: u32, value: Value) -> OpId {
        h.submit(Request::Write {
            block,
            count,
            value,
            fua: false,
        })
    }

    fn read(h: &mut History, block: u32, got: Block) -> Result<(), Kind> {
        let op = h.submit(Request::Read { block, count: 1 });
        h.completed(op, &[got]).map_err(|violation| violation.kind)
    }

    #[test]
    fn planted_a_lost_write_is_seen() {
        let mut h = History::new(2, false);
        let op = write(&mut h, 0, 2, 5);
        assert!(h.completed(op, &[]).is_ok());
        assert!(read(&mut h, 1, [5, 5]).is_ok());
        assert_eq!(read(&mut h, 0, [0, 0]), Err(Kind::Lost));
    }

    #[test]
    fn planted_a_torn_block_is_seen() {
        let mut h = History::new(1, false);
        write(&mut h, 0, 1, 5);
        assert_eq!(read(&mut h, 0, [5, 0]), Err(Kind::Torn));
    }

    #[test]
    fn planted_a_resurrected_write_is_seen() {
        let mut h = History::new(1, false);
        let op = write(&mut h, 0, 1, 5);
        h.unknown(op);
        let op = write(&mut h, 0, 1, 6);
        assert!(h.completed(op, &[]).is_ok());
        assert_eq!(read(&mut h, 0, [5, 5]), Err(Kind::Lost));
    }

    #[test]
    fn planted_a_refused_write_that_is_read_is_seen() {
        for (value, kind) in [(5, Kind::Ghost), (0, Kind::Lost)] {
            let mut h = History::new(1, false);
            let op = write(&mut h, 0, 1, 4);
            assert!(h.completed(op, &[]).is_ok());
            let op = write(&mut h, 0, 1, value);
            assert!(read(&mut h, 0, [value; 2]).is_ok(), "it is under way");
            let judgement = h.refused(op).map_err(|violation| violation.kind);
            assert_eq!(judgement, Err(kind));
        }
    }

    #[test]
    fn planted_a_lost_discard_is_seen() {
        let mut h = History::new(2, true);
        let op = write(&mut h, 0, 2, 5);
        assert!(h.completed(op, &[]).is_ok());
        let op = write(&mut h, 0, 2, 0);
        h.passed(op, |block| block == 0);
        assert_eq!(read(&mut h.clone(), 0, [5, 5]), Err(Kind::Lost), "zeroed");
        assert!(read(&mut h.clone(), 1, [0, 0]).is_ok(), "or done again");
        assert!(read(&mut h, 1, [5, 5]).is_ok(), "ignored");
        assert_eq!(read(&mut h, 1, [0, 0]), Err(Kind::Lost), "once and for all");
    }

    #[test]
    fn planted_a_flushed_write_lost_with_the_power_is_seen() {
        let mut h = History::new(1, true);
        let op = write(&mut h, 0, 1, 5);
        assert!(h.completed(op, &[]).is_ok());
        let mut without = h.clone();
        without.power_loss();
        assert!(read(&mut without, 0, [0, 0]).is_ok());
        let op = h.submit(Request::Flush);
        assert!(h.completed(op, &[]).is_ok());
        h.power_loss();
        assert!(read(&mut h, 0, [0, 0]).is_err());
    }
}
