// SPDX-License-Identifier: GPL-2.0

//! The keeper of `/dev/yokeN`: one thread a volume, for what may take its time.
//!
//! It tells user space of changes. And it takes the block device away when the ownership is over in which somebody had
//! it open, and makes another one of the same name (docs/openers.md). File systems shut down in that, and wait for their
//! I/O: so it is not the control thread, which ends that I/O.

use super::{
    front::Front,
    news::lines,
    shared::{Cache, Inner, Shared},
    stale::Stale,
};
use kernel::{prelude::*, str::CString, sync::Arc};
use yoke_core::{
    openers::{Fate, Tenure},
    volume::{Command, Input, Role},
};
use yoke_sys::{
    disk::{Disk, Params},
    thread,
    time::{boottime_ns, sleep_us},
};

/// When a device that could not be made, or has bios or pages left, is looked at again.
const AGAIN_NS: u64 = 100_000_000;
/// The same while the release of the volume waits for it.
const SOON_NS: u64 = 10_000_000;
/// How long an opener may hold up a giveback without being named for it.
const PASSERS_NS: u64 = 2_000_000_000;
/// Devices whose bios have not ended yet, at most; for one more the keeper waits.
const RETIRED: usize = 8;

impl Shared {
    /// Waits for openers that come and go, such as udev's: for moments, or until nobody holds the disk. Context: task.
    pub(super) fn wait_unheld(&self) {
        let until = boottime_ns().saturating_add(PASSERS_NS);
        while self.inner.lock().openers.is_held() && boottime_ns() < until {
            sleep_us(10_000);
        }
    }

    /// Says who holds the disk, as far as it is known here.
    pub(super) fn say_held(&self) -> Error {
        let inner = self.inner.lock();
        let (count, last) = (inner.openers.count(), inner.last_opener);
        drop(inner);
        let mounted = self.disk.lock().as_ref().is_some_and(Disk::is_mounted);
        pr_err!(
            "volume {}: command refused: its disk is held: open {count} times, last by {} (process {}){}; unmount or close it first, or force-giveback takes it away from them\n",
            self.name(),
            last.name(),
            last.pid,
            if mounted { ", a file system is mounted" } else { "" }
        );
        EBUSY
    }

    /// If the own block releases the volume that is about to be written, and whoever has the disk open stays: has the keeper
    /// drop what is cached first. The number of that.
    pub(super) fn drop_cache(&self) -> Option<u32> {
        let mut inner = self.inner.lock();
        // A claim, too, may stand beside the record of a release.
        let releases = matches!(inner.core.role(), Role::Owner(_)) && !inner.core.is_owner();
        if !releases || !inner.openers.is_stateless() || inner.openers.count() == 0 {
            return None;
        }
        inner.cache.asked = inner.cache.asked.wrapping_add(1);
        let asked = inner.cache.asked;
        drop(inner);
        self.attend.set();
        Some(asked)
    }

    /// The partner wants the volume: whether somebody holds the disk here, who is to make way first.
    pub(super) fn evict_held(&self) -> bool {
        let mut inner = self.inner.lock();
        let owner = matches!(inner.core.tenure(), Tenure::Owner { leaving: false, .. });
        let heard = inner.core.hears_partner(boottime_ns());
        let evict = owner && heard && inner.openers.is_held();
        if evict {
            // The administrator's wish, if there is one, counts for more.
            inner.evict.get_or_insert(Command::GiveOnRequest);
        }
        drop(inner);
        self.attend.set();
        evict
    }
}

/// What the thread owns.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    front: Arc<Front>,
    name: CString,
    params: Params,
    /// Devices that were taken away, while their last bios are under way.
    retired: KVec<Disk<Front>>,
    /// What is to go of the cache.
    stale: Stale,
}

impl Keeper {
    /// Makes the first device. Errors: `EEXIST`: there is a disk of this name; `ENOMEM`; `EINVAL`.
    pub(super) fn new(front: Arc<Front>, name: CString, params: Params) -> Result<Self> {
        let keeper = Keeper {
            shared: front.shared.clone(),
            front,
            name,
            params,
            retired: KVec::with_capacity(RETIRED, GFP_KERNEL)?,
            stale: Stale::default(),
        };
        keeper.make()?;
        Ok(keeper)
    }

