// SPDX-License-Identifier: GPL-2.0
//! Reads (PROTOCOL P3, P4).
//!
//! Freeing an entry waits for the reads that began before ([`crate::volume::log::readers`]): what a read was told to copy
//! stays where it is until the read is handed back, and a block that was written to the disk under a read is still in the
//! log when it is.

use crate::guards::Guard;
use crate::volume::config::BLOCKS_MAX;
use crate::volume::log::checks::Bad;
use crate::volume::log::entry::{Entry, EntryId};
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::plan::{Range, ReadBegin, ReadEnd, ReadPlan, ReadTicket, Source};
use crate::volume::requests::tickets::Ticket;
use crate::volume::status::Reason;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Begins a read of 1 to [`BLOCKS_MAX`] blocks.
    pub fn read_begin(&mut self, range: Range, now_ns: u64) -> ReadBegin {
        if range.count as usize > BLOCKS_MAX {
            return ReadBegin::Fail(Reason::Range);
        }
        if let Err(reason) = self.check_range(range.block, u64::from(range.count)) {
            return ReadBegin::Fail(reason);
        }
        if !self.is_owner() {
            return self
                .turn_away(now_ns)
                .map_or(ReadBegin::Park, ReadBegin::Fail);
        }
        if !self.may_tell(now_ns) {
            self.requests.park_unanswerable(now_ns);
            return ReadBegin::Park;
        }
        let mut sources = [Source::Disk; BLOCKS_MAX];
        let mut zeroed = 0;
        for (at, (block, source)) in (range.block..)
            .take(range.count as usize)
            .zip(&mut sources)
            .enumerate()
        {
            match self.source_of(block, now_ns) {
                Some(found) => {
                    zeroed |= u64::from(found == Source::Zero) << at;
                    *source = found;
                }
                None if self.is_condemned(block) => return ReadBegin::Fail(Reason::Corrupt),
                None => {
                    self.requests.park();
                    return ReadBegin::Park;
                }
            }
        }
        let Some(sides) = self.log.read_begins(range) else {
            self.requests.park();
            return ReadBegin::Park;
        };
        ReadBegin::Plan(ReadPlan {
            ticket: ReadTicket {
                term: self.ownership.term(),
                sides,
                zeroed,
                laid: false,
            },
            range,
            sources,
        })
    }

    /// Whether what was sampled before `now_ns` may be told.
    fn may_tell(&self, now_ns: u64) -> bool {
        let permit = self.permit();
        permit.is_granted(
            permit.may_read(now_ns),
            self.guards.on(Guard::LeaseAfterRead),
        )
    }

    /// Where a block is; `None` if its newest version must not be seen yet.
    fn source_of(&self, block: u64, now_ns: u64) -> Option<Source> {
        let fresh = |entry: &EntryId| !self.log.at(*entry).is_freeing();
        let newest = self.log.newest(block).filter(fresh);
        let version = newest.map_or((0, 0), |entry| self.log.at(entry).version());
        if self.is_zeroed(block, version) {
            return Some(Source::Zero);
        }
        let Some(entry) = newest else {
            return Some(Source::Disk);
        };
        if self.log.at(entry).is_condemned() || !self.is_acknowledgeable(entry, now_ns) {
            return None;
        }
        Some(self.log.source(entry))
    }

    /// Whether the only copy of the newest version of a block is corrupt.
    fn is_condemned(&self, block: u64) -> bool {
        let newest = self.log.newest(block);
        newest.is_some_and(|entry| self.log.at(entry).is_condemned())
    }

    /// Ends a read: the data was sampled before `now_ns`, and that of adopted slots is what it should be.
    pub fn read_finish(&mut self, plan: &ReadPlan, now_ns: u64) -> ReadEnd {
        let end = self.read_returned(plan, now_ns);
        if end != ReadEnd::Complete {
            return end;
        }
        // Freeing waits for reads: a slot that is gone was found not to hold what this read has of it.
        if plan
            .adopted()
            .any(|slot| !self.log.is_live(self.log.adopted(slot)))
        {
            return ReadEnd::Again;
        }
        for slot in plan.adopted() {
            self.log.checked(slot);
        }
        ReadEnd::Complete
    }

    /// A read comes back: what would become of it, if all of it was sampled.
    pub(crate) fn read_returned(&mut self, plan: &ReadPlan, now_ns: u64) -> ReadEnd {
        self.read_over(plan.range, plan.ticket);
        if self.ownership.mode().is_none() {
            return ReadEnd::Fail(self.ownership.not_owner());
        }
        if plan.ticket.term != self.ownership.term() {
            return ReadEnd::Again;
        }
        if !self.may_tell(now_ns) {
            self.requests.park_unanswerable(now_ns);
            return ReadEnd::Park;
        }
        let blocks = (plan.range.block..).take(plan.range.count as usize);
        for (block, source) in blocks.zip(&plan.sources) {
            let checked = *source != Source::Disk || plan.ticket.laid;
            if !checked && !self.is_undisturbed(block, plan.range, plan.ticket) {
                return ReadEnd::Again;
            }
        }
        ReadEnd::Complete
    }

    /// A read is handed back. Freeing may have waited for it, and others to be counted.
    fn read_over(&mut self, range: Range, ticket: ReadTicket) {
        let over = self.log.read_ends(range, ticket.sides);
        self.agenda.want_poll(over.last || over.was_full);
        if over.was_full {
            self.requests.retry_parked();
        }
    }

    /// The disk has given all blocks of a read, those too that are in the log: says in `plan` what is to be laid over
    /// them, and takes what the disk gave of the others as sampled now; what the sources were before does not matter. Then
    /// copy, and [`Self::read_finish`]. May be asked again before that.
    ///
    /// # Errors
    ///
    /// The read is handed back by this, and this is what becomes of it; it is not [`ReadEnd::Complete`].
    pub fn read_lay(&mut self, plan: &mut ReadPlan, now_ns: u64) -> Result<(), ReadEnd> {
        if self.ownership.mode().is_none() || plan.ticket.term != self.ownership.term() {
            return Err(self.read_returned(plan, now_ns));
        }
        let (range, ticket) = (plan.range, plan.ticket);
        let blocks = (plan.range.block..).take(plan.range.count as usize);
        for (at, (block, source)) in blocks.zip(&mut plan.sources).enumerate() {
            *source = match self.log.newest(block) {
                Some(entry) if !self.is_undisturbed(block, range, ticket) => {
                    if self.is_zeroed(block, self.log.at(entry).version()) {
                        *source = Source::Zero;
                        continue;
                    }
                    if self.log.at(entry).is_condemned() {
                        self.read_over(range, ticket);
                        return Err(ReadEnd::Fail(Reason::Corrupt));
                    }
                    if !self.is_acknowledgeable(entry, now_ns) {
                        self.read_over(range, ticket);
                        self.requests.park();
                        return Err(ReadEnd::Park);
                    }
                    // It stays where it is until the read is handed back.
                    self.log.source(entry)
                }
                // What made it so may be over, but the disk may have been asked before.
                _ if ticket.zeroed >> at & 1 != 0 => Source::Zero,
                _ => Source::Disk,
            };
        }
        plan.ticket.laid = true;
        Ok(())
    }

    /// Whether no write of the block to the disk can have been under way during a read that found it on the disk alone.
    fn is_undisturbed(&self, block: u64, range: Range, ticket: ReadTicket) -> bool {
        self.log.is_undisturbed(block, range, ticket.sides)
    }

    /// A read could not be done: the disk is at fault, or `corrupt`, the block of the plan that is in an adopted slot
    /// whose data is not what its header says. What to tell its issuer.
    pub fn read_failed(&mut self, plan: &ReadPlan, corrupt: Option<u32>, now_ns: u64) -> ReadEnd {
        match (self.read_returned(plan, now_ns), corrupt) {
            (ReadEnd::Complete, None) => ReadEnd::Fail(Reason::Disk),
            (ReadEnd::Complete, Some(at)) => self.read_corrupt(plan, at),
            (other, _) => other,
        }
    }

    /// The data of an adopted slot is not what it should be.
    fn read_corrupt(&mut self, plan: &ReadPlan, at: u32) -> ReadEnd {
        let Some(Source::Adopted { slot, .. }) = plan.sources.get(at as usize) else {
            return ReadEnd::Fail(Reason::Corrupt);
        };
        match self.log.found_bad(self.log.adopted(*slot)) {
            Bad::Spoilt => ReadEnd::Fail(Reason::Corrupt),
            Bad::Gone => ReadEnd::Again,
            Bad::InHand => {
                self.requests.park();
                ReadEnd::Park
            }
            Bad::Dropped => {
                // As after the end of a run: who waits for room, for the log to be on the disk, and for the next record.
                self.requests.retry_parked();
                self.agenda.want_poll(true);
                ReadEnd::Again
            }
        }
    }
}
