// SPDX-License-Identifier: GPL-2.0

//! The session's news, passed to every open volume.

use super::shared::Shared;
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

    /// For messages to people.
    pub(crate) fn name(&self) -> &str {
        self.name.to_str().unwrap_or("?")
    }
}
