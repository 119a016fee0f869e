// SPDX-License-Identifier: GPL-2.0

//! What a bridge's driver may say of downs, beyond the NTB API (include/yoke/ntb_down_count.h).

use crate::{
    bindings as raw,
    down::{Calls, MIN_DOWN_US},
};
use kernel::{bindings, prelude::*, str::CStr};

const COUNT: &CStr = c"ntb_hw_ivshmem_down_count";
const MIN_DOWN: &CStr = c"ntb_hw_ivshmem_min_down_us";

/// A function of another module, held until this is dropped.
struct Symbol {
    name: &'static CStr,
    address: *mut c_void,
}

impl Symbol {
    fn get(name: &'static CStr) -> Option<Self> {
        // SAFETY: a C string; the reference is put back in Drop.
        let address = unsafe { bindings::__symbol_get(name.as_char_ptr()) };
        // Not then_some(): that would make one in any case, and put back what was not got.
        (!address.is_null()).then(|| Symbol { name, address })
    }
}

impl Drop for Symbol {
    fn drop(&mut self) {
        // SAFETY: got in get().
        unsafe { bindings::__symbol_put(self.name.as_char_ptr()) };
    }
}

/// The generation of one link.
pub(crate) struct Generation {
    ntb: *mut raw::ntb_dev,
    /// The bridge's own count, if it has one.
    own: Option<Symbol>,
    min_down_us: u32,
    pub(crate) calls: Calls,
}

impl Generation {
    /// Takes the functions of the bridge's driver where it has them. Context: may sleep.
    pub(crate) fn new(ntb: *mut raw::ntb_dev) -> Self {
        let min_down_us = Symbol::get(MIN_DOWN).map_or(0, |symbol| {
            // SAFETY: the type that include/yoke/ntb_down_count.h declares for this symbol.
            let call: extern "C" fn(*mut raw::ntb_dev) -> u32 =
                unsafe { core::mem::transmute(symbol.address) };
            call(ntb)
        });
        let own = Symbol::get(COUNT).filter(|_| min_down_us != 0);
        Generation {
            ntb,
            own,
            min_down_us: if min_down_us == 0 {
                MIN_DOWN_US
            } else {
                min_down_us
            },
            calls: Calls::new(),
        }
    }

    /// A number that every down changes. The device is still registered. Any context.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.own.as_ref().map_or(self.calls.count(), |symbol| {
            // SAFETY: the type that include/yoke/ntb_down_count.h declares for this symbol, whose module is held.
            let call: extern "C" fn(*mut raw::ntb_dev) -> u64 =
                unsafe { core::mem::transmute(symbol.address) };
            call(self.ntb)
        })
    }

    /// A time that every down lasts, in microseconds.
    pub(crate) fn min_down_us(&self) -> u32 {
        self.min_down_us
    }
}
