// SPDX-License-Identifier: GPL-2.0
//! Persistent reservations, with a driver and a disk that answer as real ones do, or in odd ways.

use kernel::prelude::*;

#[kunit_tests(yoke_sys_reservation)]
mod tests {
    use super::*;
    use crate::{
        backing::{reservation::*, BackingDev, Options, Path, Target},
        bio::Flags,
        disk::{Disk, Params},
        ffi,
        tests::ram::*,
        BLOCK,
    };

    const CONFLICT: i32 = ffi::PR_CONFLICT;
    const SCSI: u32 = 0;
    const NVME: u32 = 1;
    const MUTE: u32 = 2;

    /// Another host, and the kind of what is made here.
    const PEER: u32 = 1;
    const OURS: u32 = ffi::PR_WE_REG_ONLY;

    /// A disk with reservations, and our sight of it.
    struct Shared {
        dev: BackingDev<Complete>,
        room: KeyRoom,
        disk: Disk<Ram>,
    }

    impl Shared {
        fn new(style: u32) -> Result<Self> {
            let disk = ram_disk(c"yoke_kunit0", 8)?;
            attach(&disk, 0);
            // SAFETY: attached just now.
            unsafe { ffi::yoke_sys_test_pr_style(style) };
            Ok(Self {
                dev: open(disk.dev(), Complete)?.0,
                room: KeyRoom::new(4)?,
                disk,
            })
        }

        fn all(&self) -> Result<Reservations<'_>> {
            self.dev.reservations().ok_or(ENOTSUPP)
        }

