// SPDX-License-Identifier: GPL-2.0

//! The three pages of words through which the server and both sides speak.

use crate::{
    layout::{self, ControlPage, ServerPage},
    link::{next_disabled, View},
    mapping::{BarClaim, Mapping},
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        barrier,
    },
};

/// The mapped control area, seen from one side.
///
/// # Invariants
///
/// The three pointers lead to pages of words inside `map`, and `side` is below [`layout::SIDES`].
pub(crate) struct Control {
    server: NonNull<ServerPage>,
    own: NonNull<ControlPage>,
    peer: NonNull<ControlPage>,
    side: u32,
    /// The own LSEQ and ACK as this driver stored them: the shared copies are for the peer, which
    /// could overwrite them and must not confuse us.
    lseq: Atomic<u32>,
    ack: Atomic<u64>,
    /// Keeps what the pointers lead to.
    _map: Mapping,
}

// SAFETY: The pointers lead to atomics in a mapping that `Control` owns.
unsafe impl Send for Control {}
// SAFETY: Shared access is to atomics only.
unsafe impl Sync for Control {}

impl Control {
    /// Maps the control area for `side`.
    ///
    /// # Errors
    ///
    /// `EINVAL`: no such side, or the BAR is too small; `ENOMEM`.
    pub(crate) fn new(claim: &BarClaim, side: u32) -> Result<Self> {
        if side >= layout::SIDES {
            return Err(EINVAL);
        }
        let map = Mapping::new(claim, 0, layout::CONTROL_LEN)?;
        // INVARIANT: `at` has checked the pages; `side` was checked.
        Ok(Control {
            server: map.at(0)?,
            own: map.at(layout::control_offset(side))?,
            peer: map.at(layout::control_offset(layout::SIDES - 1 - side))?,
            side,
            lseq: Atomic::new(0),
            ack: Atomic::new(0),
            _map: map,
        })
    }

    /// The server's page. Read only: nobody but the server stores there.
    pub(crate) fn server(&self) -> &ServerPage {
        // SAFETY: Valid by the invariant, and made of atomics, of which any bit pattern is one.
        unsafe { self.server.as_ref() }
    }

    /// The own page.
    pub(crate) fn own(&self) -> &ControlPage {
        // SAFETY: Valid by the invariant, and made of atomics, of which any bit pattern is one.
        unsafe { self.own.as_ref() }
    }

    /// The peer's page.
    pub(crate) fn peer(&self) -> &ControlPage {
        // SAFETY: Valid by the invariant, and made of atomics: whatever the peer stores there is one.
        unsafe { self.peer.as_ref() }
    }

    /// This side's number: its ivshmem peer id.
    pub(crate) fn side(&self) -> u32 {
        self.side
    }

    /// The other side's number and ivshmem peer id.
    pub(crate) fn peer_side(&self) -> u32 {
        layout::SIDES - 1 - self.side
    }

    /// Takes the own page over from a driver that is gone, or from nobody.
    ///
    /// The LSEQ goes past what was left behind, so that an acknowledgement of the dead driver's
    /// link is worth nothing.
    pub(crate) fn claim_page(&self, vectors: u32) {
        let own = self.own();
        own.ack.store(0, Relaxed);
        barrier::mb(barrier::Full);
        self.store_lseq(next_disabled(own.lseq.load(Relaxed)));
        own.vectors.store(vectors, Relaxed);
        self.store_xlat(0, 0);
        for word in Iterator::chain(own.doorbell.iter(), own.spad.iter()) {
            word.store(0, Relaxed);
        }
        barrier::mb(barrier::Full);
    }

    /// The own LSEQ.
    pub(crate) fn lseq(&self) -> u32 {
        self.lseq.load(Relaxed)
    }

    /// Publishes the own LSEQ. The caller holds the link's lock.
    pub(crate) fn store_lseq(&self, lseq: u32) {
        self.lseq.store(lseq, Relaxed);
        self.own().lseq.store(lseq, Relaxed);
        barrier::mb(barrier::Full);
    }

    /// Publishes the own ACK. The caller holds the link's lock.
    pub(crate) fn store_ack(&self, ack: u64) {
        self.ack.store(ack, Relaxed);
        self.own().ack.store(ack, Relaxed);
        barrier::mb(barrier::Full);
    }

    /// Publishes the inbound translation; a size of 0 says that there is none.
    pub(crate) fn store_xlat(&self, addr: u64, size: u64) {
        let own = self.own();
        own.xlat_size.store(0, Relaxed);
        barrier::mb(barrier::Write);
        own.xlat_addr.store(addr, Relaxed);
        barrier::mb(barrier::Write);
        own.xlat_size.store(size, Relaxed);
    }

    /// Reads what decides on the link.
    ///
    /// The words that every "down" changes (both LSEQ, the down count) are read before and after
    /// the rest: a difference says that the link was down in between, and the view is `torn`.
    pub(crate) fn view(&self) -> View {
        let (server, peer) = (self.server(), self.peer());
        let versions = || {
            (
                self.lseq.load(Relaxed),
                peer.lseq.load(Relaxed),
                server.down_count.load(Relaxed) as u32,
            )
        };
        let before = versions();
        barrier::mb(barrier::Read);
        let own_ack = self.ack.load(Relaxed);
        let peer_ack = peer.ack.load(Relaxed);
        let cut = server.flags.load(Relaxed) & layout::FLAG_CUT != 0;
        barrier::mb(barrier::Read);
        let (own_lseq, peer_lseq, down_count) = before;
        View {
            own_lseq,
            own_ack,
            peer_lseq,
            peer_ack,
            down_count,
            cut,
            torn: versions() != before,
        }
    }

    /// A sum of numbers of which each "down" raises one and none is ever lowered.
    pub(crate) fn down_count(&self) -> u64 {
        // The caller's fence read comes first.
        barrier::mb(barrier::Full);
        let cuts = self.server().down_count.load(Relaxed);
        let own = u64::from(self.lseq.load(Relaxed));
        let peer = u64::from(self.peer().lseq.load(Relaxed));
        cuts.wrapping_add(own).wrapping_add(peer)
    }
}
