// SPDX-License-Identifier: GPL-2.0

//! The session's news, passed to every open volume.

use super::{lanes::Lane, shared::Shared};
use crate::link::{Client, Hold, Outlet, Partner};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};
use yoke_core::{
    allowance::Allowance,
    ids::{LinkEpoch, LinkId, NodeId, Uuid, LINK_COUNT},
    link::Contact,
    mirror::{
        message::Message,
        presence::{Presence, PRESENCE_SIZE},
    },
    session::GoneReason,
    terms::Terms,
    volume::Input,
    window::Place,
    wire::message,
};
use yoke_sys::{thread::NoIo, time::boottime_ns};

/// The number of the mirror, the same at both ends.
pub(crate) const PORT: message::Port = message::Port(1);

/// In this time it is said once that messages of the peer make no sense.
const NONSENSE_NS: u64 = 10_000_000_000;

/// A volume that is open here.
struct Member {
    volume: Arc<Shared>,
    /// Its twin is open at the partner, so the machine knows of a session.
    present: bool,
}

/// A volume hears of the session. Dropping it ends that, and tells the twin; nobody uses the volume's links any more then.
/// Context of drop: task.
pub(super) struct Membership<O: Outlet> {
    mirror: Arc<Mirror>,
    volume: Arc<Shared>,
    out: Arc<O>,
}

impl<O: Outlet> Drop for Membership<O> {
    fn drop(&mut self) {
        let mut state = self.mirror.state.lock();
        state
            .members
            .retain(|other| !Arc::ptr_eq(&other.volume, &self.volume));
        drop(state);
        // The twin hears of it before another volume can be granted these places: until then it may begin to post to them.
        self.volume.void_lanes();
        self.out.send(PORT, &self.volume.says(Presence::Closed));
        self.volume.drop_lanes();
        // What it had in the windows may do for another.
        let state = self.mirror.state.lock();
        for other in &state.members {
            other.volume.find_room();
        }
    }
}

/// The links that carry slots, and what was agreed over each.
type Links = [Option<(Hold, Contact)>; LINK_COUNT];

/// What is known of the session, for volumes that are opened later. Guarded by [`Mirror::state`].
struct State {
    partner: Option<Partner>,
    links: Links,
    members: KVec<Member>,
    /// How often it is said that a message makes no sense.
    nonsense: Allowance,
}

/// The client of the session that all volumes share.
#[pin_data]
pub(crate) struct Mirror {
    #[pin]
    state: Mutex<State>,
}

impl Mirror {
    /// Without volumes. Errors: `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let state = State {
            partner: None,
            links: [const { None }; LINK_COUNT],
            members: KVec::new(),
            nonsense: Allowance::new(1, NONSENSE_NS),
        };
        Arc::pin_init(pin_init!(Mirror { state <- new_mutex!(state) }), GFP_KERNEL)
    }

    /// Adds a volume, and tells its twin, over `out`; as long as the membership lives. Errors: `ENOMEM`; `EEXIST`: the
    /// volume is open already.
    pub(super) fn join<O: Outlet>(
        self: &Arc<Self>,
        volume: &Arc<Shared>,
        out: &Arc<O>,
    ) -> Result<Membership<O>> {
        // The clients' thread waits for this lock, and volumes for that.
        let _no_io = NoIo::enter();
        let mut state = self.state.lock();
        if state
            .members
            .iter()
            .any(|other| other.volume.identity == volume.identity)
        {
            return Err(EEXIST);
        }
        let member = Member {
            volume: volume.clone(),
            present: false,
        };
        state.members.push(member, GFP_KERNEL)?;
        out.send(PORT, &volume.says(Presence::Opened));
        Ok(Membership {
            mirror: self.clone(),
            volume: volume.clone(),
            out: out.clone(),
        })
    }

    /// A message makes no sense. How many of them come is up to the peer.
    fn complain(&self) {
        let taken = self.state.lock().nonsense.take(boottime_ns());
        if let Some(before) = taken {
            pr_warn!(
                "a message of the peer is none of the mirror's; ignored, as {before} before\n"
            );
        }
    }

    /// The twin of a volume says whether it is there.
    fn presence(&self, uuid: &Uuid, presence: Presence, terms: Terms, out: &dyn Outlet) {
        let mut state = self.state.lock();
        let State {
            partner,
            links,
            members,
            ..
        } = &mut *state;
        let Some(member) = members
            .iter_mut()
            .find(|member| member.volume.identity.volume == *uuid)
        else {
            return;
        };
        if member.present && presence != Presence::Here {
            member.part(links);
        }
        if presence == Presence::Opened {
            // Before anything that the machine says, which the twin would not understand yet.
            out.send(PORT, &member.volume.says(Presence::Here));
        }
        if presence != Presence::Closed && !member.present {
            member.meet(partner.as_ref(), terms, links);
        }
    }
}

