// SPDX-License-Identifier: GPL-2.0

//! Discards and write-zeroes go to the disk from here. Their bios stay at the desk meanwhile, and are answered when the
//! machine says so, whatever becomes of the disk's command.

use super::{front::Front, shared::Own};
use kernel::prelude::*;
use yoke_core::{
    disk::layout::HEADER_BLOCKS,
    volume::{Input, LongRange, PassEnd, PassId, PassOp, TicketId},
};
use yoke_sys::{backing::IoOp, bio::Flags};

impl Front {
    /// Passes an operation on to the disk, for who waits under `ticket` or for the machine itself. Context: the control
    /// thread; does not wait.
    pub(super) fn pass_down(
        &self,
        pass: PassId,
        ticket: Option<TicketId>,
        op: PassOp,
        range: LongRange,
    ) {
        let begun = match ticket {
            Some(ticket) => self.issue(pass, ticket, op, range),
            None => self.zero(pass, range),
        };
        if begun.is_err() {
            let end = PassEnd::Refused;
            let input = Input::PassedDown { pass, end };
            self.shared.with(|inner, now| inner.core.handle(input, now));
        }
    }

    /// Errors: nothing was begun.
    fn issue(&self, pass: PassId, ticket: TicketId, op: PassOp, range: LongRange) -> Result {
        // Whoever asked for it may be gone.
        let flags = self.shared.with(|inner, _| {
            let caller = inner.desk.peek(ticket);
            caller.map_or(Flags::NONE, |caller| caller.0.flags())
        });
        let count = u32::try_from(range.count).map_err(|_| EINVAL)?;
        let op = match op {
            PassOp::Discard => IoOp::Discard(count),
            PassOp::WriteZeroes => IoOp::WriteZeroes(count),
        };
        let unit = self.dev.take().ok_or(EBUSY)?;
        unit.submit(op, at(range), flags, Own::Pass(pass))
            .map_err(|(_, error)| error)
    }

    /// Writes zeroes, on a disk that need not know more than writes. Errors: nothing was begun.
    fn zero(&self, pass: PassId, range: LongRange) -> Result {
        let mut unit = self.dev.take().ok_or(EBUSY)?;
        for _ in 0..range.count {
            unit.push(&self.zeroes, 0)?;
        }
        unit.submit(IoOp::Write, at(range), Flags::NONE, Own::Pass(pass))
            .map_err(|(_, error)| error)
    }
}

/// Where a range begins on the disk.
fn at(range: LongRange) -> u64 {
    range.block.saturating_add(HEADER_BLOCKS)
}
