// SPDX-License-Identifier: GPL-2.0
//! A block device below us: opened exclusively, read, written and flushed through I/O units that
//! were made beforehand.
//!
//! Three ways down, all without an allocation, and none that waits for the device to *take* an I/O (`queue`):
//! - **units** ([`BackingDev::take`]): blocks of preallocated [`Pages`], completion by callback;
//! - **sync** (`*_sync`, `*_block`): the same, waiting with a timeout; for metadata;
//! - **forward** ([`BackingDev::forward`]): a bio of our disk, passed on as a clone.
//!
//! **A timeout does not stop an I/O.** What has timed out may still reach the disk, and its unit and
//! its memory stay taken until it ends: nothing is ever freed under a device. The device is closed
//! only when all I/O has ended; the block layer's own timeouts bound that.

mod forward;
mod handover;
mod props;
mod queue;
pub mod reservation;
mod sync;
mod target;
mod unit;

pub use forward::Refused;
pub use props::{Below, Props};
pub use target::{Inquiry, Target};
pub use unit::{IoOp, IoUnit};

use crate::{
    bio::Bio, ffi, inflight::Inflight, pages::Pages, remains::HOME, status::BlkStatus,
    status::IoResult, thread::Thread, time::boottime_ns,
};
use kernel::{
    bindings, error::from_err_ptr, error::to_result, prelude::*, sync::atomic::*, sync::Arc,
    types::Opaque,
};
use queue::Queue;
use unit::Unit;

/// Who is told when I/O has ended.
///
/// **Context of both calls: any**, hard irq, softirq or a task, and possibly *before* `submit` or
/// `forward` has returned, in the same task (a RAM disk ends its I/O at once). So they must not
/// sleep, must take irq-safe locks only (`SpinLockIrq`), and none that may be held around a submit.
/// The usual thing to do: note the result, put the bio on a list, set an
/// [`Event`](crate::event::Event).
pub trait IoClient: Send + Sync + 'static {
    /// What a unit carries from its submit to its end.
    type Ctx: Send + 'static;
    /// What a forwarded bio carries; at most pointer alignment.
    type Forward: Send + 'static;

    /// A unit's I/O has ended. The unit itself is free again already.
    fn io_done(&self, ctx: Self::Ctx, result: IoResult);

    /// A forwarded bio's I/O has ended, and the bio comes back. It is still to be completed.
    fn forward_done(&self, bio: Bio, ctx: Self::Forward, result: IoResult);

    /// Whether what a unit was submitted for may still be done: asked by the thread that hands it to the device, right
    /// before it does, which may be any time after the submit. Context: task, and nothing is locked.
    fn may_issue(&self, _ctx: &Self::Ctx) -> bool {
        true
    }

    /// A unit's I/O was never handed to the device: [`Self::may_issue`] said no, or the device is being closed. The
    /// unit itself is free again already. Context: any.
    fn not_issued(&self, ctx: Self::Ctx) {
        self.io_done(ctx, Err(BlkStatus::TRANSPORT));
    }

    /// A forwarded bio was never handed to the device, and comes back: it was recalled ([`BackingDev::recall`]), the
    /// device is being closed, or memory is short. It is still to be completed. Context: any.
    fn forward_back(&self, bio: Bio, ctx: Self::Forward) {
        self.forward_done(bio, ctx, Err(BlkStatus::TRANSPORT));
    }
}

/// Which device.
#[derive(Clone, Copy)]
pub enum Path<'a> {
    /// A path, as the calling task sees it.
    Name(&'a CStr),
    /// A device number.
    Dev(u32),
}

/// How to open it.
pub struct Options {
    /// I/O units: the most units under way at once, 1..=1024.
    pub units: u16,
    /// Most blocks of one unit, 1..=256.
    pub unit_blocks: u16,
    /// Forwarded bios that can always be under way, 1..=1024. More need memory.
    pub forwards: u16,
    /// Refuse writes.
    pub read_only: bool,
    /// The memory that units may read and write. Kept as long as the device is open.
    pub memory: KVec<Arc<Pages>>,
}

