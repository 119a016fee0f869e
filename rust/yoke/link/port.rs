// SPDX-License-Identifier: GPL-2.0

//! One enabled link of this controller: the driver's end, and who uses which part of its window.

use super::window::{Own, Peers};
use crate::counter::Counter;
use kernel::{
    new_mutex,
    prelude::*,
    str::{CStr, CString},
    sync::{Arc, Mutex},
};
use yoke_core::{
    ids::LinkId,
    link::Carrier,
    window::{epoch_word_at, Carver, Layout, EPOCH_WORDS},
};
use yoke_sys::{
    event::Event,
    interconnect::{Caps, Link, LinkEvents},
    panic::PanicEvents,
};

/// Entries of the message ring in each window: what is not read yet, at most.
const RING_ENTRIES: u32 = 64;

/// Wakes the manager's thread.
pub(crate) struct Wake(pub(crate) Arc<Event>);

impl LinkEvents for Wake {
    fn changed(&self) {
        self.0.set();
    }

    fn doorbell(&self) {
        self.0.set();
    }
}

/// One enabled link. Dropping the last reference disables it. Context of that: task.
#[pin_data]
pub(crate) struct Port {
    id: LinkId,
    name: CString,
    interconnect: CString,
    device: CString,
    layout: Layout,
    link: Link<Wake>,
    /// Bytes of slots and headers that volumes posted over it.
    pub(crate) posted_bytes: Counter,
    /// Epoch words that volumes read through it.
    pub(crate) fences: Counter,
    /// Regions of the own window that are granted to the peer.
    #[pin]
    pub(crate) carver: Mutex<Carver>,
}

impl Port {
    /// Binds to the device and enables the link.
    ///
    /// # Errors
    ///
    /// As [`Link::open`]; `EOPNOTSUPP`: the interconnect has no windows that can be read back.
    #[inline(never)]
    pub(crate) fn open(
        id: LinkId,
        name: &CStr,
        interconnect: &CStr,
        device: &CStr,
        wake: &Arc<Event>,
    ) -> Result<Arc<Self>> {
        let events = Arc::new(Wake(wake.clone()), GFP_KERNEL)?;
        let link = Link::open(interconnect, device, events)?;
        if !link.caps().has(Caps::WINDOW) || !link.caps().has(Caps::READ_BACK) {
            return Err(EOPNOTSUPP);
        }
        let layout = Layout::new(link.window_bytes(), RING_ENTRIES).ok_or(ENOSPC)?;
        let (name, interconnect, device) = (
            CString::try_from(name)?,
            CString::try_from(interconnect)?,
            CString::try_from(device)?,
        );
        Arc::pin_init(
            pin_init!(Port {
                id,
                name,
                interconnect,
                device,
                layout,
                link,
                posted_bytes: Counter::new(),
                fences: Counter::new(),
                carver <- new_mutex!(Carver::new(*layout)),
            }),
            GFP_KERNEL,
        )
    }

    /// Its number.
    pub(crate) fn id(&self) -> LinkId {
        self.id
    }

    /// Its name in configfs and sysfs.
    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }

    /// The kind of link.
    pub(crate) fn interconnect(&self) -> &CStr {
        &self.interconnect
    }

    /// The device below.
    pub(crate) fn device(&self) -> &CStr {
        &self.device
    }

    /// Where things stand in the own window.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The driver's end.
    #[inline]
    pub(crate) fn link(&self) -> &Link<Wake> {
        &self.link
    }

    /// The own window.
    pub(crate) fn own(&self) -> Own<'_, Wake> {
        Own(&self.link)
    }

    /// The peer's window.
    pub(crate) fn peers(&self) -> Peers<'_, Wake> {
        Peers(&self.link)
    }

    /// What the driver says of it; the count is read last, so that a down in between shows.
    pub(crate) fn carrier(&self) -> Carrier {
        let up = self.link.is_up();
        Carrier {
            up,
            downs: self.link.down_count(),
        }
    }
}

/// A kernel that panicked keeps its memory, and would honour for ever what the peer posts (PROTOCOL P11).
impl PanicEvents for Port {
    /// Clears every epoch word of the own window: the peer's next fence fails. Takes no lock.
    fn panicking(&self) {
        for at in (0..EPOCH_WORDS as u8).filter_map(epoch_word_at) {
            let _ = self.link.store64(at, 0);
        }
    }
}
