// SPDX-License-Identifier: GPL-2.0
//! The nodes of the tree: root, directories, items. Each is a C object with its Rust object behind.

use super::{
    attrs::{Resolve, TypeTable},
    gate::Gate,
    AnyDir, Directory, Item,
};
use crate::ffi;
use core::marker::PhantomData;
use kernel::{bindings, prelude::*, sync::Arc, types::Opaque};

/// The root of a subsystem. `raw` comes first: its address is that of its `config_item`.
#[repr(C)]
pub(super) struct RootNode<R: Item> {
    raw: Opaque<bindings::configfs_subsystem>,
    root: Arc<R>,
    gate: Arc<Gate>,
    ty: KBox<TypeTable>,
}

struct RootItem<R>(PhantomData<R>);

// SAFETY: items of this type table are at the start of a `RootNode<R>`.
unsafe impl<R: Item> Resolve for RootItem<R> {
    type Object = R;
    const PINNABLE: bool = false;

    unsafe fn resolve<'a>(item: *mut bindings::config_item) -> &'a Arc<R> {
        // SAFETY: by the contract of the trait; the root lives as long as it is registered.
        unsafe { &(*item.cast::<RootNode<R>>()).root }
    }
}

impl<R: Item> RootNode<R> {
    pub(super) fn new(name: &'static CStr, root: Arc<R>) -> Result<KBox<Self>> {
        let node = KBox::new(
            Self {
                raw: Opaque::new(pin_init::zeroed()),
                root,
                gate: Arc::new(Gate::new(), GFP_KERNEL)?,
                ty: TypeTable::with_attrs::<RootItem<R>>(Some(root_released::<R>))?,
            },
            GFP_KERNEL,
        )?;
        // SAFETY: zeroed memory that does not move any more; name and type outlive it.
        unsafe {
            bindings::config_group_init_type_name(
                node.group(),
                name.as_char_ptr(),
                node.ty.as_ptr(),
            );
            ffi::yoke_sys_subsys_init(node.raw());
        }
        Ok(node)
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn raw(&self) -> *mut bindings::configfs_subsystem {
        self.raw.get()
    }

    pub(super) fn group(&self) -> *mut bindings::config_group {
        // SAFETY: a projection within our own memory.
        unsafe { &raw mut (*self.raw.get()).su_group }
    }
}

/// A directory. `raw` comes first, as above.
#[repr(C)]
pub(super) struct DirNode<D: Directory> {
    raw: Opaque<bindings::config_group>,
    dir: Arc<D>,
    gate: Arc<Gate>,
    ty: KBox<TypeTable>,
    item_ty: KBox<TypeTable>,
}

// SAFETY: the group is configfs's to lock, from whatever task; `Arc<D>` and the tables are `Send`.
unsafe impl<D: Directory> Send for DirNode<D> {}
// SAFETY: through `&DirNode` only the group's address is taken, and `D` is used, which is `Sync`.
unsafe impl<D: Directory> Sync for DirNode<D> {}

// SAFETY: `new()` initialises the group, which is part of the node, and its type with `dir_released()`.
unsafe impl<D: Directory> AnyDir for DirNode<D> {
    fn group(&self) -> *mut bindings::config_group {
        self.raw.get()
    }

