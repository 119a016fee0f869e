// SPDX-License-Identifier: GPL-2.0

//! The message registers of a bridge: each end has some, which the other one fills. A full one takes nothing until its
//! owner has cleared its status; who writes it all the same is told by a status of its own.

use crate::{bindings as raw, letter::WORDS, PEER};
use kernel::prelude::*;

/// Looks at a part of a letter, after which it is thrown away: whoever wrote it writes it again, or is gone.
const PATIENCE: u8 = 3;

/// The first registers of one bridge.
pub(crate) struct Mailbox {
    ntb: *mut raw::ntb_dev,
    /// The status bits of what comes in; of those we read, and of the one that is filled last.
    inbound: u64,
    ours: u64,
    last: u64,
    /// The status bits of what the peer's registers did not take.
    outbound: u64,
}

/// The lowest of some bits.
fn lowest(bits: u64) -> u64 {
    bits & bits.wrapping_neg()
}

impl Mailbox {
    /// `None`: the bridge has too few registers, or no way to have them silent.
    ///
    /// # Safety
    ///
    /// `ntb` is a registered device and stays so until this is dropped.
    pub(crate) unsafe fn new(ntb: *mut raw::ntb_dev) -> Option<Self> {
        // SAFETY: `ntb` is registered (contract), so its operations are there; the calls only ask.
        let (count, inbound, outbound, masks) = unsafe {
            let ops = &*(*ntb).ops;
            (
                raw::ntb_msg_count(ntb),
                raw::ntb_msg_inbits(ntb),
                raw::ntb_msg_outbits(ntb),
                ops.msg_set_mask.is_some() && ops.msg_clear_mask.is_some(),
            )
        };
        let (mut ours, mut last) = (0, 0);
        for _ in 0..WORDS {
            last = lowest(inbound & !ours);
            ours |= last;
        }
        let enough = usize::try_from(count).is_ok_and(|count| count >= WORDS);
        (enough && last != 0 && masks).then_some(Mailbox {
            ntb,
            inbound,
            ours,
            last,
            outbound,
        })
    }

    /// What stands there goes, whatever it is. Any context.
    pub(crate) fn drain(&self) {
        // SAFETY: the device is registered as long as this lives.
        unsafe { raw::ntb_msg_clear_sts(self.ntb, self.inbound | self.outbound) };
    }

    /// No event until [`Self::listen`]. Any context.
    pub(crate) fn hush(&self) {
        // SAFETY: the device is registered as long as this lives.
        unsafe { raw::ntb_msg_set_mask(self.ntb, self.inbound | self.outbound) };
    }

    /// An event when the last register of a letter is filled, which is when the letter is whole. Returns whether one
    /// stands there already, which need not give an event. Any context.
    pub(crate) fn listen(&self) -> bool {
        // SAFETY: the device is registered as long as this lives.
        unsafe { raw::ntb_msg_clear_mask(self.ntb, self.last) };
        self.status() & self.last != 0
    }

    fn status(&self) -> u64 {
        // SAFETY: the device is registered as long as this lives.
        unsafe { raw::ntb_msg_read_sts(self.ntb) }
    }

    /// Takes the words, if all are there. `looks`: how often a part was found. Not at two places at once.
    pub(crate) fn take(&self, looks: &mut u8) -> Option<[u32; WORDS]> {
        let full = self.status() & self.ours;
        if full == 0 {
            *looks = 0;
            return None;
        }
        *looks = looks.saturating_add(1);
        let whole = full == self.ours;
        let words = core::array::from_fn(|index| {
            // SAFETY: the device is registered as long as this lives, and has so many registers; who wrote it is known,
            // since there is one peer.
            unsafe { raw::ntb_msg_read(self.ntb, core::ptr::null_mut(), index as c_int) }
        });
        if whole || *looks > PATIENCE {
            *looks = 0;
            // All at once, after they were read: from here on the peer may fill them again.
            self.clear(self.inbound);
        }
        whole.then_some(words)
    }

    /// Fills the peer's registers, in order. Whether it took all: if not, it will be able to once it has read what it has.
    /// Not at two places at once.
    pub(crate) fn put(&self, words: &[u32; WORDS]) -> bool {
        self.clear(self.outbound);
        words.iter().enumerate().all(|(index, word)| {
            // SAFETY: the device is registered as long as this lives, and has so many registers.
            let status = unsafe { raw::ntb_peer_msg_write(self.ntb, PEER, index as c_int, *word) };
            // The bridge's driver does not say whether the register was full.
            status == 0 && self.status() & self.outbound == 0
        })
    }

    fn clear(&self, bits: u64) {
        // SAFETY: the device is registered as long as this lives.
        unsafe { raw::ntb_msg_clear_sts(self.ntb, bits) };
    }
}
