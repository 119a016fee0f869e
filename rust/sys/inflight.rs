// SPDX-License-Identifier: GPL-2.0
//! A count of things under way that a teardown can wait for.

use crate::ffi;
use kernel::{prelude::*, sync::atomic::*};

/// How often a wait that must not end early says that it still waits.
const NAG_NS: u64 = 10_000_000_000;

/// Counts what is under way.
///
/// The waiter may free the counter as soon as it has seen zero: [`Self::put`] uses only its address
/// afterwards. Context: any, but for the waits.
pub struct Inflight(Atomic<u32>);

impl Inflight {
    /// Nothing under way.
    pub const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// One more.
    pub fn get(&self) {
        let _ = self.0.fetch_add(1, Relaxed);
    }

    /// One less; what was done before is visible to the waiter.
    pub fn put(&self) {
        Self::put_raw(self)
    }

    /// As [`Self::put`], for a counter that the waiter may free at once.
    fn put_raw(this: *const Self) {
        // SAFETY: the caller's `&self` was valid on entry, and the waiter cannot see zero before
        // the subtraction. The RCU section lets `Remains` know that this code is left.
        unsafe {
            ffi::yoke_sys_rcu_lock();
            if (*this).0.fetch_sub(1, Full) == 1 {
                ffi::yoke_sys_wake_var(this.cast());
            }
            ffi::yoke_sys_rcu_unlock();
        }
    }

    /// How many are under way right now.
    pub fn count(&self) -> u32 {
        self.0.load(Acquire)
    }

    /// Waits until none is under way, at most `timeout_ns` since the last change. Context: task.
    ///
    /// # Errors
    /// `ETIMEDOUT`: the count has not moved for so long and is not zero.
    pub fn wait_zero(&self, timeout_ns: u64) -> Result {
        loop {
            let n = self.count();
            if n == 0 {
                return Ok(());
            }
            // SAFETY: `self` outlives the call.
            if !unsafe { ffi::yoke_sys_wait_while(self.0.as_ptr(), n, timeout_ns) } {
                return if self.count() == 0 {
                    Ok(())
                } else {
                    Err(ETIMEDOUT)
                };
            }
        }
    }

    /// Waits until none is under way, however long it takes, and says every ten seconds that it
    /// still waits for `what`. For teardowns that cannot be refused. Context: task.
    pub fn wait_zero_forever(&self, what: &str) {
        while self.wait_zero(NAG_NS).is_err() {
            pr_warn!("still waiting for {} {} to end\n", self.count(), what);
        }
    }
}

impl Default for Inflight {
    fn default() -> Self {
        Self::new()
    }
}
