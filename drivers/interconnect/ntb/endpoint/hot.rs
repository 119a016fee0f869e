// SPDX-License-Identifier: GPL-2.0

//! What yoke calls between start and stop, from any context: see include/yoke/interconnect.h.

use super::Endpoint;
use crate::{
    bindings as raw,
    down::{self, MIN_DOWN_US},
    outbound::Outbound,
};
use kernel::{
    prelude::*,
    sync::{atomic::Relaxed, barrier},
};

impl Endpoint {
    /// See `is_up` of the contract.
    pub(crate) fn is_up(&self) -> bool {
        let ready = self
            .running()
            .is_some_and(|running| match &running.sending {
                Some(sending) => sending.is_agreed(),
                None => self.ready.load(Relaxed),
            });
        ready && self.bridge_up()
    }

    /// Whether `len` bytes at `offset` of the peer's window may be touched, wherever they lie. Errors: `ENOTCONN`, `ERANGE`.
    #[inline]
    fn touch(&self, offset: u64, len: u64) -> Result<&Outbound> {
        let running = self.running().ok_or(ENOTCONN)?;
        if let Some(sending) = &running.sending {
            sending.allows(offset, len)?;
        }
        Ok(&running.outbound)
    }

    /// See `generation` of the contract.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.running().map_or(0, |running| running.generation.now())
    }

    /// See `min_down_us` of the contract.
    pub(crate) fn min_down_us(&self) -> u32 {
        self.running()
            .map_or(MIN_DOWN_US, |running| running.generation.min_down_us())
    }

    /// See `post` of the contract.
    ///
    /// # Safety
    ///
    /// `src` is valid for reads of `len` bytes.
    #[inline]
    pub(crate) unsafe fn post(&self, offset: u64, src: *const c_void, len: u64) -> Result {
        let outbound = self.touch(offset, len)?;
        // SAFETY: by the function's contract.
        unsafe { outbound.post(offset, src, len) }
    }

    /// See `post64` of the contract.
    #[inline]
    pub(crate) fn post64(&self, offset: u64, value: u64) -> Result {
        self.touch(offset, 8)?.post64(offset, value)
    }

    /// See `read64` of the contract: the word, and the generation after it.
    #[inline]
    pub(crate) fn read64(&self, offset: u64) -> (u64, u64) {
        // Write-combining buffers are written out before the read, so that it cannot overtake them.
        fence();
        let read = || {
            let outbound = self.touch(offset, 8);
            match outbound.and_then(|outbound| outbound.read64(offset)) {
                Ok(value) if self.is_up() => value,
                _ => u64::MAX,
            }
        };
        down::fence(read, || self.generation())
    }

    /// See `ring` of the contract.
    pub(crate) fn ring(&self) {
        let doorbell = self.running().map_or(0, |running| running.bells.1);
        if doorbell != 0 {
            // SAFETY: in a hot call the device is registered. A ring that fails is one that got lost.
            let _ = unsafe { raw::ntb_peer_db_set(self.ntb, doorbell) };
        }
    }
}

/// Posts before it arrive before posts after it and before reads after it, out of write-combining buffers too.
#[inline]
pub(crate) fn fence() {
    barrier::mb(barrier::Full);
}
