// SPDX-License-Identifier: GPL-2.0
//! Clocks, in nanoseconds.

use crate::ffi;

/// CLOCK_BOOTTIME: goes on while the machine is suspended. Leases count on it. Context: any.
pub fn boottime_ns() -> u64 {
    // SAFETY: no preconditions.
    unsafe { ffi::yoke_sys_boottime_ns() }
}

/// CLOCK_MONOTONIC: stands still while the machine is suspended. For measuring. Context: any.
pub fn monotonic_ns() -> u64 {
    // SAFETY: no preconditions.
    unsafe { ffi::yoke_sys_monotonic_ns() }
}

/// Sleeps at least `us` microseconds. Never a means of synchronisation. Context: task.
pub fn sleep_us(us: u64) {
    // SAFETY: the caller may sleep.
    unsafe { ffi::yoke_sys_sleep_us(us) }
}
