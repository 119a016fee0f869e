// SPDX-License-Identifier: GPL-2.0

//! Links come and go: a volume has a lane for each that may carry it, and tells its machine.

use super::{lanes::Lane, shared::Shared};
use crate::link::Hold;
use kernel::prelude::*;
use yoke_core::{
    ids::{LinkId, LINK_COUNT},
    link::Contact,
    volume::Input,
    window::Place,
};
use yoke_sys::time::boottime_ns;

impl Shared {
    /// A link carries slots. The volume's region in the own window is carved once for each window, as soon as there is
    /// room. The number of the link stays taken as long as the volume has a lane for it, so a lane that is known is one
    /// on this very port.
    pub(super) fn link_up(&self, port: &Hold, contact: &Contact) {
        let link = port.id();
        let known = self.keep(link);
        if known.as_ref().is_some_and(|lane| !lane.port.is_same(port)) {
            return;
        }
        let before = known.as_ref().map(|lane| lane.place);
        let place = before.flatten().or_else(|| port.carve(self.log.blocks()));
        if place.is_none() && self.stats.may_log() {
            pr_warn!(
                "volume {}: no room for its region of {} slots in the window of link {}, which holds {} at most: not mirrored over it\n",
                self.name(),
                self.log.blocks(),
                link.get(),
                port.layout().map_or(0, |layout| layout.slots_max())
            );
        }
        let lane = Lane {
            port: port.clone(),
            place,
            life: Some(contact.epoch),
            memory: port.link().memory(),
            peer_window: contact.window,
            going: false,
            answered: None,
        };
        let mut inner = self.inner.lock();
        let old = inner
            .lanes
            .get_mut(link.index())
            .and_then(|old| old.replace(lane));
        if before != Some(place) {
            inner
                .core
                .handle(Input::Room { link, place }, boottime_ns());
        }
        let (life, downs) = (contact.epoch, contact.downs);
        inner
            .core
            .handle(Input::LinkUp { link, life, downs }, boottime_ns());
        drop(inner);
        drop(old);
        self.wake.set();
    }

    /// Asks again for a region in each own window that had no room. The links need not come up again for it: the partner
    /// repeats its question until it is answered. Context: task; under the lock of the mirror, so no link comes up.
    pub(super) fn find_room(&self) {
        for link in LinkId::all() {
            let lane = self.inner.lock().lane_of(link);
            let Some(lane) = lane.filter(|lane| lane.place.is_none() && !lane.going) else {
                continue;
            };
            let Some(place) = lane.port.carve(self.log.blocks()) else {
                continue;
            };
            if self.settle_at(&lane, place) {
                self.wake.set();
            } else {
                lane.port.give_back(place);
            }
        }
    }

    /// The volume's region of a lane that had none stands here. False: it has been disabled meanwhile.
    fn settle_at(&self, lane: &Lane, place: Place) -> bool {
        let link = lane.port.id();
        let mut inner = self.inner.lock();
        let there = inner.lanes.get_mut(link.index()).and_then(Option::as_mut);
        let Some(there) = there.filter(|there| there.port.is_same(&lane.port) && !there.going)
        else {
            return false;
        };
        there.place = Some(place);
        let place = Some(place);
        inner
            .core
            .handle(Input::Room { link, place }, boottime_ns());
        true
    }

    pub(super) fn link_down(&self, link: LinkId) {
        let mut inner = self.inner.lock();
        if let Some(lane) = inner.lanes.get_mut(link.index()).and_then(Option::as_mut) {
            lane.life = None;
        }
        inner.core.handle(Input::LinkDown { link }, boottime_ns());
        drop(inner);
        self.wake.set();
    }

    /// What the partner wrote to the own window is gone: nothing is to be taken over from there. The region keeps its
    /// place, for when the device is back.
    pub(super) fn window_gone(&self, port: &Hold) {
        let link = port.id();
        let mut inner = self.inner.lock();
        let lane = inner.lane_of(link);
        if let Some(lane) = lane.filter(|lane| lane.port.is_same(port)) {
            let place = lane.place;
            inner
                .core
                .handle(Input::Room { link, place }, boottime_ns());
        }
        drop(inner);
        self.wake.set();
    }

    /// The lane of a link, if there is one: it does not go now, even if the link was disabled before.
    fn keep(&self, link: LinkId) -> Option<Lane> {
        let mut inner = self.inner.lock();
        let lane = inner.lanes.get_mut(link.index()).and_then(Option::as_mut)?;
        lane.going = false;
        Some(lane.clone())
    }

    /// A link was disabled.
    pub(super) fn link_going(&self, link: LinkId) {
        let mut inner = self.inner.lock();
        if let Some(lane) = inner.lanes.get_mut(link.index()).and_then(Option::as_mut) {
            lane.going = true;
        }
        inner.core.handle(Input::LinkGoing { link }, boottime_ns());
        drop(inner);
        self.wake.set();
    }

    /// Lets go of links that were disabled, as far as nothing in their windows is needed. Context: the control thread.
    pub(super) fn let_go(&self) {
        for link in LinkId::all() {
            let mut inner = self.inner.lock();
            let going = inner
                .lanes
                .get(link.index())
                .and_then(Option::as_ref)
                .is_some_and(|lane| lane.going);
            if !going || inner.core.needs_window(link) {
                continue;
            }
            let lane = inner.lanes.get_mut(link.index()).and_then(Option::take);
            let room = Input::Room { link, place: None };
            inner.core.handle(room, boottime_ns());
            drop(inner);
            if let Some(lane) = lane {
                lane.retire();
            }
        }
    }

    /// Nothing that the twin posts from now on is proved.
    pub(super) fn void_lanes(&self) {
        for link in LinkId::all() {
            let lane = self.inner.lock().lane_of(link);
            if let Some(lane) = lane {
                lane.set_word(0);
            }
        }
    }

    /// Forgets all links, and gives the regions in their windows back.
    pub(super) fn drop_lanes(&self) {
        for at in 0..LINK_COUNT {
            let lane = self.inner.lock().lanes.get_mut(at).and_then(Option::take);
            if let Some(lane) = lane {
                lane.retire();
            }
        }
    }
}
