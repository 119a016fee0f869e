// SPDX-License-Identifier: GPL-2.0
//! The environment of a uevent.

use kernel::{ffi::c_char, prelude::*};

/// Most variables of one event. The kernel allows 64, with its own.
const MAX_VARS: usize = 16;

/// Variables for a `change` uevent, `NAME=value` each.
pub struct Env<'a> {
    vars: [*mut c_char; MAX_VARS + 1],
    len: usize,
    _strings: core::marker::PhantomData<&'a CStr>,
}

impl<'a> Env<'a> {
    /// No variables.
    pub fn new() -> Self {
        Self {
            vars: [core::ptr::null_mut(); MAX_VARS + 1],
            len: 0,
            _strings: core::marker::PhantomData,
        }
    }

    /// Adds one, such as `c"YOKE_STATE=solo"`.
    ///
    /// # Errors
    /// `E2BIG`: there are 16 already.
    pub fn add(&mut self, var: &'a CStr) -> Result {
        if self.len >= MAX_VARS {
            return Err(E2BIG);
        }
        if let Some(slot) = self.vars.get_mut(self.len) {
            *slot = var.as_char_ptr().cast_mut();
            self.len += 1;
        }
        Ok(())
    }

    /// The null-terminated array that C takes. C only reads the strings.
    pub(crate) fn as_ptr(&mut self) -> *mut *mut c_char {
        self.vars.as_mut_ptr()
    }
}

impl Default for Env<'_> {
    fn default() -> Self {
        Self::new()
    }
}
