// SPDX-License-Identifier: GPL-2.0
//! Disks and the devices below them.

use kernel::prelude::*;

#[kunit_tests(yoke_sys_block)]
mod tests {
    use super::*;
    use crate::{
        backing::{Below, IoClient, IoOp},
        bio::{Bio, Flags},
        disk::{Disk, DiskOps, Params},
        event::{Event, Woken},
        ffi,
        pages::Pages,
        status::{BlkStatus, IoResult},
        tests::ram::*,
        time, BLOCK,
    };
    use kernel::{
        new_spinlock_irq,
        sync::{atomic::*, Arc, SpinLockIrq},
    };

    #[test]
    fn a_block_comes_back_as_it_was_written() -> Result {
        let disk = ram_disk(c"yoke_kunit0", 64)?;
        let (dev, _) = open(disk.dev(), Complete)?;
        assert_eq!(dev.props().blocks, 64);
        assert_eq!(dev.props().logical_block_bytes, 4096);
        assert_eq!(dev.props().discard_blocks, 64);
        assert!(dev.props().write_cache && dev.props().fua);
        let mut seen = KBox::new([0u8; BLOCK], GFP_KERNEL)?;
        for block in 0..64 {
            dev.write_block(block, &*stamped(block)?, Flags::NONE, SECOND)?;
        }
        for block in 0..64 {
            dev.read_block(block, &mut seen, SECOND)?;
            assert!(*seen == *stamped(block)?);
        }
        assert_eq!(disk.inflight(), 0);
        assert_eq!(dev.inflight(), 0);
        Ok(())
    }

