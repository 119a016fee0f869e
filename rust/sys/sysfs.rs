// SPDX-License-Identifier: GPL-2.0
//! Attribute groups on devices, made from a table of [`Attr`]s.

use crate::{attr::Attr, ffi};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::prelude::*;

/// How the data of a device leads to the object that its attributes are about.
///
/// # Safety
/// `resolve()` must return the object for every pointer that devices of this kind carry.
pub(crate) unsafe trait Owner: 'static {
    /// What the attributes show.
    type Object: 'static;
    /// Whether the pointer is the `private_data` of a gendisk, instead of a device's drvdata.
    const ON_DISK: bool;
    /// The object.
    ///
    /// # Safety
    /// `data` is such a pointer of a live device; the result is used while the device lives.
    unsafe fn resolve<'a>(data: *mut c_void) -> &'a Self::Object;
}

struct Ops<O: Owner>(PhantomData<O>);

impl<O: Owner> Ops<O> {
    const TABLE: &'static ffi::AttrOps = &ffi::AttrOps {
        on_disk: O::ON_DISK,
        show: Self::show,
        store: Self::store,
    };

    /// # Safety
    /// Called by C with the data of a device of this kind, an entry of its table, and a page.
    unsafe extern "C" fn show(data: *mut c_void, entry: *const c_void, buf: *mut c_char) -> isize {
        // SAFETY: `AttrGroup::new()` gave C entries of this type; sysfs keeps the device alive
        // during the call, and its buffer is a page.
        unsafe {
            let entry = &*entry.cast::<Attr<O::Object>>();
            entry.call_show(O::resolve(data), buf)
        }
    }

    /// # Safety
    /// As for [`Self::show`], with `len` readable bytes.
    unsafe extern "C" fn store(
        data: *mut c_void,
        entry: *const c_void,
        buf: *const c_char,
        len: usize,
    ) -> isize {
        // SAFETY: `AttrGroup::new()` gave C entries of this type; sysfs keeps the device alive during the call, and gives
        // `len` bytes.
        unsafe {
            let entry = &*entry.cast::<Attr<O::Object>>();
            entry.call_store(O::resolve(data), buf, len, None)
        }
    }
}

/// A group of attributes. Must outlive the device that it is added with.
pub(crate) struct AttrGroup {
    // INVARIANT: a group that we own.
    raw: NonNull<ffi::Group>,
}

// SAFETY: kmalloc memory, which any task may free.
unsafe impl Send for AttrGroup {}
// SAFETY: once `new()` has returned nobody writes to it: `list()` and C only read.
unsafe impl Sync for AttrGroup {}

impl AttrGroup {
    /// Makes the group; with a `name` the files are in a directory. Context: task.
    ///
    /// # Errors
    /// `ENOMEM`; `E2BIG`: more than 64 attributes.
    pub(crate) fn new<O: Owner>(
        name: Option<&'static CStr>,
        attrs: &'static [Attr<O::Object>],
    ) -> Result<Self> {
        if attrs.len() > 64 {
            return Err(E2BIG);
        }
        let name = name.map_or(core::ptr::null(), |name| name.as_char_ptr());
        // SAFETY: the name is static.
        let raw = unsafe { ffi::yoke_sys_group_new(name, attrs.len() as u32) };
        let group = Self {
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
        };
        for (i, attr) in attrs.iter().enumerate() {
            // SAFETY: `i` is below the number given above; name, entry and table are static.
            unsafe {
                ffi::yoke_sys_group_set(
                    group.raw.as_ptr(),
                    i as u32,
                    attr.name.as_char_ptr(),
                    attr.mode,
                    Ops::<O>::TABLE,
                    core::ptr::from_ref(attr).cast(),
                )
            }
        }
        Ok(group)
    }

    /// The null-terminated array of groups that C takes.
    pub(crate) fn list(&self) -> *const c_void {
        // SAFETY: the group is ours (invariant).
        unsafe { ffi::yoke_sys_group_list(self.raw.as_ptr()) }
    }
}

impl Drop for AttrGroup {
    fn drop(&mut self) {
        // SAFETY: the group is ours, and the device that used it is gone.
        unsafe { ffi::yoke_sys_group_free(self.raw.as_ptr()) }
    }
}
