// SPDX-License-Identifier: GPL-2.0
//! Holding an item in place.

use crate::attr::Pinner;
use core::ptr::NonNull;
use kernel::{bindings, error::to_result, prelude::*};

/// Keeps a user's item from being removed: `rmdir` fails with `EBUSY`. Drop it to let go.
/// Context of drop: task, any lock may be held.
pub struct ItemPin {
    // INVARIANT: we hold a dependency on this item, which keeps it in place.
    item: NonNull<bindings::config_item>,
}

// SAFETY: a dependency is a count under a lock of configfs, not bound to a task.
unsafe impl Send for ItemPin {}
// SAFETY: `&ItemPin` has no operations.
unsafe impl Sync for ItemPin {}

impl Drop for ItemPin {
    fn drop(&mut self) {
        // SAFETY: by the invariant; it is given back once.
        unsafe { bindings::configfs_undepend_item(self.item.as_ptr()) }
    }
}

/// Pins the item whose attribute function is running.
pub(super) struct ItemPinner {
    // INVARIANT: an item of ours, whose attribute function runs as long as this lives.
    item: NonNull<bindings::config_item>,
}

impl ItemPinner {
    /// # Safety
    /// `item` is an item made by `make_item`, and its attribute function runs as long as the result
    /// lives.
    pub(super) unsafe fn new(item: NonNull<bindings::config_item>) -> Self {
        Self { item }
    }
}

impl Pinner for ItemPinner {
    fn pin(&self) -> Result<ItemPin> {
        // SAFETY: the item is attached, since its attribute function runs (configfs holds its
        // fragment); so is its parent group, which knows the subsystem. Being inside the subsystem
        // is what the unlocked form is for.
        unsafe {
            let subsys = (*(*self.item.as_ptr()).ci_group).cg_subsys;
            to_result(bindings::configfs_depend_item_unlocked(
                subsys,
                self.item.as_ptr(),
            ))?;
        }
        // INVARIANT: just taken.
        Ok(ItemPin { item: self.item })
    }
}
