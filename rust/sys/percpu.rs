// SPDX-License-Identifier: GPL-2.0
//! One value a CPU, to keep CPUs out of each other's cache lines.

use crate::ffi;
use kernel::prelude::*;

/// Keeps a value in cache lines of its own.
#[repr(align(128))]
struct Padded<T>(T);

/// One `T` for each possible CPU. A hint, not a lock: a task may move to another CPU while it uses
/// the value of the first, so `T` must be `Sync`. Context: any, but for making it.
pub struct PerCpu<T> {
    values: KVec<Padded<T>>,
}

impl<T: Sync> PerCpu<T> {
    /// Makes one value for each CPU number with `make`. Context: task.
    ///
    /// # Errors
    /// `ENOMEM`, and what `make` fails with.
    pub fn new(mut make: impl FnMut(u32) -> Result<T>) -> Result<Self> {
        let count = cpu_count();
        let mut values = KVec::with_capacity(count as usize, GFP_KERNEL)?;
        for cpu in 0..count {
            values.push(Padded(make(cpu)?), GFP_KERNEL)?;
        }
        Ok(Self { values })
    }

    /// The value of the CPU that this runs on, or ran on a moment ago.
    pub fn local(&self) -> &T {
        // SAFETY: no preconditions.
        let cpu = unsafe { ffi::yoke_sys_cpu() } as usize;
        // `new()` made one for each CPU number, at least one.
        let index = if cpu < self.values.len() { cpu } else { 0 };
        &self.values[index].0
    }

    /// All values, by CPU number.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter().map(|padded| &padded.0)
    }
}

/// One more than the highest CPU number. Context: any.
pub fn cpu_count() -> u32 {
    // SAFETY: no preconditions.
    unsafe { ffi::yoke_sys_cpu_count() }
}
