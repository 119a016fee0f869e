// SPDX-License-Identifier: GPL-2.0
//! Taking disks away, with I/O under way and openers left.

use kernel::prelude::*;

#[kunit_tests(yoke_sys_teardown)]
mod tests {
    use super::*;
    use crate::{
        bio::{Bio, Flags},
        disk::{Disk, DiskOps, Params},
        status::BlkStatus,
        tests::ram::*,
        thread::{self, Thread},
        time, BLOCK,
    };
    use kernel::sync::{atomic::*, Arc};

    #[test]
    fn a_killed_disk_fails_at_once() -> Result {
        let disk = ram_disk(c"yoke_kunit0", 8)?;
        let (dev, _) = open(disk.dev(), Complete)?;
        disk.ops().hold.store(true, Relaxed);
        disk.kill();
        assert_eq!(dev.flush_sync(SECOND), Err(EIO));
        assert_eq!(disk.inflight(), 0);
        assert_eq!(disk.openers(), 1);
        Ok(())
    }

    #[test]
    fn held_bios_are_ended_by_the_shutdown() -> Result {
        let disk = ram_disk(c"yoke_kunit0", 8)?;
        let ram = disk.ops().clone();
        let (dev, _) = open(disk.dev(), Complete)?;
        let mut seen = KBox::new([0u8; BLOCK], GFP_KERNEL)?;
        ram.hold.store(true, Relaxed);
        assert_eq!(dev.read_block(0, &mut seen, 5_000_000), Err(ETIMEDOUT));
        assert_eq!(disk.inflight(), 1);
        drop(disk);
        assert_eq!(ram.shutdowns.load(Relaxed), 1);
        dev.drain(SECOND)?;
        assert_eq!(dev.read_block(0, &mut seen, SECOND), Err(EIO));
        Ok(())
    }

    #[test]
    fn a_disk_goes_under_fire() -> Result {
        for round in 0..20u64 {
            let disk = ram_disk(c"yoke_kunit0", 64)?;
            let (dev, _) = open(disk.dev(), Complete)?;
            let dev = Arc::new(dev, GFP_KERNEL)?;
            let (gunner, written) = (dev.clone(), Arc::new(Atomic::new(0u64), GFP_KERNEL)?);
            let count = written.clone();
            let hung = Arc::new(Atomic::new(0u64), GFP_KERNEL)?;
            let hangs = hung.clone();
            let data = stamped(round)?;
            let thread = Thread::spawn(c"yoke-kunit", move || {
                let mut seen = 0;
                while !thread::should_stop() {
                    // Fails from some moment on, but always ends.
                    let result = gunner.write_block(seen % 64, &data, Flags::NONE, 10 * SECOND);
                    if result == Err(ETIMEDOUT) {
                        hangs.add(1, Relaxed);
                    }
                    seen += 1;
                    count.store(seen, Relaxed);
                }
            })?;
            let deadline = time::boottime_ns() + 10 * SECOND;
            while written.load(Relaxed) < 20 && time::boottime_ns() < deadline {
                time::sleep_us(50);
            }
            assert!(written.load(Relaxed) >= 20);
            drop(disk);
            drop(thread);
            assert_eq!(hung.load(Relaxed), 0);
            assert_eq!(dev.flush_sync(SECOND), Err(EIO));
        }
        Ok(())
    }

    /// Forgets its bios, which ends them.
    struct Careless;

    impl DiskOps for Careless {
        fn submit(_this: &Arc<Self>, bio: Bio) {
            drop(bio);
        }
    }

    #[test]
    fn a_dropped_bio_ends_with_an_error() -> Result {
        let disk = Disk::new(
            c"yoke_kunit0",
            &Params::new(8),
            Arc::new(Careless, GFP_KERNEL)?,
        )?;
        let (dev, _) = open(disk.dev(), Complete)?;
        assert_eq!(dev.flush_sync(SECOND), Err(EIO));
        assert_eq!(BlkStatus::TRANSPORT.to_error(), ENOLINK);
        Ok(())
    }

    #[test]
    fn openers_are_asked() -> Result {
        struct Closed;
        impl DiskOps for Closed {
            fn submit(_this: &Arc<Self>, bio: Bio) {
                drop(bio);
            }
            fn open(_this: &Arc<Self>, _tag: u64, write: bool) -> Result {
                if write {
                    Err(EROFS)
                } else {
                    Ok(())
                }
            }
        }
        let disk = Disk::new(
            c"yoke_kunit0",
            &Params::new(8),
            Arc::new(Closed, GFP_KERNEL)?,
        )?;
        assert_eq!(open(disk.dev(), Complete).err(), Some(EROFS));
        assert_eq!(disk.openers(), 0);
        Ok(())
    }

    /// Says when it is gone, and which disks its bios came to.
    struct Behind {
        gone: Arc<Atomic<u32>>,
        tags: Arc<Atomic<u64>>,
    }

    impl Drop for Behind {
        fn drop(&mut self) {
            self.gone.store(1, Release);
        }
    }

    impl DiskOps for Behind {
        fn submit(this: &Arc<Self>, bio: Bio) {
            this.tags.add(bio.disk_tag(), Relaxed);
            bio.complete(Ok(()));
        }
    }

    #[test]
    fn an_opener_of_a_dead_disk_keeps_nothing_of_ours() -> Result {
        let gone = Arc::new(Atomic::new(0u32), GFP_KERNEL)?;
        let tags = Arc::new(Atomic::new(0u64), GFP_KERNEL)?;
        let behind = Arc::new(
            Behind {
                gone: gone.clone(),
                tags: tags.clone(),
            },
            GFP_KERNEL,
        )?;
        let make = |tag: u64| {
            let params = Params {
                tag,
                ..Params::new(8)
            };
            Disk::new(c"yoke_kunit0", &params, behind.clone())
        };
        let first = make(1)?;
        let (old, _) = open(first.dev(), Complete)?;
        old.flush_sync(SECOND)?;
        assert_eq!(tags.load(Relaxed), 1);
        first.kill();
        first.remove();
        // The name is free although somebody has the old one open.
        let second = make(100)?;
        let (new, _) = open(second.dev(), Complete)?;
        new.flush_sync(SECOND)?;
        assert_eq!(old.flush_sync(SECOND), Err(EIO));
        assert_eq!(tags.load(Relaxed), 101);
        drop((first, new, second, behind));
        assert_eq!(gone.load(Acquire), 1);
        assert_eq!(old.flush_sync(SECOND), Err(EIO));
        Ok(())
    }
}
