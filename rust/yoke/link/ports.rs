// SPDX-License-Identifier: GPL-2.0

//! The ports of a manager, by the numbers of their links: what is enabled, and what is disabled and still held.
//!
//! A volume may need the window of a link that was disabled: the only copy of what was acknowledged can stand in it. Then
//! the port lingers: its number and its device stay taken until the volume has let go. If the same device is enabled as a
//! link again meanwhile, the port is taken up again as it is, window and all. If the device goes, the window goes with it,
//! and whoever still holds the port is told so ([`Ports::held`]).
//!
//! Lock: `Ports::places` (mutex), inside of which nothing else of the manager is taken.

use super::{
    hold::{Hold, Holders},
    Port,
};
use kernel::{
    new_mutex,
    prelude::*,
    str::CStr,
    sync::{Arc, Mutex},
};
use yoke_core::ids::{LinkId, LINK_COUNT};
use yoke_sys::{event::Event, panic::PanicHook, time::boottime_ns};

/// Links that are enabled at once, at most; a record on disk names as many regions.
pub(super) const LINKS: usize = 4;
/// How long a link that is disabled waits for its users. They need a moment, unless they need its window.
const LET_GO_NS: u64 = 2_000_000_000;

/// A number that is taken.
struct Place {
    // Dropped first: it refers to the port.
    _hook: PanicHook<Port>,
    port: Arc<Port>,
    holders: Arc<Holders>,
    enabled: bool,
}

/// All numbers.
#[pin_data]
pub(super) struct Ports {
    /// Set at events of the links.
    wake: Arc<Event>,
    /// Set when a port that lingers can go, or may have lost its window.
    bell: Arc<Event>,
    #[pin]
    places: Mutex<[Option<Place>; LINK_COUNT]>,
}

impl Ports {
    /// No number is taken. Errors: `ENOMEM`.
    pub(super) fn new(wake: &Arc<Event>, bell: &Arc<Event>) -> Result<Arc<Self>> {
        let (wake, bell) = (wake.clone(), bell.clone());
        Arc::pin_init(
            pin_init!(Ports {
                wake,
                bell,
                places <- new_mutex!([const { None }; LINK_COUNT]),
            }),
            GFP_KERNEL,
        )
    }

    /// Enables a device. Context: task.
    ///
    /// # Errors
    ///
    /// `ENOSPC`: as many are enabled as can be; `EBUSY`: this one is; what [`Port::open`] says; `ENOMEM`.
    pub(super) fn enable(&self, interconnect: &CStr, device: &CStr) -> Result<Hold> {
        let mut places = self.places.lock();
        let enabled = places.iter().flatten().filter(|place| place.enabled);
        if enabled.count() >= LINKS {
            return Err(ENOSPC);
        }
        let same = |place: &&mut Option<Place>| {
            place
                .as_ref()
                .is_some_and(|place| place.port.is_on(interconnect, device))
        };
        if let Some(taken) = places.iter_mut().find(same) {
            if taken.as_ref().is_some_and(|place| place.enabled) {
                return Err(EBUSY);
            }
            if taken.as_ref().is_some_and(Place::is_done) {
                // It would have gone at the next bell.
                *taken = None;
            } else if let Some(place) = taken {
                place.enabled = true;
                return Ok(Hold::new(&place.port, &place.holders));
            }
        }
        let id = LinkId::all()
            .find(|id| places.get(id.index()).is_some_and(Option::is_none))
            .ok_or(ENOSPC)?;
        let port = Port::open(id, interconnect, device, &self.wake, &self.bell)?;
        let place = Place {
            _hook: PanicHook::new(port.clone())?,
            port,
            holders: Holders::new(&self.bell)?,
            enabled: true,
        };
        let hold = Hold::new(&place.port, &place.holders);
        if let Some(free) = places.get_mut(id.index()) {
            *free = Some(place);
        }
        Ok(hold)
    }

    /// Disables the link of this number, whose users have been told. Says whether they have all let go, so that number
    /// and device are free; if not, both stay taken until they have. Context: task; waits a while for them.
    pub(super) fn disable(&self, id: LinkId) -> bool {
        let holders = {
            let mut places = self.places.lock();
            let Some(place) = places.get_mut(id.index()).and_then(Option::as_mut) else {
                return true;
            };
            place.enabled = false;
            place.holders.clone()
        };
        let free = holders.wait_free(boottime_ns().saturating_add(LET_GO_NS));
        self.reap();
        free
    }

    /// Ends the ports that nobody holds any more. Context: task.
    pub(super) fn reap(&self) {
        let mut places = self.places.lock();
        for place in places.iter_mut() {
            if place.as_ref().is_some_and(Place::is_done) {
                *place = None;
            }
        }
    }

    /// All ports that somebody holds, those that linger too. Context: task.
    pub(super) fn held(&self) -> [Option<Hold>; LINK_COUNT] {
        let mut held = [const { None }; LINK_COUNT];
        let places = self.places.lock();
        for (hold, place) in held.iter_mut().zip(places.iter()) {
            let place = place.as_ref().filter(|place| !place.holders.is_free());
            *hold = place.map(|place| Hold::new(&place.port, &place.holders));
        }
        held
    }
}

impl Place {
    /// Whether it can go.
    fn is_done(&self) -> bool {
        !self.enabled && self.holders.is_free()
    }
}
