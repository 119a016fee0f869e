// SPDX-License-Identifier: GPL-2.0
//! What hangs on a node of the tree, and who waits for it.

use crate::inflight::Inflight;
use kernel::{prelude::*, sync::atomic::*};

/// Of the root, or of a directory.
pub(super) struct Gate {
    closed: Atomic<u32>,
    /// Items that users have made in it and not removed, or that something still refers to.
    items: Inflight,
    /// 1 until configfs refers to the node no more.
    node: Inflight,
}

impl Gate {
    /// Of a node that configfs refers to.
    pub(super) fn new() -> Self {
        let node = Inflight::new();
        node.get();
        Self {
            closed: Atomic::new(0),
            items: Inflight::new(),
            node,
        }
    }

    /// A user makes an item. Errors: `ESHUTDOWN`: the subsystem is going.
    pub(super) fn enter(&self) -> Result {
        // First counted, then looked: whoever closes in between sees it.
        self.items.get();
        if self.closed.fetch_add(0, Full) != 0 {
            self.items.put();
            return Err(ESHUTDOWN);
        }
        Ok(())
    }

    /// An item is freed, or was not made after all.
    pub(super) fn exit(&self) {
        self.items.put();
    }

    /// No more items.
    pub(super) fn close(&self) {
        self.closed.xchg(1, Full);
    }

    /// Waits until there is no item. Context: task.
    pub(super) fn wait_items(&self) {
        self.items
            .wait_zero_forever("items of a configfs subsystem that goes");
    }

    /// The last reference on the node was given back.
    pub(super) fn released(&self) {
        self.node.put();
    }

    /// Waits for that. Context: task.
    pub(super) fn wait_released(&self) {
        self.node
            .wait_zero_forever("references on a configfs subsystem that went");
    }
}