/// What the device and its I/O share. Does not move: I/O under way points to it.
struct Inner<C: IoClient> {
    /// It is counted in [`HOME`].
    admitted: bool,
    /// Null until it is opened.
    file: *mut bindings::file,
    bdev: *mut bindings::block_device,
    props: Props,
    target: Target,
    read_only: bool,
    unit_blocks: u16,
    /// Units and clones submitted whose callback has not returned.
    inflight: Inflight,
    /// What is to be handed to the device: metadata, and the rest.
    queues: [Arc<Queue>; 2],
    /// When it last answered, or, with nothing under way, was last asked. Nanoseconds of CLOCK_BOOTTIME.
    heard: Atomic<u64>,
    /// Counts units that were given back, for who waits for one.
    freed: Atomic<u32>,
    /// Where to look for a free unit first.
    hint: Atomic<u32>,
    units: KVec<KBox<Unit<C>>>,
    /// The clones of forwarded bios.
    clones: Opaque<bindings::bio_set>,
    memory: KVec<Arc<Pages>>,
    /// A block for each unit, for `*_block`.
    bounce: Pages,
    client: C,
}

/// An open block device. Context of open and drop: task.
pub struct BackingDev<C: IoClient> {
    /// They hand over what is in the queues, and use `inner`: dropped first.
    threads: [Option<Thread>; 2],
    inner: KBox<Inner<C>>,
}

// SAFETY: units are handed out by atomics, the rest is only read after `open()`; the client is
// `Send + Sync`, and contexts are `Send` and belong to one I/O.
unsafe impl<C: IoClient> Send for BackingDev<C> {}
// SAFETY: `&BackingDev` takes and gives back units by atomics, so each has one user at a time; everything else is only
// read after `open()`, and the client is `Sync`.
unsafe impl<C: IoClient> Sync for BackingDev<C> {}

impl<C: IoClient> BackingDev<C> {
    /// Opens a device for reading and writing, for us alone.
    ///
    /// # Errors
    /// `EINVAL`: an option out of range, or a device that is empty or has blocks larger than ours;
    /// `ENOENT`, `ENOTBLK`, `ENXIO`: no such device; `EBUSY`: it is mounted, or has another holder;
    /// `EACCES`: it is read-only; `ENOMEM`; `ESHUTDOWN`: nobody keeps [`Remains`](crate::remains::Remains).
    pub fn open(path: Path<'_>, options: Options, client: C) -> Result<Self> {
        if !(1..=1024).contains(&options.units)
            || !(1..=256).contains(&options.unit_blocks)
            || !(1..=1024).contains(&options.forwards)
        {
            return Err(EINVAL);
        }
        let mut inner = KBox::new(
            Inner {
                admitted: false,
                file: core::ptr::null_mut(),
                bdev: core::ptr::null_mut(),
                props: Props::none(),
                target: Target::Other,
                read_only: options.read_only,
                unit_blocks: options.unit_blocks,
                inflight: Inflight::new(),
                queues: [
                    Arc::pin_init(Queue::new(), GFP_KERNEL)?,
                    Arc::pin_init(Queue::new(), GFP_KERNEL)?,
                ],
                heard: Atomic::new(0),
                freed: Atomic::new(0),
                hint: Atomic::new(0),
                units: KVec::with_capacity(options.units.into(), GFP_KERNEL)?,
                clones: Opaque::zeroed(),
                memory: options.memory,
                bounce: Pages::new(options.units.into())?,
                client,
            },
            GFP_KERNEL,
        )?;
        HOME.admit()?;
        inner.admitted = true;
        inner.open_file(path)?;
        let dev: *const Inner<C> = &*inner;
        for index in 0..options.units {
            let unit = Unit::new(dev, index.into(), options.unit_blocks)?;
            inner.units.push(unit, GFP_KERNEL)?;
        }
        // SAFETY: zeroed memory that does not move any more; `drop()` undoes it.
        to_result(unsafe {
            bindings::bioset_init(
                inner.clones.get(),
                options.forwards.into(),
                forward::front_pad::<C>(),
                0,
            )
        })?;
        let mut dev = Self {
            threads: [None, None],
            inner,
        };
        // From here on, dropping `dev` undoes what was done.
        dev.hire()?;
        Ok(dev)
    }

    /// Size, limits and cache of the device, as they were when it was opened.
    pub fn props(&self) -> &Props {
        &self.inner.props
    }

    /// The client that was given to [`Self::open`].
    pub fn client(&self) -> &C {
        &self.inner.client
    }

    /// I/O under way, forwarded bios included. Context: any.
    pub fn inflight(&self) -> u32 {
        self.inner.inflight.count()
    }

