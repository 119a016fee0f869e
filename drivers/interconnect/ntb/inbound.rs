// SPDX-License-Identifier: GPL-2.0

//! The inbound window: own memory that the peer writes.

use crate::{
    bindings as raw, client,
    fit::{self, Limits, Wish, Wishes},
    memory::{Place, Shelf},
    trans::Trans,
    PEER,
};
use core::mem::ManuallyDrop;
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
    time::{delay::fsleep, Delta, Instant, Monotonic},
};

/// How often a bridge is asked to let go of memory, and the time in between. One that takes longer than the last of these
/// to refuse is not asked again: Switchtec's driver may wait for more than a minute, and the link's lock is held.
const CLEAR_TRIES: u32 = 3;
const CLEAR_WAIT: Delta = Delta::from_millis(20);
const CLEAR_PATIENCE: Delta = Delta::from_secs(1);

/// Own memory behind one window of the bridge. Dropping it withdraws it from the bridge, then frees it; if the bridge does not
/// let go of it, it is kept for the next start: the peer could still write it. Context of the drop: may sleep.
pub(crate) struct Inbound {
    ntb: *mut raw::ntb_dev,
    index: c_int,
    trans: Arc<Trans>,
    place: ManuallyDrop<Place>,
    shelf: Arc<Shelf>,
    /// Whether the bridge was told of it, and may have taken it.
    told: Atomic<bool>,
}

/// The limits of a window, as the bridge's driver says them; `None`: the peer is not there to tell.
///
/// # Errors
///
/// What the bridge's driver says; for some that is how they say that the peer is not there.
///
/// # Safety
///
/// `ntb` is a registered device.
unsafe fn limits(ntb: *mut raw::ntb_dev, index: c_int) -> Result<Option<Limits>> {
    let (mut address, mut unit, mut largest) = (0, 0, 0);
    // Not ntb_mw_get_align(): that refuses while the link is down, for bridges whose peer decides. Those answer here with
    // an error of their own, or with what reads from a peer that is not there.
    // SAFETY: by the function's contract; the results are valid for writes.
    to_result(unsafe {
        let get = (*(*ntb).ops).mw_get_align.ok_or(EIO)?;
        get(ntb, PEER, index, &mut address, &mut unit, &mut largest)
    })?;
    Ok(Limits::new(address, unit, largest))
}

impl Inbound {
    /// Allocates zeroed memory for the window that both ends choose, as much as it takes and as is to be had, and points
    /// the bridge at it; where the peer has to be there for that, [`Self::translate`] does, and where the peer itself does
    /// it (`sending`), nobody here. `reach`: the size of the outbound window, which the inbound one is expected to have
    /// where nobody knows better. `shelf`: the device's, where it takes from first.
    ///
    /// Context: may sleep, with some bridges for seconds.
    ///
    /// # Errors
    ///
    /// `ENOSPC`: no window is large enough; `ENOMEM`: there is no memory that it would take; `EINVAL`: none of it fits;
    /// `ENOTRECOVERABLE`: what is on the shelf does not; what the bridge's driver says of its windows.
    ///
    /// # Safety
    ///
    /// `ntb` is a registered device and stays so until this is dropped.
    pub(crate) unsafe fn new(
        ntb: *mut raw::ntb_dev,
        reach: (c_int, u64),
        shelf: &Arc<Shelf>,
    ) -> Result<Self> {
        // SAFETY: `ntb` is registered (contract).
        let count = unsafe { raw::ntb_mw_count(ntb, PEER) }.max(0);
        let (mut known, mut refusal) = (false, Ok(()));
        let sizes = (0..count).map(|index| {
            // SAFETY: `ntb` is registered (contract), and `index` is one of its windows.
            match unsafe { limits(ntb, index) } {
                Ok(limits) => {
                    known |= limits.is_some();
                    limits.map_or(0, |limits| limits.largest)
                }
                Err(error) => {
                    refusal = Err(error);
                    0
                }
            }
        });
        let chosen = fit::choose(sizes);
        if !known {
            // SAFETY: `ntb` is registered, and stays so until the result is dropped (contract).
            return unsafe { Self::for_a_peer_to_come(ntb, reach, shelf) };
        }
        // Of windows that are not all known, another one may be the largest than of those that the peer looks at.
        refusal?;
        let index = chosen.ok_or(ENOSPC)?.0 as c_int;
        // SAFETY: `ntb` is registered (contract), and `index` is one of its windows.
        let limits = unsafe { limits(ntb, index) }?.ok_or(EIO)?;
        // SAFETY: `ntb` is registered, and stays so until the result is dropped (contract).
        unsafe { Self::for_a_known_window(ntb, index, limits, shelf) }
    }

    /// Memory that the bridge takes for a window with these limits. Errors: as [`Self::new`].
    ///
    /// # Safety
    ///
    /// As [`Self::new`].
    unsafe fn for_a_known_window(
        ntb: *mut raw::ntb_dev,
        index: c_int,
        limits: Limits,
        shelf: &Arc<Shelf>,
    ) -> Result<Self> {
        // SAFETY: `ntb` is registered, and stays so until the result is dropped (contract).
        if let Some(inbound) = unsafe { Self::again(ntb, index, shelf) }? {
            return match inbound.point(&limits) {
                Err(error) if error == EINVAL => Err(ENOTRECOVERABLE),
                _ => Ok(inbound),
            };
        }
        let mut had_memory = false;
        for wish in Wishes::new(limits) {
            // SAFETY: `ntb` is registered, and stays so until the result is dropped (contract).
            let Some(inbound) = (unsafe { Self::allocate(ntb, index, shelf, wish) }) else {
                continue;
            };
            had_memory = true;
            match inbound.point(&limits) {
                // It wants what it does not say, such as another alignment.
                Err(error) if error == EINVAL => {}
                // A bridge that refuses for a while is asked again in any case, when the link comes up.
                _ => return Ok(inbound),
            }
        }
        Err(if had_memory { EINVAL } else { ENOMEM })
    }

