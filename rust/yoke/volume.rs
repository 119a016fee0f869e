// SPDX-License-Identifier: GPL-2.0

//! Volumes: the core's machine of each, and what it asks for.
//!
//! ```text
//! open      from a configured item to a running volume, and back
//!   make    the machine, and what is shared, from what was configured
//!   probe   what stands on the backing disk
//! keeper    /dev/yokeN as a device: made, taken away from those whose ownership is over, made again
//!   stale   what is cached of it and may not be shown any more
//! front     /dev/yokeN: bios come in
//!   write, read, long   what becomes of them
//! shared    the machine and its lock, and the desk where bios wait (yoke_core::volume::desk)
//!   ends    the ends of I/O on the backing disk
//! control   one thread a volume: carries the machine's actions out
//! worker    another: parked bios again, the log to the disk, who has waited for too long
//!   destage log to disk
//!   lanes   the links that carry this volume, and its regions in their windows
//!   blocks  node blocks on the disk
//! clerk     another, where the disk has reservations: what it is asked about them
//! client    the session's news for all volumes
//!   links   links come and go
//! face      /sys/block/yokeN/yoke/
//! news      changes of the state, to the kernel log and by uevents
//! ```
//!
//! Lock: `Shared::inner` (spinlock, irqs off) covers the machine and the lists of who waits. Nothing is copied, posted,
//! submitted or completed under it.

mod blocks;
mod clerk;
mod client;
mod control;
mod destage;
mod ends;
mod face;
mod front;
mod keeper;
mod lanes;
mod links;
mod long;
mod make;
mod news;
mod open;
mod poster;
mod probe;
mod read;
mod shared;
mod stale;
#[cfg(yoke_kunit)]
mod tests;
mod worker;
mod write;

pub(crate) use client::Mirror;
pub(crate) use make::Settings;
pub(crate) use open::Volume;
