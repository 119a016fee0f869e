// SPDX-License-Identifier: GPL-2.0

//! Links to the peer, and the session over them.

mod client;
mod face;
mod manager;
mod port;
mod window;

pub(crate) use client::{Client, Outlet, Partner};
pub(crate) use manager::{Identity, Manager};
pub(crate) use port::Port;
