// SPDX-License-Identifier: GPL-2.0

//! The two windows of a link, as the core's [`Region`].
//!
//! When the device is gone, stores vanish and loads answer all ones: what a dead link does.

use kernel::prelude::*;
use yoke_core::region::{check_range, check_word, Region, RegionError};
use yoke_sys::interconnect::{Link, LinkEvents};

/// Own memory, which the peer writes.
pub(crate) struct Own<'a, E: LinkEvents>(pub(crate) &'a Link<E>);

/// The peer's memory, through the link.
pub(crate) struct Peers<'a, E: LinkEvents>(pub(crate) &'a Link<E>);

impl<E: LinkEvents> Region for Own<'_, E> {
    fn size(&self) -> u64 {
        self.0.window_bytes()
    }

    fn load_acquire_u64(&self, offset: u64) -> Result<u64, RegionError> {
        check_word(offset, self.size())?;
        Ok(self.0.load64(offset).unwrap_or(u64::MAX))
    }

    fn store_release_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
        check_word(offset, self.size())?;
        let _ = self.0.store64(offset, value);
        Ok(())
    }

    fn copy_in(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        check_range(offset, data.len() as u64, self.size())?;
        let _ = self.0.write(offset, data);
        Ok(())
    }

    fn copy_out(&self, offset: u64, data: &mut [u8]) -> Result<(), RegionError> {
        check_range(offset, data.len() as u64, self.size())?;
        if self.0.read(offset, data).is_err() {
            data.fill(0xff);
        }
        Ok(())
    }
}

impl<E: LinkEvents> Region for Peers<'_, E> {
    fn size(&self) -> u64 {
        self.0.peer_window_bytes()
    }

    fn load_acquire_u64(&self, offset: u64) -> Result<u64, RegionError> {
        check_word(offset, self.size())?;
        Ok(self.0.read64(offset))
    }

    fn store_release_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
        check_word(offset, self.size())?;
        self.0.barrier();
        let _ = self.0.post64(offset, value);
        Ok(())
    }

    fn copy_in(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        check_range(offset, data.len() as u64, self.size())?;
        let _ = self.0.post(offset, data);
        Ok(())
    }

    /// Word by word: reads through a link are slow, and the contract has no others.
    fn copy_out(&self, offset: u64, data: &mut [u8]) -> Result<(), RegionError> {
        check_range(offset, data.len() as u64, self.size())?;
        for (at, byte) in (offset..).zip(data.iter_mut()) {
            let word = self.0.read64(at & !7).to_le_bytes();
            *byte = word.get((at & 7) as usize).copied().unwrap_or(0xff);
        }
        Ok(())
    }
}
