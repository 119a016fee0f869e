// SPDX-License-Identifier: GPL-2.0
//! A bio-based disk.
//!
//! Life: [`Disk::new`] makes the disk and announces it; bios arrive from then on (partition scan and
//! udev come at once). [`Disk::remove`] takes it away from the system, so that another one may have
//! its name. [`Disk::drop`] waits for its bios and lets go of the object behind it. What the kernel
//! keeps of a removed disk until its last opener has closed reaches nothing of ours any more, but
//! for the module's code: rmmod is refused so long.

mod ops;
mod params;

pub use ops::DiskOps;
pub use params::Params;

use crate::{ffi, inflight::Inflight, remains::HOME, sysfs::AttrGroup, sysfs::Owner, uevent::Env};
use core::{cell::UnsafeCell, ptr::NonNull};
use kernel::{
    bindings, error::from_err_ptr, error::to_result, prelude::*, sync::atomic::*, sync::Arc,
};

/// Most bytes of a disk's name.
pub const MAX_NAME: usize = 31;

/// A task by its name, for people.
#[derive(Clone, Copy, Default)]
pub struct CurrentTask {
    comm: [u8; 16],
    /// Its process id, as the host knows it.
    pub pid: i32,
}

impl CurrentTask {
    /// The calling task. Context: any but interrupts, where it is whoever was interrupted.
    pub fn now() -> Self {
        let mut task = Self::default();
        // SAFETY: room for a name, with its NUL, and for a number.
        unsafe { ffi::yoke_sys_current(task.comm.as_mut_ptr(), &mut task.pid) };
        task
    }

    /// Its name.
    pub fn name(&self) -> &str {
        let name = self.comm.split(|byte| *byte == 0).next();
        core::str::from_utf8(name.unwrap_or_default()).unwrap_or("?")
    }
}

/// What every disk's private data starts with, whatever its type.
#[repr(C)]
pub(crate) struct DiskHead {
    /// Bios handed to the disk's owner and not ended.
    pub(crate) inflight: Inflight,
    /// [`Params::tag`].
    pub(crate) tag: u64,
}

/// The private data of a gendisk. Freed by `free_disk`, after the last close.
#[repr(C)]
struct DiskData<T: DiskOps> {
    head: DiskHead,
    fops: bindings::block_device_operations,
    group: AttrGroup,
    /// `None` once the disk was removed and its bios have ended. It is emptied under the disk's open
    /// mutex, because a `release` may come later than that.
    ops: UnsafeCell<Option<Arc<T>>>,
}

impl<T: DiskOps> DiskData<T> {
    /// What is behind the disk.
    ///
    /// # Safety
    /// The caller is one of those for whom [`Disk::drop`] waits before it empties the place: a bio's
    /// submit, an open, an attribute, the owner of the [`Disk`].
    unsafe fn ops(&self) -> &Arc<T> {
        // SAFETY: by the function's contract it is there, and nobody empties it meanwhile.
        unsafe { (*self.ops.get()).as_ref().unwrap_unchecked() }
    }
}

/// The attributes of a disk lead to its `T`.
struct DiskOwner<T>(core::marker::PhantomData<T>);

// SAFETY: a disk with attributes of this kind carries a `DiskData<T>` as long as it lives.
unsafe impl<T: DiskOps> Owner for DiskOwner<T> {
    type Object = T;
    const ON_DISK: bool = true;

    unsafe fn resolve<'a>(data: *mut c_void) -> &'a T {
        // SAFETY: by the contract of the trait; attributes go before the place is emptied.
        unsafe { (*data.cast::<DiskData<T>>()).ops() }
    }
}

/// A disk that is visible to the system: `/dev/NAME`, `/sys/block/NAME/`.
///
/// Context of everything here: task, unless said otherwise.
pub struct Disk<T: DiskOps> {
    // INVARIANT: an added gendisk on which we hold a reference, and whose `private_data` is a
    // `DiskData<T>`.
    gd: NonNull<bindings::gendisk>,
    /// [`Disk::remove`] was called.
    removed: Atomic<bool>,
    _ops: core::marker::PhantomData<Arc<T>>,
}

// SAFETY: a gendisk is a counted object that any task may remove and let go; what is behind it is an `Arc<T>`, and `T` is
// `Send + Sync`.
unsafe impl<T: DiskOps> Send for Disk<T> {}
// SAFETY: what `&Disk` does goes through the block layer's own locks or is atomic; its calls of `T` need `T: Sync`.
unsafe impl<T: DiskOps> Sync for Disk<T> {}

