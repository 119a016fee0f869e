// SPDX-License-Identifier: GPL-2.0

//! yoke_ntb: links over PCIe non-transparent bridges, as a client of the kernel's NTB API. This file only wires.
//!
//! ```text
//! interconnect  the calls that yoke makes (include/yoke/interconnect.h)
//!   endpoint    one started link: hot calls, start, stop
//!     window    the memory: inbound, outbound
//!     down      how often the link was down
//! client        which NTB devices there are
//! ```
//!
//! Locks, outer first: `client::DEVICES` (mutex), `Endpoint::running` (mutex). Hot calls take none: they are RCU
//! readers, and `stop` waits for them.

mod bindings;
mod client;
mod down;
mod endpoint;
mod interconnect;
mod window;

use kernel::prelude::*;

module! {
    type: YokeNtb,
    name: "yoke_ntb",
    authors: ["yoke maintainers"],
    description: "yoke links over PCIe non-transparent bridges",
    license: "GPL v2",
}

/// The fields are dropped in this order: no kind any more, then no devices.
#[pin_data]
struct YokeNtb {
    interconnect: interconnect::Registration,
    #[pin]
    client: client::Registration,
}

impl kernel::InPlaceModule for YokeNtb {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        client::init();
        try_pin_init!(Self {
            interconnect: interconnect::Registration::new(module)?,
            client <- client::Registration::new(module),
        })
    }
}
