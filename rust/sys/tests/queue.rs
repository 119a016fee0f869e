// SPDX-License-Identifier: GPL-2.0
//! A device that does not take what it is given, for as long as it likes.

use kernel::prelude::*;

#[kunit_tests(yoke_sys_queue)]
mod tests {
    use super::*;
    use crate::{
        backing::{BackingDev, IoClient, IoOp},
        bio::{Bio, Flags},
        disk::{Disk, DiskOps, Params},
        event::{Event, Woken},
        pages::Pages,
        status::{BlkStatus, IoResult},
        tests::ram::*,
        thread::Thread,
        time,
    };
    use kernel::sync::{atomic::*, Arc};

    /// Blocks from here on are always taken.
    const FREE_FROM: u64 = 32;
    const BLOCKS: u64 = 64;

    /// Keeps whoever submits to its first blocks, as a queue without a free tag does.
    #[pin_data]
    struct Stuck {
        stuck: AtomicFlag,
        /// How many came in, be they kept or not.
        came: Atomic<u32>,
        #[pin]
        arrival: Event,
        #[pin]
        way_out: Event,
    }

    impl Stuck {
        fn disk() -> Result<Disk<Self>> {
            let this = Arc::pin_init(
                pin_init!(Self {
                    stuck: AtomicFlag::new(true),
                    came: Atomic::new(0),
                    arrival <- Event::new(),
                    way_out <- Event::new(),
                }),
                GFP_KERNEL,
            )?;
            Disk::new(c"yoke_kunit0", &Params::new(BLOCKS), this)
        }

        fn let_go(&self) {
            self.stuck.store(false, Relaxed);
            self.way_out.set();
        }

        /// Waits until so many have come in.
        fn wait_for(&self, count: u32) -> Result {
            wait(&self.arrival, || self.came.load(Relaxed) >= count)
        }
    }

    impl DiskOps for Stuck {
        fn submit(this: &Arc<Self>, bio: Bio) {
            this.came.add(1, Relaxed);
            this.arrival.set();
            // Bounded, so that a test that fails ends.
            let deadline = time::boottime_ns() + 5 * SECOND;
            while bio.first_block() < FREE_FROM && this.stuck.load(Relaxed) {
                if this.way_out.wait(Some(deadline)) == Woken::Deadline {
                    break;
                }
            }
            bio.complete(Ok(()));
        }
    }

    /// What has become of I/O.
    #[pin_data]
    struct Ledger {
        done: Atomic<u32>,
        failed: Atomic<u32>,
        back: Atomic<u32>,
        revoked: AtomicFlag,
        #[pin]
        event: Event,
    }

    impl Ledger {
        fn new() -> Result<Arc<Self>> {
            Arc::pin_init(
                pin_init!(Self {
                    done: Atomic::new(0),
                    failed: Atomic::new(0),
                    back: Atomic::new(0),
                    revoked: AtomicFlag::new(false),
                    event <- Event::new(),
                }),
                GFP_KERNEL,
            )
        }

        fn count(&self, counter: &Atomic<u32>) {
            counter.add(1, Relaxed);
            self.event.set();
        }

        /// Waits until so many have been done, have failed, have come back.
        fn wait_for(&self, done: u32, failed: u32, back: u32) -> Result {
            let all = || {
                let now = (&self.done, &self.failed, &self.back);
                (
                    now.0.load(Relaxed),
                    now.1.load(Relaxed),
                    now.2.load(Relaxed),
                )
            };
            wait(&self.event, || all() == (done, failed, back))
        }
    }

    fn wait(event: &Event, mut met: impl FnMut() -> bool) -> Result {
        let deadline = time::boottime_ns() + 2 * SECOND;
        while !met() {
            if event.wait(Some(deadline)) == Woken::Deadline {
                return Err(ETIMEDOUT);
            }
        }
        Ok(())
    }

    struct Clerk(Arc<Ledger>);

    impl IoClient for Clerk {
        type Ctx = ();
        type Forward = ();

        fn io_done(&self, (): (), result: IoResult) {
            let ledger = &self.0;
            ledger.count(if result.is_ok() {
                &ledger.done
            } else {
                &ledger.failed
            });
        }

        fn forward_done(&self, bio: Bio, (): (), result: IoResult) {
            bio.complete(result);
        }

        fn may_issue(&self, (): &()) -> bool {
            !self.0.revoked.load(Relaxed)
        }

        fn not_issued(&self, (): ()) {
            self.0.count(&self.0.back);
        }

        fn forward_back(&self, bio: Bio, (): ()) {
            self.0.count(&self.0.back);
            bio.complete(Err(BlkStatus::IOERR));
        }
    }

    fn read(dev: &BackingDev<Clerk>, pages: &Pages, block: u64, flags: Flags) -> Result {
        let mut unit = dev.take().ok_or(EBUSY)?;
        unit.push(pages, 0)?;
        unit.submit(IoOp::Read, block, flags, ())
            .map_err(|(_, error)| error)
    }

