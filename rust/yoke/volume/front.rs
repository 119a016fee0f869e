// SPDX-License-Identifier: GPL-2.0

//! `/dev/yokeN`: where bios come in.

use super::ends::Ends;
use super::shared::{Caller, Inner, Shared};
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
    ///
    /// File systems call this from deep down: so there is one plan on the stack, which stays where it is, and what each
    /// step needs beside it is in a frame of its own.
    pub(crate) fn start(&self, io: Caller, step: Step, bounce: Option<&Pages>) {
        match self.begin(io, step) {
            Job::Write(io, ref plan) => self.carry_out(io, plan),
            Job::Read(io, ref plan) => self.fetch(io, plan, bounce),
            Job::End(io, result) => self.shared.answer(io, result),
            // Nothing is posted again before it was written: its bio would be answered as it is dropped.
            Job::Kept | Job::Again(..) => (),
        }
    }

    #[inline(never)]
    fn begin(&self, io: Caller, step: Step) -> Job<Caller> {
        let mut refused = None;
        let job = self.shared.with(|inner, now| {
            if !inner.admits(&io.0) {
                refused = Some(io);
                return Job::Kept;
            }
            let Inner { core, desk, .. } = inner;
            desk.begin(core, io, step, now)
        });
        if let Some(io) = refused {
            io.0.complete(Err(BlkStatus::IOERR));
        }
        job
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
        // What the disk did not take comes back, and is parked until it is answered here.
        this.dev.recall(0);
        loop {
            match this.shared.with(|inner, _| inner.desk.close()) {
                Job::Kept => return,
                job => this.shared.settle(job),
            }
        }
    }
}
