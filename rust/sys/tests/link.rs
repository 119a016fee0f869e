// SPDX-License-Identifier: GPL-2.0
//! Links, over a kind whose two ends are in this kernel (`helpers/test_link.c`).

use kernel::prelude::*;

#[kunit_tests(yoke_sys_link)]
mod tests {
    use super::*;

    /// The usual size of a test device's window (YOKE_TEST_WINDOW).
    const WINDOW: u64 = 65_536;
    use crate::{
        ffi,
        interconnect::{Caps, Link, LinkEvents},
        pages::Pages,
        test_kind::TestKind as Kind,
        BLOCK,
    };
    use kernel::sync::{atomic::*, Arc};

    struct Seen {
        changes: Atomic<u64>,
        rings: Atomic<u64>,
        bytes: Atomic<u64>,
    }

    impl LinkEvents for Seen {
        fn changed(&self) {
            self.changes.add(1, Relaxed);
        }

        fn doorbell(&self) {
            self.rings.add(1, Relaxed);
        }

        fn message(&self, message: &[u8]) {
            self.bytes.add(message.len() as u64, Relaxed);
        }
    }

    fn open(device: &CStr) -> Result<Link<Seen>> {
        let seen = Seen {
            changes: Atomic::new(0),
            rings: Atomic::new(0),
            bytes: Atomic::new(0),
        };
        Link::open(c"kunit", device, Arc::new(seen, GFP_KERNEL)?)
    }

    #[test]
    fn a_kind_must_be_registered() -> Result {
        assert_eq!(open(c"a").err(), Some(ENODEV));
        let kind = Kind::register()?;
        // No such device yet.
        assert_eq!(open(c"nonsense")?.absence(), Some(ENODEV));
        let link = open(c"a")?;
        assert_eq!(link.absence(), None);
        assert_eq!(open(c"a").err(), Some(EBUSY));
        assert!(link.caps().has(Caps::WINDOW) && !link.caps().has(Caps::ATOMICS));
        drop(link);
        drop(open(c"a")?);
        drop(kind);
        assert_eq!(open(c"a").err(), Some(ENODEV));
        Ok(())
    }

    #[test]
    fn what_is_posted_is_read() -> Result {
        let _kind = Kind::register()?;
        let (a, b) = (open(c"a")?, open(c"b")?);
        assert!(a.is_up() && b.is_up());
        assert_eq!(b.events().changes.load(Relaxed), 1);
        a.post(10, b"hello")?;
        a.barrier();
        a.post64(4096, 0x1122_3344_5566_7788)?;
        assert_eq!(a.read64(4096), 0x1122_3344_5566_7788);
        assert_eq!(b.load64(4096)?, 0x1122_3344_5566_7788);
        let mut seen = [0u8; 5];
        b.read(10, &mut seen)?;
        assert!(&seen == b"hello");
        let pages = Pages::new(2)?;
        pages.copy_in(0, 4000, b"block")?;
        a.post_block(4096, &pages, 0)?;
        b.read_block(4096, &pages, 1)?;
        assert_eq!(pages.crc32c(0, 0)?, pages.crc32c(1, 0)?);
        b.store64(0, 7)?;
        assert_eq!(a.read64(0), 7);
        b.write(0, b"12345678")?;
        b.zero(0, 8)?;
        assert_eq!(b.load64(0)?, 0);
        Ok(())
    }

    #[test]
    fn upcalls_arrive_until_the_link_is_dropped() -> Result {
        let _kind = Kind::register()?;
        let (a, b) = (open(c"a")?, open(c"b")?);
        a.ring();
        a.ring();
        a.send(b"0123")?;
        assert_eq!(b.events().rings.load(Relaxed), 2);
        assert_eq!(b.events().bytes.load(Relaxed), 4);
        assert_eq!(a.send(&[0; 65]), Err(EMSGSIZE));
        let events = b.events().clone();
        let before = a.generation();
        drop(b);
        assert!(!a.is_up());
        assert_ne!(a.generation(), before);
        assert_eq!(a.min_down_us(), 1000);
        assert_eq!(a.events().changes.load(Relaxed), 2);
        assert_eq!(a.post(0, b"x"), Err(ENOTCONN));
        assert_eq!(a.read64(0), u64::MAX);
        a.ring();
        assert_eq!(events.rings.load(Relaxed), 2);
        Ok(())
    }

    /// Waits, with a bound, until something holds that other threads bring about.
    fn soon(what: impl Fn() -> bool) -> bool {
        for _ in 0..1000 {
            if what() {
                return true;
            }
            crate::time::sleep_us(1000);
        }
        false
    }

    fn gone() {
        // SAFETY: the kind is registered, and its first device is there.
        unsafe { ffi::yoke_sys_test_link_gone() };
    }

    fn back(size: usize) {
        // SAFETY: the kind is registered as long as the test holds its `Kind`.
        unsafe { ffi::yoke_sys_test_link_back(size) };
    }

    #[test]
    fn a_device_that_is_gone_is_not_touched() -> Result {
        let _kind = Kind::register()?;
        let a = open(c"a")?;
        a.store64(0, 1)?;
        gone();
        assert!(a.events().changes.load(Relaxed) >= 1);
        assert!(!a.is_up());
        assert_eq!(a.absence(), Some(ENODEV));
        assert_eq!(a.generation(), u64::MAX);
        assert_eq!(a.min_down_us(), 0);
        assert_eq!(a.window_bytes(), WINDOW);
        assert_eq!(a.load64(0), Err(ENOTCONN));
        assert_eq!(a.store64(0, 2), Err(ENOTCONN));
        assert_eq!(a.write(0, b"x"), Err(ENOTCONN));
        assert_eq!(a.zero(0, 8), Err(ENOTCONN));
        assert_eq!(a.post(0, b"x"), Err(ENOTCONN));
        assert_eq!(a.send(b"x"), Err(ENOTCONN));
        assert_eq!(a.fence(0).word, u64::MAX);
        Ok(())
    }