    /// Memory for a window of which nothing is known but that it should be as large as the outbound one. Aligned to the
    /// power of two in its size, that is good for every bridge. Errors: as [`Self::new`].
    ///
    /// # Safety
    ///
    /// As [`Self::new`].
    unsafe fn for_a_peer_to_come(
        ntb: *mut raw::ntb_dev,
        reach: (c_int, u64),
        shelf: &Arc<Shelf>,
    ) -> Result<Self> {
        // SAFETY: `ntb` is registered, and stays so until the result is dropped (contract).
        if let Some(inbound) = unsafe { Self::again(ntb, reach.0, shelf) }? {
            return Ok(inbound);
        }
        let limits = Limits::new(4096, 4096, reach.1).ok_or(ENOSPC)?;
        Wishes::new(limits)
            .filter(|wish| wish.align >= fit::power_of_two_in(wish.size))
            // SAFETY: by the function's contract.
            .find_map(|wish| unsafe { Self::allocate(ntb, reach.0, shelf, wish) })
            .ok_or(ENOMEM)
    }

    /// Memory as wished, if there is.
    ///
    /// # Safety
    ///
    /// As [`Self::new`].
    unsafe fn allocate(
        ntb: *mut raw::ntb_dev,
        index: c_int,
        shelf: &Arc<Shelf>,
        wish: Wish,
    ) -> Option<Self> {
        // SAFETY: `ntb` is registered, and the device below it stays as long (contract).
        let place = unsafe { Place::new(raw::ntb_get_dma_dev(ntb), index, wish) }?;
        // SAFETY: `ntb` stays registered until the result, which alone calls it, is dropped (contract).
        let trans = unsafe { Trans::new(ntb, index) }.ok()?;
        Some(Inbound {
            ntb,
            index,
            trans,
            place: ManuallyDrop::new(place),
            shelf: shelf.clone(),
            told: Atomic::new(false),
        })
    }

    /// The memory of an earlier start that the bridge did not let go of, if there is any.
    ///
    /// # Errors
    ///
    /// `ENOTRECOVERABLE`: it cannot stand behind this window; `ENOMEM`.
    ///
    /// # Safety
    ///
    /// As [`Self::new`].
    unsafe fn again(
        ntb: *mut raw::ntb_dev,
        index: c_int,
        shelf: &Arc<Shelf>,
    ) -> Result<Option<Self>> {
        // SAFETY: `ntb` stays registered until the result, which alone calls it, is dropped (contract).
        let trans = unsafe { Trans::new(ntb, index) }?;
        // SAFETY: `ntb` is registered (contract).
        let place = shelf.take(unsafe { raw::ntb_get_dma_dev(ntb) }, index)?;
        Ok(place.map(|place| Inbound {
            ntb,
            index,
            trans,
            place: ManuallyDrop::new(place),
            shelf: shelf.clone(),
            told: Atomic::new(true),
        }))
    }

    /// Points the bridge at the memory. Context: may sleep.
    fn point(&self, limits: &Limits) -> Result {
        let (address, whole) = self.place();
        let size = limits.floor(whole);
        if size == 0 || !limits.allow(address, size) {
            return Err(EINVAL);
        }
        if size < whole {
            kernel::pr_warn_once!(
                "the peer's bridge reaches {} KiB of a window of {} KiB\n",
                size / 1024,
                whole / 1024
            );
        }
        let taken = self.trans.set(address, size);
        // What fails half-way may have taken it all the same.
        if taken != Err(EINVAL) {
            self.told.store(true, Relaxed);
        }
        taken
    }

    /// Points the bridge at the memory again, now that the peer is there: where its end was reset, or decides on the
    /// window, nobody can reach the memory before. Context: may sleep, with some bridges for seconds.
    ///
    /// # Errors
    ///
    /// `EIO`: the bridge does not say what it takes; `EINVAL`: this memory does not fit; what the bridge's driver says.
    pub(crate) fn translate(&self) -> Result {
        // SAFETY: the device is registered as long as this lives.
        let limits = unsafe { limits(self.ntb, self.index) }?.ok_or(EIO)?;
        self.point(&limits)
    }

    /// Where the bridge finds it, and how long it is.
    pub(crate) fn place(&self) -> (u64, u64) {
        self.place.address()
    }

    /// Where it is for us, and how long.
    pub(crate) fn memory(&self) -> (*mut c_void, u64) {
        self.place.base()
    }

    /// Has the bridge forget the memory. Whether it may be freed: what the bridge took leads to it until it is forgotten,
    /// unless the device is not there, which writes nothing.
    fn withdraw(&self) -> bool {
        for _ in 0..CLEAR_TRIES {
            let begin = Instant::<Monotonic>::now();
            if self.trans.clear().is_ok() || !self.told.load(Relaxed) {
                return true;
            }
            if begin.elapsed() > CLEAR_PATIENCE {
                break;
            }
            fsleep(CLEAR_WAIT);
        }
        // SAFETY: the PCI device below a device that is registered as long as this lives.
        !unsafe { bindings::pci_device_is_present((*self.ntb).pdev) }
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        let free = self.withdraw();
        // SAFETY: only here, and nothing looks at it after this.
        let place = unsafe { ManuallyDrop::take(&mut self.place) };
        if !free {
            pr_err!(
                "{}: the bridge does not let go of our window: its memory, {} KiB, is kept for the next start\n",
                client::name(self.ntb),
                place.len() / 1024
            );
            self.shelf.keep(place);
        }
    }
}
