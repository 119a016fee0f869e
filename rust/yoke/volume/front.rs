// SPDX-License-Identifier: GPL-2.0

//! `/dev/yokeN`: where bios come in.

use super::shared::{Ends, Shared};
use kernel::{prelude::*, sync::Arc};
use yoke_core::{openers::Refused, volume::PassOp};
use yoke_sys::{
    attr::Attr,
    backing::BackingDev,
    bio::{Bio, Flags, Op},
    bio_list::BioList,
    disk::{CurrentTask, DiskOps},
    status::BlkStatus,
};

/// What is behind the disk.
pub(crate) struct Front {
    pub(crate) shared: Arc<Shared>,
    pub(crate) dev: Arc<BackingDev<Ends>>,
}

impl Front {
    /// Begins a bio, for the first time or again.
    pub(crate) fn start(&self, bio: Bio) {
        match bio.op() {
            Op::Read => self.read(bio),
            Op::Write if bio.flags().has(Flags::PREFLUSH) => {
                self.flush(bio, super::shared::Then::Write)
            }
            Op::Write => self.write(bio),
            Op::Flush => self.flush(bio, super::shared::Then::End),
            Op::Discard => self.pass(bio, PassOp::Discard),
            Op::WriteZeroes => self.pass(bio, PassOp::WriteZeroes),
        }
    }

    /// A write that is safe in two memories: with FUA it also has to be on the disk.
    pub(crate) fn written(&self, bio: Bio) {
        if bio.flags().has(Flags::FUA) {
            self.flush(bio, super::shared::Then::End);
        } else {
            bio.complete(Ok(()));
        }
    }
}

impl DiskOps for Front {
    const ATTRS: &'static [Attr<Self>] = super::face::ATTRS;

    fn submit(this: &Arc<Self>, bio: Bio) {
        this.start(bio);
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
        let mut inner = this.shared.inner.lock();
        if tag != inner.openers.device() {
            // The volume goes on. What is begun again of this device ends.
            drop(inner);
            return this.shared.restart();
        }
        inner.closing = true;
        let mut kept = BioList::new();
        kept.append(&mut inner.parked);
        kept.append(&mut inner.pieced);
        while let Some(bio) = inner.take_any() {
            kept.push_back(bio);
        }
        drop(inner);
        kept.complete_all(Err(BlkStatus::OFFLINE));
    }
}