    fn gate(&self) -> &Gate {
        &self.gate
    }
}

impl<D: Directory> DirNode<D> {
    pub(super) fn new(name: &'static CStr, dir: Arc<D>) -> Result<KBox<Self>> {
        let ops = bindings::configfs_group_operations {
            make_item: Some(make_item::<D>),
            drop_item: Some(drop_item::<D>),
            ..pin_init::zeroed()
        };
        let node = KBox::new(
            Self {
                raw: Opaque::new(pin_init::zeroed()),
                dir,
                gate: Arc::new(Gate::new(), GFP_KERNEL)?,
                ty: TypeTable::with_group_ops(ops, dir_released::<D>)?,
                item_ty: TypeTable::with_attrs::<UserItem<D::Item>>(Some(release::<D::Item>))?,
            },
            GFP_KERNEL,
        )?;
        // SAFETY: zeroed memory that does not move any more; name and type outlive it.
        unsafe {
            bindings::config_group_init_type_name(
                node.group(),
                name.as_char_ptr(),
                node.ty.as_ptr(),
            )
        };
        Ok(node)
    }
}

/// What mkdir made. `raw` comes first, as above. Freed by `release()`.
#[repr(C)]
struct ItemNode<T: Item> {
    raw: Opaque<bindings::config_item>,
    item: Arc<T>,
    /// That of its directory, which counts it.
    gate: Arc<Gate>,
}

struct UserItem<T>(PhantomData<T>);

// SAFETY: items of this type table are at the start of an `ItemNode<T>`.
unsafe impl<T: Item> Resolve for UserItem<T> {
    type Object = T;
    const PINNABLE: bool = true;

    unsafe fn resolve<'a>(item: *mut bindings::config_item) -> &'a Arc<T> {
        // SAFETY: by the contract of the trait.
        unsafe { &(*item.cast::<ItemNode<T>>()).item }
    }
}

/// # Safety
/// Called by configfs, for a group of a `DirNode<D>`, with a string.
unsafe extern "C" fn make_item<D: Directory>(
    group: *mut bindings::config_group,
    name: *const c_char,
) -> *mut bindings::config_item {
    // SAFETY: by the function's contract.
    let (node, name) = unsafe { (&*group.cast::<DirNode<D>>(), CStr::from_char_ptr(name)) };
    if let Err(error) = node.gate.enter() {
        return error.to_ptr();
    }
    let made = D::make(&node.dir, name).and_then(|item| {
        let gate = node.gate.clone();
        Ok(KBox::new(
            ItemNode {
                raw: Opaque::new(pin_init::zeroed()),
                item,
                gate,
            },
            GFP_KERNEL,
        )?)
    });
    match made {
        Ok(made) => {
            let item: *mut bindings::config_item = KBox::into_raw(made).cast();
            // SAFETY: zeroed, in place; configfs copies the name; the type lives as long as the
            // directory, which its items pin.
            unsafe {
                bindings::config_item_init_type_name(
                    item,
                    name.as_char_ptr(),
                    node.item_ty.as_ptr(),
                )
            };
            item
        }
        Err(e) => {
            node.gate.exit();
            e.to_ptr()
        }
    }
}

/// # Safety
/// Called by configfs, once for each item that [`make_item`] made in this group.
unsafe extern "C" fn drop_item<D: Directory>(
    group: *mut bindings::config_group,
    item: *mut bindings::config_item,
) {
    // SAFETY: by the function's contract; our reference on the item is still held.
    unsafe {
        let node = &*group.cast::<DirNode<D>>();
        D::removed(&node.dir, UserItem::<D::Item>::resolve(item));
        bindings::config_item_put(item);
    }
}

/// # Safety
/// Called by configfs with the last reference on an item of an `ItemNode<T>`.
unsafe extern "C" fn release<T: Item>(item: *mut bindings::config_item) {
    // SAFETY: `make_item()` made it with `KBox::into_raw()`.
    let node = unsafe { KBox::from_raw(item.cast::<ItemNode<T>>()) };
    let gate = node.gate.clone();
    drop(node);
    gate.exit();
}

/// # Safety
/// Called by configfs with the last reference on the root of a `RootNode<R>`.
unsafe extern "C" fn root_released<R: Item>(item: *mut bindings::config_item) {
    // SAFETY: by the function's contract; the node is there until its gate has counted this.
    let gate = unsafe { (*item.cast::<RootNode<R>>()).gate.clone() };
    gate.released();
}

/// # Safety
/// Called by configfs with the last reference on the group of a `DirNode<D>`.
unsafe extern "C" fn dir_released<D: Directory>(item: *mut bindings::config_item) {
    // SAFETY: by the function's contract; the node is there until its gate has counted this.
    let gate = unsafe { (*item.cast::<DirNode<D>>()).gate.clone() };
    gate.released();
}
