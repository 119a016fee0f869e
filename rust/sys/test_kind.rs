// SPDX-License-Identifier: GPL-2.0
//! For KUnit suites: a kind of link, `kunit`, with the devices `a` and `b`, which are the ends of one link in this kernel
//! (`helpers/test_link.c`).

use crate::ffi;
use kernel::{error::to_result, prelude::*};

/// The kind is there as long as this lives. Every link of it is dropped before.
pub struct TestKind(());

impl TestKind {
    /// Registers the kind. Errors: `EEXIST`.
    pub fn register() -> Result<Self> {
        // SAFETY: no preconditions.
        to_result(unsafe { ffi::yoke_sys_test_link_register() })?;
        Ok(Self(()))
    }

    /// Takes device `a` away under its link; nothing if there is none.
    pub fn take_away(&self) {
        // SAFETY: the kind is registered.
        unsafe { ffi::yoke_sys_test_link_gone() }
    }

    /// Device `a` is there again, with a window of zeroes, and a link that waits for it takes it.
    pub fn bring_back(&self) {
        // SAFETY: the kind is registered.
        unsafe { ffi::yoke_sys_test_link_back(0) }
    }

    /// Of device `a` the post that comes as the `nth` from now (from 1 on) fails, with the link up.
    pub fn fail_post(&self, nth: u32) {
        // SAFETY: the kind is registered.
        unsafe { ffi::yoke_sys_test_link_fails(nth) }
    }
}

impl Drop for TestKind {
    fn drop(&mut self) {
        // SAFETY: the links of this kind are gone: by the contract of the type.
        unsafe { ffi::yoke_sys_test_link_unregister() }
    }
}
