// SPDX-License-Identifier: GPL-2.0

//! One enabled link of this controller: the driver's end, and who uses which part of its window.
//!
//! Its device may come later, go, and come back. What the window is like is known from the first time on, and stays.

use super::window::{Own, Peers};
use crate::counter::Counter;
use kernel::{
    new_spinlock, new_spinlock_irq,
    prelude::*,
    str::{CStr, CString},
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, SetOnce, SpinLock, SpinLockIrq,
    },
};
use yoke_core::{
    ids::LinkId,
    link::Carrier,
    mirror::posters::{Phase, Posters},
    window::{epoch_word_at, Carver, Layout, Place, EPOCH_WORDS},
};
use yoke_sys::{
    event::Event,
    interconnect::{Caps, Link, LinkEvents},
    panic::PanicEvents,
};

/// Entries of the message ring in each window: what is not read yet, at most.
const RING_ENTRIES: u32 = 64;

/// No device, where [`Link::memory`] has a number.
const NO_MEMORY: u32 = u32::MAX;

/// Wakes the manager's thread; and the chores, which look at links that are disabled.
pub(crate) struct Wake {
    heartbeats: Arc<Event>,
    chores: Arc<Event>,
}

impl LinkEvents for Wake {
    fn changed(&self) {
        self.heartbeats.set();
        self.chores.set();
    }

    fn doorbell(&self) {
        self.heartbeats.set();
    }
}

/// The end of one link. Users have it by a [`super::Hold`]. Dropping the last reference, which is the table's
/// (`ports.rs`), disables it. Context of that: task.
#[pin_data]
pub(crate) struct Port {
    id: LinkId,
    interconnect: CString,
    device: CString,
    /// Empty until the device was there for the first time.
    layout: SetOnce<Layout>,
    link: Link<Wake>,
    /// The memory that the manager has seen last.
    memory: Atomic<u32>,
    /// How often it went down.
    pub(crate) downs: Counter,
    /// Bytes of slots and headers that volumes posted over it.
    pub(crate) posted_bytes: Counter,
    /// Epoch words that volumes read through it.
    pub(crate) fences: Counter,
    /// Regions of the own window that are granted to the peer; empty as long as `layout` is.
    #[pin]
    carver: SpinLock<Option<Carver>>,
    /// Those who post slots over it. Taken under the lock of a volume.
    #[pin]
    posters: SpinLockIrq<Posters>,
}

impl Port {
    /// Binds to the device and enables the link; a device that is not there yet is waited for. Events of the link set
    /// `wake`, changes of it set `bell`, too.
    ///
    /// # Errors
    ///
    /// As [`Link::open`]; `EOPNOTSUPP`: the interconnect has no windows that can be read back; `ENOSPC`: the window is too
    /// small.
    #[inline(never)]
    pub(crate) fn open(
        id: LinkId,
        interconnect: &CStr,
        device: &CStr,
        wake: &Arc<Event>,
        bell: &Arc<Event>,
    ) -> Result<Arc<Self>> {
        let events = Wake {
            heartbeats: wake.clone(),
            chores: bell.clone(),
        };
        let events = Arc::new(events, GFP_KERNEL)?;
        let link = Link::open(interconnect, device, events)?;
        let (interconnect, device) = (CString::try_from(interconnect)?, CString::try_from(device)?);
        let port = Arc::pin_init(
            pin_init!(Port {
                id,
                interconnect,
                device,
                layout: SetOnce::new(),
                link,
                memory: Atomic::new(NO_MEMORY),
                downs: Counter::new(),
                posted_bytes: Counter::new(),
                fences: Counter::new(),
                carver <- new_spinlock!(None),
                posters <- new_spinlock_irq!(Posters::new()),
            }),
            GFP_KERNEL,
        )?;
        match port.trouble() {
            Some(error) if error != ENODEV => Err(error),
            _ => Ok(port),
        }
    }

    /// Why nothing can go over it yet; `None` if its device is there and good.
    pub(crate) fn trouble(&self) -> Option<Error> {
        let caps = self.link.caps();
        if let Some(error) = self.link.absence() {
            Some(error)
        } else if !caps.has(Caps::WINDOW) || !caps.has(Caps::READ_BACK) {
            Some(EOPNOTSUPP)
        } else {
            self.layout().is_none().then_some(ENOSPC)
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> LinkId {
        self.id
    }

    /// The kind of link.
    pub(crate) fn interconnect(&self) -> &CStr {
        &self.interconnect
    }

    /// The device below.
    pub(crate) fn device(&self) -> &CStr {
        &self.device
    }

    /// Whether it is on this device.
    pub(super) fn is_on(&self, interconnect: &CStr, device: &CStr) -> bool {
        *self.interconnect == *interconnect && *self.device == *device
    }

    /// Where things stand in the own window; `None` as long as its device was never there, or has too small a window.
    pub(crate) fn layout(&self) -> Option<Layout> {
        if let Some(layout) = self.layout.copy() {
            return Some(layout);
        }
        let layout = Layout::new(self.link.window_bytes(), RING_ENTRIES)?;
        if self.layout.populate(layout) {
            *self.carver.lock() = Some(Carver::new(layout));
        }
        self.layout.copy()
    }

    /// Room for a region with this many slots in the own window.
    pub(crate) fn carve(&self, slots: u32) -> Option<Place> {
        let mut carver = self.carver.lock();
        (*carver).as_mut()?.carve(slots)
    }

    /// The region is free again.
    pub(crate) fn give_back(&self, place: Place) {
        let mut carver = self.carver.lock();
        if let Some(carver) = &mut *carver {
            carver.give_back(place);
        }
    }

    /// Somebody begins to post slots. Context: any.
    pub(crate) fn enter(&self) -> Phase {
        self.posters.lock().enter()
    }

    /// It has posted them. What is posted from now on by anybody arrives later. Context: any.
    pub(crate) fn leave(&self, entered: Phase) {
        self.link.barrier();
        self.posters.lock().leave(entered);
    }

    /// The present phase of those who post. Context: any.
    pub(crate) fn mark(&self) -> Phase {
        self.posters.lock().mark()
    }

    /// Whether all who were posting at the mark have left. Context: any.
    pub(crate) fn have_left(&self, mark: Phase) -> bool {
        self.posters.lock().have_left(mark)
    }

    /// Whether what stood in the window is gone, with the device, since the last call: of several callers one is told. It
    /// passes that on before it lets go of the session's lock, so that nobody hears of the next window before.
    pub(super) fn lost_memory(&self) -> bool {
        let now = self.link.memory().map_or(NO_MEMORY, u32::from);
        let before = self.memory.xchg(now, Relaxed);
        before != NO_MEMORY && before != now
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

    /// What the driver says of it; the generation is read last, so that a down in between shows.
    pub(crate) fn carrier(&self) -> Carrier {
        let up = self.link.is_up();
        Carrier {
            up,
            downs: self.link.generation(),
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
