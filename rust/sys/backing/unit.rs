// SPDX-License-Identifier: GPL-2.0
//! An I/O unit: a bio with its vector table, made beforehand.
//!
//! Its state says who may touch it:
//! FREE: whoever takes it; TAKEN: the `IoUnit`; ASYNC: the device; WAITED: the device, and a task
//! waits; DONE: the waiting task; ABANDONED: the device, nobody waits any more.

use super::{in_submit, queue::RawBio, Inner, IoClient};
use crate::{
    bio::Flags, ffi, pages::Pages, status, status::BlkStatus, status::IoResult, BLOCK, SECTORS,
};
use core::{cell::UnsafeCell, mem::ManuallyDrop, mem::MaybeUninit, ptr::NonNull};
use kernel::{bindings, prelude::*, sync::atomic::*, types::Opaque};

const FREE: u32 = 0;
const TAKEN: u32 = 1;
const ASYNC: u32 = 2;
const WAITED: u32 = 3;
const DONE: u32 = 4;
const ABANDONED: u32 = 5;

/// What a unit does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoOp {
    /// Fill the blocks from the device.
    Read,
    /// Write the blocks.
    Write,
    /// Empty the device's cache. Carries no blocks.
    Flush,
    /// So many blocks need not be kept. Carries none.
    Discard(u32),
    /// So many blocks are to read as zeroes. Carries none.
    WriteZeroes(u32),
}

pub(super) struct Unit<C: IoClient> {
    bio: Opaque<bindings::bio>,
    vecs: KVec<MaybeUninit<bindings::bio_vec>>,
    state: Atomic<u32>,
    /// How a WAITED I/O ended; valid when DONE.
    status: Atomic<u32>,
    /// What an ASYNC I/O carries.
    ctx: UnsafeCell<Option<C::Ctx>>,
    dev: *const Inner<C>,
    index: u32,
}

impl<C: IoClient> Unit<C> {
    pub(super) fn new(dev: *const Inner<C>, index: u32, blocks: u16) -> Result<KBox<Self>> {
        let mut vecs = KVec::with_capacity(blocks.into(), GFP_KERNEL)?;
        for _ in 0..blocks {
            vecs.push(MaybeUninit::uninit(), GFP_KERNEL)?;
        }
        Ok(KBox::new(
            Self {
                bio: Opaque::uninit(),
                vecs,
                state: Atomic::new(FREE),
                status: Atomic::new(0),
                ctx: UnsafeCell::new(None),
                dev,
                index,
            },
            GFP_KERNEL,
        )?)
    }

    /// Gives the unit back.
    fn free(&self, dev: &Inner<C>) {
        self.state.store(FREE, Release);
        let _ = dev.freed.fetch_add(1, Full);
        // SAFETY: only the address is used, and the device lives.
        unsafe { ffi::yoke_sys_wake_var(dev.freed.as_ptr().cast()) };
    }

    /// It has ended, and a task waits for it, or has given up.
    fn waiter_hears(&self, dev: &Inner<C>, raw: u8) {
        self.status.store(raw.into(), Release);
        if self.state.cmpxchg(WAITED, DONE, Full).is_ok() {
            // SAFETY: only the address is used.
            unsafe { ffi::yoke_sys_wake_var(self.state.as_ptr().cast()) };
        } else {
            // ABANDONED: the waiter has gone.
            self.free(dev);
        }
    }
}

/// A unit to be filled and submitted. Dropping it gives it back.
pub struct IoUnit<'d, C: IoClient> {
    dev: &'d Inner<C>,
    // INVARIANT: TAKEN, and its bio is initialised with `blocks` blocks.
    unit: &'d Unit<C>,
    blocks: u16,
}