    /// For how long the device has answered nothing although it was asked, in nanoseconds. Context: any.
    pub fn silent_ns(&self) -> u64 {
        let heard = self.inner.heard.load(Relaxed);
        match self.inflight() {
            0 => 0,
            _ => boottime_ns().saturating_sub(heard),
        }
    }

    /// Waits until no I/O is under way. Submits of others go on meanwhile: stop them first.
    /// Context: task.
    ///
    /// # Errors
    /// `ETIMEDOUT`: nothing ended for `timeout_ns`.
    pub fn drain(&self, timeout_ns: u64) -> Result {
        self.inner.inflight.wait_zero(timeout_ns)
    }

    /// Takes a free unit, to fill and submit it. `None`: all are under way. Context: any.
    pub fn take(&self) -> Option<IoUnit<'_, C>> {
        IoUnit::take(&self.inner)
    }

    /// Takes a unit, waiting for one at most `timeout_ns` after the last was given back.
    /// Context: task.
    ///
    /// # Errors
    /// `ETIMEDOUT`; `EDEADLK`: called within [`DiskOps::submit`](crate::disk::DiskOps::submit), where
    /// I/O submitted earlier is held back until it returns.
    pub fn take_wait(&self, timeout_ns: u64) -> Result<IoUnit<'_, C>> {
        if in_submit() {
            return Err(EDEADLK);
        }
        loop {
            let freed = self.inner.freed.load(Acquire);
            if let Some(unit) = self.take() {
                return Ok(unit);
            }
            // SAFETY: the counter lives as long as the device.
            let changed =
                unsafe { ffi::yoke_sys_wait_while(self.inner.freed.as_ptr(), freed, timeout_ns) };
            if !changed {
                return Err(ETIMEDOUT);
            }
        }
    }
}

/// Whether this is called within `DiskOps::submit`: I/O submitted now starts only after it returned.
fn in_submit() -> bool {
    // SAFETY: no preconditions.
    unsafe { ffi::yoke_sys_in_submit() }
}

impl<C: IoClient> Inner<C> {
    fn open_file(&mut self, path: Path<'_>) -> Result {
        // BLK_OPEN_READ and BLK_OPEN_WRITE, macros that the bindings lack.
        let mode: bindings::blk_mode_t = if self.read_only { 1 } else { 1 | 2 };
        let holder: *mut c_void = core::ptr::from_mut(self).cast();
        // SAFETY: the path is a string; the holder is an address of our own, never dereferenced.
        self.file = from_err_ptr(unsafe {
            match path {
                Path::Name(name) => bindings::bdev_file_open_by_path(
                    name.as_char_ptr(),
                    mode,
                    holder,
                    core::ptr::null(),
                ),
                Path::Dev(dev) => {
                    bindings::bdev_file_open_by_dev(dev, mode, holder, core::ptr::null())
                }
            }
        })?;
        // SAFETY: an open block device file.
        self.bdev = unsafe { bindings::file_bdev(self.file) };
        // SAFETY: the device is open.
        self.props = unsafe { Props::of(self.bdev) };
        if self.props.logical_block_bytes as usize > crate::BLOCK || self.props.blocks == 0 {
            return Err(EINVAL);
        }
        // SAFETY: the device is open.
        self.target = unsafe { Target::of(self.bdev) };
        Ok(())
    }

    /// Whether `count` blocks from `block` on may be accessed so.
    fn check(&self, block: u64, count: u64, write: bool) -> Result {
        match block.checked_add(count) {
            Some(end) if end <= self.props.blocks => {}
            _ => return Err(ERANGE),
        }
        if write && self.read_only {
            return Err(EROFS);
        }
        Ok(())
    }
}

impl<C: IoClient> Drop for BackingDev<C> {
    fn drop(&mut self) {
        self.inner.close_queues();
        self.inner
            .inflight
            .wait_zero_forever("I/Os of a backing device");
        // With nothing under way none of them is in the device's hands for long.
        drop(core::mem::take(&mut self.threads));
    }
}

impl<C: IoClient> Drop for Inner<C> {
    fn drop(&mut self) {
        // Nothing is under way: a `BackingDev` has waited for it, and without one nothing was submitted.
        // SAFETY: no clone is left, as just waited for; harmless if it was never initialised.
        unsafe { bindings::bioset_exit(self.clones.get()) };
        if !self.file.is_null() {
            // SAFETY: we opened it, and no I/O uses it any more.
            unsafe { bindings::bdev_fput(self.file) };
        }
        if self.admitted {
            HOME.leave();
        }
    }
}
