// SPDX-License-Identifier: GPL-2.0
//! Bios of our disk that are passed on to the device below.

use super::{in_submit, queue, BackingDev, Inner, IoClient};
use crate::{bio::Bio, bio::Flags, bio::Op, ffi, status, SECTORS};
use core::{mem::offset_of, ptr::NonNull};
use kernel::{bindings, prelude::*};

/// What stands in memory before the bio of a clone.
#[repr(C)]
struct Forwarded<C: IoClient> {
    dev: *const Inner<C>,
    original: NonNull<bindings::bio>,
    /// Where on the device.
    block: u64,
    ctx: C::Forward,
    bio: bindings::bio,
}

/// Bytes before the bio of a clone.
pub(super) const fn front_pad<C: IoClient>() -> u32 {
    // The slab of a bio set aligns its objects to a pointer at least.
    const { assert!(align_of::<Forwarded<C>>() <= align_of::<usize>()) };
    offset_of!(Forwarded<C>, bio) as u32
}

/// What a refused forward gives back.
pub type Refused<C> = (Bio, <C as IoClient>::Forward, Error);

impl<C: IoClient> BackingDev<C> {
    /// Passes a bio on to the device, to `block` there, with the flags of `set` set and those of
    /// `clear` cleared (`PREFLUSH` and `FUA` of writes; a flush stays a flush). The bio's own memory is
    /// used. When the device has ended, [`IoClient::forward_done`] gets the bio back, maybe before
    /// this returns.
    ///
    /// A read within `DiskOps::submit` goes to the device in the caller's own time if that need not wait for it; all else
    /// is handed over by a thread of the device ([`super::queue`]).
    ///
    /// Context: task; within `DiskOps::submit` at most once for each bio that came in.
    ///
    /// # Errors
    /// `ERANGE`: beyond the device; `EROFS`; `ENOMEM`: as many as
    /// [`Options::forwards`](super::Options::forwards) are under way, and memory is short: try again
    /// when one has ended. Nothing was submitted, and all comes back.
    pub fn forward(
        &self,
        bio: Bio,
        block: u64,
        (set, clear): (Flags, Flags),
        ctx: C::Forward,
    ) -> core::result::Result<(), Refused<C>> {
        let inner = &*self.inner;
        let op = bio.op();
        if let Err(e) = inner.check(block, bio.blocks().into(), op != Op::Read) {
            return Err((bio, ctx, e));
        }
        let Some(clone) = inner.clone_of(&bio, block) else {
            return Err((bio, ctx, ENOMEM));
        };
        inner.issued();
        // SAFETY: the clone comes from our bio set, so there is `front_pad()` before it; it is ours
        // until it is submitted, and so is that memory, which holds nothing yet.
        unsafe {
            fill(inner, clone, bio, block, ctx);
            if op == Op::Write {
                let mask = Flags::PREFLUSH.with(Flags::FUA).bits();
                ffi::yoke_sys_bio_set_flags(clone.as_ptr(), set.bits() & mask, clear.bits() & mask);
            }
            if in_submit() && queue::forbid_waiting(clone) {
                bindings::submit_bio_noacct(clone.as_ptr());
            } else {
                inner.enqueue(clone, false);
            }
        }
        Ok(())
    }

    /// Gives back forwarded bios that came in `age_ns` ago or earlier and were not handed to the device yet
    /// ([`IoClient::forward_back`]). Context: task; nothing that `forward_back` takes may be held.
    pub fn recall(&self, age_ns: u64) {
        // SAFETY: asked about bios of the queue alone, which are valid, and clones of this device if they are clones.
        let old = |bio| unsafe { queue::is_clone(bio) && age_of::<C>(bio) >= age_ns };
        // Clones never stand in the other queue, where a lease would wait meanwhile.
        let [_, data] = &self.inner.queues;
        // SAFETY: out of the queue, so it is ours alone.
        data.sift(old, |bio| unsafe { self.inner.give_back(bio) });
    }
}

impl<C: IoClient> Inner<C> {
    /// A clone of a bio of ours, aimed at a block. `None`: memory is short.
    fn clone_of(&self, bio: &Bio, block: u64) -> Option<queue::RawBio> {
        // SAFETY: the device is open, the bio is ours, the bio set is initialised.
        let clone = NonNull::new(unsafe {
            ffi::yoke_sys_bio_clone(self.bdev, bio.as_ptr(), self.clones.get().cast())
        })?;
        // SAFETY: made just now, so it is ours alone. No overflow: the block is on the device.
        unsafe {
            (*clone.as_ptr()).bi_iter.bi_sector = block * SECTORS;
            (*clone.as_ptr()).bi_end_io = Some(end::<C>);
        }
        Some(clone)
    }

