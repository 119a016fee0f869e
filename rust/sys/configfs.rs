// SPDX-License-Identifier: GPL-2.0
//! A configfs subsystem: attributes at its root, directories in which users make items, and the
//! items' attributes.
//!
//! ```text
//! /sys/kernel/config/SUBSYSTEM/         Subsystem, root: R: Item
//!                     ATTRIBUTE
//!                     DIRECTORY/        DirEntry, D: Directory
//!                               ITEM/   made by mkdir: D::Item
//!                                    ATTRIBUTE
//! ```
//!
//! **rmdir cannot be refused by its callback.** Two ways to live with that: *pin* the item while it
//! is active ([`Input::pin`](crate::attr::Input::pin) in a store function), then configfs itself
//! answers `rmdir` with `EBUSY`; or tear down in [`Directory::removed`].
//!
//! Every item that a user has made, and every open attribute file, holds a reference on the module.
//! So rmmod is refused until all items are removed.

mod attrs;
mod gate;
mod item;
mod pin;

pub use pin::ItemPin;

use crate::{attr::Attr, ffi};
use gate::Gate;
use item::{DirNode, RootNode};
use kernel::{bindings, error::to_result, prelude::*, sync::Arc};

/// Most attributes of one kind of item.
pub const MAX_ATTRS: usize = 32;

/// Something with attribute files: the root of a subsystem, or what mkdir makes.
pub trait Item: Sized + Send + Sync + 'static {
    /// Its files, at most [`MAX_ATTRS`]. A store function takes up to 4095 bytes, whole values only.
    const ATTRS: &'static [Attr<Self>];
}

/// A directory in which users make items.
///
/// Context of its functions: task; one at a time for the whole subsystem, whose mutex is held. They
/// may sleep, but must not wait for anything that touches this configfs subsystem.
pub trait Directory: Sized + Send + Sync + 'static {
    /// What mkdir makes.
    type Item: Item;

    /// A user makes the directory `name`. The name is hostile: any bytes but NUL and `/`.
    ///
    /// # Errors
    /// What mkdir is to fail with.
    fn make(this: &Arc<Self>, name: &CStr) -> Result<Arc<Self::Item>>;

    /// A user has removed the directory of `item`. No attribute function of it runs any more, nor
    /// will; other holders of the `Arc` are not touched.
    fn removed(this: &Arc<Self>, item: &Arc<Self::Item>) {
        let _ = (this, item);
    }
}

/// A directory for [`Subsystem::new`].
pub struct DirEntry {
    node: KBox<dyn AnyDir>,
}

impl DirEntry {
    /// The directory `name`. Context: task.
    ///
    /// # Errors
    /// `ENOMEM`; `E2BIG`: the items have too many attributes.
    pub fn new<D: Directory>(name: &'static CStr, dir: Arc<D>) -> Result<Self> {
        let node: KBox<dyn AnyDir> = DirNode::new(name, dir)?;
        Ok(Self { node })
    }

    #[cfg(yoke_kunit)]
    pub(crate) fn group(&self) -> *mut bindings::config_group {
        self.node.group()
    }
}

/// A directory node of whatever type.
///
/// # Safety
/// `group()` must return an initialised group that stays valid as long as the node, and whose last reference counts down
/// `gate()`.
unsafe trait AnyDir: Send + Sync {
    fn group(&self) -> *mut bindings::config_group;
    fn gate(&self) -> &Gate;
}

/// A registered subsystem. Register it last in the module's start, and drop it in the module's exit: users can make no
/// item any more then, and have none. Dropped earlier it refuses new items (`ESHUTDOWN`), and waits until users have
/// removed theirs: an item does not lose its parent.
///
/// Context: task; of drop also: not within a function of an item or a directory.
pub struct Subsystem<R: Item> {
    // INVARIANT: registered. Dropped first, by `drop()`, which unregisters it.
    root: KBox<RootNode<R>>,
    /// Referred to by the root's group; dropped after it is unregistered.
    dirs: KVec<DirEntry>,
}

// SAFETY: configfs may be told by any task to unregister, and locks for itself; the root and the directories are `Send`.
unsafe impl<R: Item> Send for Subsystem<R> {}
// SAFETY: `&Subsystem` has no operations; that configfs calls the objects from any task is what `Item: Sync` allows.
unsafe impl<R: Item> Sync for Subsystem<R> {}

impl<R: Item> Subsystem<R> {
    /// Registers `/sys/kernel/config/NAME/` with the attributes of `root` and the directories.
    ///
    /// # Errors
    /// `EEXIST`: the name is taken; `E2BIG`: too many attributes; `ENOMEM`.
    pub fn new(name: &'static CStr, root: Arc<R>, dirs: KVec<DirEntry>) -> Result<Self> {
        let root = RootNode::new(name, root)?;
        for dir in &dirs {
            // SAFETY: both groups are initialised and stay in place until after the subsystem is
            // unregistered; nobody else knows them yet.
            unsafe { ffi::yoke_sys_add_default_group(dir.node.group(), root.group()) };
        }
        // SAFETY: an initialised subsystem.
        to_result(unsafe { bindings::configfs_register_subsystem(root.raw()) })?;
        Ok(Self { root, dirs })
    }
}

impl<R: Item> Drop for Subsystem<R> {
    fn drop(&mut self) {
        for dir in &self.dirs {
            dir.node.gate().close();
            dir.node.gate().wait_items();
        }
        // SAFETY: registered by `new()`, unregistered only here; no item is in it, as just waited for. The references are
        // those of `config_group_init_type_name()`, given back once; the nodes are there until all others are, too.
        unsafe {
            bindings::configfs_unregister_subsystem(self.root.raw());
            for dir in &self.dirs {
                bindings::config_item_put(&raw mut (*dir.node.group()).cg_item);
            }
            bindings::config_item_put(&raw mut (*self.root.group()).cg_item);
        }
        for dir in &self.dirs {
            dir.node.gate().wait_released();
        }
        self.root.gate().wait_released();
    }
}