impl Member {
    /// The machine hears of the session and its links.
    fn meet(&mut self, partner: Option<&Partner>, terms: Terms, links: &Links) {
        let Some(partner) = partner else { return };
        self.present = true;
        self.volume.tell(Input::SessionUp {
            incarnation: partner.incarnation,
            terms,
        });
        for (port, contact) in links.iter().flatten() {
            self.volume.link_up(port, contact);
        }
    }

    /// The machine hears that they are over.
    fn part(&mut self, links: &Links) {
        self.present = false;
        for (port, _) in links.iter().flatten() {
            self.volume.link_down(port.id());
        }
        self.volume.tell(Input::SessionGone);
    }
}

impl Client for Mirror {
    fn port(&self) -> message::Port {
        PORT
    }

    fn session_up(&self, partner: &Partner, out: &dyn Outlet) {
        let mut state = self.state.lock();
        state.partner = Some(*partner);
        for member in &state.members {
            out.send(PORT, &member.volume.says(Presence::Opened));
        }
    }

    fn link_up(&self, link: &Hold, contact: &Contact) {
        let mut state = self.state.lock();
        if let Some(place) = state.links.get_mut(link.id().index()) {
            *place = Some((link.clone(), *contact));
        }
        for member in state.members.iter().filter(|member| member.present) {
            member.volume.link_up(link, contact);
        }
    }

    fn link_down(&self, link: LinkId, _epoch: LinkEpoch) {
        let mut state = self.state.lock();
        let gone = state.links.get_mut(link.index()).and_then(Option::take);
        for member in state.members.iter().filter(|member| member.present) {
            member.volume.link_down(link);
        }
        drop(state);
        drop(gone);
    }

    fn window_gone(&self, link: &Hold) {
        let state = self.state.lock();
        for member in &state.members {
            member.volume.window_gone(link);
        }
    }

    fn link_going(&self, link: LinkId) {
        let state = self.state.lock();
        for member in &state.members {
            member.volume.link_going(link);
        }
    }

    fn session_gone(&self, _node: NodeId, _reason: GoneReason) {
        let mut state = self.state.lock();
        state.partner = None;
        for member in state.members.iter_mut().filter(|member| member.present) {
            member.present = false;
            member.volume.tell(Input::SessionGone);
        }
    }

    fn message(&self, bytes: &[u8], out: &dyn Outlet) {
        if let Some((uuid, presence, terms)) = Presence::decode(bytes) {
            return self.presence(&uuid, presence, terms, out);
        }
        let (Some(uuid), Some(message)) = (Message::volume(bytes), Message::decode(bytes)) else {
            return self.complain();
        };
        let state = self.state.lock();
        for member in state
            .members
            .iter()
            .filter(|member| member.volume.identity.volume == uuid)
        {
            member.volume.message(message);
        }
    }
}

impl Shared {
    /// What the twin is told of this volume.
    fn says(&self, presence: Presence) -> [u8; PRESENCE_SIZE] {
        let terms = self.inner.lock().core.config().terms();
        presence.encode(&self.identity.volume, terms)
    }

    /// Tells the machine, and has the control thread look.
    pub(super) fn tell(&self, input: Input<'_>) {
        self.inner.lock().core.handle(input, boottime_ns());
        self.wake.set();
    }

    /// A link carries slots. The volume's region in the own window is carved once for each window, as soon as there is
    /// room. The number of the link stays taken as long as the volume has a lane for it, so a lane that is known is one
    /// on this very port.
    fn link_up(&self, port: &Hold, contact: &Contact) {
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
    fn find_room(&self) {
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

    fn link_down(&self, link: LinkId) {
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
    fn window_gone(&self, port: &Hold) {
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
    fn link_going(&self, link: LinkId) {
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

    /// A message of the twin. A place that it names must lie in the window of the link that is meant.
    fn message(&self, message: Message) {
        if let Message::Grant {
            life,
            number,
            place,
            ..
        } = &message
        {
            let mut inner = self.inner.lock();
            let mut lanes = inner.lanes.iter_mut().flatten();
            let lane = lanes
                .find(|lane| lane.life == Some(*life))
                .filter(|lane| place.check(&lane.peer_window));
            let settled = lane.map(|lane| lane.is_settled(*number));
            drop(inner);
            if settled == Some(false) {
                return;
            }
            if settled.is_none() {
                if self.stats.may_log() {
                    pr_warn!(
                        "volume {}: the peer grants a region outside of its window; ignored\n",
                        self.name()
                    );
                }
                return;
            }
        }
        if message == Message::Want && self.evict_held() {
            return;
        }
        self.tell(Input::Message(message));
    }

    /// Nothing that the twin posts from now on is proved.
    fn void_lanes(&self) {
        for lane in self.inner.lock().lanes.iter().flatten() {
            lane.set_word(0);
        }
    }

    /// Forgets all links, and gives the regions in their windows back.
    fn drop_lanes(&self) {
        for at in 0..LINK_COUNT {
            let lane = self.inner.lock().lanes.get_mut(at).and_then(Option::take);
            if let Some(lane) = lane {
                lane.retire();
            }
        }
    }

    /// For messages to people.
    pub(crate) fn name(&self) -> &str {
        self.name.to_str().unwrap_or("?")
    }
}