    #[test]
    fn a_device_that_comes_back_is_taken() -> Result {
        let _kind = Kind::register()?;
        let (a, b) = (open(c"a")?, open(c"b")?);
        a.store64(0, 1)?;
        for _ in 0..3 {
            let (before, changes) = (a.generation(), a.events().changes.load(Relaxed));
            gone();
            assert!(soon(|| !b.is_up()));
            back(0);
            assert!(soon(|| a.is_up() && b.is_up()));
            assert_eq!(a.absence(), None);
            // Another life, and memory that nobody has written.
            assert_ne!(a.generation(), before);
            assert_eq!(a.load64(0)?, 0);
            a.store64(0, 1)?;
            assert!(a.events().changes.load(Relaxed) > changes);
        }
        Ok(())
    }

    #[test]
    fn a_device_that_is_not_there_yet_is_waited_for() -> Result {
        let _kind = Kind::register()?;
        gone();
        let a = open(c"a")?;
        assert_eq!(a.absence(), Some(ENODEV));
        assert!(!a.caps().has(Caps::WINDOW));
        back(0);
        assert!(soon(|| a.absence().is_none()));
        assert!(a.caps().has(Caps::WINDOW));
        assert_eq!(a.load64(0)?, 0);
        Ok(())
    }

    #[test]
    fn a_driver_that_comes_back_gets_its_links() -> Result {
        let kind = Kind::register()?;
        gone();
        let a = open(c"a")?;
        drop(kind);
        // Registering makes a new world, in which the device is there.
        let _kind = Kind::register()?;
        assert!(soon(|| a.absence().is_none()));
        Ok(())
    }

    #[test]
    fn a_window_that_comes_back_smaller_is_refused_until_it_fits() -> Result {
        let _kind = Kind::register()?;
        let a = open(c"a")?;
        assert_eq!(a.window_bytes(), WINDOW);
        gone();
        back(4096);
        assert!(soon(|| a.absence() == Some(ENOSPC)));
        assert_eq!(a.load64(0), Err(ENOTCONN));
        back(0);
        assert!(soon(|| a.absence().is_none()));
        assert_eq!(a.window_bytes(), WINDOW);
        Ok(())
    }

    /// A removal that begins while the device is being started: yoke must not use what the driver then takes down.
    #[test]
    fn a_device_that_goes_while_it_starts_is_not_used() -> Result {
        let _kind = Kind::register()?;
        // SAFETY: the kind is registered as long as the test holds its `Kind`.
        unsafe { ffi::yoke_sys_test_link_goes() };
        let a = open(c"a")?;
        assert_eq!(a.absence(), Some(ENODEV));
        assert_eq!(a.load64(0), Err(ENOTCONN));
        assert!(!a.is_up());
        back(0);
        assert!(soon(|| a.absence().is_none()));
        assert_eq!(a.load64(0)?, 0);
        Ok(())
    }

    #[test]
    fn a_flap_under_a_fence_changes_its_generation() -> Result {
        let _kind = Kind::register()?;
        let (a, b) = (open(c"a")?, open(c"b")?);
        b.store64(4096, 7)?;
        let before = a.generation();
        let sample = a.fence(4096);
        assert_eq!((sample.word, sample.generation), (7, before));
        // SAFETY: the kind is registered as long as the test holds its `Kind`.
        unsafe { ffi::yoke_sys_test_link_flaps() };
        let sample = a.fence(4096);
        assert_eq!(sample.word, 7);
        assert_ne!(sample.generation, before);
        Ok(())
    }

    #[test]
    fn a_driver_is_called_to_prepare() -> Result {
        let _kind = Kind::register()?;
        let _a = open(c"a")?;
        // SAFETY: the kind is registered, and its end `a` is open.
        unsafe {
            ffi::yoke_sys_test_link_prepare();
            assert!(soon(|| ffi::yoke_sys_test_link_prepared() == 1));
        }
        Ok(())
    }

    #[test]
    fn what_is_outside_of_a_window_is_refused() -> Result {
        let _kind = Kind::register()?;
        let (a, b) = (open(c"a")?, open(c"b")?);
        let len = b.window_bytes();
        assert_eq!(len, a.peer_window_bytes());
        let mut byte = [0u8; 1];
        assert_eq!(b.read(len, &mut byte), Err(ERANGE));
        assert_eq!(b.read(u64::MAX, &mut byte), Err(ERANGE));
        assert_eq!(b.read(len - 1, &mut byte), Ok(()));
        assert_eq!(b.load64(len - 4), Err(ERANGE));
        assert_eq!(b.load64(4), Err(ERANGE));
        assert_eq!(b.store64(len, 0), Err(ERANGE));
        assert_eq!(b.zero(len - 1, 2), Err(ERANGE));
        assert_eq!(b.write(len - 1, b"ab"), Err(ERANGE));
        let pages = Pages::new(1)?;
        assert_eq!(b.read_block(len - BLOCK as u64 + 1, &pages, 0), Err(ERANGE));
        assert_eq!(a.post_block(len, &pages, 0), Err(ERANGE));
        assert_eq!(a.post_block(0, &pages, 1), Err(ERANGE));
        assert_eq!(a.post(len, b"x"), Err(ERANGE));
        Ok(())
    }
}
