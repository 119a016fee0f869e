// SPDX-License-Identifier: GPL-2.0
//! Reads (PROTOCOL P3, P4).
//!
//! A read is on one of two *sides*. Freeing begins with a flip of the sides and ends when nobody is left on the old one:
//! what a read was told to copy stays where it is until the read is handed back, and a block that was written to the
//! disk under a read is still in the log when it is.

use super::config::BLOCKS_MAX;
use super::machine::Volume;
use super::plan::{Range, ReadBegin, ReadEnd, ReadPlan, ReadTicket, Source};
use super::status::{Reason, Role};
use super::tickets::Ticket;
use crate::guards::Guard;
use crate::ids::LinkId;
use crate::mirror::entry::{Entry, CONDEMNED, FREEING};
use crate::mirror::log::Slab;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Begins a read of 1 to [`BLOCKS_MAX`] blocks.
    pub fn read_begin(&mut self, range: Range, now: u64) -> ReadBegin {
        if range.count as usize > BLOCKS_MAX {
            return ReadBegin::Fail(Reason::Range);
        }
        if let Err(reason) = self.check_range(range.block, u64::from(range.count)) {
            return ReadBegin::Fail(reason);
        }
        if self.mode().is_none() {
            return self.turn_away(now).map_or(ReadBegin::Park, ReadBegin::Fail);
        }
        let right = self.right_to_read(now);
        if !self.granted(right, Guard::LeaseAfterRead) {
            self.parked = true;
            return ReadBegin::Park;
        }
        let mut sources = [Source::Disk; BLOCKS_MAX];
        for (block, source) in (range.block..).take(range.count as usize).zip(&mut sources) {
            match self.source_of(block, now) {
                Some(found) => *source = found,
                None if self.is_condemned(block) => return ReadBegin::Fail(Reason::Corrupt),
                None => {
                    self.parked = true;
                    return ReadBegin::Park;
                }
            }
        }
        let side = self.read_side & 1;
        if let Some(count) = self.reads.get_mut(usize::from(side)) {
            *count = count.saturating_add(1);
        }
        ReadBegin::Plan(ReadPlan {
            ticket: ReadTicket {
                term: self.term,
                side,
                laid: false,
            },
            range,
            sources,
        })
    }

    /// Where a block is; `None` if its newest version must not be seen yet.
    fn source_of(&self, block: u64, now: u64) -> Option<Source> {
        let fresh = |entry: &u32| !self.log.at(*entry).is(FREEING);
        let newest = self.log.newest(block).filter(fresh);
        let version = newest.map_or((0, 0), |entry| self.log.at(entry).version());
        if self.is_zeroed(block, version) {
            return Some(Source::Zero);
        }
        let Some(entry) = newest else {
            return Some(Source::Disk);
        };
        if self.log.at(entry).is(CONDEMNED) || !self.is_acknowledgeable(entry, now) {
            return None;
        }
        Some(self.log_source(entry))
    }

    /// Whether the only copy of the newest version of a block is corrupt.
    fn is_condemned(&self, block: u64) -> bool {
        let newest = self.log.newest(block);
        newest.is_some_and(|entry| self.log.at(entry).is(CONDEMNED))
    }

    /// Where the data of an entry is.
    pub(crate) fn log_source(&self, entry: u32) -> Source {
        let slots = self.log.slots();
        if entry < slots {
            return Source::Log { slot: entry };
        }
        let at = self.log.at(entry);
        match LinkId::new(at.link) {
            Some(link) => Source::Adopted {
                link,
                slot: entry - slots,
                crc: at.crc,
            },
            None => Source::Disk,
        }
    }

    /// Ends a read: the data was sampled before `now`.
    pub fn read_finish(&mut self, plan: &ReadPlan, now: u64) -> ReadEnd {
        let side = plan.ticket.side & 1;
        self.read_over(side);
        if self.mode().is_none() {
            return ReadEnd::Fail(self.not_owner());
        }
        if plan.ticket.term != self.term {
            return ReadEnd::Again;
        }
        let right = self.right_to_read(now);
        if !self.granted(right, Guard::LeaseAfterRead) {
            self.parked = true;
            return ReadEnd::Park;
        }
        let blocks = (plan.range.block..).take(plan.range.count as usize);
        for (block, source) in blocks.zip(&plan.sources) {
            if *source == Source::Disk && !plan.ticket.laid && !self.is_undisturbed(block, side) {
                return ReadEnd::Again;
            }
        }
        ReadEnd::Complete
    }

    /// A read is handed back. The last one on the old side is what freeing waits for.
    fn read_over(&mut self, side: u8) {
        if let Some(count) = self.reads.get_mut(usize::from(side)) {
            *count = count.saturating_sub(1);
            self.poke |= *count == 0 && side != self.read_side & 1;
        }
    }

    /// The disk has given all blocks of a read, those too that are in the log: says in `plan` what is to be laid over
    /// them, and takes what the disk gave of the others as sampled now. Then copy, and [`Self::read_finish`]. May be
    /// asked again before that.
    ///
    /// # Errors
    ///
    /// The read is handed back by this, and this is what becomes of it; it is not [`ReadEnd::Complete`].
    pub fn read_lay(&mut self, plan: &mut ReadPlan, now: u64) -> Result<(), ReadEnd> {
        if self.mode().is_none() || plan.ticket.term != self.term {
            return Err(self.read_finish(plan, now));
        }
        let side = plan.ticket.side & 1;
        let blocks = (plan.range.block..).take(plan.range.count as usize);
        for (block, source) in blocks.zip(&mut plan.sources) {
            *source = match self.log.newest(block) {
                Some(entry) if !self.is_undisturbed(block, side) => {
                    if self.is_zeroed(block, self.log.at(entry).version()) {
                        *source = Source::Zero;
                        continue;
                    }
                    if self.log.at(entry).is(CONDEMNED) {
                        self.read_over(side);
                        return Err(ReadEnd::Fail(Reason::Corrupt));
                    }
                    if !self.is_acknowledgeable(entry, now) {
                        self.read_over(side);
                        self.parked = true;
                        return Err(ReadEnd::Park);
                    }
                    // It stays where it is until the read is handed back.
                    self.log_source(entry)
                }
                _ if self.is_zeroed(block, (0, 0)) => Source::Zero,
                _ => Source::Disk,
            };
        }
        plan.ticket.laid = true;
        Ok(())
    }

    /// Whether no write of the block to the disk can have been under way during a read on `side` that found it on the
    /// disk alone.
    fn is_undisturbed(&self, block: u64, side: u8) -> bool {
        match self.log.newest(block) {
            None => true,
            Some(entry) => self.log.at(entry).is(FREEING) && side == self.read_side & 1,
        }
    }

    /// A read could not be done: the disk, or an adopted slot, is at fault. What to tell its issuer.
    pub fn read_failed(&mut self, plan: &ReadPlan, corrupt: bool, now: u64) -> ReadEnd {
        match self.read_finish(plan, now) {
            ReadEnd::Complete if corrupt => ReadEnd::Fail(Reason::Corrupt),
            ReadEnd::Complete => ReadEnd::Fail(Reason::Disk),
            other => other,
        }
    }

    /// Whether this controller is one that may answer reads and writes sooner or later without another takeover.
    pub fn is_owner(&self) -> bool {
        matches!(self.role, Role::Owner(_)) && !self.leaving.is_releasing()
    }
}
