// SPDX-License-Identifier: GPL-2.0

//! What takes its time: flushes, discards, write-zeroes. Each gets a ticket; the control thread ends it.

use super::{
    front::Front,
    shared::{status, Passed, Shared, Then, Waiting},
};
use yoke_core::{
    disk::layout::HEADER_BLOCKS,
    volume::{Input, LongBegin, LongRange, PassEnd, PassId, PassOp, TicketId},
};
use yoke_sys::{
    bio::{Bio, Flags},
    time::boottime_ns,
};

impl Front {
    /// Begins a flush for this bio; `then` follows.
    pub(super) fn flush(&self, bio: Bio, then: Then) {
        self.shared.stats.flushes.add(1);
        self.long(bio, then, |core, now| core.flush(now));
    }

    /// Begins a discard or write-zeroes.
    pub(super) fn pass(&self, bio: Bio, op: PassOp) {
        let range = LongRange {
            block: bio.first_block(),
            count: u64::from(bio.blocks()),
        };
        self.long(bio, Then::End, |core, now| core.pass_down(op, range, now));
    }

    fn long(
        &self,
        bio: Bio,
        then: Then,
        begin: impl FnOnce(&mut super::shared::Machine, u64) -> LongBegin,
    ) {
        let mut inner = self.shared.inner.lock();
        if !inner.admits(&bio) {
            return Shared::refuse(inner, bio);
        }
        match begin(&mut inner.core, boottime_ns()) {
            LongBegin::Wait(ticket) => {
                inner.wait(Waiting { ticket, bio, then });
                drop(inner);
                self.shared.wake.set();
            }
            LongBegin::Park => Shared::park(inner, bio),
            LongBegin::Fail(reason) => {
                drop(inner);
                bio.complete(Err(status(reason)));
            }
        }
    }

    fn take(&self, ticket: TicketId) -> Option<Waiting> {
        self.shared.inner.lock().take(ticket)
    }

    /// A ticket is complete: what follows. Context: the control thread.
    pub(super) fn complete(&self, ticket: TicketId) {
        let waiting = self.take(ticket);
        let Some(Waiting { bio, then, .. }) = waiting else {
            return;
        };
        match then {
            Then::End => bio.complete(Ok(())),
            Then::Write => self.write(bio),
            Then::Flush => self.flush(bio, Then::End),
        }
    }

    /// A ticket failed. Context: the control thread.
    pub(super) fn fail(&self, ticket: TicketId, reason: yoke_core::volume::Reason) {
        let waiting = self.take(ticket);
        if let Some(Waiting { bio, .. }) = waiting {
            bio.complete(Err(status(reason)));
        }
    }

    /// Passes a waiting bio on to the disk. Context: the control thread.
    pub(super) fn pass_down(&self, pass: PassId, ticket: TicketId, range: LongRange) {
        let end = PassEnd::Refused;
        let waiting = self.take(ticket);
        let Some(Waiting { bio, .. }) = waiting else {
            let input = Input::PassedDown { pass, end };
            return self.shared.inner.lock().core.handle(input, boottime_ns());
        };
        let at = range.block.saturating_add(HEADER_BLOCKS);
        let none = (Flags::NONE, Flags::NONE);
        if let Err((bio, _, _)) = self.dev.forward(bio, at, none, Passed::Long(pass, ticket)) {
            self.shared.end_pass(bio, pass, ticket, end);
        }
    }
}