impl<'d, C: IoClient> IoUnit<'d, C> {
    pub(super) fn take(dev: &'d Inner<C>) -> Option<Self> {
        let count = dev.units.len();
        let start = dev.hint.fetch_add(1, Relaxed) as usize;
        for i in 0..count {
            let unit = dev.units.get(start.wrapping_add(i) % count)?;
            if unit.state.load(Relaxed) == FREE && unit.state.cmpxchg(FREE, TAKEN, Acquire).is_ok()
            {
                // SAFETY: TAKEN: the bio and its table are ours; the device is open.
                unsafe {
                    ffi::yoke_sys_bio_prepare(
                        unit.bio.get(),
                        dev.bdev,
                        unit.vecs.as_ptr().cast_mut().cast(),
                        u32::from(dev.unit_blocks),
                    )
                };
                return Some(Self {
                    dev,
                    unit,
                    blocks: 0,
                });
            }
        }
        None
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> u16 {
        self.blocks
    }

    /// Whether no more blocks fit.
    pub fn is_full(&self) -> bool {
        self.blocks >= self.dev.unit_blocks
    }

    /// Appends a block of memory. From the submit to the end of the I/O the device reads or writes
    /// it: whoever changes it meanwhile gets a torn block. Context: any.
    ///
    /// # Errors
    /// `EINVAL`: not one of the arrays that the device was opened with; `ERANGE`: no such block;
    /// `ENOSPC`: the unit is full.
    pub fn push(&mut self, pages: &Pages, block: u32) -> Result {
        if !self
            .dev
            .memory
            .iter()
            .any(|m| core::ptr::eq::<Pages>(&**m, pages))
        {
            return Err(EINVAL);
        }
        self.push_any(pages, block)
    }

    /// As [`Self::push`], for memory that the device keeps in some other way.
    fn push_any(&mut self, pages: &Pages, block: u32) -> Result {
        let block = pages.block_ptr(block)?;
        if self.is_full() {
            return Err(ENOSPC);
        }
        // SAFETY: the bio is ours (invariant); the block is vmalloc memory, page-aligned, that the
        // device keeps alive until its last I/O has ended.
        if !unsafe { ffi::yoke_sys_bio_add_block(self.unit.bio.get(), block.cast()) } {
            return Err(ENOSPC);
        }
        self.blocks += 1;
        Ok(())
    }

    /// Checks and aims the bio.
    fn aim(&mut self, op: IoOp, block: u64, flags: Flags) -> Result {
        match op {
            IoOp::Discard(count) => self.aim_range(ffi::OP_DISCARD, block, count, flags)?,
            IoOp::WriteZeroes(count) => {
                self.aim_range(ffi::OP_WRITE_ZEROES, block, count, flags)?
            }
            _ => self.aim_blocks(op, block, flags)?,
        }
        // SAFETY: the bio is ours (invariant).
        unsafe {
            let bio = self.unit.bio.get();
            (*bio).bi_end_io = Some(end::<C>);
            (*bio).bi_private = core::ptr::from_ref(self.unit).cast_mut().cast();
        }
        Ok(())
    }

    fn aim_range(&mut self, op: u32, block: u64, count: u32, flags: Flags) -> Result {
        let bytes = count.checked_mul(BLOCK as u32).ok_or(EINVAL)?;
        if count == 0 || self.blocks > 0 {
            return Err(EINVAL);
        }
        self.dev.check(block, count.into(), true)?;
        // SAFETY: the bio is ours (invariant). No overflow: the range is on the device.
        unsafe {
            ffi::yoke_sys_bio_aim_range(
                self.unit.bio.get(),
                op,
                flags.bits(),
                block * SECTORS,
                bytes,
            );
        }
        Ok(())
    }

    fn aim_blocks(&mut self, op: IoOp, block: u64, flags: Flags) -> Result {
        let op = match op {
            IoOp::Read if self.blocks > 0 => ffi::OP_READ,
            IoOp::Write if self.blocks > 0 => ffi::OP_WRITE,
            IoOp::Flush if self.blocks == 0 => ffi::OP_FLUSH,
            _ => return Err(EINVAL),
        };
        self.dev
            .check(block, self.blocks.into(), op != ffi::OP_READ)?;
        // SAFETY: the bio is ours (invariant). No overflow: the range is on the device.
        unsafe {
            ffi::yoke_sys_bio_aim(self.unit.bio.get(), op, flags.bits(), block * SECTORS);
        }
        Ok(())
    }

    /// Has the bio handed to the device, in `state`. Does not wait.
    fn start(self, state: u32, meta: bool) -> &'d Unit<C> {
        let this = ManuallyDrop::new(self);
        this.unit.state.store(state, Release);
        this.dev.issued();
        // SAFETY: part of the unit, so not null.
        let bio = unsafe { NonNull::new_unchecked(this.unit.bio.get()) };
        // SAFETY: a complete bio; `end()` takes it back, and the unit stays where it is.
        unsafe { this.dev.enqueue(bio, meta) };
        this.unit
    }

    /// Submits the unit: its blocks to or from the device, from block `block` on. Its end is told to
    /// [`IoClient::io_done`] with `ctx`, maybe before this returns.
    ///
    /// It does not wait for the device to take it: a thread of the device hands it over, after it has asked
    /// [`IoClient::may_issue`].
    ///
    /// Flags: `PREFLUSH` and `FUA` on writes, `SYNC` as a hint; `META`: it does not queue up behind data. Context: any.
    ///
    /// # Errors
    /// `EINVAL`: blocks with a flush, or none without; `ERANGE`: beyond the device; `EROFS`. Nothing
    /// was submitted, `ctx` comes back, and `io_done()` is not called.
    pub fn submit(
        mut self,
        op: IoOp,
        block: u64,
        flags: Flags,
        ctx: C::Ctx,
    ) -> core::result::Result<(), (C::Ctx, Error)> {
        if let Err(e) = self.aim(op, block, flags) {
            return Err((ctx, e));
        }
        // SAFETY: TAKEN: nobody else looks at it.
        unsafe { *self.unit.ctx.get() = Some(ctx) };
        self.start(ASYNC, flags.has(Flags::META));
        Ok(())
    }

    /// Submits the unit and waits at most `timeout_ns` for its end.
    ///
    /// # Errors
    /// Those of [`Self::submit`]; `EDEADLK`: within `DiskOps::submit`; `ETIMEDOUT`: it is still
    /// under way, and so its blocks may still be read or written; what the device said, else.
    pub(super) fn submit_wait(self, op: IoOp, block: u64, flags: Flags, timeout_ns: u64) -> Result {
        self.submit_wait_then(op, block, flags, timeout_ns, |_| Ok(()))
    }

