// SPDX-License-Identifier: GPL-2.0

//! How often a link was down.
//!
//! The NTB API says only whether a link is up now, and calls when that changes. A bridge that latches a down needs no
//! more. For one that does not, its driver exports a count (include/yoke/ntb_down_count.h), which is taken where it is
//! there; the count of the calls is the rest.

use crate::bindings as raw;
use kernel::{
    bindings,
    prelude::*,
    str::CStr,
    sync::atomic::{Atomic, Relaxed},
};

const COUNT: &CStr = c"ntb_hw_ivshmem_down_count";
const MIN_DOWN: &CStr = c"ntb_hw_ivshmem_min_down_us";
/// What a bridge that latches would answer: it never comes back unnoticed, so any time is long enough.
const MIN_DOWN_US: u32 = 1000;

/// A function of another module, held until this is dropped.
struct Symbol {
    name: &'static CStr,
    address: *mut c_void,
}

impl Symbol {
    fn get(name: &'static CStr) -> Option<Self> {
        // SAFETY: a C string; the reference is put back in Drop.
        let address = unsafe { bindings::__symbol_get(name.as_char_ptr()) };
        (!address.is_null()).then_some(Symbol { name, address })
    }
}

impl Drop for Symbol {
    fn drop(&mut self) {
        // SAFETY: got in get().
        unsafe { bindings::__symbol_put(self.name.as_char_ptr()) };
    }
}

/// The count of one link.
pub(crate) struct Down {
    ntb: *mut raw::ntb_dev,
    count: Option<Symbol>,
    min_us: u32,
    calls: Atomic<u64>,
}

impl Down {
    /// Takes the calls of the bridge's driver where it has them.
    pub(crate) fn new(ntb: *mut raw::ntb_dev) -> Self {
        let min_us = Symbol::get(MIN_DOWN).map_or(0, |symbol| {
            // SAFETY: the type that include/yoke/ntb_down_count.h declares for this symbol.
            let call: extern "C" fn(*mut raw::ntb_dev) -> u32 =
                unsafe { core::mem::transmute(symbol.address) };
            call(ntb)
        });
        let count = Symbol::get(COUNT).filter(|_| min_us != 0);
        Down {
            ntb,
            count,
            min_us: if min_us == 0 { MIN_DOWN_US } else { min_us },
            calls: Atomic::new(0),
        }
    }

    /// The bridge's driver said that the link is down. Any context.
    pub(crate) fn note(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    /// A number that changes with every down. The device is still registered. Any context.
    #[inline]
    pub(crate) fn count(&self) -> u64 {
        let own = self.calls.load(Relaxed);
        self.count.as_ref().map_or(own, |symbol| {
            // SAFETY: as in new().
            let call: extern "C" fn(*mut raw::ntb_dev) -> u64 =
                unsafe { core::mem::transmute(symbol.address) };
            call(self.ntb)
        })
    }

    /// The shortest time between a down and the next up, in microseconds.
    pub(crate) fn min_us(&self) -> u32 {
        self.min_us
    }
}