impl<T: DiskOps> Disk<T> {
    /// Makes the disk `name` and announces it. Its attributes are there before anybody hears of it.
    /// `ops` must be ready to serve: reads may come before this returns.
    ///
    /// # Errors
    /// `EINVAL`: a limit that makes no sense, or a bad name; `EEXIST`: the name is taken; `ENOMEM`; `ESHUTDOWN`: nobody
    /// keeps [`Remains`](crate::remains::Remains).
    pub fn new(name: &CStr, params: &Params, ops: Arc<T>) -> Result<Self> {
        let limits = params.limits()?;
        let capacity = params.capacity_sectors()?;
        if !name_is_good(name.to_bytes()) {
            return Err(EINVAL);
        }
        let data = KBox::new(
            DiskData {
                head: DiskHead {
                    inflight: Inflight::new(),
                    tag: params.tag,
                },
                fops: ops::table::<T>(),
                group: AttrGroup::new::<DiskOwner<T>>(Some(T::ATTR_DIR), T::ATTRS)?,
                ops: UnsafeCell::new(Some(ops)),
            },
            GFP_KERNEL,
        )?;
        // SAFETY: the limits are valid memory.
        let gd = from_err_ptr(unsafe { ffi::yoke_sys_disk_alloc(&limits) })?;
        let gd = NonNull::new(gd).ok_or(ENOMEM)?;
        if let Err(error) = HOME.admit() {
            // SAFETY: ours alone, and never added.
            unsafe { bindings::put_disk(gd.as_ptr()) };
            return Err(error);
        }
        let data = KBox::into_raw(data);
        // SAFETY: the gendisk is new and ours alone; the name fits, as checked; `data` outlives it
        // (`free_disk`, or the error path below).
        let added = unsafe {
            let disk = gd.as_ptr();
            for (to, from) in (*disk).disk_name.iter_mut().zip(name.to_bytes_with_nul()) {
                *to = *from;
            }
            (*disk).fops = &raw const (*data).fops;
            (*disk).private_data = data.cast();
            bindings::set_capacity(disk, capacity);
            if params.read_only {
                bindings::set_disk_ro(disk, true);
            }
            to_result(bindings::device_add_disk(
                core::ptr::null_mut(),
                disk,
                (*data).group.list().cast_mut().cast(),
            ))
        };
        if let Err(e) = added {
            // SAFETY: never added, so `free_disk` is not called, and nobody else has a reference.
            unsafe {
                bindings::put_disk(gd.as_ptr());
                drop(KBox::from_raw(data));
            }
            HOME.leave();
            return Err(e);
        }
        // INVARIANT: added, and the reference of the allocation is ours.
        Ok(Self {
            gd,
            removed: Atomic::new(false),
            _ops: core::marker::PhantomData,
        })
    }

    fn data(&self) -> &DiskData<T> {
        // SAFETY: by the invariant; it is not freed as long as we hold a reference on the disk.
        unsafe { &*ffi::yoke_sys_disk_data(self.gd.as_ptr()).cast::<DiskData<T>>() }
    }

    /// The object behind the disk. Context: any.
    pub fn ops(&self) -> &Arc<T> {
        // SAFETY: only `drop()` empties it.
        unsafe { self.data().ops() }
    }

    /// What was given as [`Params::tag`]. Context: any.
    pub fn tag(&self) -> u64 {
        self.data().head.tag
    }

    /// How many times it is open, mounts and partitions included. A snapshot: who wants to refuse
    /// later openers does so in [`DiskOps::open`]. Context: any.
    pub fn openers(&self) -> u32 {
        // SAFETY: the disk is valid (invariant).
        unsafe { ffi::yoke_sys_disk_openers(self.gd.as_ptr()) }
    }

    /// Whether somebody holds it who has to be told of its end: a file system that is mounted.
    pub fn is_mounted(&self) -> bool {
        // SAFETY: the disk is valid (invariant).
        unsafe { ffi::yoke_sys_disk_is_mounted(self.gd.as_ptr()) }
    }

    /// Bios that are handed out and not ended. Context: any.
    pub fn inflight(&self) -> u32 {
        self.data().head.inflight.count()
    }

    /// Waits until all bios that were handed out have ended.
    ///
    /// # Errors
    /// `ETIMEDOUT`: none ended for `timeout_ns`.
    pub fn drain(&self, timeout_ns: u64) -> Result {
        self.data().head.inflight.wait_zero(timeout_ns)
    }

    /// Changes the size and tells user space (uevent `RESIZE=1`).
    ///
    /// # Errors
    /// `EINVAL`: too large.
    pub fn set_capacity_blocks(&self, blocks: u64) -> Result {
        let sectors = params::sectors(blocks)?;
        // SAFETY: the disk is valid (invariant).
        unsafe { bindings::set_capacity_and_notify(self.gd.as_ptr(), sectors) };
        Ok(())
    }

    /// Makes the disk read-only or writable, and tells user space (uevent `DISK_RO=`). Writes of
    /// who has it open already still arrive.
    pub fn set_read_only(&self, read_only: bool) {
        // SAFETY: the disk is valid (invariant).
        unsafe { bindings::set_disk_ro(self.gd.as_ptr(), read_only) }
    }

