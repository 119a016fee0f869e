// SPDX-License-Identifier: GPL-2.0

//! Links to the peer, and the session over them.

mod client;
mod face;
mod link_face;
mod manager;
mod peer_face;
mod port;
mod window;

pub(crate) use client::{Client, Outlet, Partner};
pub(crate) use manager::{Identity, Manager};
pub(crate) use port::Port;