        /// Whether these are the keys that are there, and all.
        fn has(&mut self, wanted: &[u64]) -> Result<bool> {
            let all = self.dev.reservations().ok_or(ENOTSUPP)?;
            let keys = all.read_keys(&mut self.room).map_err(|_| EIO)?;
            Ok(keys.is_complete() && keys.iter().map(Key::get).eq(wanted.iter().copied()))
        }
    }

    impl Drop for Shared {
        fn drop(&mut self) {
            // SAFETY: attached; nobody else asks.
            unsafe { ffi::yoke_sys_test_pr_detach(self.disk.raw()) }
        }
    }

    fn attach(disk: &Disk<Ram>, lacks: u32) {
        // SAFETY: the disk is valid, and outlives what is attached.
        unsafe { ffi::yoke_sys_test_pr_attach(disk.raw(), lacks) }
    }

    /// A host has a key, and holds the disk so; 0: it does not.
    fn host(host: u32, key: u64, holds: u32) {
        // SAFETY: something is attached, and not asked now.
        unsafe { ffi::yoke_sys_test_pr_host(host, key, holds) }
    }

    /// What the next call answers; and it is done all the same, or not.
    fn answers(code: i32, done: bool) {
        // SAFETY: something is attached, and not asked now.
        unsafe { ffi::yoke_sys_test_pr_answers(code, done) }
    }

    fn key(raw: u64) -> Result<Key> {
        Key::new(raw).ok_or(EINVAL)
    }

    fn held(key: u64, kind: Kind) -> Answer<Option<Holder>> {
        let key = Key::new(key);
        Ok(Some(Holder { key, kind }))
    }

    #[test]
    fn a_host_registers_reserves_and_leaves() -> Result {
        let mut shared = Shared::new(SCSI)?;
        let (mine, other) = (key(0xa1)?, key(0xa2)?);
        assert_eq!(Key::new(0), None);
        assert!(shared.has(&[])?);
        assert_eq!(shared.all()?.reserve(mine), Err(PrError::Refused));
        assert_eq!(shared.all()?.register(mine), Ok(()));
        assert_eq!(shared.all()?.register(mine), Err(PrError::Refused));
        assert!(shared.has(&[0xa1])?);
        assert_eq!(shared.all()?.reserve(other), Err(PrError::Refused));
        assert_eq!(shared.all()?.read_holder(), Ok(None));
        assert_eq!(shared.all()?.reserve(mine), Ok(()));
        assert_eq!(shared.all()?.reserve(mine), Ok(()));
        let ours = held(0xa1, Kind::WriteExclusiveRegOnly);
        assert_eq!(shared.all()?.read_holder(), ours);
        // A new key for who holds it goes on holding it.
        assert_eq!(shared.all()?.register_ignoring(other), Ok(()));
        let ours = held(0xa2, Kind::WriteExclusiveRegOnly);
        assert_eq!(shared.all()?.read_holder(), ours);
        assert_eq!(shared.all()?.release(mine), Err(PrError::Refused));
        assert_eq!(shared.all()?.release(other), Ok(()));
        assert_eq!(shared.all()?.release(other), Ok(()));
        assert_eq!(shared.all()?.read_holder(), Ok(None));
        assert_eq!(shared.all()?.unregister(mine), Err(PrError::Refused));
        assert_eq!(shared.all()?.reserve(other), Ok(()));
        assert_eq!(shared.all()?.unregister(other), Ok(()));
        assert_eq!(shared.all()?.read_holder(), Ok(None));
        assert!(shared.has(&[])?);
        assert_eq!(shared.all()?.unregister(other), Err(PrError::Refused));
        Ok(())
    }

    #[test]
    fn preempt_takes_the_victims_place() -> Result {
        let mut shared = Shared::new(SCSI)?;
        let (mine, victim) = (key(0xa)?, key(0xb)?);
        // Twice: the victim has two paths.
        host(PEER, 0xb, OURS);
        host(PEER + 1, 0xb, 0);
        let all = shared.all()?;
        let refused = Err(PrError::Refused);
        assert_eq!(all.preempt(mine, victim, Abort::No), refused);
        assert_eq!(all.register(mine), Ok(()));
        assert_eq!(all.reserve(mine), refused);
        // The other way round, as the documentation of the kernel has it, nobody is fenced.
        assert_eq!(all.preempt(victim, mine, Abort::No), refused);
        assert_eq!(
            all.preempt(mine, mine, Abort::No),
            Err(PrError::Unsupported)
        );
        assert_eq!(all.read_holder(), held(0xb, Kind::WriteExclusiveRegOnly));
        assert_eq!(all.preempt(mine, victim, Abort::Yes), Ok(()));
        // SAFETY: attached.
        assert!(unsafe { ffi::yoke_sys_test_pr_aborted() });
        assert_eq!(all.read_holder(), held(0xa, Kind::WriteExclusiveRegOnly));
        assert!(shared.has(&[0xa])?);
        host(PEER, 0xb, 0);
        let all = shared.all()?;
        assert_eq!(all.preempt(mine, victim, Abort::No), Ok(()));
        // SAFETY: attached.
        assert!(!unsafe { ffi::yoke_sys_test_pr_aborted() });
        assert_eq!(all.preempt(mine, victim, Abort::No), refused);
        Ok(())
    }

    #[test]
    fn who_cannot_be_aborted_is_kept_out_all_the_same() -> Result {
        let shared = Shared::new(SCSI)?;
        let (all, mine, victim) = (shared.all()?, key(0xa)?, key(0xb)?);
        host(PEER, 0xb, OURS);
        assert_eq!(all.register(mine), Ok(()));
        answers(CONFLICT, false);
        assert_eq!(all.preempt_and_abort(mine, victim), Err(PrError::Refused));
        assert_eq!(all.read_holder(), held(0xb, Kind::WriteExclusiveRegOnly));
        answers(EINVAL.to_errno(), false);
        assert_eq!(all.preempt_and_abort(mine, victim), Ok(Abort::No));
        assert_eq!(all.read_holder(), held(0xa, Kind::WriteExclusiveRegOnly));
        host(PEER, 0xc, 0);
        assert_eq!(all.preempt_and_abort(mine, key(0xc)?), Ok(Abort::Yes));
        Ok(())
    }

    #[test]
    fn only_zero_is_success() -> Result {
        let shared = Shared::new(SCSI)?;
        let (all, mine) = (shared.all()?, key(0xa)?);
        let mut room = KeyRoom::new(1)?;
        let failed = |error: Error| (error.to_errno(), PrError::Failed(error.to_errno()));
        for (code, wanted) in [
            (CONFLICT, PrError::Refused),
            (ffi::PR_PATH_RETRY, PrError::Path),
            (ffi::PR_PATH_FAST_FAILED, PrError::Path),
            (ffi::PR_PATH_FAILED, PrError::Path),
            (EAGAIN.to_errno(), PrError::Path),
            (EINTR.to_errno(), PrError::Path),
            (EOPNOTSUPP.to_errno(), PrError::Unsupported),
            (EINVAL.to_errno(), PrError::Unsupported),
            (ENOTTY.to_errno(), PrError::Unsupported),
            // A failed disk, what Linux 6.1 says of a conflict, and what nobody says.
            (2, PrError::Failed(2)),
            (280, PrError::Failed(280)),
            (i32::MAX, PrError::Failed(i32::MAX)),
            (i32::MIN, PrError::Failed(i32::MIN)),
            failed(EIO),
            failed(ENOMEM),
            failed(ENODEV),
        ] {
            let wanted = Err(wanted);
            answers(code, false);
            assert_eq!(all.register(mine), wanted);
            answers(code, false);
            assert_eq!(all.unregister(mine), wanted);
            answers(code, false);
            assert_eq!(all.reserve(mine), wanted);
            answers(code, false);
            assert_eq!(all.release(mine), wanted);
            answers(code, false);
            assert_eq!(all.preempt(mine, key(1)?, Abort::Yes), wanted);
            answers(code, false);
            assert_eq!(all.read_keys(&mut room).err(), wanted.err());
            answers(code, false);
            assert_eq!(all.read_holder().err(), wanted.err());
        }
        assert_eq!(all.read_holder(), Ok(None));
        Ok(())
    }

    #[test]
    fn a_registration_that_failed_may_be_there() -> Result {
        let mut shared = Shared::new(SCSI)?;
        answers(2, true);
        assert_eq!(shared.all()?.register(key(0xa)?), Err(PrError::Failed(2)));
        assert!(shared.has(&[0xa])?);
        Ok(())
    }

    #[test]
    fn nvme_keeps_who_leaves_without_a_key() -> Result {
        let mut shared = Shared::new(NVME)?;
        let (mine, other) = (key(0xa)?, key(0xb)?);
        assert_eq!(shared.all()?.register(mine), Ok(()));
        assert_eq!(shared.all()?.register(mine), Ok(()));
        assert_eq!(shared.all()?.register(other), Err(PrError::Refused));
        assert_eq!(shared.all()?.reserve(mine), Ok(()));
        assert_eq!(shared.all()?.unregister(mine), Ok(()));
        // It is there still, and holds the disk; and this is not mistaken for nobody.
        let nameless = held(0, Kind::WriteExclusiveRegOnly);
        assert_eq!(shared.all()?.read_holder(), nameless);
        assert!(!shared.has(&[])?);
        let keys = shared.dev.reservations().ok_or(ENOTSUPP)?;
        let keys = keys.read_keys(&mut shared.room).map_err(|_| EIO)?;
        assert_eq!((keys.total, keys.iter().count()), (1, 0));
        // The driver's plain way to register is refused then.
        assert_eq!(shared.all()?.register(mine), Err(PrError::Refused));
        assert_eq!(shared.all()?.register_ignoring(mine), Ok(()));
        assert_eq!(shared.all()?.register_ignoring(other), Ok(()));
        assert!(shared.has(&[0xb])?);
        Ok(())
    }

    #[test]
    fn a_host_without_a_key_gets_one() -> Result {
        for style in [SCSI, NVME] {
            let mut shared = Shared::new(style)?;
            assert_eq!(shared.all()?.register_ignoring(key(0xa)?), Ok(()));
            assert!(shared.has(&[0xa])?);
        }
        Ok(())
    }

    #[test]
    fn what_a_disk_says_of_keys_is_not_believed() -> Result {
        let mut shared = Shared::new(SCSI)?;
        for (at, raw) in [0xa, 0, 0xb, 0xc].into_iter().enumerate() {
            host(at as u32, raw, 0);
        }
        assert!(!shared.has(&[0xa, 0xb, 0xc])?);
        host(1, 0xd, 0);
        assert!(shared.has(&[0xa, 0xd, 0xb, 0xc])?);
        let all = shared.all()?;
        // More than there is room for.
        let mut room = KeyRoom::new(2)?;
        let keys = all.read_keys(&mut room).map_err(|_| EIO)?;
        assert_eq!((keys.total, keys.iter().count()), (4, 2));
        assert!(keys.contains(key(0xd)?) && !keys.contains(key(0xc)?));
        assert!(!keys.is_complete());
        // More than there are, and more than anybody has room for; and fewer.
        for (claims, seen) in [(5, 4), (u32::MAX, 4), (3, 3)] {
            // SAFETY: attached, and not asked now.
            unsafe { ffi::yoke_sys_test_pr_claims(claims) };
            let mut room = KeyRoom::new(MAX_KEYS)?;
            let keys = all.read_keys(&mut room).map_err(|_| EIO)?;
            assert_eq!((keys.total, keys.iter().count()), (claims, seen));
            assert_eq!(keys.is_complete(), claims == 3);
        }
        assert_eq!(KeyRoom::new(0).err(), Some(EINVAL));
        assert_eq!(KeyRoom::new(MAX_KEYS + 1).err(), Some(EINVAL));
        Ok(())
    }

    #[test]
    fn every_kind_of_holder_is_seen() -> Result {
        let shared = Shared::new(SCSI)?;
        for (raw, kind) in [
            (1, Kind::WriteExclusive),
            (2, Kind::ExclusiveAccess),
            (3, Kind::WriteExclusiveRegOnly),
            (4, Kind::ExclusiveAccessRegOnly),
            (5, Kind::WriteExclusiveAllRegs),
            (6, Kind::ExclusiveAccessAllRegs),
            (7, Kind::Unknown(7)),
            (u32::MAX, Kind::Unknown(u32::MAX)),
        ] {
            host(PEER, 0xb, raw);
            assert_eq!(shared.all()?.read_holder(), held(0xb, kind));
            // All registrants hold it: SCSI names none of them.
            host(PEER, 0, raw);
            assert_eq!(shared.all()?.read_holder(), held(0, kind));
        }
        Ok(())
    }

    #[test]
    fn a_driver_that_does_nothing_is_found_out() -> Result {
        let mut shared = Shared::new(MUTE)?;
        let mine = key(0xa)?;
        assert_eq!(shared.all()?.register(mine), Ok(()));
        assert_eq!(shared.all()?.reserve(mine), Ok(()));
        assert_eq!(shared.all()?.read_holder(), Ok(None));
        let keys = shared.dev.reservations().ok_or(ENOTSUPP)?;
        let keys = keys.read_keys(&mut shared.room).map_err(|_| EIO)?;
        assert!(!keys.contains(mine) && !keys.is_complete());
        Ok(())
    }

    #[test]
    fn who_opened_it_to_read_only_reads() -> Result {
        let disk = ram_disk(c"yoke_kunit0", 8)?;
        let options = Options {
            units: 1,
            unit_blocks: 1,
            forwards: 1,
            read_only: true,
            memory: KVec::new(),
        };
        let dev = BackingDev::open(Path::Dev(disk.dev()), options, Complete)?;
        attach(&disk, 0);
        host(PEER, 0xb, OURS);
        let (all, mine) = (dev.reservations().ok_or(ENOTSUPP)?, key(0xa)?);
        let refused = Err(PrError::Failed(EROFS.to_errno()));
        assert_eq!(all.register(mine), refused);
        assert_eq!(all.register_ignoring(mine), refused);
        assert_eq!(all.unregister(mine), refused);
        assert_eq!(all.reserve(mine), refused);
        assert_eq!(all.release(mine), refused);
        assert_eq!(all.preempt(mine, key(0xb)?, Abort::No), refused);
        let seen = all.read_holder();
        assert_eq!(seen, held(0xb, Kind::WriteExclusiveRegOnly));
        // SAFETY: attached; nobody else asks.
        unsafe { ffi::yoke_sys_test_pr_detach(disk.raw()) };
        Ok(())
    }

    #[test]
    fn drivers_that_lack_something_have_none() -> Result {
        let disk = ram_disk(c"yoke_kunit0", 8)?;
        let (dev, _) = open(disk.dev(), Complete)?;
        assert_eq!(dev.target(), Target::Other);
        assert!(dev.reservations().is_none());
        for lacks in 0..=7 {
            attach(&disk, lacks);
            // 5 clears the disk of all keys, which nobody does here.
            assert_eq!(dev.reservations().is_some(), lacks == 0 || lacks == 5);
            // SAFETY: attached; nobody else asks.
            unsafe { ffi::yoke_sys_test_pr_detach(disk.raw()) };
        }
        Ok(())
    }

    #[test]
    fn partitions_have_none() -> Result {
        let ram = Ram::new(64)?;
        {
            let disk = Disk::new(c"yoke_kunit0", &Params::new(64), ram.clone())?;
            let (dev, _) = open(disk.dev(), Complete)?;
            let mut table = KBox::new([0u8; BLOCK], GFP_KERNEL)?;
            // An MBR: Linux, blocks 8 to 23.
            table[446 + 4] = 0x83;
            table[446 + 8] = 8;
            table[446 + 12] = 16;
            table[510] = 0x55;
            table[511] = 0xaa;
            dev.write_block(0, &table, Flags::NONE, SECOND)?;
        }
        let params = Params {
            partitions: true,
            ..Params::new(64)
        };
        let disk = Disk::new(c"yoke_kunit0", &params, ram)?;
        attach(&disk, 0);
        // SAFETY: the disk is valid. A `dev_t` has 32 bits.
        let number = unsafe { ffi::yoke_sys_test_partition(disk.raw()) } as u32;
        let part = open(number, Complete)?.0;
        assert_eq!(part.props().blocks, 16);
        assert!(part.reservations().is_none());
        drop(part);
        let whole = open(disk.dev(), Complete)?.0;
        assert!(whole.reservations().is_some());
        // SAFETY: attached; nobody else asks.
        unsafe { ffi::yoke_sys_test_pr_detach(disk.raw()) };
        Ok(())
    }
}