    #[test]
    fn who_submits_does_not_wait_for_a_device_that_takes_nothing() -> Result {
        let (disk, ledger) = (Stuck::disk()?, Ledger::new()?);
        let (dev, pages) = open(disk.dev(), Clerk(ledger.clone()))?;
        let begun = time::boottime_ns();
        for block in 0..8 {
            read(&dev, &pages, block, Flags::NONE)?;
        }
        assert!(time::boottime_ns() - begun < SECOND);
        disk.ops().wait_for(1)?;
        assert_eq!((dev.inflight(), ledger.done.load(Relaxed)), (8, 0));
        assert!(dev.silent_ns() > 0);
        disk.ops().let_go();
        ledger.wait_for(8, 0, 0)?;
        dev.drain(SECOND)
    }

    #[test]
    fn metadata_does_not_queue_up_behind_data() -> Result {
        let (disk, ledger) = (Stuck::disk()?, Ledger::new()?);
        let (dev, pages) = open(disk.dev(), Clerk(ledger.clone()))?;
        for block in 0..4 {
            read(&dev, &pages, block, Flags::NONE)?;
        }
        disk.ops().wait_for(1)?;
        read(&dev, &pages, FREE_FROM, Flags::META)?;
        ledger.wait_for(1, 0, 0)?;
        disk.ops().let_go();
        ledger.wait_for(5, 0, 0)
    }

    #[test]
    fn what_may_not_be_done_any_more_does_not_go_out() -> Result {
        let (disk, ledger) = (Stuck::disk()?, Ledger::new()?);
        let (dev, pages) = open(disk.dev(), Clerk(ledger.clone()))?;
        for block in 0..4 {
            read(&dev, &pages, block, Flags::NONE)?;
        }
        disk.ops().wait_for(1)?;
        ledger.revoked.store(true, Relaxed);
        disk.ops().let_go();
        // The first was asked about before, and is in the device's hands.
        ledger.wait_for(1, 0, 3)?;
        assert_eq!(disk.ops().came.load(Relaxed), 1);
        // The units are free again.
        dev.drain(SECOND)?;
        let all: [_; 8] = core::array::from_fn(|_| dev.take());
        assert!(all.iter().all(Option::is_some));
        Ok(())
    }

    #[test]
    fn one_that_timed_out_before_the_device_had_it_does_not_go_out() -> Result {
        let (disk, ledger) = (Stuck::disk()?, Ledger::new()?);
        let (dev, pages) = open(disk.dev(), Clerk(ledger.clone()))?;
        read(&dev, &pages, 0, Flags::META)?;
        disk.ops().wait_for(1)?;
        assert_eq!(dev.read_sync(1, &pages, 1, 1, 10_000_000), Err(ETIMEDOUT));
        disk.ops().let_go();
        dev.drain(SECOND)?;
        assert_eq!(disk.ops().came.load(Relaxed), 1);
        Ok(())
    }

    /// Passes on what it gets, and counts that.
    struct Over {
        dev: BackingDev<Clerk>,
        passed: Arc<Ledger>,
    }

    impl DiskOps for Over {
        fn submit(this: &Arc<Self>, bio: Bio) {
            let (block, none) = (bio.first_block(), (Flags::NONE, Flags::NONE));
            if let Err((bio, (), _)) = this.dev.forward(bio, block, none, ()) {
                bio.complete(Err(BlkStatus::IOERR));
            }
            this.passed.count(&this.passed.done);
        }
    }

    #[test]
    fn what_was_passed_on_and_not_taken_is_recalled() -> Result {
        let (disk, lower, upper) = (Stuck::disk()?, Ledger::new()?, Ledger::new()?);
        let (dev, _) = open(disk.dev(), Clerk(lower.clone()))?;
        let passed = Ledger::new()?;
        let over = Over {
            dev,
            passed: passed.clone(),
        };
        let over = Arc::new(over, GFP_KERNEL)?;
        let over = Disk::new(c"yoke_kunit1", &Params::new(BLOCKS), over)?;
        let (dev, pages) = open(over.dev(), Clerk(upper.clone()))?;
        for block in 0..4 {
            read(&dev, &pages, block, Flags::NONE)?;
        }
        disk.ops().wait_for(1)?;
        passed.wait_for(4, 0, 0)?;
        let below = &over.ops().dev;
        assert_eq!(below.inflight(), 4);
        below.recall(100 * SECOND);
        assert_eq!(lower.back.load(Relaxed), 0);
        below.recall(0);
        lower.wait_for(0, 0, 3)?;
        upper.wait_for(0, 3, 0)?;
        assert!(below.silent_ns() > 0);
        disk.ops().let_go();
        upper.wait_for(1, 3, 0)
    }

    #[test]
    fn what_was_not_taken_when_the_device_is_closed_comes_back() -> Result {
        let (disk, ledger) = (Stuck::disk()?, Ledger::new()?);
        let (dev, pages) = open(disk.dev(), Clerk(ledger.clone()))?;
        for block in 0..4 {
            read(&dev, &pages, block, Flags::NONE)?;
        }
        disk.ops().wait_for(1)?;
        let (stuck, seen) = (disk.ops().clone(), ledger.clone());
        let helper = Thread::spawn(c"yoke-kunit", move || {
            // They come back although the device has the first one still.
            if seen.wait_for(0, 0, 3).is_ok() {
                seen.count(&seen.failed);
            }
            stuck.let_go();
        })?;
        drop(dev);
        drop(helper);
        ledger.wait_for(1, 1, 3)
    }
}