    #[test]
    fn flush_and_fua_arrive() -> Result {
        let disk = ram_disk(c"yoke_kunit0", 8)?;
        let (dev, _) = open(disk.dev(), Complete)?;
        dev.flush_sync(SECOND)?;
        assert_eq!(disk.ops().flushes.load(Relaxed), 1);
        let fua = Flags::PREFLUSH.with(Flags::FUA);
        dev.write_block(1, &*stamped(1)?, fua, SECOND)?;
        assert_eq!(disk.ops().fuas.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn a_device_has_one_holder() -> Result {
        let disk = ram_disk(c"yoke_kunit0", 8)?;
        let first = open(disk.dev(), Complete)?;
        assert_eq!(open(disk.dev(), Complete).err(), Some(EBUSY));
        assert_eq!(disk.openers(), 1);
        drop(first);
        drop(open(disk.dev(), Complete)?);
        Ok(())
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() -> Result {
        let disk = ram_disk(c"yoke_kunit0", 8)?;
        let (dev, pages) = open(disk.dev(), Complete)?;
        let data = stamped(0)?;
        for block in [8, u64::MAX, u64::MAX / 8, 1 << 61] {
            assert_eq!(
                dev.write_block(block, &data, Flags::NONE, SECOND),
                Err(ERANGE)
            );
        }
        assert_eq!(dev.read_sync(7, &pages, 0, 2, SECOND), Err(ERANGE));
        assert_eq!(dev.read_sync(0, &pages, 60, 5, SECOND), Err(ERANGE));
        assert_eq!(dev.read_sync(0, &pages, 0, 17, SECOND), Err(E2BIG));
        let foreign = Pages::new(1)?;
        let mut unit = dev.take().ok_or(EBUSY)?;
        assert_eq!(unit.push(&foreign, 0), Err(EINVAL));
        assert_eq!(unit.push(&pages, 64), Err(ERANGE));
        for block in 0..16 {
            unit.push(&pages, block)?;
        }
        assert!(unit.is_full());
        assert_eq!(unit.push(&pages, 0), Err(ENOSPC));
        let refused = unit.submit(IoOp::Flush, 0, Flags::NONE, ());
        assert_eq!(refused.err(), Some(((), EINVAL)));
        // Nothing leaked: all units can be had again.
        let all: [_; 8] = core::array::from_fn(|_| dev.take());
        assert!(all.iter().all(|unit| unit.is_some()));
        assert!(dev.take().is_none());
        assert_eq!(dev.take_wait(1_000_000).err(), Some(ETIMEDOUT));
        Ok(())
    }

    #[test]
    fn bad_disks_are_refused() -> Result {
        let ram = Ram::new(1)?;
        let bad = |name: &CStr, params: &Params| Disk::new(name, params, ram.clone()).err();
        let good = Params::new(1);
        assert_eq!(bad(c"", &good), Some(EINVAL));
        assert_eq!(bad(c"a/b", &good), Some(EINVAL));
        assert_eq!(
            bad(c"0123456789abcdef0123456789abcdef", &good),
            Some(EINVAL)
        );
        assert_eq!(
            bad(
                c"y",
                &Params {
                    max_io_blocks: 0,
                    ..good
                }
            ),
            Some(EINVAL)
        );
        assert_eq!(
            bad(
                c"y",
                &Params {
                    write_cache: false,
                    ..good
                }
            ),
            Some(EINVAL)
        );
        assert_eq!(bad(c"y", &Params::new(u64::MAX)), Some(EINVAL));
        Ok(())
    }

    #[test]
    fn a_late_end_after_a_timeout_is_harmless() -> Result {
        let disk = ram_disk(c"yoke_kunit0", 8)?;
        let (dev, _) = open(disk.dev(), Complete)?;
        let mut seen = stamped(77)?;
        disk.ops().hold.store(true, Relaxed);
        assert_eq!(dev.read_block(0, &mut seen, 20_000_000), Err(ETIMEDOUT));
        assert!(*seen == *stamped(77)?);
        assert_eq!(dev.inflight(), 1);
        assert_eq!(dev.drain(20_000_000), Err(ETIMEDOUT));
        disk.ops().release_all();
        dev.drain(SECOND)?;
        dev.read_block(0, &mut seen, SECOND)?;
        assert!(*seen == *stamped(0)?);
        Ok(())
    }

    /// Counts ends, and remembers them.
    #[pin_data]
    pub(super) struct Ends {
        #[pin]
        all: SpinLockIrq<(u64, u64)>,
        #[pin]
        event: Event,
    }

    impl Ends {
        pub(super) fn new() -> Result<Arc<Self>> {
            Arc::pin_init(
                pin_init!(Self {
                    all <- new_spinlock_irq!((0, 0)),
                    event <- Event::new(),
                }),
                GFP_KERNEL,
            )
        }

        fn wait_for(&self, count: u64) -> Result<u64> {
            let deadline = time::boottime_ns() + 10 * SECOND;
            loop {
                let (ended, sum) = *self.all.lock();
                if ended >= count {
                    return Ok(sum);
                }
                if self.event.wait(Some(deadline)) == Woken::Deadline {
                    return Err(ETIMEDOUT);
                }
            }
        }
    }

    pub(super) struct Counting(pub(super) Arc<Ends>);

    impl IoClient for Counting {
        type Ctx = u64;
        type Forward = ();

        fn io_done(&self, ctx: u64, result: IoResult) {
            {
                let mut all = self.0.all.lock();
                all.0 += 1;
                all.1 += if result.is_ok() { ctx } else { 0 };
            }
            self.0.event.set();
        }

        fn forward_done(&self, bio: Bio, _ctx: (), result: IoResult) {
            bio.complete(result);
        }
    }

    #[test]
    fn units_carry_their_context_to_the_end() -> Result {
        let disk = ram_disk(c"yoke_kunit0", 64)?;
        let ends = Ends::new()?;
        let (dev, pages) = open(disk.dev(), Counting(ends.clone()))?;
        for block in 0..64 {
            pages.copy_in(block, 0, &*stamped(block.into())?)?;
        }
        // Scattered memory, 16 blocks at once, split by the disk's limit or not.
        for i in 0..4u32 {
            let mut unit = dev.take_wait(SECOND)?;
            for j in 0..16 {
                unit.push(&pages, (i * 16 + j) ^ 1)?;
            }
            let submitted = unit.submit(IoOp::Write, (i * 16).into(), Flags::NONE, 1 << i);
            assert!(submitted.is_ok());
        }
        assert_eq!(ends.wait_for(4)?, 0b1111);
        for block in 0..64 {
            pages.zero(block)?;
        }
        dev.read_sync(0, &pages, 0, 16, SECOND)?;
        let mut seen = [0u8; 8];
        for block in 0..16u32 {
            pages.copy_out(block, 4088, &mut seen)?;
            assert_eq!(u64::from_le_bytes(seen), u64::from(block ^ 1));
        }
        Ok(())
    }

    #[test]
    fn bios_pass_through_two_disks() -> Result {
        let lower = ram_disk(c"yoke_kunit0", 32)?;
        let (dev, _) = open(lower.dev(), Complete)?;
        let params = Params {
            max_io_blocks: 4,
            ..Params::new(32)
        };
        let pass = Arc::new(Pass { dev }, GFP_KERNEL)?;
        let upper = Disk::new(c"yoke_kunit1", &params, pass)?;
        let (dev, pages) = open(upper.dev(), Complete)?;
        for block in 0..16 {
            pages.copy_in(block, 0, &*stamped(block.into())?)?;
        }
        // Larger than the limit of the upper disk: it is split on its way.
        dev.write_sync(8, &pages, 0, 16, Flags::FUA, SECOND)?;
        dev.read_sync(8, &pages, 16, 16, SECOND)?;
        for block in 0..16 {
            assert_eq!(pages.crc32c(block, 0)?, pages.crc32c(block + 16, 0)?);
        }
        dev.flush_sync(SECOND)?;
        assert!(lower.ops().flushes.load(Relaxed) >= 1);
        assert_eq!(lower.ops().fuas.load(Relaxed), 4);
        Ok(())
    }

    /// Tries to wait for I/O within submit, and says what it got.
    struct Foolish {
        pass: Pass,
        answer: Atomic<i32>,
    }

    impl DiskOps for Foolish {
        fn submit(this: &Arc<Self>, bio: Bio) {
            let answer = this.pass.dev.flush_sync(SECOND);
            this.answer
                .store(answer.err().map_or(0, Error::to_errno), Relaxed);
            bio.complete(Err(BlkStatus::NOTSUPP));
        }
    }

    #[test]
    fn waiting_within_submit_is_refused() -> Result {
        let lower = ram_disk(c"yoke_kunit0", 8)?;
        let (dev, _) = open(lower.dev(), Complete)?;
        let foolish = Foolish {
            pass: Pass { dev },
            answer: Atomic::new(0),
        };
        let ops = Arc::new(foolish, GFP_KERNEL)?;
        let upper = Disk::new(c"yoke_kunit1", &Params::new(8), ops)?;
        let (dev, _) = open(upper.dev(), Complete)?;
        assert_eq!(dev.flush_sync(SECOND), Err(EOPNOTSUPP));
        assert_eq!(upper.ops().answer.load(Relaxed), EDEADLK.to_errno());
        Ok(())
    }

    /// A disk that wants much of its users.
    fn demanding() -> Below {
        Below {
            physical_block_size: 16384,
            io_min: 65536,
            io_opt: 1 << 20,
            dma_alignment: 4095,
            discard_granularity: 4 << 20,
            flags: ffi::W_ROTATIONAL,
            ..Below::default()
        }
    }

    #[test]
    fn the_wishes_of_the_device_below_are_those_of_the_disk() -> Result {
        let params = |below| Params {
            discard_blocks: 8192,
            below: Some(below),
            ..Params::new(8192)
        };
        let lower = Disk::new(c"yoke_kunit0", &params(demanding()), Ram::new(8192)?)?;
        let (dev, _) = open(lower.dev(), Complete)?;
        assert!(dev.props().rotational && !dev.props().zoned);
        assert_eq!(dev.below(0), demanding());
        // Data that begins at 1 MiB: the next granule begins 3 MiB after that.
        let seen = Below {
            discard_alignment: 3 << 20,
            ..demanding()
        };
        assert_eq!(dev.below(256), seen);
        // 4 KiB further nothing is aligned any more, and it says so.
        let odd = dev.below(257);
        assert_eq!(odd.discard_alignment, (3 << 20) - 4096);
        assert!(odd.alignment_offset != 0);
        let pass = Arc::new(Pass { dev }, GFP_KERNEL)?;
        let upper = Disk::new(c"yoke_kunit1", &params(seen), pass)?;
        let (dev, _) = open(upper.dev(), Complete)?;
        assert_eq!(dev.below(0), seen);
        // Without discards there is no granularity.
        let mute = Params {
            discard_blocks: 0,
            ..params(demanding())
        };
        let mute = Disk::new(c"yoke_kunit2", &mute, Ram::new(1)?)?;
        let (dev, _) = open(mute.dev(), Complete)?;
        assert_eq!(dev.below(0).discard_granularity, 4096);
        Ok(())
    }
}