    fn submit_wait_then(
        mut self,
        op: IoOp,
        block: u64,
        flags: Flags,
        timeout_ns: u64,
        then: impl FnOnce(u32) -> Result,
    ) -> Result {
        if in_submit() {
            return Err(EDEADLK);
        }
        self.aim(op, block, flags)?;
        let dev = self.dev;
        let unit = self.start(WAITED, flags.has(Flags::META));
        // SAFETY: units live as long as the device.
        unsafe { ffi::yoke_sys_wait_while(unit.state.as_ptr(), WAITED, timeout_ns) };
        if unit.state.cmpxchg(WAITED, ABANDONED, Full).is_ok() {
            return Err(ETIMEDOUT);
        }
        // DONE: the unit is ours again, until we free it.
        let result: IoResult = status::from_raw(unit.status.load(Acquire) as u8);
        let result = result.map_err(|status| status.to_error());
        let result = result.and_then(|()| then(unit.index));
        unit.free(dev);
        result
    }

    /// Reads one block through the unit's bounce block.
    pub(super) fn read_bounce(
        mut self,
        block: u64,
        dst: &mut [u8; BLOCK],
        timeout_ns: u64,
    ) -> Result {
        let dev = self.dev;
        self.push_any(&dev.bounce, self.unit.index)?;
        self.submit_wait_then(IoOp::Read, block, Flags::META, timeout_ns, |index| {
            dev.bounce.copy_out(index, 0, dst)
        })
    }

    /// Writes one block through the unit's bounce block.
    pub(super) fn write_bounce(
        mut self,
        block: u64,
        src: &[u8; BLOCK],
        flags: Flags,
        timeout_ns: u64,
    ) -> Result {
        let dev = self.dev;
        dev.bounce.copy_in(self.unit.index, 0, src)?;
        self.push_any(&dev.bounce, self.unit.index)?;
        self.submit_wait(IoOp::Write, block, flags.with(Flags::META), timeout_ns)
    }
}

impl<C: IoClient> Drop for IoUnit<'_, C> {
    fn drop(&mut self) {
        // SAFETY: the bio is initialised and not submitted (invariant).
        unsafe { bindings::bio_uninit(self.unit.bio.get()) };
        self.unit.free(self.dev);
    }
}

impl<C: IoClient> Inner<C> {
    /// Whether a unit may be handed to the device: nobody has changed his mind since it was submitted.
    ///
    /// # Safety
    /// The bio is that of a unit of this device, submitted, and the caller's alone.
    pub(super) unsafe fn may_issue(&self, bio: RawBio) -> bool {
        // SAFETY: `aim()` stored the unit, which lives as long as the device.
        let unit = unsafe { &*(*bio.as_ptr()).bi_private.cast::<Unit<C>>() };
        match unit.state.load(Acquire) {
            // SAFETY: ASYNC, and not with the device yet: nobody else looks at it.
            ASYNC => {
                unsafe { (*unit.ctx.get()).as_ref() }.is_none_or(|ctx| self.client.may_issue(ctx))
            }
            // Nobody waits any more.
            ABANDONED => false,
            _ => true,
        }
    }

    /// A unit will not go to the device.
    ///
    /// # Safety
    /// As for [`Self::may_issue`].
    pub(super) unsafe fn unit_back(&self, bio: RawBio) {
        // SAFETY: `aim()` stored the unit, which lives as long as the device; the bio was not submitted, and is ours alone.
        let unit = unsafe {
            bindings::bio_uninit(bio.as_ptr());
            &*(*bio.as_ptr()).bi_private.cast::<Unit<C>>()
        };
        if unit.state.load(Acquire) == ASYNC {
            // SAFETY: ASYNC: nobody else looks at it until the unit is free.
            let ctx = unsafe { (*unit.ctx.get()).take() };
            unit.free(self);
            if let Some(ctx) = ctx {
                self.client.not_issued(ctx);
            }
        } else {
            unit.waiter_hears(self, BlkStatus::TRANSPORT.raw());
        }
        self.withdrawn();
    }
}

/// The end of a unit's I/O.
///
/// # Safety
/// Called by the block layer, once for each submit of a unit of type `C`.
unsafe extern "C" fn end<C: IoClient>(bio: *mut bindings::bio) {
    // SAFETY: `aim()` stored the unit, which lives as long as the device, which waits for `inflight`.
    let (unit, dev, raw) = unsafe {
        let unit = &*(*bio).bi_private.cast::<Unit<C>>();
        let raw = (*bio).bi_status;
        bindings::bio_uninit(bio);
        (unit, &*unit.dev, raw)
    };
    if unit.state.load(Acquire) == ASYNC {
        // SAFETY: ASYNC: nobody else looks at it until the unit is free.
        let ctx = unsafe { (*unit.ctx.get()).take() };
        unit.free(dev);
        if let Some(ctx) = ctx {
            dev.client.io_done(ctx, status::from_raw(raw));
        }
    } else {
        unit.waiter_hears(dev, raw);
    }
    dev.ended();
}
