// SPDX-License-Identifier: GPL-2.0
//! Block memory, CRC, clocks.

use kernel::prelude::*;

#[kunit_tests(yoke_sys_memory)]
mod tests {
    use super::*;
    use crate::{attr::Attr, crc::crc32c, pages::Pages, percpu::PerCpu, time, BLOCK};
    use kernel::sync::atomic::*;

    #[test]
    fn pages_keep_what_was_put_in() -> Result {
        let pages = Pages::new(3)?;
        assert_eq!(pages.blocks(), 3);
        pages.copy_in(1, 100, b"hello")?;
        let mut seen = [0xffu8; 7];
        pages.copy_out(1, 99, &mut seen)?;
        assert!(&seen == b"\0hello\0");
        pages.copy_block(2, &pages, 1)?;
        pages.copy_out(2, 99, &mut seen)?;
        assert!(&seen == b"\0hello\0");
        pages.zero(2)?;
        assert_eq!(pages.crc32c(2, 0)?, pages.crc32c(0, 0)?);
        assert!(pages.crc32c(1, 0)? != pages.crc32c(0, 0)?);
        Ok(())
    }

    #[test]
    fn pages_refuse_what_is_outside() -> Result {
        let pages = Pages::new(2)?;
        let mut byte = [0u8; 1];
        assert_eq!(pages.copy_in(2, 0, &byte), Err(ERANGE));
        assert_eq!(pages.copy_out(0, BLOCK, &mut byte), Err(ERANGE));
        assert_eq!(pages.copy_out(0, usize::MAX, &mut byte), Err(ERANGE));
        assert_eq!(pages.copy_out(1, BLOCK - 1, &mut byte), Ok(()));
        assert_eq!(pages.zero(u32::MAX), Err(ERANGE));
        assert!(Pages::new(0).is_err());
        assert!(Pages::new(u32::MAX).is_err());
        Ok(())
    }

    #[test]
    fn crc_is_the_common_one_and_chains() {
        assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(crc32c(0, b"1234"), b"56789"), 0xe306_9283);
        assert_eq!(crc32c(0, b""), 0);
    }

    #[test]
    fn clocks_go_forward() {
        let (boot, mono) = (time::boottime_ns(), time::monotonic_ns());
        time::sleep_us(1000);
        assert!(time::boottime_ns() >= boot + 1_000_000);
        assert!(time::monotonic_ns() >= mono + 1_000_000);
        assert!(crate::random_u64() != crate::random_u64());
    }

    #[test]
    fn every_cpu_has_its_own_value() -> Result {
        let counters = PerCpu::new(|_| Ok(Atomic::<u64>::new(0)))?;
        counters.local().add(5, Relaxed);
        assert_eq!(counters.iter().map(|c| c.load(Relaxed)).sum::<u64>(), 5);
        // A value each, and not one for all: only one of them has the 5.
        assert_eq!(counters.iter().filter(|c| c.load(Relaxed) == 5).count(), 1);
        let (cpus, values) = (crate::percpu::cpu_count(), counters.iter().count());
        assert_eq!(values, cpus as usize);
        Ok(())
    }

    struct Probe(Atomic<u64>);

    const PROBE: Attr<Probe> = Attr::rw(
        c"probe",
        |probe, text| text.put(format_args!("{}\n", probe.0.load(Relaxed))),
        |probe, input| {
            probe.0.store(input.number()?, Relaxed);
            Ok(())
        },
    );

    #[test]
    fn attributes_check_what_they_are_given() -> Result {
        let probe = Probe(Atomic::new(7));
        let mut page = KVec::from_elem(0u8, 4096, GFP_KERNEL)?;
        // SAFETY: a page, and slices.
        let (shown, taken, refused) = unsafe {
            (
                PROBE.call_show(&probe, page.as_mut_ptr().cast()),
                PROBE.call_store(&probe, c" 12\n".as_char_ptr(), 4, None),
                PROBE.call_store(&probe, c"12x".as_char_ptr(), 3, None),
            )
        };
        assert_eq!(shown, 2);
        assert!(page.starts_with(b"7\n"));
        assert_eq!(taken, 4);
        assert_eq!(refused, EINVAL.to_errno() as isize);
        assert_eq!(probe.0.load(Relaxed), 12);
        Ok(())
    }

    struct Long;

    const LONG: Attr<Long> = Attr::ro(c"long", |_, text| {
        for _ in 0..300 {
            text.put(format_args!("0123456789abcdef"))?;
        }
        Ok(())
    });

    #[test]
    fn a_text_that_does_not_fit_is_an_error() -> Result {
        let mut page = KVec::from_elem(0u8, 4096, GFP_KERNEL)?;
        // SAFETY: a page.
        let shown = unsafe { LONG.call_show(&Long, page.as_mut_ptr().cast()) };
        assert_eq!(shown, EOVERFLOW.to_errno() as isize);
        assert_eq!(page.get(4095), Some(&0));
        Ok(())
    }
}
