// SPDX-License-Identifier: GPL-2.0
//! A last word when the kernel panics: a partner must not take a dead controller's memory for alive.

use crate::ffi;
use core::ptr::NonNull;
use kernel::{prelude::*, sync::Arc};

/// Who is told of a panic.
pub trait PanicEvents: Send + Sync + 'static {
    /// The kernel panics. The other CPUs are stopped, possibly while they hold any lock: take none,
    /// sleep not, allocate nothing, be quick. Nothing else will run afterwards.
    fn panicking(&self);
}

/// Calls its object when the kernel panics, until it is dropped. Context of making and dropping: task.
pub struct PanicHook<T: PanicEvents> {
    // INVARIANT: registered with `_item` as its data.
    raw: NonNull<ffi::PanicHook>,
    _item: Arc<T>,
}

// SAFETY: the hook may be taken off the notifier chain by any task, under the chain's lock; `Arc<T>` is `Send`, since `T`
// is `Send + Sync`.
unsafe impl<T: PanicEvents> Send for PanicHook<T> {}
// SAFETY: `&PanicHook` has no operations; that the chain calls `T` from any CPU is what `T: Sync` allows.
unsafe impl<T: PanicEvents> Sync for PanicHook<T> {}

impl<T: PanicEvents> PanicHook<T> {
    /// Registers the hook, ahead of the kernel's own.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(item: Arc<T>) -> Result<Self> {
        let data: *const T = &*item;
        // SAFETY: `item` is kept until the hook is gone.
        let raw = unsafe { ffi::yoke_sys_panic_hook_new(call::<T>, data.cast_mut().cast()) };
        Ok(Self {
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
            _item: item,
        })
    }
}

impl<T: PanicEvents> Drop for PanicHook<T> {
    fn drop(&mut self) {
        // SAFETY: registered by `new()`, and given back once.
        unsafe { ffi::yoke_sys_panic_hook_free(self.raw.as_ptr()) }
    }
}

/// # Safety
/// `data` is that of a registered hook of type `T`.
unsafe extern "C" fn call<T: PanicEvents>(data: *mut c_void) {
    // SAFETY: by the function's contract.
    unsafe { &*data.cast::<T>() }.panicking();
}
