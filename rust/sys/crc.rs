// SPDX-License-Identifier: GPL-2.0
//! CRC-32C by the kernel's library, which uses the CPU's instructions.

use crate::ffi;

/// CRC-32C (Castagnoli) of `data`, the common form with inverted ends: `crc32c(0, b"123456789")` is
/// `0xe306_9283`. Goes on from an earlier result: `crc32c(crc32c(0, a), b)` is that of `a` and `b`
/// together. Context: any.
pub fn crc32c(seed: u32, data: &[u8]) -> u32 {
    // SAFETY: `data` is a slice.
    unsafe { ffi::yoke_sys_crc32c(seed, data.as_ptr().cast(), data.len()) }
}