    /// Takes a clone apart that the device does not have.
    ///
    /// # Safety
    /// It comes from [`BackingDev::forward`] of this device, and is the caller's alone.
    unsafe fn take_apart(clone: queue::RawBio) -> (Bio, C::Forward) {
        // SAFETY: `forward()` filled what stands before the clone; we are its only reader, and read it once, before the
        // clone is freed.
        unsafe {
            let head = container::<C>(clone.as_ptr());
            let bio = Bio::from_raw((*head).original);
            let ctx = (&raw const (*head).ctx).read();
            bindings::bio_put(clone.as_ptr());
            (bio, ctx)
        }
    }

    /// A clone will not go to the device: its bio goes back to the client.
    ///
    /// # Safety
    /// As for [`Self::take_apart`].
    pub(super) unsafe fn forward_back(&self, clone: queue::RawBio) {
        // SAFETY: by the function's contract.
        let (bio, ctx) = unsafe { Self::take_apart(clone) };
        self.client.forward_back(bio, ctx);
        self.withdrawn();
    }

    /// A clone that was not to wait would have had to: it goes the other way.
    ///
    /// # Safety
    /// As for [`Self::take_apart`].
    unsafe fn go_the_slow_way(&self, clone: queue::RawBio) {
        // SAFETY: the clone is ours alone (contract).
        let block = unsafe { (*container::<C>(clone.as_ptr())).block };
        // SAFETY: by the function's contract.
        let (bio, ctx) = unsafe { Self::take_apart(clone) };
        // What was put back just now can be had again, unless somebody else was faster and memory is short.
        let Some(clone) = self.clone_of(&bio, block) else {
            self.client.forward_back(bio, ctx);
            return self.withdrawn();
        };
        // SAFETY: made just now, from our bio set, so it is ours alone, and nothing stands before it yet.
        unsafe {
            fill(self, clone, bio, block, ctx);
            // It may end, and with it the device, before this has returned.
            self.inflight.get();
            self.enqueue(clone, false);
        }
        self.withdrawn();
    }
}

/// For how long the original of a clone has been here.
///
/// # Safety
/// It is a clone of a device of type `C`.
unsafe fn age_of<C: IoClient>(clone: queue::RawBio) -> u64 {
    // SAFETY: `forward()` filled what stands before the clone, and the original is the clone's until its end.
    unsafe { ffi::yoke_sys_bio_age_ns((*container::<C>(clone.as_ptr())).original.as_ptr()) }
}

/// Writes what stands before a clone.
///
/// # Safety
/// It is a clone of a bio set with [`front_pad`], the caller's alone, and holds nothing yet.
unsafe fn fill<C: IoClient>(
    dev: &Inner<C>,
    clone: queue::RawBio,
    bio: Bio,
    block: u64,
    ctx: C::Forward,
) {
    // SAFETY: by the function's contract.
    unsafe {
        let head = container::<C>(clone.as_ptr());
        (&raw mut (*head).dev).write(dev);
        (&raw mut (*head).original).write(bio.into_raw());
        (&raw mut (*head).block).write(block);
        (&raw mut (*head).ctx).write(ctx);
    }
}

/// # Safety
/// `clone` comes from the bio set of a device of type `C`.
unsafe fn container<C: IoClient>(clone: *mut bindings::bio) -> *mut Forwarded<C> {
    // SAFETY: by the function's contract there are so many bytes before it.
    unsafe { clone.byte_sub(offset_of!(Forwarded<C>, bio)).cast() }
}

/// The end of a clone.
///
/// # Safety
/// Called by the block layer, once for each clone of a device of type `C`.
unsafe extern "C" fn end<C: IoClient>(clone: *mut bindings::bio) {
    // SAFETY: `forward()` filled what stands before the clone. The device waits for `inflight`.
    let (dev, raw) = unsafe {
        let dev = &*(*container::<C>(clone)).dev;
        (dev, (*clone).bi_status)
    };
    // SAFETY: called with a bio, so it is not null.
    let owned = unsafe { NonNull::new_unchecked(clone) };
    // SAFETY: the bio is valid, and ended.
    if unsafe { ffi::yoke_sys_bio_would_block(clone) } {
        // SAFETY: it has ended, so it is ours alone, and comes from `forward()`.
        return unsafe { dev.go_the_slow_way(owned) };
    }
    // SAFETY: it has ended, so it is ours alone, and comes from `forward()`.
    let (bio, ctx) = unsafe { Inner::<C>::take_apart(owned) };
    dev.client.forward_done(bio, ctx, status::from_raw(raw));
    dev.ended();
}
