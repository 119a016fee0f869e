// SPDX-License-Identifier: GPL-2.0
//! What is behind a disk, and how the block layer reaches it.

use super::DiskData;
use crate::{attr::Attr, bio::Bio, ffi, remains::HOME, status::BlkStatus, BLOCK, SECTORS};
use core::ptr::NonNull;
use kernel::{bindings, prelude::*, sync::Arc};

/// What is behind a [`Disk`](super::Disk).
pub trait DiskOps: Sized + Send + Sync + 'static {
    /// The files of `/sys/block/NAME/DIR/`. They show `self`, and vanish with the disk; one that is
    /// being read is waited for.
    const ATTRS: &'static [Attr<Self>] = &[];

    /// The name of that directory.
    const ATTR_DIR: &'static CStr = c"yoke";

    /// Takes a bio and ends it some time: now, or from wherever it is kept until then.
    ///
    /// Whole blocks within the disk's size (as it was a moment ago), within its limits, and never
    /// with `NOWAIT`. Called by many CPUs at once.
    ///
    /// Context: task, in the submitter's own time; it may hold file system locks, be in the middle
    /// of memory reclaim, and have other bios waiting behind this one. So: no allocation, bounded
    /// sleeps only, and never wait for a bio or an I/O that was submitted here (the block layer
    /// holds those back until this returns).
    fn submit(this: &Arc<Self>, bio: Bio);

    /// Somebody opens the disk of this tag, `write`: for writing. Context: task, the disk's open mutex
    /// is held: neither make nor drop a disk in here.
    ///
    /// # Errors
    /// What the opener is to get.
    fn open(this: &Arc<Self>, tag: u64, write: bool) -> Result {
        let _ = (this, tag, write);
        Ok(())
    }

    /// One opener of the disk of this tag has gone, and with the last one all cached pages. Not called
    /// any more once the disk was dropped. Context: as [`Self::open`].
    fn release(this: &Arc<Self>, tag: u64) {
        let _ = (this, tag);
    }

    /// The disk of this tag was removed and no new bio will come: end all of its that are kept, soon.
    /// Context: task.
    fn shutdown(this: &Arc<Self>, tag: u64) {
        let _ = (this, tag);
    }
}

/// The function table of disks of type `T`. `owner` makes every opener pin our module.
pub(super) fn table<T: DiskOps>() -> bindings::block_device_operations {
    bindings::block_device_operations {
        submit_bio: Some(submit::<T>),
        open: Some(open::<T>),
        release: Some(release::<T>),
        free_disk: Some(free_disk::<T>),
        // SAFETY: no preconditions.
        owner: unsafe { ffi::yoke_sys_this_module() },
        ..pin_init::zeroed()
    }
}

/// The private data of a disk of type `T`.
///
/// # Safety
/// `disk` was made by `Disk::<T>::new()`, and is used for no longer than the disk lives.
unsafe fn data<'a, T: DiskOps>(disk: *mut bindings::gendisk) -> &'a DiskData<T> {
    // SAFETY: `Disk::new()` set it before it added the disk; `free_disk` frees it at the very end.
    unsafe { &*ffi::yoke_sys_disk_data(disk).cast() }
}

/// # Safety
/// Called by the block layer, for a disk of type `T`.
unsafe extern "C" fn submit<T: DiskOps>(bio: *mut bindings::bio) {
    // SAFETY: the block layer gives us the bio.
    let Some(bio) = NonNull::new(unsafe { ffi::yoke_sys_bio_begin(bio) }) else {
        return;
    };
    // SAFETY: the bio is for a disk of type `T`, and keeps it open.
    let data = unsafe { &*ffi::yoke_sys_bio_disk_data(bio.as_ptr()).cast::<DiskData<T>>() };
    data.head.inflight.get();
    // SAFETY: INVARIANT of `Bio`: taken in, counted by the head of the private data, ours alone.
    let bio = unsafe { Bio::from_raw(bio) };
    // SAFETY: the bio is valid.
    let op = unsafe { ffi::yoke_sys_bio_op(bio.as_ptr()) };
    if op > ffi::OP_WRITE_ZEROES {
        bio.complete(Err(BlkStatus::NOTSUPP));
    } else if bio.sector() % SECTORS != 0 || bio.len_bytes() as usize % BLOCK != 0 {
        bio.complete(Err(BlkStatus::INVAL));
    } else {
        // SAFETY: the removal of the disk waits for this call, and its drop for the bio.
        T::submit(unsafe { data.ops() }, bio);
    }
}

/// # Safety
/// As [`submit`].
unsafe extern "C" fn open<T: DiskOps>(
    disk: *mut bindings::gendisk,
    mode: bindings::blk_mode_t,
) -> c_int {
    // BLK_OPEN_WRITE, a macro that the bindings lack.
    const OPEN_WRITE: bindings::blk_mode_t = 1 << 1;
    // SAFETY: by the function's contract; a removed disk is not opened.
    let (ops, tag) = unsafe {
        let data = data::<T>(disk);
        (data.ops(), data.head.tag)
    };
    match T::open(ops, tag, mode & OPEN_WRITE != 0) {
        Ok(()) => 0,
        Err(e) => e.to_errno(),
    }
}

/// # Safety
/// As [`submit`].
unsafe extern "C" fn release<T: DiskOps>(disk: *mut bindings::gendisk) {
    // SAFETY: by the function's contract.
    let data = unsafe { data::<T>(disk) };
    // SAFETY: the block layer holds the open mutex, under which the place is emptied.
    if let Some(ops) = unsafe { (*data.ops.get()).as_ref() } {
        T::release(ops, data.head.tag);
    }
}

/// # Safety
/// Called once, with the last reference on a disk of type `T` that had been added.
unsafe extern "C" fn free_disk<T: DiskOps>(disk: *mut bindings::gendisk) {
    // SAFETY: `Disk::new()` made it with `KBox::into_raw()`; nobody can reach it any more.
    drop(unsafe { KBox::from_raw(ffi::yoke_sys_disk_data(disk).cast::<DiskData<T>>()) });
    HOME.leave();
}
