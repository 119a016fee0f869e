// SPDX-License-Identifier: GPL-2.0

//! From the log, and from adopted slots, to the backing disk.

use super::shared::{Ends, Own, Shared};
use kernel::prelude::*;
use yoke_core::{
    disk::layout::HEADER_BLOCKS,
    volume::{DestageEnd, DestagePlan, LongRange, PassId, Source, BLOCKS_MAX},
};
use yoke_sys::{
    backing::{BackingDev, IoOp},
    bio::Flags,
    pages::Pages,
    time::boottime_ns,
};

/// Adopted blocks on their way to the disk: private copies, so that what is written is what was checked.
pub(super) struct Bounce {
    memory: kernel::sync::Arc<Pages>,
    /// Which runs of [`BLOCKS_MAX`] blocks are in use.
    used: [Option<yoke_core::volume::RunId>; Bounce::RUNS],
}

impl Bounce {
    /// Runs of adopted blocks under way at once.
    const RUNS: usize = 4;
    /// A block of zeroes.
    const ZERO: u32 = (Self::RUNS * BLOCKS_MAX) as u32;

    /// Errors: `ENOMEM`.
    pub(super) fn new() -> Result<Self> {
        // The last block stays as it is: zero.
        let blocks = Self::ZERO + 1;
        Ok(Bounce {
            memory: kernel::sync::Arc::new(Pages::new(blocks)?, GFP_KERNEL)?,
            used: [None; Self::RUNS],
        })
    }

    pub(super) fn memory(&self) -> &kernel::sync::Arc<Pages> {
        &self.memory
    }

    /// Whether an adopted run can begin.
    pub(super) fn has_room(&self) -> bool {
        self.used.iter().any(Option::is_none)
    }

    /// A run is over.
    pub(super) fn release(&mut self, run: yoke_core::volume::RunId) {
        for used in &mut self.used {
            if *used == Some(run) {
                *used = None;
            }
        }
    }

    /// Begins a run; `false`: it is over already. Context: the control thread.
    pub(super) fn begin(
        &mut self,
        dev: &BackingDev<Ends>,
        shared: &Shared,
        plan: &DestagePlan,
    ) -> bool {
        let end = match self.submit(dev, shared, plan) {
            Ok(()) => return true,
            Err(end) => end,
        };
        self.release(plan.run);
        shared
            .inner
            .lock()
            .core
            .destage_finish(plan.run, end, boottime_ns());
        false
    }

    /// Errors: how the run ended.
    fn submit(
        &mut self,
        dev: &BackingDev<Ends>,
        shared: &Shared,
        plan: &DestagePlan,
    ) -> Result<(), DestageEnd> {
        let failed = |_: Error| DestageEnd::Failed;
        let mut unit = dev.take().ok_or(DestageEnd::Failed)?;
        let count = plan.range.count as usize;
        let mut place = None;
        for (at, source) in (0u32..).zip(plan.sources.iter().take(count)) {
            match *source {
                Source::Log { slot } => unit.push(&shared.log, slot).map_err(failed)?,
                Source::Adopted { link, slot, crc } => {
                    let base = match place {
                        Some(base) => base,
                        None => *place.insert(self.claim(plan).ok_or(DestageEnd::Failed)?),
                    };
                    let lane = shared.inner.lock().lane_of(link);
                    let lane = lane.ok_or(DestageEnd::Failed)?;
                    let block = base + at;
                    if lane.read(slot, &self.memory, block).map_err(failed)? != crc {
                        return Err(DestageEnd::Corrupt { at });
                    }
                    unit.push(&self.memory, block).map_err(failed)?;
                }
                Source::Disk | Source::Zero => return Err(DestageEnd::Failed),
            }
        }
        let block = plan.range.block.saturating_add(HEADER_BLOCKS);
        unit.submit(IoOp::Write, block, Flags::NONE, Own::Destage(plan.run))
            .map_err(|_| DestageEnd::Failed)
    }

    /// Begins to write zeroes. Errors: nothing was begun. Context: the control thread.
    pub(super) fn zero(&self, dev: &BackingDev<Ends>, pass: PassId, range: LongRange) -> Result {
        let mut unit = dev.take().ok_or(EBUSY)?;
        for _ in 0..range.count {
            unit.push(&self.memory, Self::ZERO)?;
        }
        let block = range.block.saturating_add(HEADER_BLOCKS);
        unit.submit(IoOp::Write, block, Flags::NONE, Own::Zero(pass))
            .map_err(|(_, error)| error)
    }

    /// Room for one run: its first block.
    fn claim(&mut self, plan: &DestagePlan) -> Option<u32> {
        let at = self.used.iter().position(Option::is_none)?;
        *self.used.get_mut(at)? = Some(plan.run);
        Some((at * BLOCKS_MAX) as u32)
    }
}