    /// Changes the limits; capacity and `read_only` of `params` are not looked at. Waits for
    /// [`DiskOps::submit`] calls under way, not for their bios.
    ///
    /// # Errors
    /// `EINVAL`.
    pub fn set_limits(&self, params: &Params) -> Result {
        let limits = params.limits()?;
        // SAFETY: the disk and the limits are valid.
        to_result(unsafe { ffi::yoke_sys_disk_set_limits(self.gd.as_ptr(), &limits) })
    }

    /// Sends a `change` uevent.
    ///
    /// # Errors
    /// `ENOMEM`; `EINVAL`. The event is lost then; the attributes tell the truth anyhow.
    pub fn uevent(&self, mut env: Env<'_>) -> Result {
        // SAFETY: the disk is valid, the array is null-terminated and lives during the call.
        to_result(unsafe { ffi::yoke_sys_disk_uevent(self.gd.as_ptr(), env.as_ptr()) })
    }

    /// The device number, for [`crate::backing::Path::Dev`].
    pub fn dev(&self) -> u32 {
        // SAFETY: the disk is valid (invariant). A `dev_t` has 32 bits.
        unsafe { ffi::yoke_sys_disk_dev(self.gd.as_ptr()) as u32 }
    }

    /// Declares the disk dead, as after its surprising removal: new bios fail at once with `EIO`,
    /// without reaching `ops`; the size becomes 0; file systems on it shut down; clean cached pages
    /// go, and nobody is shown the others any more; whoever syncs hears of an error. Cannot be undone.
    /// The bios handed out before are still to be ended: file systems may wait for theirs in here.
    pub fn kill(&self) {
        // SAFETY: the disk is valid (invariant).
        unsafe { ffi::yoke_sys_disk_kill(self.gd.as_ptr()) }
    }

    /// Tells who has the disk open that what is on it has changed: file systems on it shut down, and user
    /// space hears of it. [`Self::drop_cache`] follows.
    pub fn changed(&self) {
        // SAFETY: the disk is valid (invariant).
        unsafe { ffi::yoke_sys_disk_changed(self.gd.as_ptr()) }
    }

    /// For the shims of KUnit suites.
    #[cfg(yoke_kunit)]
    pub(crate) fn raw(&self) -> *mut bindings::gendisk {
        self.gd.as_ptr()
    }

    /// Drops all pages that are cached of it from page `at` on, unless a file system holds it. Those that were not written
    /// yet are lost, and whoever syncs hears of it; copies that processes have of their own stay. It waits for no I/O that
    /// is under way, and holds up openers for moments. Whether all is gone; else `at` is the first page that is not, from
    /// where the next call goes on.
    pub fn drop_cache(&self, at: &mut u64) -> bool {
        // SAFETY: the disk is valid (invariant), and `at` for as long as the call takes.
        unsafe { ffi::yoke_sys_disk_drop_cache(self.gd.as_ptr(), at) }
    }

    /// Drops the pages that are cached of it and are as they were last written or read, so that the disk is asked for
    /// them. Nothing is lost by it. It waits for no I/O that is under way. Whether all of them are gone.
    pub fn forget(&self) -> bool {
        // SAFETY: the disk is valid (invariant).
        unsafe { ffi::yoke_sys_disk_forget(self.gd.as_ptr()) }
    }

    /// Takes the disk away from the system, if that was not done yet: its name is free, its attributes
    /// are gone, and no bio comes any more. What is in the page cache is written back first, which
    /// `ops` must serve or fail ([`Disk::kill`] first, if it can do neither). Who has it open gets
    /// errors. Waits for [`DiskOps::submit`] calls under way, not for their bios. Never call it from
    /// within `ops`, or by two at once.
    pub fn remove(&self) {
        if !self.removed.xchg(true, Full) {
            // SAFETY: the disk is added, and removed only here.
            unsafe { ffi::yoke_sys_disk_remove(self.gd.as_ptr()) };
        }
    }
}

impl<T: DiskOps> Drop for Disk<T> {
    /// [`Disk::remove`]; then [`DiskOps::shutdown`] is called; then this waits for the bios handed
    /// out, and lets go of the object behind the disk. Never call it from within `ops`.
    fn drop(&mut self) {
        self.remove();
        let disk = self.gd.as_ptr();
        let data = self.data();
        T::shutdown(self.ops(), data.head.tag);
        data.head
            .inflight
            .wait_zero_forever("bios of a removed disk");
        // SAFETY: removed: no open, attribute or submit is under way or will come, and `release`
        // takes the mutex. All bios have ended.
        let ops = unsafe {
            ffi::yoke_sys_disk_lock_opens(disk);
            let ops = (*data.ops.get()).take();
            ffi::yoke_sys_disk_unlock_opens(disk);
            ops
        };
        drop(ops);
        // SAFETY: our reference, not used any more. `free_disk` frees the data with the last one.
        unsafe { bindings::put_disk(disk) };
    }
}

fn name_is_good(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
        && !name.starts_with(b".")
}
