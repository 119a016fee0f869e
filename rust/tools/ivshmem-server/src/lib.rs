// SPDX-License-Identifier: GPL-2.0
//! The parts of yoke-ivshmem-server.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`args`] | the command line |
//! | [`layout`] | the shared memory's layout, the same as `include/yoke/ivshmem_layout.h` |
//! | [`memory`] | the shared memory itself, and the server page in it |
//! | [`cut`] | when the link is cut, and when a mend may show (pure) |
//! | [`doorbell`] | which doorbells are passed on, dropped or delayed (pure) |
//! | [`command`] | the control socket's words |
//! | [`wire`] | messages to QEMU: 8-byte values with file descriptors |
//! | [`listener`] | a listening Unix socket that cleans up after itself |
//! | [`peer`] | one connected machine |
//! | [`control`] | connected control clients |
//! | `token` | what an epoll event is about |
//! | [`server`] | the event loop that owns all of it |
//!
//! One thread, one epoll set. Every queue has a bound.

pub mod args;
pub mod command;
pub mod control;
pub mod cut;
pub mod doorbell;
pub mod layout;
pub mod listener;
pub mod memory;
pub mod peer;
pub mod server;
mod token;
pub mod wire;
