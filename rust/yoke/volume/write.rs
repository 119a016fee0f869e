// SPDX-License-Identifier: GPL-2.0

//! The way of a write: into the log, over a link, fence, done. No thread, no interrupt and no allocation is on it.

use super::{
    front::Front,
    lanes::{Lane, Posting},
    poster::Poster,
    shared::{Caller, Inner},
};
use kernel::prelude::*;
use yoke_core::{
    mirror::{
        header::{Content, SlotHeader},
        proof::{nothing_proved, prove},
    },
    volume::{desk::Job, FenceSample, PostTo, Reason, WritePlan},
};
use yoke_sys::time::boottime_ns;

/// What follows a write that was carried out: a [`Job`] without plans.
enum Wrote {
    Kept,
    End(Caller, Result<(), Reason>),
    Again(Caller, PostTo),
}

impl Front {
    /// Does what the plan of a write says, and answers it, if it need not wait.
    #[inline(never)]
    pub(super) fn carry_out(&self, mut io: Caller, plan: &WritePlan) {
        self.shared.stats.writes.add(1);
        self.copy(&io, plan);
        let mut to = plan.post;
        // Bounded: the machine has a write posted again `LINK_COUNT` times at most.
        loop {
            let sample = to.as_ref().map(|to| self.post(plan, to));
            match self.wrote(io, plan, sample) {
                Wrote::Again(back, other) => {
                    io = back;
                    to = Some(other);
                }
                Wrote::Kept => return self.shared.hurry(),
                Wrote::End(io, result) => return self.shared.answer(io, result),
            }
        }
    }

    #[inline(never)]
    fn wrote(&self, io: Caller, plan: &WritePlan, sample: Option<FenceSample>) -> Wrote {
        let job = self.shared.with(|inner, now| {
            let Inner { core, desk, .. } = inner;
            desk.wrote(core, io, plan.ticket, sample, now)
        });
        match job {
            Job::Again(io, to) => Wrote::Again(io, to),
            Job::End(io, result) => Wrote::End(io, result),
            // No write and no read comes of a write. Their bios would be answered as they are dropped.
            Job::Kept | Job::Write(..) | Job::Read(..) => Wrote::Kept,
        }
    }

    /// Copies the data into the log. It cannot fail: the slots are those of the log, and the bio is as long as it says.
    fn copy(&self, io: &Caller, plan: &WritePlan) {
        let mut cursor = io.0.cursor();
        for slot in plan.slots.iter().take(plan.range.count as usize) {
            if self.shared.log.copy_from_bio(*slot, &mut cursor).is_err()
                && self.shared.stats.may_log()
            {
                pr_err!(
                    "volume {}: a write is shorter than it says\n",
                    self.shared.name()
                );
            }
        }
    }

    /// Posts all slots of a write and reads the fence.
    fn post(&self, plan: &WritePlan, to: &PostTo) -> FenceSample {
        // Let go of outside of the lock: it may be the last user of a link.
        let poster: Option<Poster> = self.shared.inner.lock().poster(to);
        let Some(poster) = &poster else {
            return nothing_proved(boottime_ns());
        };
        let (lane, log) = (poster.lane(), &*self.shared.log);
        self.shared.stats.fences.add(1);
        prove(&Posting { lane, log }, to, || {
            let slots = plan.slots.iter().take(plan.range.count as usize);
            (0u64..)
                .zip(slots)
                .try_for_each(|(at, slot)| self.post_slot(plan, to, lane, at, *slot))
                .is_ok()
        })
    }

    /// Posts the slot of block `at` of a write.
    fn post_slot(&self, plan: &WritePlan, to: &PostTo, lane: &Lane, at: u64, slot: u32) -> Result {
        let header = SlotHeader {
            volume: self.shared.identity.volume,
            generation: plan.generation,
            sequence: plan.sequence.saturating_add(at),
            block: plan.range.block.saturating_add(at),
            slot,
            content: Content::Data {
                crc: self.shared.log.crc32c(slot, 0)?,
            },
        };
        lane.post(to, &self.shared.log, slot, &header)
    }
}
