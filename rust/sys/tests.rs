// SPDX-License-Identifier: GPL-2.0
//! KUnit suites of the wrappers: real disks on preallocated memory, stacked on each other, in the
//! kernel that loads the module.

mod block;
mod cache;
mod configfs;
mod link;
mod memory;
mod queue;
mod ram;
mod remains;
mod reservation;
mod teardown;
mod thread;
