// SPDX-License-Identifier: GPL-2.0
//! Kernel threads.

use crate::ffi;
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{bindings, error::from_err_ptr, prelude::*};

/// A kernel thread. Dropping it asks the thread to stop, wakes it and waits for its end.
///
/// The thread must look at [`should_stop`] often enough; [`Event::wait`](crate::event::Event::wait)
/// returns when it is asked to stop. A thread may also end by itself. Never drop a `Thread` from
/// within itself: it would wait for ever. Context: task.
pub struct Thread {
    // INVARIANT: we hold a reference on the task, which `drop()` gives back. `body` belongs to the
    // thread from the moment it runs `run()`, and to us if it never does.
    task: NonNull<bindings::task_struct>,
    body: *mut c_void,
    free: unsafe fn(*mut c_void),
}

// SAFETY: a reference on a task is not bound to the task that made it, and the body is `Send`.
unsafe impl Send for Thread {}
// SAFETY: `&Thread` has no operations.
unsafe impl Sync for Thread {}

impl Thread {
    /// Starts a thread that runs `body`. `name` is cut to 15 bytes in most listings.
    ///
    /// # Errors
    /// `ENOMEM`; `EINTR`: the caller has been killed.
    pub fn spawn<F: FnOnce() + Send + 'static>(name: &CStr, body: F) -> Result<Self> {
        let body: *mut c_void = KBox::into_raw(KBox::new(body, GFP_KERNEL)?).cast();
        // SAFETY: `run::<F>` takes over `body`, once, if it ever runs.
        let task = from_err_ptr(unsafe {
            ffi::yoke_sys_thread_create(run::<F>, body, name.as_char_ptr())
        });
        let Some(task) = task.map(NonNull::new).inspect_err(|_| {
            // SAFETY: no thread was made, so the body is still ours.
            unsafe { free::<F>(body) }
        })?
        else {
            return Err(ENOMEM);
        };
        // INVARIANT: the shim took a reference.
        let thread = Self {
            task,
            body,
            free: free::<F>,
        };
        // SAFETY: the task is valid, a reference is held.
        unsafe { bindings::wake_up_process(task.as_ptr()) };
        Ok(thread)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // SAFETY: we hold a reference (invariant), which this gives back.
        let ret = unsafe { bindings::kthread_stop_put(self.task.as_ptr()) };
        if ret == EINTR.to_errno() {
            // SAFETY: it was stopped before it came to `run()`, which never returns this code; so
            // the body is still ours (invariant).
            unsafe { (self.free)(self.body) }
        }
    }
}

/// What the thread runs.
///
/// # Safety
/// `data` is the raw form of a `KBox<F>` that nobody else uses from now on.
unsafe extern "C" fn run<F: FnOnce() + Send + 'static>(data: *mut c_void) -> c_int {
    // SAFETY: by the function's contract.
    let body = unsafe { KBox::from_raw(data.cast::<F>()) };
    let body = KBox::into_inner(body);
    body();
    0
}

/// Frees a body that never ran.
///
/// # Safety
/// As for [`run`].
unsafe fn free<F>(data: *mut c_void) {
    // SAFETY: by the function's contract.
    drop(unsafe { KBox::from_raw(data.cast::<F>()) });
}

/// Whether the calling kernel thread is asked to stop; false in other tasks. Context: any.
pub fn should_stop() -> bool {
    // SAFETY: no preconditions.
    unsafe { ffi::yoke_sys_should_stop() }
}

/// Gives the calling thread a low real-time priority: for threads that keep leases, so that a busy
/// machine does not look like a dead one. Such a thread must sleep most of the time. Context: any.
pub fn set_realtime() {
    // SAFETY: no preconditions.
    unsafe { ffi::yoke_sys_thread_realtime() }
}

/// Gives the calling thread a real-time priority above that of [`set_realtime`], whose threads run until they sleep: for
/// a thread that keeps heartbeats, so that a controller that works does not look like a dead one. It must not work
/// itself. Context: any.
pub fn set_urgent() {
    // SAFETY: no preconditions.
    unsafe { ffi::yoke_sys_thread_urgent() }
}

/// As long as it lives, what the calling task allocates is not found by writing other memory to disks
/// (`memalloc_noio_save()`). For threads that such a disk needs in order to go on: a volume may be a swap device, and
/// without this its thread could wait for memory that only its own writes would make free. Scopes nest.
pub struct NoIo {
    flags: c_uint,
    /// Of one task: not to be dropped by another.
    _task: PhantomData<*mut ()>,
}

impl NoIo {
    /// Begins the scope. Context: task.
    pub fn enter() -> Self {
        Self {
            // SAFETY: no preconditions.
            flags: unsafe { ffi::yoke_sys_noio_save() },
            _task: PhantomData,
        }
    }
}

impl Drop for NoIo {
    fn drop(&mut self) {
        // SAFETY: the flags are what `enter()` was given, in this task, since `NoIo` is not `Send`.
        unsafe { ffi::yoke_sys_noio_restore(self.flags) }
    }
}

/// Whether memory for an allocation of the calling task may be found by block I/O: not within [`NoIo`]. Context: any.
pub fn alloc_may_do_io() -> bool {
    // SAFETY: no preconditions.
    unsafe { ffi::yoke_sys_alloc_may_do_io() }
}
