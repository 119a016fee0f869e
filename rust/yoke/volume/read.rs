// SPDX-License-Identifier: GPL-2.0

//! The way of a read: out of the log, from the disk, or pieced together by the control thread.

use super::{
    front::Front,
    lanes::Lane,
    shared::{status, Passed, Sampled, Shared},
};
use kernel::prelude::*;
use yoke_core::{
    disk::layout::HEADER_BLOCKS,
    volume::{Range, ReadBegin, ReadPlan, Source},
};
use yoke_sys::{
    bio::{Bio, BioCursor, Flags},
    pages::Pages,
    time::boottime_ns,
    BLOCK,
};

/// How long the control thread waits for a piece from the disk.
const PIECE_TIMEOUT_NS: u64 = 30_000_000_000;

/// Where a plan finds its blocks.
#[derive(PartialEq)]
enum Kind {
    Log,
    Disk,
    Mixed,
}

impl Kind {
    fn of(plan: &ReadPlan) -> Self {
        let count = plan.range.count as usize;
        let mut sources = plan.sources.iter().take(count);
        if sources.clone().all(|source| matches!(source, Source::Disk)) {
            Kind::Disk
        } else if sources.all(|source| matches!(source, Source::Log { .. })) {
            Kind::Log
        } else {
            Kind::Mixed
        }
    }
}

impl Front {
    /// Begins a read; what comes from several places is left to the control thread.
    pub(super) fn read(&self, bio: Bio) {
        if let Some((bio, _)) = self.try_read(bio, false) {
            let mut inner = self.shared.inner.lock();
            inner.pieced.push_back(bio);
            drop(inner);
            self.shared.wake.set();
        }
    }

    /// Begins a read and does what is simple. What is not comes back: with its plan when `keep`, else given back to the
    /// machine, to be begun again.
    fn try_read(&self, bio: Bio, keep: bool) -> Option<(Bio, Option<ReadPlan>)> {
        let range = Range {
            block: bio.first_block(),
            count: bio.blocks(),
        };
        let mut inner = self.shared.inner.lock();
        if !inner.admits(&bio) {
            Shared::refuse(inner, bio);
            return None;
        }
        let plan = match inner.core.read_begin(range, boottime_ns()) {
            ReadBegin::Plan(plan) => plan,
            ReadBegin::Park => {
                Shared::park(inner, bio);
                return None;
            }
            ReadBegin::Fail(reason) => {
                drop(inner);
                bio.complete(Err(status(reason)));
                return None;
            }
        };
        drop(inner);
        self.shared.stats.reads.add(1);
        match Kind::of(&plan) {
            Kind::Log => {
                let good = self.copy_from_log(&bio, &plan);
                let sampled = if good {
                    Sampled::Good
                } else {
                    Sampled::Unreadable
                };
                self.shared.end_read(bio, &plan, sampled);
                None
            }
            Kind::Disk => {
                self.fetch_from_disk(bio, &plan);
                None
            }
            Kind::Mixed if keep => Some((bio, Some(plan))),
            Kind::Mixed => {
                // Whatever it says: the read begins again.
                let _ = self
                    .shared
                    .inner
                    .lock()
                    .core
                    .read_finish(&plan, boottime_ns());
                Some((bio, None))
            }
        }
    }

    fn copy_from_log(&self, bio: &Bio, plan: &ReadPlan) -> bool {
        let mut cursor = bio.cursor();
        let mut sources = plan.sources.iter().take(plan.range.count as usize);
        sources.all(|source| match source {
            Source::Log { slot } => self.shared.log.copy_to_bio(*slot, &mut cursor).is_ok(),
            _ => false,
        })
    }

    fn fetch_from_disk(&self, bio: Bio, plan: &ReadPlan) {
        let at = plan.range.block.saturating_add(HEADER_BLOCKS);
        let none = (Flags::NONE, Flags::NONE);
        if let Err((bio, _, _)) =
            self.dev
                .forward(bio, at, none, Passed::Read(plan.ticket, plan.range))
        {
            self.shared.end_read(bio, plan, Sampled::Unreadable);
        }
    }

    /// Puts a read together from several places. `bounce` has one block. Context: the control thread.
    pub(super) fn piece_together(&self, bio: Bio, bounce: &Pages) {
        let Some((bio, Some(plan))) = self.try_read(bio, true) else {
            return;
        };
        let mut sampled = Sampled::Good;
        let mut cursor = bio.cursor();
        for (at, source) in (0u64..).zip(plan.sources.iter().take(plan.range.count as usize)) {
            let block = plan.range.block.saturating_add(at);
            if sampled == Sampled::Good {
                sampled = match self.piece(*source, block, bounce, &mut cursor) {
                    Ok(()) => Sampled::Good,
                    Err(error) if error == EILSEQ => Sampled::Corrupt,
                    Err(_) => Sampled::Unreadable,
                };
            }
        }
        self.shared.end_read(bio, &plan, sampled);
    }

    fn piece(
        &self,
        source: Source,
        block: u64,
        bounce: &Pages,
        cursor: &mut BioCursor<'_>,
    ) -> Result {
        match source {
            Source::Log { slot } => self.shared.log.copy_to_bio(slot, cursor),
            Source::Adopted { link, slot, crc } => {
                let lane: Lane = self.shared.inner.lock().lane_of(link).ok_or(EIO)?;
                if lane.read(slot, bounce, 0)? != crc {
                    pr_err!(
                        "{}: adopted slot {slot} changed in memory\n",
                        self.shared.name()
                    );
                    return Err(EILSEQ);
                }
                bounce.copy_to_bio(0, cursor)
            }
            Source::Zero => {
                bounce.zero(0)?;
                bounce.copy_to_bio(0, cursor)
            }
            Source::Disk => {
                let at = block.saturating_add(HEADER_BLOCKS);
                self.dev.read_sync(at, bounce, 0, 1, PIECE_TIMEOUT_NS)?;
                bounce.copy_to_bio(0, cursor)
            }
        }
    }
}

const _: () = assert!(BLOCK == 4096);
