// SPDX-License-Identifier: GPL-2.0

//! The calls that yoke makes, as `include/yoke/interconnect.h` has them: from C to [`Endpoint`] and back.
//!
//! # Safety
//!
//! Only yoke calls these functions, through the table, and as the contract in that header says: what stands as
//! `private` came from [`create`] and was not given to [`destroy`] yet, and pointers are valid during the call.

#![allow(clippy::missing_safety_doc)]

use crate::{
    bindings as raw, client,
    endpoint::{fence, Endpoint},
};
use kernel::{
    error::{from_result, to_result},
    prelude::*,
    str::CStr,
    sync::Arc,
};

/// The name of this kind of link.
pub(crate) const KIND: &CStr = c"ntb";

/// The endpoint behind a `priv`.
///
/// # Safety
///
/// `private` came from [`create`], and [`destroy`] was not called on it.
#[inline]
unsafe fn endpoint<'a>(private: *mut c_void) -> &'a Endpoint {
    // SAFETY: by the function's contract, an Arc holds it.
    unsafe { &*private.cast::<Endpoint>() }
}

unsafe extern "C" fn create(
    link: *mut raw::yoke_link,
    device: *const kernel::ffi::c_char,
    private: *mut *mut c_void,
) -> c_int {
    from_result(|| {
        // SAFETY: the contract gives a C string.
        let name = unsafe { CStr::from_char_ptr(device) };
        let endpoint = client::take(name, link)?;
        // SAFETY: the contract gives a valid place for the answer.
        unsafe { *private = Arc::into_raw(endpoint).cast_mut().cast() };
        Ok(0)
    })
}

unsafe extern "C" fn destroy(private: *mut c_void) {
    // SAFETY: `private` is the Arc that create() gave away; this is the only call that takes it back.
    let endpoint = unsafe { Arc::from_raw(private.cast::<Endpoint>()) };
    client::release(&endpoint);
}

unsafe extern "C" fn start(private: *mut c_void, window: *mut raw::yoke_window) -> c_int {
    from_result(|| {
        // SAFETY: `private` came from create() and was not given to destroy() yet (the contract);
        // `window` is a valid place for the answer.
        unsafe { *window = endpoint(private).start()? };
        Ok(0)
    })
}

unsafe extern "C" fn stop(private: *mut c_void) {
    // SAFETY: `private` came from create() and was not given to destroy() yet (the contract);
    // who destroys it stops it first.
    unsafe { endpoint(private) }.stop();
}

unsafe extern "C" fn is_up(private: *mut c_void) -> bool {
    // SAFETY: `private` came from create() and was not given to destroy() yet (the contract);
    // the endpoint answers in any context.
    unsafe { endpoint(private) }.is_up()
}

unsafe extern "C" fn prepare(private: *mut c_void) {
    // SAFETY: `private` came from create() and was not given to destroy() yet (the contract);
    // it is called in a thread, while the link is started.
    unsafe { endpoint(private) }.prepare();
}

unsafe extern "C" fn generation(private: *mut c_void) -> u64 {
    // SAFETY: `private` came from create() and was not given to destroy() yet (the contract);
    // the endpoint answers in any context.
    unsafe { endpoint(private) }.generation()
}

unsafe extern "C" fn min_down_us(private: *mut c_void) -> u32 {
    // SAFETY: `private` came from create() and was not given to destroy() yet (the contract);
    // the endpoint answers in any context.
    unsafe { endpoint(private) }.min_down_us()
}

unsafe extern "C" fn post(
    private: *mut c_void,
    offset: u64,
    src: *const c_void,
    len: u64,
) -> c_int {
    // SAFETY: `private` came from create() and was not given to destroy() yet (the contract);
    // `src` has `len` bytes, as it says too.
    errno(unsafe { endpoint(private).post(offset, src, len) })
}

unsafe extern "C" fn post64(private: *mut c_void, offset: u64, value: u64) -> c_int {
    // SAFETY: `private` came from create() and was not given to destroy() yet (the contract);
    // the endpoint checks the place.
    errno(unsafe { endpoint(private) }.post64(offset, value))
}

unsafe extern "C" fn barrier(_private: *mut c_void) {
    fence();
}

unsafe extern "C" fn read64(private: *mut c_void, offset: u64, generation: *mut u64) -> u64 {
    // SAFETY: `private` came from create() and was not given to destroy() yet (the contract);
    // `generation` is a valid place for the answer.
    unsafe {
        let word;
        (word, *generation) = endpoint(private).read64(offset);
        word
    }
}

unsafe extern "C" fn ring(private: *mut c_void) {
    // SAFETY: `private` came from create() and was not given to destroy() yet (the contract);
    // a hot call, so the device is registered.
    unsafe { endpoint(private) }.ring();
}

fn errno(result: Result) -> c_int {
    result.map_or_else(|error| error.to_errno(), |()| 0)
}

/// The kind `ntb`; dropping withdraws it.
pub(crate) struct Registration {
    kind: KBox<raw::yoke_interconnect>,
}

// SAFETY: a registration is not bound to the task that made it: any that may sleep may withdraw it.
unsafe impl Send for Registration {}
// SAFETY: `&Registration` has no operations; what is behind the pointers of the kind does not change, and yoke may call it
// from any thread.
unsafe impl Sync for Registration {}

impl Registration {
    /// Offers the kind to yoke.
    pub(crate) fn new(module: &'static ThisModule) -> Result<Self> {
        let mut kind = raw::yoke_interconnect {
            abi: raw::YOKE_INTERCONNECT_ABI,
            struct_size: core::mem::size_of::<raw::yoke_interconnect>() as u32,
            caps: raw::YOKE_IC_WINDOW | raw::YOKE_IC_READ_BACK,
            owner: module.as_ptr(),
            create: Some(create),
            destroy: Some(destroy),
            start: Some(start),
            stop: Some(stop),
            prepare: Some(prepare),
            is_up: Some(is_up),
            generation: Some(generation),
            min_down_us: Some(min_down_us),
            post: Some(post),
            post64: Some(post64),
            barrier: Some(barrier),
            read64: Some(read64),
            ring: Some(ring),
            ..Default::default()
        };
        for (to, from) in kind.kind.iter_mut().zip(KIND.to_bytes()) {
            *to = *from as kernel::ffi::c_char;
        }
        let kind = KBox::new(kind, GFP_KERNEL)?;
        // SAFETY: complete, and valid until it is unregistered.
        to_result(unsafe { raw::yoke_interconnect_register(&*kind) })?;
        Ok(Registration { kind })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: registered in new(). Every link holds this module, so there is none.
        unsafe { raw::yoke_interconnect_unregister(&*self.kind) };
    }
}
