// SPDX-License-Identifier: GPL-2.0
//! What is dropped of what the kernel has cached of a disk.

use kernel::prelude::*;

#[kunit_tests(yoke_sys_cache)]
mod tests {
    use super::*;
    use crate::{
        disk::{Disk, DiskOps},
        ffi,
        tests::ram::*,
    };

    /// A page, by its number.
    fn put(disk: &Disk<impl DiskOps>, page: u64, dirty: bool) -> Result {
        // SAFETY: the disk is valid.
        kernel::error::to_result(unsafe { ffi::yoke_sys_test_cache_put(disk.raw(), page, dirty) })
    }

    fn lock(disk: &Disk<impl DiskOps>, page: u64, lock: bool) {
        // SAFETY: the disk is valid, and nobody else locks its pages.
        unsafe { ffi::yoke_sys_test_cache_lock(disk.raw(), page, lock) }
    }

    /// Which of the first pages are there.
    fn there(disk: &Disk<impl DiskOps>) -> [bool; 6] {
        // SAFETY: the disk is valid.
        core::array::from_fn(|page| unsafe {
            ffi::yoke_sys_test_cache_has(disk.raw(), page as u64)
        })
    }

    #[test]
    fn what_is_dirty_goes_from_page_to_page_and_none_twice() -> Result {
        let disk = ram_disk(c"yoke_kunit0", 64)?;
        let _open = open(disk.dev(), Complete)?;
        for page in 0..6 {
            put(&disk, page, page != 3)?;
        }
        lock(&disk, 2, true);
        let mut at = 0;
        assert!(!disk.drop_cache(&mut at));
        // Behind the one that is under way what is clean goes, which somebody could read.
        assert_eq!(
            (at, there(&disk)),
            (2, [false, false, true, false, true, true])
        );
        // This is written by somebody who comes after that.
        put(&disk, 0, true)?;
        assert!(!disk.drop_cache(&mut at));
        lock(&disk, 2, false);
        assert!(disk.drop_cache(&mut at));
        assert_eq!(there(&disk), [true, false, false, false, false, false]);
        assert!(disk.forget());
        assert!(there(&disk)[0]);
        Ok(())
    }

    #[test]
    fn what_is_read_in_part_goes() -> Result {
        let disk = ram_disk(c"yoke_kunit0", 64)?;
        let _open = open(disk.dev(), Complete)?;
        // SAFETY: the disk is valid.
        kernel::error::to_result(unsafe { ffi::yoke_sys_test_cache_read_half(disk.raw(), 4) })?;
        assert!(!disk.forget());
        assert!(!disk.drop_cache(&mut 0));
        lock(&disk, 4, false);
        assert!(disk.forget());
        assert_eq!(there(&disk), [false; 6]);
        Ok(())
    }

    #[test]
    fn what_nobody_can_be_shown_holds_up_nothing() -> Result {
        let disk = ram_disk(c"yoke_kunit0", 64)?;
        let _open = open(disk.dev(), Complete)?;
        // SAFETY: the disk is valid.
        kernel::error::to_result(unsafe { ffi::yoke_sys_test_cache_begin(disk.raw(), 1) })?;
        assert!(disk.forget() && disk.drop_cache(&mut 0));
        lock(&disk, 1, false);
        Ok(())
    }
}
