// SPDX-License-Identifier: GPL-2.0
//! The yoke protocol, pure: state machines without clock, lock, allocation or I/O.
//!
//! The same source is compiled by cargo for the host (tools, simulator, tests) and by Kbuild into the module. It
//! takes events and the time, is polled for actions and for the next deadline, and reaches shared memory only
//! through the [`region::Region`] trait.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod allowance;
pub mod crc;
pub mod disk;
pub mod format;
pub mod guards;
pub mod ids;
pub mod le;
pub mod link;
pub mod mirror;
pub mod openers;
mod owner;
pub mod queue;
pub mod region;
pub mod ring;
pub mod session;
pub mod terms;
pub mod volume;
pub mod window;
pub mod wire;
