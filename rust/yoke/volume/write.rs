// SPDX-License-Identifier: GPL-2.0

//! The way of a write: into the log, over a link, fence, done. No thread, no interrupt and no allocation is on it.

use super::{
    front::Front,
    lanes::{Lane, Posting},
    shared::{status, Shared, Then, Waiting},
};
use kernel::prelude::*;
use yoke_core::{
    mirror::{
        header::{Content, SlotHeader},
        proof::{nothing_proved, prove},
    },
    volume::{FenceSample, PostTo, Range, WriteBegin, WriteEnd, WritePlan},
};
use yoke_sys::{
    bio::{Bio, Flags},
    time::boottime_ns,
};

impl Front {
    /// Begins a write.
    pub(super) fn write(&self, bio: Bio) {
        let range = Range {
            block: bio.first_block(),
            count: bio.blocks(),
        };
        let mut inner = self.shared.inner.lock();
        if !inner.admits(&bio) {
            return Shared::refuse(inner, bio);
        }
        match inner.core.write_begin(range, boottime_ns()) {
            WriteBegin::Plan(plan) => {
                let lane = plan.post.as_ref().and_then(|to| inner.lane(to));
                drop(inner);
                self.carry_out(bio, &plan, lane);
            }
            WriteBegin::Park => {
                self.shared.stats.stalls.add(1);
                Shared::park(inner, bio);
            }
            WriteBegin::Fail(reason) => {
                drop(inner);
                bio.complete(Err(status(reason)));
            }
        }
    }

    fn carry_out(&self, bio: Bio, plan: &WritePlan, mut lane: Option<Lane>) {
        self.copy(&bio, plan);
        let mut to = plan.post;
        // Bounded: the machine has a write posted again `LINK_COUNT` times at most.
        loop {
            let sample = to.as_ref().map(|to| self.post(plan, to, lane.as_ref()));
            let mut inner = self.shared.inner.lock();
            let end = inner.core.write_finish(plan.ticket, sample, boottime_ns());
            match end {
                WriteEnd::Wait => {
                    let then = if bio.flags().has(Flags::FUA) {
                        Then::Flush
                    } else {
                        Then::End
                    };
                    inner.wait(Waiting {
                        ticket: plan.ticket,
                        bio,
                        then,
                    });
                    drop(inner);
                    return self.shared.wake.set();
                }
                WriteEnd::Again(other) => {
                    lane = inner.lane(&other);
                    to = Some(other);
                }
                WriteEnd::Complete => {
                    drop(inner);
                    self.shared.stats.writes.add(1);
                    return self.written(bio);
                }
                WriteEnd::Fail(reason) => {
                    drop(inner);
                    return bio.complete(Err(status(reason)));
                }
            }
        }
    }

    /// Copies the data into the log. It cannot fail: the slots are those of the log, and the bio is as long as it says.
    fn copy(&self, bio: &Bio, plan: &WritePlan) {
        let mut cursor = bio.cursor();
        for slot in plan.slots.iter().take(plan.range.count as usize) {
            if self.shared.log.copy_from_bio(*slot, &mut cursor).is_err() {
                pr_err!(
                    "volume {}: a write is shorter than it says\n",
                    self.shared.name()
                );
            }
        }
    }

    /// Posts all slots of a write and reads the fence.
    fn post(&self, plan: &WritePlan, to: &PostTo, lane: Option<&Lane>) -> FenceSample {
        let Some(lane) = lane else {
            return nothing_proved(boottime_ns());
        };
        let log = &*self.shared.log;
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
