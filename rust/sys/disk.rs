// SPDX-License-Identifier: GPL-2.0
//! A bio-based disk.
//!
//! Life: [`Disk::new`] makes the disk and announces it; bios arrive from then on (partition scan and
//! udev come at once). [`Disk::drop`] takes it away; the object behind it lives until the last
//! opener has closed, and rmmod is refused as long as the disk is open.

mod ops;
mod params;

pub use ops::DiskOps;
pub use params::Params;

use crate::{ffi, inflight::Inflight, sysfs::AttrGroup, sysfs::Owner, uevent::Env};
use core::ptr::NonNull;
use kernel::{bindings, error::from_err_ptr, error::to_result, prelude::*, sync::Arc};

/// Most bytes of a disk's name.
pub const MAX_NAME: usize = 31;

/// Objects behind disks that have not been freed yet, of all disks of this module.
static LIVE: Inflight = Inflight::new();

/// What every disk's private data starts with, whatever its type.
#[repr(C)]
pub(crate) struct DiskHead {
    /// Bios handed to the disk's owner and not ended.
    pub(crate) inflight: Inflight,
}

/// The private data of a gendisk. Freed by `free_disk`, after the last close.
#[repr(C)]
struct DiskData<T: DiskOps> {
    head: DiskHead,
    fops: bindings::block_device_operations,
    group: AttrGroup,
    ops: Arc<T>,
}

/// The attributes of a disk lead to its `T`.
struct DiskOwner<T>(core::marker::PhantomData<T>);

// SAFETY: a disk with attributes of this kind carries a `DiskData<T>` as long as it lives.
unsafe impl<T: DiskOps> Owner for DiskOwner<T> {
    type Object = T;
    const ON_DISK: bool = true;

    unsafe fn resolve<'a>(data: *mut c_void) -> &'a T {
        // SAFETY: by the contract of the trait.
        unsafe { &(*data.cast::<DiskData<T>>()).ops }
    }
}

/// A disk that is visible to the system: `/dev/NAME`, `/sys/block/NAME/`.
///
/// Context of everything here: task, unless said otherwise.
pub struct Disk<T: DiskOps> {
    // INVARIANT: an added gendisk on which we hold a reference, and whose `private_data` is a
    // `DiskData<T>`.
    gd: NonNull<bindings::gendisk>,
    _ops: core::marker::PhantomData<Arc<T>>,
}

// SAFETY: the block layer does its own locking; `T` is `Send + Sync`.
unsafe impl<T: DiskOps> Send for Disk<T> {}
// SAFETY: as above.
unsafe impl<T: DiskOps> Sync for Disk<T> {}

impl<T: DiskOps> Disk<T> {
    /// Makes the disk `name` and announces it. Its attributes are there before anybody hears of it.
    /// `ops` must be ready to serve: reads may come before this returns.
    ///
    /// # Errors
    /// `EINVAL`: a limit that makes no sense, or a bad name; `EEXIST`: the name is taken; `ENOMEM`.
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
                },
                fops: ops::table::<T>(),
                group: AttrGroup::new::<DiskOwner<T>>(Some(T::ATTR_DIR), T::ATTRS)?,
                ops,
            },
            GFP_KERNEL,
        )?;
        // SAFETY: the limits are valid memory.
        let gd = from_err_ptr(unsafe { ffi::yoke_sys_disk_alloc(&limits) })?;
        let gd = NonNull::new(gd).ok_or(ENOMEM)?;
        let data = KBox::into_raw(data);
        LIVE.get();
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
            LIVE.put();
            return Err(e);
        }
        // INVARIANT: added, and the reference of the allocation is ours.
        Ok(Self {
            gd,
            _ops: core::marker::PhantomData,
        })
    }

    fn data(&self) -> &DiskData<T> {
        // SAFETY: by the invariant; it is not freed as long as we hold a reference on the disk.
        unsafe { &*ffi::yoke_sys_disk_data(self.gd.as_ptr()).cast::<DiskData<T>>() }
    }

    /// The object behind the disk. Context: any.
    pub fn ops(&self) -> &Arc<T> {
        &self.data().ops
    }

    /// How many times it is open, mounts and partitions included. A snapshot: who wants to refuse
    /// later openers does so in [`DiskOps::open`]. Context: any.
    pub fn openers(&self) -> u32 {
        // SAFETY: the disk is valid (invariant).
        unsafe { ffi::yoke_sys_disk_openers(self.gd.as_ptr()) }
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

    /// Declares the disk dead: new bios fail at once with `EIO`, without reaching `ops`; the size
    /// becomes 0; file systems on it shut down. For a volume that cannot serve any more. Cannot be
    /// undone. The bios handed out before are still to be ended.
    pub fn kill(&self) {
        // SAFETY: the disk is valid (invariant).
        unsafe { bindings::blk_mark_disk_dead(self.gd.as_ptr()) }
    }
}

impl<T: DiskOps> Drop for Disk<T> {
    /// Takes the disk away. First the page cache is written back, which `ops` must serve or fail
    /// ([`Disk::kill`] first, if it can do neither); then new bios fail at once; then
    /// [`DiskOps::shutdown`] is called; then this waits for the bios handed out. Who still has the
    /// disk open gets errors, and the object behind it lives until the last of them has closed.
    /// Never call it from within `ops`.
    fn drop(&mut self) {
        let disk = self.gd.as_ptr();
        // SAFETY: the disk is added, and removed only here.
        unsafe { bindings::del_gendisk(disk) };
        let data = self.data();
        T::shutdown(&data.ops);
        data.head
            .inflight
            .wait_zero_forever("bios of a removed disk");
        // SAFETY: our reference, not used any more. `free_disk` frees the data with the last one.
        unsafe { bindings::put_disk(disk) };
    }
}

/// Waits until the objects behind all disks are freed, and until the ends of all I/O have left our
/// code. For the module's exit, as its last act: nobody has a disk open then, so it is a matter of
/// moments. Context: task.
pub fn wait_gone() {
    LIVE.wait_zero_forever("disks");
    // SAFETY: the caller may sleep. Whoever counts down does so within an RCU section.
    unsafe { bindings::synchronize_rcu() };
}

fn name_is_good(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
        && !name.starts_with(b".")
}
