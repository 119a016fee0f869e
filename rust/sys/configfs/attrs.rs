// SPDX-License-Identifier: GPL-2.0
//! The tables that configfs wants, made from a table of [`Attr`]s.
//!
//! configfs does not tell an attribute function which attribute it is called for. So there is one
//! function for each type and place in the table, made by const generics.

use super::{pin::ItemPinner, Item, MAX_ATTRS};
use crate::{attr::Pinner, ffi};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{bindings, prelude::*, sync::Arc};

/// How an item leads to the object that its attributes are about.
///
/// # Safety
/// `resolve()` must return the object of every item whose type table was made with this.
pub(super) unsafe trait Resolve: 'static {
    type Object: Item;
    /// Whether a user made the item, so that it can be pinned.
    const PINNABLE: bool;
    /// # Safety
    /// `item` is such an item; the result is used while it lives.
    unsafe fn resolve<'a>(item: *mut bindings::config_item) -> &'a Arc<Self::Object>;
}

type ShowFn = unsafe extern "C" fn(*mut bindings::config_item, *mut c_char) -> isize;
type StoreFn = unsafe extern "C" fn(*mut bindings::config_item, *const c_char, usize) -> isize;

struct Calls<R: Resolve>(PhantomData<R>);

impl<R: Resolve> Calls<R> {
    /// # Safety
    /// Called by configfs, for the attribute at place `I`, with a page.
    unsafe extern "C" fn show<const I: usize>(
        item: *mut bindings::config_item,
        page: *mut c_char,
    ) -> isize {
        let Some(attr) = R::Object::ATTRS.get(I) else {
            return EIO.to_errno() as isize;
        };
        // SAFETY: configfs keeps the item during the call, and gives a page.
        unsafe { attr.call_show(R::resolve(item), page) }
    }

    /// # Safety
    /// As [`Self::show`], with `len` readable bytes.
    unsafe extern "C" fn store<const I: usize>(
        item: *mut bindings::config_item,
        page: *const c_char,
        len: usize,
    ) -> isize {
        let (Some(attr), Some(ptr)) = (R::Object::ATTRS.get(I), NonNull::new(item)) else {
            return EIO.to_errno() as isize;
        };
        // SAFETY: configfs keeps the item during the call.
        let pinner = unsafe { ItemPinner::new(ptr) };
        let pinner: Option<&dyn Pinner> = if R::PINNABLE { Some(&pinner) } else { None };
        // SAFETY: configfs keeps the item, which is of the kind that `R` resolves, during the call; `page` has `len` bytes.
        unsafe { attr.call_store(R::resolve(item), page, len, pinner) }
    }

    /// The functions of the attribute at place `i`.
    fn at(i: usize) -> Option<(ShowFn, StoreFn)> {
        macro_rules! table {
            ($($i:literal)*) => {
                [$((Self::show::<$i> as ShowFn, Self::store::<$i> as StoreFn)),*]
            };
        }
        let table: [(ShowFn, StoreFn); MAX_ATTRS] = table!(
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
        );
        table.get(i).copied()
    }
}

/// A `config_item_type` with all that it points to. Must outlive its items.
pub(super) struct TypeTable {
    ty: bindings::config_item_type,
    item_ops: bindings::configfs_item_operations,
    group_ops: bindings::configfs_group_operations,
    attrs: KVec<bindings::configfs_attribute>,
    list: KVec<*mut bindings::configfs_attribute>,
}

// SAFETY: its pointers lead into itself and to static data, neither bound to a task: any task may free it.
unsafe impl Send for TypeTable {}
// SAFETY: once `make()` has returned nobody writes to it: configfs takes it as const.
unsafe impl Sync for TypeTable {}

impl TypeTable {
    /// The type of items that `R` resolves.
    pub(super) fn with_attrs<R: Resolve>(
        release: Option<unsafe extern "C" fn(*mut bindings::config_item)>,
    ) -> Result<KBox<Self>> {
        let entries = R::Object::ATTRS;
        let mut attrs = KVec::with_capacity(entries.len(), GFP_KERNEL)?;
        for (i, entry) in entries.iter().enumerate() {
            let (show, store) = Calls::<R>::at(i).ok_or(E2BIG)?;
            attrs.push(
                bindings::configfs_attribute {
                    ca_name: entry.name.as_char_ptr(),
                    // SAFETY: no preconditions.
                    ca_owner: unsafe { ffi::yoke_sys_this_module() },
                    ca_mode: entry.mode,
                    show: entry.show.map(|_| show),
                    store: entry.store.map(|_| store),
                },
                GFP_KERNEL,
            )?;
        }
        let item_ops = bindings::configfs_item_operations {
            release,
            ..pin_init::zeroed()
        };
        Self::make(item_ops, pin_init::zeroed(), attrs)
    }

    /// The type of a directory: no attributes, but mkdir and rmdir.
    pub(super) fn with_group_ops(
        ops: bindings::configfs_group_operations,
        release: unsafe extern "C" fn(*mut bindings::config_item),
    ) -> Result<KBox<Self>> {
        let item_ops = bindings::configfs_item_operations {
            release: Some(release),
            ..pin_init::zeroed()
        };
        Self::make(item_ops, ops, KVec::new())
    }

    fn make(
        item_ops: bindings::configfs_item_operations,
        group_ops: bindings::configfs_group_operations,
        attrs: KVec<bindings::configfs_attribute>,
    ) -> Result<KBox<Self>> {
        let mut table = KBox::new(
            Self {
                ty: pin_init::zeroed(),
                item_ops,
                group_ops,
                list: KVec::with_capacity(attrs.len() + 1, GFP_KERNEL)?,
                attrs,
            },
            GFP_KERNEL,
        )?;
        let Self {
            ty,
            item_ops,
            group_ops,
            attrs,
            list,
        } = &mut *table;
        for attr in attrs.iter_mut() {
            list.push(core::ptr::from_mut(attr), GFP_KERNEL)?;
        }
        list.push(core::ptr::null_mut(), GFP_KERNEL)?;
        // SAFETY: no preconditions.
        ty.ct_owner = unsafe { ffi::yoke_sys_this_module() };
        ty.ct_item_ops = item_ops;
        ty.ct_group_ops = group_ops;
        ty.ct_attrs = list.as_mut_ptr();
        Ok(table)
    }

    pub(super) fn as_ptr(&self) -> *const bindings::config_item_type {
        &self.ty
    }
}
