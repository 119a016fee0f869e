// SPDX-License-Identifier: GPL-2.0

//! configfs: what is wanted (docs/abi.md).

mod links;
mod root;
mod volumes;

use crate::controller::Controller;
use kernel::{prelude::*, sync::Arc};
use yoke_sys::{
    attr::Input,
    configfs::{DirEntry, Subsystem},
};

/// The subsystem `/sys/kernel/config/yoke/`. Dropped in the module's exit only.
pub(crate) struct Admin {
    _subsystem: Subsystem<root::Root>,
}

impl Admin {
    /// Registers it. Errors: `EEXIST`; `ENOMEM`.
    pub(crate) fn new(controller: &Arc<Controller>) -> Result<Self> {
        let root = Arc::new(root::Root::new(controller), GFP_KERNEL)?;
        let links = Arc::new(links::Links::new(controller), GFP_KERNEL)?;
        let mut directories = KVec::new();
        directories.push(DirEntry::new(c"links", links)?, GFP_KERNEL)?;
        let volumes = Arc::new(volumes::Volumes::new(controller), GFP_KERNEL)?;
        directories.push(DirEntry::new(c"volumes", volumes)?, GFP_KERNEL)?;
        Ok(Admin {
            _subsystem: Subsystem::new(c"yoke", root, directories)?,
        })
    }
}

/// Checks the name of a link or volume: 1 to 31 of `[A-Za-z0-9_.-]`, not beginning with a dot.
fn check_name(name: &CStr) -> Result {
    let bytes = name.to_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let good =
        (1..=31).contains(&bytes.len()) && bytes.iter().all(plain) && bytes.first() != Some(&b'.');
    if !good {
        pr_err!("a link or volume not made: its name is not 1 to 31 of A-Z a-z 0-9 _ . -, or begins with a dot\n");
        return Err(EINVAL);
    }
    Ok(())
}

/// What was written to `enable` of a link or volume: `0` or `1`.
fn flag(kind: &str, name: &str, input: &Input<'_>) -> Result<bool> {
    input.flag().inspect_err(|_| {
        pr_err!("{kind} {name}: enable not changed: neither 0 nor 1\n");
    })
}
