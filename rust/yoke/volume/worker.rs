// SPDX-License-Identifier: GPL-2.0

//! The worker of a volume: whatever takes its time. It begins parked bios again, lays adopted slots over reads, brings
//! the log on its way to the disk, and answers those who have waited for too long. It keeps no lease, so it may be slow;
//! but it waits for no disk. It allocates nothing, since memory may be short because of what it is to bring to the disk.

use super::{
    destage::Bounce,
    ends::Ends,
    front::Front,
    shared::{Inner, Shared},
};
use kernel::sync::Arc;
use yoke_core::volume::desk::{Line, Step};
use yoke_sys::{backing::BackingDev, pages::Pages, thread, time::boottime_ns};

/// The longest sleep.
const IDLE_NS: u64 = 1_000_000_000;
/// Seats that are looked at in one hold of the lock.
const LOOKS: usize = 64;

/// What the thread owns.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) front: Arc<Front>,
    pub(super) dev: Arc<BackingDev<Ends>>,
    pub(super) bounce: Bounce,
    /// One block, for adopted slots that are read.
    pub(super) piece: Arc<Pages>,
    /// No bio waits for longer, in nanoseconds.
    pub(super) bound_ns: u64,
    /// How often those who wait are looked at, in nanoseconds.
    pub(super) round_ns: u64,
}

impl Worker {
    /// Until the thread is asked to stop.
    pub(super) fn run(self) {
        // It destages: memory may wait for this thread, so this thread must not wait for memory.
        let _no_io = thread::NoIo::enter();
        let round = self.round_ns.clamp(1_000_000, IDLE_NS);
        let mut next = boottime_ns();
        while !thread::should_stop() {
            let now = boottime_ns();
            let due = now >= next;
            if due {
                next = now.saturating_add(round);
                self.expire();
                // Those that the disk did not take come back, and are answered as they are begun again.
                self.dev.recall(self.bound_ns);
            }
            self.restart(due);
            self.lay();
            self.bounce.run_all(&self.dev, &self.shared);
            self.shared.work.wait(Some(next));
        }
    }

    /// Begins parked bios again, when the machine has said so; and all of them once a round, so that those who have
    /// waited for too long are found.
    fn restart(&self, due: bool) {
        let wanted = self.shared.with(|inner, _| inner.desk.take_restart());
        if !wanted && !due {
            return;
        }
        for step in Step::ALL {
            let mut row = self.shared.with(|inner, _| inner.desk.take_parked(step));
            while let Some(io) = row.pop() {
                self.front.start(io, step, Some(&self.piece));
            }
        }
    }

    /// Answers those who have waited under a ticket for too long.
    fn expire(&self) {
        let mut left = super::shared::TICKETS;
        while left > 0 {
            let found = self.shared.with(|inner, now| {
                let Inner { core, desk, .. } = inner;
                desk.expired(core, LOOKS, now)
            });
            match found {
                Some(job) => self.shared.settle(job),
                None => left = left.saturating_sub(LOOKS),
            }
        }
    }

    /// Lays adopted slots over reads.
    fn lay(&self) {
        while let Some((io, passed)) = self.shared.with(|inner, _| inner.take_laid()) {
            self.shared.finish_laid(io, passed, &self.piece);
        }
    }
}
