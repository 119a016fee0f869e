// SPDX-License-Identifier: GPL-2.0
//! Safe wrappers for what the `kernel` crate of Linux 7.3 lacks, and the only place of yoke's
//! module with `unsafe` Rust.
//!
//! Blocks are 4 KiB everywhere ([`BLOCK`]); names end in their unit. Every item says in which
//! context it may be used: *any* = any but NMI, *task* = may sleep. docs/sys.md is the tour.
//!
//! Teardown, from the outside in: [`disk::Disk`] (no new bios, all bios ended), then
//! [`backing::BackingDev`] (no I/O under way), then [`pages::Pages`] and whatever else the bios used, at last
//! [`remains::Remains`].

pub mod attr;
pub mod backing;
pub mod bio;
pub mod bio_list;
pub mod class;
pub mod configfs;
pub mod crc;
pub mod disk;
pub mod event;
mod ffi;
pub mod inflight;
pub mod interconnect;
pub mod pages;
pub mod panic;
pub mod percpu;
pub mod remains;
pub mod status;
mod sysfs;
#[cfg(yoke_kunit)]
pub mod test_kind;
#[cfg(yoke_kunit)]
mod tests;
pub mod thread;
pub mod time;
pub mod trace;
mod uevent;
pub mod workqueue;

pub use uevent::Env;

/// Bytes of a block: the unit of disks, logs and slots.
pub const BLOCK: usize = 4096;

/// Sectors of 512 bytes in a block.
pub const SECTORS: u64 = 8;

/// Prefix of what this crate logs (used by the `pr_*!` macros).
const __LOG_PREFIX: &[u8] = b"yoke\0";

/// A random number of the kernel's generator. Context: any.
pub fn random_u64() -> u64 {
    // SAFETY: no preconditions.
    unsafe { ffi::yoke_sys_random_u64() }
}
