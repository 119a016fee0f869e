// SPDX-License-Identifier: GPL-2.0

//! Links to the peer, and the session over them.
//!
//! ```text
//! manager    what is configured: links come and go, clients join
//!   ports      the devices, by number; hold: who uses them
//! shared     the session with its links, and its lock
//!   beat       thread yoke_links: drives it; no more than that
//!   news       what it brought about, on its way to
//!   clients    thread yoke_clients: tells the clients
//!   announce   chore: tells people: sysfs (faces), uevents, log; sees to what lingers
//! ```
//!
//! **Heartbeats wait for nobody.** `yoke_links` takes one lock, [`shared::Shared::inner`], a spinlock under which nothing
//! sleeps. It allocates, prints and calls nothing; what it has to tell goes into queues that have their room from the
//! start. The clients' thread may sleep for moments, people may be told whenever there is memory for it.
//!
//! A client that stands still for long (its queue is full) stops this end of the session: neither half of it is told the
//! other is well. When it goes on, everything goes on.

mod announce;
mod beat;
mod client;
mod clients;
mod face;
mod hold;
mod link_face;
mod manager;
mod news;
mod peer_face;
mod port;
mod ports;
mod shared;
#[cfg(yoke_kunit)]
pub(crate) mod tests;
mod window;

pub(crate) use client::{Client, Outlet, Partner};
pub(crate) use face::Classes;
pub(crate) use hold::Hold;
pub(crate) use manager::{Identity, Manager};
use port::Port;
