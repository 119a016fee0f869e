// SPDX-License-Identifier: GPL-2.0

//! yoke_ntb: links over PCIe non-transparent bridges, as a client of the kernel's NTB API. This file only wires.
//!
//! ```text
//! interconnect  the calls that yoke makes (include/yoke/interconnect.h)
//!   endpoint    one started link: hot calls, start, stop
//!     phase     how far its life is (pure)           tries  when to try again, when to say so (pure)
//!     inbound   own memory behind a window     fit    which window, what memory (pure)
//!       memory  what it is, and where it stays while a bridge keeps it
//!       trans   tells the bridge where it is
//!     outbound  the peer's window, mapped
//!     symbol    what a bridge says of downs    down   the generation (pure)
//!     upcalls   what the NTB core calls        bells  which doorbells (pure)
//!     sending   translation at the sending end: the ends tell each other where their memory is
//!       exchange  who may use what, when (pure)    letter  what they say (pure)
//!       mailbox   the message registers            again   a timer
//! client        which NTB devices there are
//! ```
//!
//! Locks, outer first: `client::DEVICES`, `Endpoint::life`, then `Sending::talk` or `Shelf::kept` (mutexes). Hot calls take none: they are RCU
//! readers, and `stop` waits for them.

mod again;
mod bells;
mod bindings;
mod client;
mod down;
mod endpoint;
mod exchange;
#[cfg(any(test, yoke_kunit))]
mod exchange_model;
mod fit;
mod inbound;
mod interconnect;
mod letter;
mod mailbox;
mod memory;
mod outbound;
mod phase;
mod sending;
mod symbol;
mod trans;
mod tries;
mod upcalls;

use kernel::prelude::*;

/// The one peer of a bridge, by its index.
pub(crate) const PEER: c_int = 0;

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
