// SPDX-License-Identifier: GPL-2.0

//! Self-test of yoke_sys: disks, files and directories for scripts to try. This file only wires.
//!
//! `/sys/kernel/config/yoke_selftest/disks/NAME/` makes a disk NAME; `rust/sys/selftest/run` drives it; `yoke_selftest/links` is for tests/ntb/test_bridges.py,
//! `/sys/block/NAME/yoke/reservation` of a disk on a disk for tests/lab/test_sys_reservations.py.

#![deny(unsafe_code)]

mod disks;
mod links;
mod pass;
mod ram;
mod reservation;

use kernel::{prelude::*, sync::Arc};
use yoke_sys::{
    attr::Attr,
    class::Class,
    configfs::{DirEntry, Item, Subsystem},
    panic::{PanicEvents, PanicHook},
    remains::Remains,
};

module! {
    type: SelfTest,
    name: "yoke_sys_selftest",
    authors: ["yoke maintainers"],
    description: "Self-test of yoke's kernel wrappers",
    license: "GPL v2",
}

/// What the root of the configfs tree shows.
struct Root {
    disks: Arc<disks::Disks>,
    links: Arc<links::Links>,
}

impl Item for Root {
    const ATTRS: &'static [Attr<Self>] = &[
        Attr::ro(c"made", |root, text| {
            text.put(format_args!("{}\n", root.disks.made()))
        }),
        Attr::rw(
            c"links",
            |root, text| root.links.show(text),
            |root, input| root.links.store(input),
        ),
    ];
}

/// Says so when the kernel panics.
struct LastWord;

impl PanicEvents for LastWord {
    fn panicking(&self) {
        pr_emerg!("the panic hook ran\n");
    }
}

struct SelfTest {
    // Dropped first: no user can reach anything any more.
    subsystem: Option<Subsystem<Root>>,
    links: Arc<links::Links>,
    _hook: PanicHook<LastWord>,
    _remains: Remains,
}

impl kernel::Module for SelfTest {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let remains = Remains::keep();
        let class = Arc::new(Class::new(c"yoke_selftest")?, GFP_KERNEL)?;
        let disks = Arc::new(disks::Disks::new(class), GFP_KERNEL)?;
        let links = links::Links::new()?;
        let root = Arc::new(
            Root {
                disks: disks.clone(),
                links: links.clone(),
            },
            GFP_KERNEL,
        )?;
        let dirs = kernel::kvec![DirEntry::new(c"disks", disks)?]?;
        Ok(Self {
            _remains: remains,
            links,
            _hook: PanicHook::new(Arc::new(LastWord, GFP_KERNEL)?)?,
            subsystem: Some(Subsystem::new(c"yoke_selftest", root, dirs)?),
        })
    }
}

impl Drop for SelfTest {
    fn drop(&mut self) {
        self.subsystem = None;
        self.links.close();
        pr_info!("gone\n");
    }
}
