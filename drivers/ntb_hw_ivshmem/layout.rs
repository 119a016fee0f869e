// SPDX-License-Identifier: GPL-2.0

//! The shared memory's layout as Rust types; every offset is checked against the header.

use crate::bindings as raw;
use core::mem::{offset_of, size_of};
use kernel::sync::atomic::Atomic;

/// Bytes of a server or control page.
pub(crate) const PAGE: u64 = raw::YOKE_IVSHMEM_PAGE_SIZE as u64;
/// Sides that this driver serves: an NTB has two ends.
pub(crate) const SIDES: u32 = 2;
/// Doorbell bits.
pub(crate) const DOORBELLS: usize = raw::YOKE_IVSHMEM_DOORBELLS as usize;
/// Scratchpads of each side.
pub(crate) const SPADS: usize = raw::YOKE_IVSHMEM_SPADS as usize;

pub(crate) const MAGIC: u64 = raw::YOKE_IVSHMEM_MAGIC;
pub(crate) const VERSION: u32 = raw::YOKE_IVSHMEM_VERSION;
pub(crate) const FLAG_CUT: u32 = raw::YOKE_IVSHMEM_FLAG_CUT;

/// Vector of link events, and the first of the doorbells' vectors.
pub(crate) const VECTOR_LINK: u32 = raw::YOKE_IVSHMEM_VECTOR_LINK;
pub(crate) const VECTOR_DOORBELL: u32 = raw::YOKE_IVSHMEM_VECTOR_DOORBELL;
/// Fewest vectors that work, and the most that are of use.
pub(crate) const VECTORS_MIN: u32 = VECTOR_DOORBELL + 1;
pub(crate) const VECTORS_MAX: u32 = VECTOR_DOORBELL + DOORBELLS as u32;

/// The server page. Nobody but the server stores into it.
#[repr(C)]
pub(crate) struct ServerPage {
    pub(crate) magic: Atomic<u64>,
    pub(crate) version: Atomic<u32>,
    pub(crate) flags: Atomic<u32>,
    pub(crate) down_count: Atomic<u64>,
    pub(crate) min_down_us: Atomic<u32>,
    pub(crate) side_count: Atomic<u32>,
}

/// One side's control page. The header says who stores which word.
#[repr(C)]
pub(crate) struct ControlPage {
    pub(crate) lseq: Atomic<u32>,
    pub(crate) vectors: Atomic<u32>,
    pub(crate) ack: Atomic<u64>,
    pub(crate) xlat_addr: Atomic<u64>,
    pub(crate) xlat_size: Atomic<u64>,
    reserved: [Atomic<u64>; 4],
    pub(crate) doorbell: [Atomic<u32>; DOORBELLS],
    pub(crate) spad: [Atomic<u32>; SPADS],
}

const _: () = {
    use raw::*;
    assert!(offset_of!(ServerPage, magic) == YOKE_IVSHMEM_MAGIC_OFFSET as usize);
    assert!(offset_of!(ServerPage, version) == YOKE_IVSHMEM_VERSION_OFFSET as usize);
    assert!(offset_of!(ServerPage, flags) == YOKE_IVSHMEM_FLAGS_OFFSET as usize);
    assert!(offset_of!(ServerPage, down_count) == YOKE_IVSHMEM_DOWN_COUNT_OFFSET as usize);
    assert!(offset_of!(ServerPage, min_down_us) == YOKE_IVSHMEM_MIN_DOWN_US_OFFSET as usize);
    assert!(offset_of!(ServerPage, side_count) == YOKE_IVSHMEM_SIDE_COUNT_OFFSET as usize);
    assert!(offset_of!(ControlPage, lseq) == YOKE_IVSHMEM_CTL_LSEQ_OFFSET as usize);
    assert!(offset_of!(ControlPage, vectors) == YOKE_IVSHMEM_CTL_VECTORS_OFFSET as usize);
    assert!(offset_of!(ControlPage, ack) == YOKE_IVSHMEM_CTL_ACK_OFFSET as usize);
    assert!(offset_of!(ControlPage, xlat_addr) == YOKE_IVSHMEM_CTL_XLAT_ADDR_OFFSET as usize);
    assert!(offset_of!(ControlPage, xlat_size) == YOKE_IVSHMEM_CTL_XLAT_SIZE_OFFSET as usize);
    assert!(offset_of!(ControlPage, doorbell) == YOKE_IVSHMEM_CTL_DOORBELL_OFFSET as usize);
    assert!(offset_of!(ControlPage, spad) == YOKE_IVSHMEM_CTL_SPAD_OFFSET as usize);
    assert!(size_of::<ServerPage>() as u64 <= PAGE && size_of::<ControlPage>() as u64 <= PAGE);
};

/// Offset of a side's control page.
pub(crate) const fn control_offset(side: u32) -> u64 {
    PAGE * (1 + side as u64)
}

/// Bytes before the windows that are in use: the server page and both control pages.
pub(crate) const CONTROL_LEN: u64 = control_offset(SIDES);

/// Where the windows lie in a BAR.
#[derive(Clone, Copy)]
pub(crate) struct Windows {
    base: u64,
    size: u64,
}

impl Windows {
    /// Divides a BAR of `bar_size` bytes. `None`: it leaves less than one unit a side.
    pub(crate) fn of_bar(bar_size: u64) -> Option<Self> {
        let align = u64::from(raw::YOKE_IVSHMEM_WINDOW_ALIGN);
        let base = CONTROL_LEN.checked_next_multiple_of(align)?;
        let share = bar_size.checked_sub(base)? / u64::from(SIDES);
        let size = share - share % align;
        (size > 0).then_some(Windows { base, size })
    }

    /// Bytes of each window.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Offset of a side's window in the BAR; `side` is below [`SIDES`].
    pub(crate) fn offset(&self, side: u32) -> u64 {
        self.base + u64::from(side) * self.size
    }
}

#[cfg(yoke_kunit)]
#[kernel::macros::kunit_tests(ntb_hw_ivshmem_layout)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn windows_share_what_the_pages_leave() {
        for (bar, size) in [(4, 1), (8, 3), (64, 31), (1024, 511)] {
            let windows = Windows::of_bar(bar * MIB);
            assert!(windows.is_some());
            if let Some(windows) = windows {
                assert_eq!(windows.size(), size * MIB);
                assert_eq!(windows.offset(0), MIB);
                assert_eq!(windows.offset(1), MIB + size * MIB);
            }
        }
    }

    #[test]
    fn a_bar_without_room_has_none() {
        for bar in [0, 4096, MIB, 2 * MIB, 3 * MIB - 1] {
            assert!(Windows::of_bar(bar).is_none());
        }
        assert!(Windows::of_bar(u64::MAX).is_some());
    }
}
