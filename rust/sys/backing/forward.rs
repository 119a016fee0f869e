// SPDX-License-Identifier: GPL-2.0
//! Bios of our disk that are passed on to the device below.

use super::{BackingDev, Inner, IoClient};
use crate::{bio::Bio, bio::Flags, bio::Op, ffi, status, SECTORS};
use core::{mem::offset_of, ptr::NonNull};
use kernel::{bindings, prelude::*};

/// What stands in memory before the bio of a clone.
#[repr(C)]
struct Forwarded<C: IoClient> {
    dev: *const Inner<C>,
    original: NonNull<bindings::bio>,
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
        // SAFETY: the device is open, the bio is ours, the bio set is initialised.
        let clone = NonNull::new(unsafe {
            ffi::yoke_sys_bio_clone(inner.bdev, bio.as_ptr(), inner.clones.get().cast())
        });
        let Some(clone) = clone else {
            return Err((bio, ctx, ENOMEM));
        };
        inner.issued();
        // SAFETY: the clone comes from our bio set, so there is `front_pad()` before it; it is ours
        // until it is submitted, and so is that memory, which holds nothing yet.
        unsafe {
            let head = container::<C>(clone.as_ptr());
            (&raw mut (*head).dev).write(inner);
            (&raw mut (*head).original).write(bio.into_raw());
            (&raw mut (*head).ctx).write(ctx);
            let clone = clone.as_ptr();
            (*clone).bi_iter.bi_sector = block * SECTORS;
            (*clone).bi_end_io = Some(end::<C>);
            if op == Op::Write {
                let mask = Flags::PREFLUSH.with(Flags::FUA).bits();
                ffi::yoke_sys_bio_set_flags(clone, set.bits() & mask, clear.bits() & mask);
            }
            bindings::submit_bio_noacct(clone);
        }
        Ok(())
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
    // SAFETY: `forward()` filled what stands before the clone; we are its only reader, and read it
    // once, before the clone is freed. The device waits for `inflight`.
    let (dev, bio, ctx, raw) = unsafe {
        let head = container::<C>(clone);
        let dev = &*(*head).dev;
        let bio = Bio::from_raw((*head).original);
        let ctx = (&raw const (*head).ctx).read();
        let raw = (*clone).bi_status;
        bindings::bio_put(clone);
        (dev, bio, ctx, raw)
    };
    dev.client.forward_done(bio, ctx, status::from_raw(raw));
    dev.ended();
}
