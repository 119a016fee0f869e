// SPDX-License-Identifier: GPL-2.0
//! The commands by which discards and write-zeroes go to the disk: issued, done, refused, or failed and perhaps done later.
//! When there is one stands in passing.rs.

use crate::guards::Guard;
use crate::volume::action::{Action, LongRange};
use crate::volume::config::BLOCKS_MAX;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::plan::PassOp;
use crate::volume::requests::pass::{Pass, PassEnd, PassEvent, PassId, PassStage};
use crate::volume::requests::stage::StageEvent;
use crate::volume::requests::tickets::Ticket;
use crate::volume::status::Reason;

/// Blocks that are zeroed with one command where that is a write: the lease is checked for each, and no disk has to know
/// more than writes.
const ZEROED_AT_ONCE: u64 = BLOCKS_MAX as u64;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// The tombstone is in the log: the command, if the shadow has it or there is none; else the tombstone is posted.
    pub(super) fn send_pass(&mut self, index: usize, pass: &Pass, now_ns: u64) -> Option<Action> {
        let safe = self.is_adopted(pass)
            || self.log.at(pass.entry).proved != 0
            || self.log.unproved_too()
            || !self.guards.on(Guard::TombstoneFirst);
        if !safe {
            return self.post_tomb(index, pass);
        }
        if self.permit().may_command(now_ns).is_err() {
            return None;
        }
        let left = pass.range.count.saturating_sub(pass.next);
        let (op, count, ticket) = if self.is_written(pass) {
            (PassOp::WriteZeroes, left.min(ZEROED_AT_ONCE), None)
        } else {
            (pass.op, left, pass.ticket)
        };
        let place = self.requests.passes.at_mut(index)?;
        (place.issued_ns, place.piece, place.lost) = (now_ns, count, false);
        self.requests.passes.on(index, PassEvent::Issued);
        Some(Action::PassDown {
            pass: self.requests.passes.id(index),
            ticket,
            op,
            range: LongRange {
                block: pass.range.block.saturating_add(pass.next),
                count,
            },
        })
    }

    /// Whether a command may be issued at this moment: to be asked right before that. If so its life counts from now on;
    /// if not it is to be handed back as [`PassEnd::NotIssued`].
    pub fn issue_pass(&mut self, id: PassId, now_ns: u64) -> bool {
        let may = self.permit().may_command(now_ns).is_ok();
        let passes = &mut self.requests.passes;
        let pass = passes.find(id).and_then(|index| passes.at_mut(index));
        match pass.filter(|pass| may && pass.stage == PassStage::Passing) {
            Some(pass) => {
                pass.issued_ns = now_ns;
                true
            }
            None => false,
        }
    }

    /// A command is over.
    pub(crate) fn passed_down(&mut self, id: PassId, end: PassEnd) {
        let Some(index) = self.requests.passes.find(id) else {
            return;
        };
        let Some(mut pass) = self.requests.passes.at(index) else {
            return;
        };
        if pass.stage != PassStage::Passing {
            return;
        }
        // Its commands are writes of zeroes, which a disk may fail and cannot refuse.
        let writes = self.is_written(&pass);
        let event = match end {
            PassEnd::Done if pass.lost => PassEvent::NotIssued,
            PassEnd::Done => {
                pass.next = pass.next.saturating_add(pass.piece);
                if pass.next < pass.range.count {
                    PassEvent::Part
                } else {
                    PassEvent::Landed
                }
            }
            PassEnd::NotIssued => PassEvent::NotIssued,
            // A discard that was done and lost may have been seen: it is seen through, and zeroes are as good.
            PassEnd::Refused if !writes && (pass.op == PassOp::WriteZeroes || pass.again) => {
                pass.by_writes = true;
                PassEvent::NotIssued
            }
            PassEnd::Refused if !writes => {
                pass.failed = Some(Reason::Unsupported);
                PassEvent::Refused
            }
            PassEnd::Failed | PassEnd::Refused => PassEvent::Failed,
        };
        if let Some(place) = self.requests.passes.at_mut(index) {
            *place = pass;
        }
        self.end_command(index, event);
    }

    /// A command has failed. It lands before T_io has passed, or never: then the client's is over, and an adopted one is
    /// tried again, without end.
    pub(super) fn doubt_pass(&mut self, index: usize, pass: &Pass, now_ns: u64) -> Option<Action> {
        let life = self
            .ownership
            .agreed(&self.config, &self.partner)
            .io_life_ns();
        let wait = self.config.stretch(life).max(self.config.poll_ns);
        if !self.agenda.due(pass.issued_ns.saturating_add(wait), now_ns) {
            return None;
        }
        if self.is_adopted(pass) || pass.again {
            self.requests.passes.on(index, PassEvent::Retry);
        } else {
            self.requests.passes.at_mut(index)?.failed = Some(Reason::Disk);
            self.end_command(index, PassEvent::Expired);
        }
        None
    }

    fn end_command(&mut self, index: usize, event: PassEvent) {
        self.requests.passes.on(index, event);
        let Some(pass) = self.requests.passes.at(index) else {
            return;
        };
        if pass.stage != PassStage::Done {
            return;
        }
        self.log.mark_done(pass.entry);
        if pass.op == PassOp::WriteZeroes && pass.failed.is_none() {
            self.tell_client(index, StageEvent::Done);
        }
    }
}
