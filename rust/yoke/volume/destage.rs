// SPDX-License-Identifier: GPL-2.0

//! From the log, and from adopted slots, to the backing disk.

use super::ends::Ends;
use super::shared::{Own, Shared, UNITS};
use kernel::prelude::*;
use yoke_core::{
    disk::layout::HEADER_BLOCKS,
    volume::{DestageEnd, DestagePlan, RunId, Source, BLOCKS_MAX},
};
use yoke_sys::{
    backing::{BackingDev, IoOp, IoUnit},
    bio::Flags,
    pages::Pages,
};

/// Runs on their way to the disk at once, at most: the rest of the units is for node blocks and what goes past the log.
const RUNS: u32 = UNITS as u32 - 8;
/// Runs of adopted blocks under way at once.
const BOUNCED: usize = 4;

/// The runs that are on their way. Guarded by the volume's lock.
pub(crate) struct Runs {
    count: u32,
    /// Which parts of the bounce memory are in use.
    bounced: [Option<RunId>; BOUNCED],
}

impl Runs {
    pub(crate) const NONE: Self = Runs {
        count: 0,
        bounced: [None; BOUNCED],
    };

    fn has_room(&self) -> bool {
        self.count < RUNS && self.bounced.iter().any(Option::is_none)
    }

    /// Room for the adopted blocks of one run: its first block.
    fn claim(&mut self, run: RunId) -> Option<u32> {
        let at = self.bounced.iter().position(Option::is_none)?;
        *self.bounced.get_mut(at)? = Some(run);
        Some((at * BLOCKS_MAX) as u32)
    }

    fn over(&mut self, run: RunId) {
        self.count = self.count.saturating_sub(1);
        for used in self.bounced.iter_mut().filter(|used| **used == Some(run)) {
            *used = None;
        }
    }
}

impl Shared {
    /// A run was written, or not. Context: any.
    pub(super) fn run_over(&self, run: RunId, ok: bool) {
        let end = if ok {
            DestageEnd::Written
        } else {
            self.stats.io_errors.add(1);
            DestageEnd::Failed
        };
        self.run_ended(run, end);
    }

    pub(super) fn run_ended(&self, run: RunId, end: DestageEnd) {
        self.with(|inner, now| {
            inner.runs.over(run);
            inner.core.destage_finish(run, end, now);
        });
    }
}

/// Adopted blocks on their way to the disk: private copies, so that what is written is what was checked.
pub(super) struct Bounce {
    memory: kernel::sync::Arc<Pages>,
}

impl Bounce {
    /// Errors: `ENOMEM`.
    pub(super) fn new() -> Result<Self> {
        let blocks = (BOUNCED * BLOCKS_MAX) as u32;
        Ok(Bounce {
            memory: kernel::sync::Arc::new(Pages::new(blocks)?, GFP_KERNEL)?,
        })
    }

    pub(super) fn memory(&self) -> &kernel::sync::Arc<Pages> {
        &self.memory
    }

    /// Begins as many runs as there is room for. Context: the worker.
    pub(super) fn run_all(&self, dev: &BackingDev<Ends>, shared: &Shared) {
        loop {
            let plan = shared.with(|inner, now| {
                if !inner.runs.has_room() {
                    return None;
                }
                let plan = inner.core.next_destage(now, BLOCKS_MAX as u32)?;
                inner.runs.count += 1;
                Some(plan)
            });
            let Some(plan) = plan else { return };
            if let Err(end) = self.begin(dev, shared, &plan) {
                shared.run_ended(plan.run, end);
                return;
            }
            shared.stats.destaged.add(u64::from(plan.range.count));
        }
    }

    /// Errors: how the run ended. It was not issued.
    fn begin(
        &self,
        dev: &BackingDev<Ends>,
        shared: &Shared,
        plan: &DestagePlan,
    ) -> Result<(), DestageEnd> {
        let unit = self.prepare(dev, shared, plan)?;
        let block = plan.range.block.saturating_add(HEADER_BLOCKS);
        // The copies and their checks take their time, and so does the disk: whether it may still be written is asked
        // when it goes out (`Ends::may_issue`).
        unit.submit(IoOp::Write, block, Flags::NONE, Own::Destage(plan.run))
            .map_err(|_| DestageEnd::Refused)
    }

    /// Fills a unit with the blocks of a run.
    fn prepare<'d>(
        &self,
        dev: &'d BackingDev<Ends>,
        shared: &Shared,
        plan: &DestagePlan,
    ) -> Result<IoUnit<'d, Ends>, DestageEnd> {
        let failed = |_: Error| DestageEnd::Refused;
        let mut unit = dev.take().ok_or(DestageEnd::Refused)?;
        let count = plan.range.count as usize;
        let mut place = None;
        for (at, source) in (0u32..).zip(plan.sources.iter().take(count)) {
            match *source {
                Source::Log { slot } => unit.push(&shared.log, slot).map_err(failed)?,
                Source::Adopted { link, slot, crc } => {
                    let base = match place {
                        Some(base) => base,
                        None => {
                            let base = shared.with(|inner, _| inner.runs.claim(plan.run));
                            *place.insert(base.ok_or(DestageEnd::Refused)?)
                        }
                    };
                    let lane = shared.inner.lock().lane_of(link);
                    let lane = lane.ok_or(DestageEnd::Refused)?;
                    let block = base + at;
                    let told = |error| match error {
                        _ if error == EILSEQ => DestageEnd::Corrupt { at },
                        _ => DestageEnd::Refused,
                    };
                    lane.read(slot, &self.memory, block, crc).map_err(told)?;
                    unit.push(&self.memory, block).map_err(failed)?;
                }
                Source::Disk | Source::Zero => return Err(DestageEnd::Refused),
            }
        }
        Ok(unit)
    }
}
