// SPDX-License-Identifier: GPL-2.0
//! Device classes: `/sys/class/CLASS/NAME/` with attributes.

use crate::{attr::Attr, ffi, sysfs::AttrGroup, sysfs::Owner, uevent::Env};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    bindings, error::from_err_ptr, error::to_result, prelude::*, sync::Arc, types::Opaque,
};

/// Something that is shown in a class.
pub trait ClassItem: Sized + Send + Sync + 'static {
    /// Its files.
    const ATTRS: &'static [Attr<Self>];
}

/// A class. Context of making and dropping: task.
pub struct Class {
    // INVARIANT: registered, in a place that does not move.
    raw: KBox<Opaque<bindings::class>>,
}

// SAFETY: a registered class is not bound to a task: any may unregister it.
unsafe impl Send for Class {}
// SAFETY: devices are added to it and taken off under the driver core's locks.
unsafe impl Sync for Class {}

impl Class {
    /// Registers the class `name`. Share it by `Arc`: its devices keep it.
    ///
    /// # Errors
    /// `EEXIST`; `ENOMEM`.
    pub fn new(name: &'static CStr) -> Result<Self> {
        let raw = KBox::new(
            Opaque::new(bindings::class {
                name: name.as_char_ptr(),
                ..pin_init::zeroed()
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: a class in a place that does not move, with a static name.
        to_result(unsafe { bindings::class_register(raw.get()) })?;
        Ok(Self { raw })
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        // SAFETY: registered by `new()`; its devices are gone, since they keep the class.
        unsafe { bindings::class_unregister(self.raw.get()) }
    }
}

struct ClassOwner<T>(PhantomData<T>);

// SAFETY: devices with attributes of this kind carry a pointer to their `T`, which outlives them.
unsafe impl<T: ClassItem> Owner for ClassOwner<T> {
    type Object = T;
    const ON_DISK: bool = false;

    unsafe fn resolve<'a>(data: *mut c_void) -> &'a T {
        // SAFETY: by the contract of the trait.
        unsafe { &*data.cast::<T>() }
    }
}

/// A device of a class. Its attributes are there before anybody hears of it; dropping it removes it,
/// and waits for attribute functions under way: do not drop it from within one.
///
/// Context: task.
pub struct ClassDevice<T: ClassItem> {
    // INVARIANT: a registered device whose drvdata is `item`. Removed first, by `drop()`.
    dev: NonNull<bindings::device>,
    item: Arc<T>,
    _group: AttrGroup,
    _class: Arc<Class>,
}

// SAFETY: a registered device may be removed by any task; `Arc<T>` is `Send`, since `T` is `Send + Sync`.
unsafe impl<T: ClassItem> Send for ClassDevice<T> {}
// SAFETY: `&ClassDevice` gives out `&T`, which `T: Sync` allows, and calls the driver core, which locks for itself.
unsafe impl<T: ClassItem> Sync for ClassDevice<T> {}

impl<T: ClassItem> ClassDevice<T> {
    /// Makes `/sys/class/CLASS/NAME/`. The name is copied.
    ///
    /// # Errors
    /// `EEXIST`: the name is taken; `EINVAL`: it is empty or has a `/`; `ENOMEM`.
    pub fn new(class: &Arc<Class>, name: &CStr, item: Arc<T>) -> Result<Self> {
        if name.is_empty() || name.to_bytes().contains(&b'/') {
            return Err(EINVAL);
        }
        let group = AttrGroup::new::<ClassOwner<T>>(None, T::ATTRS)?;
        let data: *const T = &*item;
        // SAFETY: class, item and group outlive the device: they are kept until it is removed.
        let dev = from_err_ptr(unsafe {
            ffi::yoke_sys_device_create(
                class.raw.get().cast(),
                core::ptr::null_mut(),
                data.cast_mut().cast(),
                group.list(),
                name.as_char_ptr(),
            )
        })?;
        Ok(Self {
            dev: NonNull::new(dev).ok_or(ENOMEM)?,
            item,
            _group: group,
            _class: class.clone(),
        })
    }

    /// What it shows. Context: any.
    pub fn item(&self) -> &Arc<T> {
        &self.item
    }

    /// Sends a `change` uevent.
    ///
    /// # Errors
    /// As [`Disk::uevent`](crate::disk::Disk::uevent).
    pub fn uevent(&self, mut env: Env<'_>) -> Result {
        // SAFETY: the device is valid (invariant), the array is null-terminated.
        to_result(unsafe { ffi::yoke_sys_device_uevent(self.dev.as_ptr(), env.as_ptr()) })
    }
}

impl<T: ClassItem> Drop for ClassDevice<T> {
    fn drop(&mut self) {
        // SAFETY: registered by `new()`, removed only here. On return no attribute function runs.
        unsafe { bindings::device_unregister(self.dev.as_ptr()) }
    }
}
