// SPDX-License-Identifier: GPL-2.0

//! `/dev/yokeN`: where bios come in.

use super::shared::{Caller, Ends, Inner, Shared};
use kernel::{prelude::*, sync::Arc};
use yoke_core::{
    openers::Refused,
    volume::desk::{Job, Step},
};
use yoke_sys::{
    attr::Attr,
    backing::BackingDev,
    bio::Bio,
    disk::{CurrentTask, DiskOps},
    pages::Pages,
    status::BlkStatus,
};

/// What is behind the disk.
pub(crate) struct Front {
    pub(crate) shared: Arc<Shared>,
    pub(crate) dev: Arc<BackingDev<Ends>>,
    /// One block of zeroes.
    pub(crate) zeroes: Arc<Pages>,
}

impl Front {
    /// Begins a bio, for the first time or again. `bounce`: see [`Self::fetch`].
    pub(crate) fn start(&self, io: Caller, step: Step, bounce: Option<&Pages>) {
        let begun = self.shared.with(|inner, now| {
            if !inner.admits(&io.0) {
                return Err(io);
            }
            let Inner { core, desk, .. } = inner;
            Ok(desk.begin(core, io, step, now))
        });
        let mut job = match begun {
            Ok(job) => job,
            Err(io) => return io.0.complete(Err(BlkStatus::IOERR)),
        };
        // Bounded: a write comes to its end, or waits, after a flush that follows it.
        loop {
            job = match job {
                Job::Write(io, plan) => self.carry_out(io, &plan),
                Job::Read(io, plan) => self.fetch(io, &plan, bounce),
                job => return self.shared.settle(job),
            };
        }
    }
}

impl DiskOps for Front {
    const ATTRS: &'static [Attr<Self>] = super::face::ATTRS;

    fn submit(this: &Arc<Self>, bio: Bio) {
        this.start(Caller(bio), Step::Start, None);
    }

    fn open(this: &Arc<Self>, tag: u64, _write: bool) -> Result {
        let mut inner = this.shared.inner.lock();
        let tenure = inner.core.tenure();
        inner
            .openers
            .open(tag, tenure)
            .map_err(|refused| match refused {
                Refused::Dead => ENXIO,
                Refused::Leaving => EBUSY,
            })?;
        inner.last_opener = CurrentTask::now();
        Ok(())
    }

    fn release(this: &Arc<Self>, tag: u64) {
        this.shared.inner.lock().openers.close(tag);
    }

    fn shutdown(this: &Arc<Self>, tag: u64) {
        if tag != this.shared.inner.lock().openers.device() {
            // The volume goes on. What is begun again of this device ends.
            return this.shared.restart();
        }
        loop {
            match this.shared.with(|inner, _| inner.desk.close()) {
                Job::Kept => return,
                job => this.shared.settle(job),
            }
        }
    }
}
