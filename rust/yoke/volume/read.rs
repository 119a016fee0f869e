// SPDX-License-Identifier: GPL-2.0

//! The way of a read: out of the log; or all of it from the disk, and what the log or adopted slots have laid over it in
//! the end. Adopted slots are copied and checked by the worker.

use super::{
    front::Front,
    shared::{Caller, Inner, Passed, Shared},
};
use kernel::prelude::*;
use yoke_core::{
    disk::layout::HEADER_BLOCKS,
    volume::{
        desk::{Job, Sampled},
        ReadPlan, Source, BLOCKS_MAX,
    },
};
use yoke_sys::{
    bio::{BioCursor, Flags},
    pages::Pages,
    BLOCK,
};

/// Where a plan finds its blocks.
#[derive(Clone, Copy)]
struct Places {
    /// Some are on the disk.
    disk: bool,
    /// Some are in adopted slots.
    adopted: bool,
    /// Some are not on the disk.
    memory: bool,
}

impl Places {
    fn of(plan: &ReadPlan) -> Self {
        let sources = || plan.sources.iter().take(plan.range.count as usize);
        Places {
            disk: sources().any(|source| matches!(source, Source::Disk)),
            adopted: sources().any(|source| matches!(source, Source::Adopted { .. })),
            memory: sources().any(|source| !matches!(source, Source::Disk)),
        }
    }
}

impl Front {
    /// Gets the blocks of a read, and answers it, if it need not wait. `bounce`: one block of memory, which the worker has.
    #[inline(never)]
    pub(super) fn fetch(&self, io: Caller, plan: &ReadPlan, bounce: Option<&Pages>) {
        self.shared.stats.reads.add(1);
        let places = Places::of(plan);
        if places.disk {
            return self.fetch_from_disk(io, plan);
        }
        let sampled = match bounce {
            // The worker begins it again.
            None if places.adopted => Sampled::Again,
            _ => self.shared.lay(&io, plan, bounce),
        };
        self.shared.sampled(io, plan, sampled)
    }

    fn fetch_from_disk(&self, io: Caller, plan: &ReadPlan) {
        // What a disk has in its hands waits until it answers: so one that answers nothing gets no more.
        if self.dev.silent_ns() > self.shared.silence_ns {
            return self.shared.sampled(io, plan, Sampled::Later);
        }
        let at = plan.range.block.saturating_add(HEADER_BLOCKS);
        let none = (Flags::NONE, Flags::NONE);
        let passed = Passed {
            ticket: plan.ticket,
            range: plan.range,
        };
        match self.dev.forward(io.0, at, none, passed) {
            Ok(()) => (),
            Err((bio, _, error)) if error == ENOMEM => {
                self.shared.with(|inner, _| inner.short = true);
                self.shared.sampled(Caller(bio), plan, Sampled::Later)
            }
            Err((bio, _, _)) => self.shared.sampled(Caller(bio), plan, Sampled::Unreadable),
        }
    }
}

/// All of a read from the disk.
fn plan_of(passed: Passed) -> ReadPlan {
    ReadPlan {
        ticket: passed.ticket,
        range: passed.range,
        sources: [Source::Disk; BLOCKS_MAX],
    }
}

/// What follows when the disk has given a read.
#[allow(clippy::large_enum_variant)] // Lives on the stack of the caller for one call; nothing is allocated here.
enum Next {
    Do(Job<Caller>),
    Lay(Caller),
    Worker,
}

impl Shared {
    /// A read was tried.
    #[inline(never)]
    fn sampled(&self, io: Caller, plan: &ReadPlan, sampled: Sampled) {
        let job = self.with(|inner, now| {
            let Inner { core, desk, .. } = inner;
            desk.sampled(core, io, plan, sampled, now)
        });
        self.settle(job);
    }

    /// The disk never got a read that was passed on to it. Context: any.
    pub(super) fn untouched(&self, io: Caller, passed: Passed) {
        self.sampled(io, &plan_of(passed), Sampled::Later);
    }

    /// The disk has given a read, all of it, or has not. Context: any.
    pub(super) fn landed(&self, io: Caller, passed: Passed, good: bool) {
        let mut plan = plan_of(passed);
        let next = self.with(|inner, now| {
            if core::mem::take(&mut inner.short) {
                inner.desk.wake();
            }
            inner.core.disk_read_ended(good, now);
            if let Err(end) = inner.core.read_lay(&mut plan, now) {
                return Next::Do(inner.desk.end_read(io, end));
            }
            let places = Places::of(&plan);
            let sampled = match (good, places) {
                (false, Places { disk: true, .. }) => Sampled::Unreadable,
                (_, Places { adopted: true, .. }) => match inner.lay_later(io, passed) {
                    None => return Next::Worker,
                    Some(io) => {
                        let Inner { core, desk, .. } = inner;
                        return Next::Do(desk.sampled(core, io, &plan, Sampled::Again, now));
                    }
                },
                (_, Places { memory: true, .. }) => return Next::Lay(io),
                _ => Sampled::Good,
            };
            let Inner { core, desk, .. } = inner;
            Next::Do(desk.sampled(core, io, &plan, sampled, now))
        });
        match next {
            Next::Do(job) => self.settle(job),
            Next::Worker => self.work.set(),
            Next::Lay(io) => {
                let sampled = self.lay(&io, &plan, None);
                self.sampled(io, &plan, sampled);
            }
        }
    }

    /// Lays adopted slots over a read that the disk has given. Context: the worker.
    pub(super) fn finish_laid(&self, io: Caller, passed: Passed, bounce: &Pages) {
        let mut plan = plan_of(passed);
        let next = self.with(|inner, now| match inner.core.read_lay(&mut plan, now) {
            Err(end) => Next::Do(inner.desk.end_read(io, end)),
            Ok(()) => Next::Lay(io),
        });
        match next {
            Next::Do(job) => self.settle(job),
            Next::Worker => (),
            Next::Lay(io) => {
                let sampled = self.lay(&io, &plan, Some(bounce));
                self.sampled(io, &plan, sampled);
            }
        }
    }

    /// Copies what is in the log or in adopted slots over a bio; what is on the disk is left as it is. Context: any
    /// without `bounce`, task with it.
    fn lay(&self, io: &Caller, plan: &ReadPlan, bounce: Option<&Pages>) -> Sampled {
        let mut cursor = io.0.cursor();
        for (at, source) in (0_u32..).zip(plan.sources.iter().take(plan.range.count as usize)) {
            match self.lay_block(*source, bounce, &mut cursor) {
                Ok(()) => (),
                Err(error) if error == EILSEQ => return Sampled::Corrupt { at },
                Err(_) => return Sampled::Unreadable,
            }
        }
        Sampled::Good
    }

    fn lay_block(
        &self,
        source: Source,
        bounce: Option<&Pages>,
        cursor: &mut BioCursor<'_>,
    ) -> Result {
        match source {
            Source::Disk => cursor.skip(BLOCK),
            Source::Zero => cursor.zero(BLOCK),
            Source::Log { slot } => self.log.copy_to_bio(slot, cursor),
            Source::Adopted { link, slot, crc } => {
                let bounce = bounce.ok_or(EINVAL)?;
                let lane = self.inner.lock().lane_of(link);
                lane.ok_or(EIO)?.read(slot, bounce, 0, crc)?;
                bounce.copy_to_bio(0, cursor)
            }
        }
    }
}

const _: () = assert!(BLOCK == 4096);