    /// Until the thread is asked to stop; then the device goes.
    pub(super) fn run(mut self) {
        let mut lines = lines();
        while !thread::should_stop() {
            self.shared.tell_people(&mut lines);
            self.evict();
            self.settle_openers();
            self.retired.retain(|disk| disk.inflight() > 0);
            let deadline = self.pause_ns().map(|ns| boottime_ns().saturating_add(ns));
            self.shared.attend.wait(deadline);
        }
        self.shared.tell_people(&mut lines);
        let last = self.shared.disk.lock().take();
        drop(last);
    }

    /// When to look again by itself, if there is something to look at.
    fn pause_ns(&self) -> Option<u64> {
        let Cache { asked, dropped } = self.shared.inner.lock().cache;
        if asked != dropped {
            return Some(SOON_NS);
        }
        let unfinished =
            self.stale.is_left() || !self.retired.is_empty() || self.shared.disk.lock().is_none();
        unfinished.then_some(AGAIN_NS)
    }

    /// A device of the number that counts.
    fn make(&self) -> Result {
        let tag = self.shared.inner.lock().openers.device();
        let params = Params { tag, ..self.params };
        let disk = Disk::new(&self.name, &params, self.front.clone())?;
        *self.shared.disk.lock() = Some(disk);
        self.shared.note_device();
        Ok(())
    }

    /// The openers that are to make way for a giveback. This controller owns the volume: what they have written is
    /// written back before they lose their device.
    fn evict(&mut self) {
        if self.shared.inner.lock().evict.is_none() {
            return;
        }
        let disk = self.shared.disk.lock().take();
        if let Some(disk) = &disk {
            disk.remove();
        }
        self.replace(disk, |inner| {
            // Meanwhile it may have been taken back. That comes too late for these openers.
            if let Some(command) = inner.evict.take() {
                inner.core.handle(Input::Command(command), boottime_ns());
            }
        });
    }

    /// Openers that have outlived their ownership get errors from now on, or lose what was cached for them. And a device that
    /// is missing is made.
    fn settle_openers(&mut self) {
        let mut inner = self.shared.inner.lock();
        let (fate, tenure) = (inner.fate(), inner.core.tenure());
        inner.openers.moved(tenure);
        let spoilt = core::mem::take(&mut inner.spoilt);
        let cache = inner.cache;
        drop(inner);
        if fate == Fate::Dead {
            self.bury();
        } else {
            self.stale.note(fate, spoilt, cache);
            self.settle_cache(cache, tenure);
        }
        if self.shared.disk.lock().is_none() {
            // Without memory for it: once more in a moment.
            let _ = self.make();
        }
    }

    /// What is cached of the device and may not be shown any more goes, as far as it can go now.
    fn settle_cache(&mut self, cache: Cache, tenure: Tenure) {
        let releases = cache.asked != cache.dropped;
        if !self.stale.is_left() && !releases {
            return;
        }
        if releases {
            // What waits of its openers ends, and lets go of the pages that it reads into.
            self.shared.restart();
        }
        let serves = matches!(tenure, Tenure::Owner { leaving: false, .. });
        let disk = self.shared.disk.lock();
        match &*disk {
            Some(disk) => self.stale.step(disk, serves),
            None => self.stale.gone(),
        }
        drop(disk);
        if releases && !self.stale.is_left() {
            self.shared.inner.lock().cache.dropped = cache.asked;
            self.shared.wake.set();
        }
    }

    /// The device dies for everybody who has it open.
    fn bury(&mut self) {
        pr_warn!(
            "volume {}: the ownership is over in which {} was open: who has it open gets errors from now on\n",
            self.shared.name(),
            self.name.to_str().unwrap_or("?")
        );
        let disk = self.shared.disk.lock().take();
        if let Some(disk) = &disk {
            disk.kill();
            disk.remove();
        }
        self.replace(disk, |_| ());
    }

    /// `old` was taken away: another device counts from now on. What was kept of the old one's bios ends.
    fn replace(&mut self, old: Option<Disk<Front>>, also: impl FnOnce(&mut Inner)) {
        let mut inner = self.shared.inner.lock();
        inner.openers.replaced();
        also(&mut inner);
        drop(inner);
        self.stale.gone();
        self.shared.restart();
        if let Some(Err(full)) = old.map(|disk| self.retired.push_within_capacity(disk)) {
            drop(full);
        }
        let _ = self.make();
    }
}
