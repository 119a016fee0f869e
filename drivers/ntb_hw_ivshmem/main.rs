// SPDX-License-Identifier: GPL-2.0

//! An NTB *hardware* driver for QEMU's `ivshmem-doorbell` device: the emulated NTB.
//!
//! Each device becomes an `ntb_dev`, so that the kernel's NTB clients, and yoke, run unmodified
//! between virtual machines. The shared memory is laid out by `include/yoke/ivshmem_layout.h` and
//! served by `yoke-ivshmem-server`; docs/emulated-ntb.md tells what is emulated truly and what not.
//!
//! ```text
//! probe     checks a device, brings it up, takes it down
//!   irq       vectors and the timer        ops   the NTB API's calls
//!   dma       hands out the own window     └──▶ device
//! device    one side of one link: link, doorbells, scratchpads, translation
//!   link      the handshake (pure)
//!   control   the words of the shared pages
//!     mapping   the BAR's memory            layout   offsets, from the header
//! ```

mod bindings;
mod control;
mod device;
mod dma;
mod doorbell;
mod irq;
mod layout;
mod link;
mod mapping;
mod ops;
mod probe;
mod shim;

kernel::module_pci_driver! {
    type: probe::Driver,
    name: "ntb_hw_ivshmem",
    authors: ["yoke maintainers"],
    description: "NTB over QEMU ivshmem-doorbell: the emulated NTB",
    license: "GPL v2",
}
