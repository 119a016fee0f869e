// SPDX-License-Identifier: GPL-2.0
//! The session: the association of this controller with one incarnation of one peer, over all links to it.
//!
//! It shakes hands over each link, tells the clients when there is a partner and when it is gone, and carries their
//! messages in order and exactly once over whatever link is up. See docs/protocol-link.md.
//!
//! # How it is driven
//!
//! [`Session::poll`] for one link does all that is due on it: at a doorbell, when its carrier changes, when something
//! was sent, and, for every link, at [`Session::next_deadline`]. Then [`Session::receive`] until it gives nothing.
//! After *every* call, [`Session::next_action`] until it gives nothing: while actions are left, the other calls do
//! nothing. One lock must cover a session and its links; no call sleeps, or waits for anything.

mod action;
mod messages;
mod outbox;
mod slot;
mod state;

pub use action::{Action, GoneReason};
pub use messages::Received;
pub use outbox::{Kept, SendError};
pub use slot::Slot;
pub use state::{SessionEvent, SessionState, SessionStep};

use core::ops::DerefMut;

use crate::ids::{mix, Incarnation, LinkEpoch, LinkId, NodeId, Uuid, LINK_COUNT};
use crate::link::{Carrier, Contact, DownReason, Link, LinkConfig, Refusal, Settings};
use crate::region::Region;
use crate::window::Layout;
use crate::wire::hello::Peer;
use action::Actions;
use outbox::Outbox;

/// What a session is told when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionConfig {
    /// The appliance.
    pub appliance: Uuid,
    /// This controller.
    pub node: NodeId,
    /// Its life.
    pub incarnation: Incarnation,
    /// The peer, if it is known before a link leads to it.
    pub expect: Option<NodeId>,
    /// How long a session outlives its last link, in nanoseconds; where that fell silent, the last that was heard over it.
    pub linger_ns: u64,
    /// How long clients may take to close, in nanoseconds.
    pub closing_ns: u64,
}

/// The session with one peer. `L` holds the links, up to [`LINK_COUNT`]; `S` the messages not yet acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session<L, S> {
    config: SessionConfig,
    state: SessionState,
    seed: u64,
    /// The own number of this session, or the next one.
    number: u64,
    links: L,
    outbox: Outbox<S>,
    /// INVARIANT: there is one exactly in the states with a partner.
    peer: Option<Peer>,
    /// The partner of the session before: if it turns out to live, its numbers are not used again.
    former: Option<Peer>,
    /// The link that messages go over, and its epoch.
    active: Option<(LinkId, LinkEpoch)>,
    /// Every message up to this number has been received and given to its client.
    received: u64,
    /// Messages received since the peer was woken.
    unannounced: u32,
    /// `Severed`, `Ending`: when that is over.
    until: u64,
    actions: Actions,
}

impl<L, S> Session<L, S>
where
    L: DerefMut<Target = [Slot]>,
    S: DerefMut<Target = [Kept]>,
{
    /// A session without links. `links` has a place for each link that can be added, all of them empty; `room` bounds
    /// the messages that are not acknowledged; `seed` is random.
    pub fn new(config: SessionConfig, seed: u64, mut links: L, mut room: S) -> Self {
        links.fill_with(Slot::default);
        room.fill(Kept::EMPTY);
        Self {
            config,
            state: SessionState::Idle,
            seed,
            number: 1,
            links,
            outbox: Outbox::new(room),
            peer: None,
            former: None,
            active: None,
            received: 0,
            unannounced: 0,
            until: u64::MAX,
            actions: Actions::new(),
        }
    }

    /// Where it is in its life.
    pub const fn state(&self) -> SessionState {
        self.state
    }

    /// The partner, from `SessionUp` to `SessionGone`.
    pub const fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// The link with this number, if there is one.
    pub fn link(&self, id: LinkId) -> Option<&Link> {
        self.links
            .get(id.index())
            .and_then(|slot| slot.link.as_ref())
    }

    /// What is agreed over this link, from its `LinkUp` to its `LinkDown`.
    pub fn contact(&self, id: LinkId) -> Option<&Contact> {
        let slot = self.links.get(id.index())?;
        slot.joined.filter(|joined| joined.announced)?;
        slot.link.as_ref().and_then(Link::up)
    }

    /// Why the peer on this link cannot be worked with, until it can.
    pub fn refusal(&self, id: LinkId) -> Option<Refusal> {
        self.links.get(id.index()).and_then(|slot| slot.told)
    }

    /// The link that has this epoch, if it is up.
    pub fn link_of(&self, epoch: LinkEpoch) -> Option<LinkId> {
        LinkId::all().find(|&id| {
            self.contact(id)
                .is_some_and(|contact| contact.epoch == epoch)
        })
    }

    /// The link that messages go over. After [`Session::send`], [`Session::poll`] it.
    pub fn active(&self) -> Option<LinkId> {
        self.active.map(|(id, _)| id)
    }

    /// How many messages were sent and not acknowledged.
    pub const fn unacknowledged(&self) -> u64 {
        self.outbox.len()
    }

    /// How many messages can be sent before something is acknowledged.
    pub fn room(&self) -> u64 {
        if self.state.has_partner() {
            self.outbox.free()
        } else {
            0
        }
    }

    /// What is to be done or told next.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop()
    }

    /// When every link has to be polled (or [`Session::tick`] called, if there is none) at the latest, in nanoseconds.
    pub fn next_deadline(&self, now: u64) -> u64 {
        let links = self.links.iter().filter_map(|slot| slot.link.as_ref());
        let until = if self.is_behind() { now } else { self.until };
        links
            .map(|link| link.next_deadline(now))
            .fold(until, u64::min)
    }

    /// Adds a link. `window` is the own window of it.
    ///
    /// # Errors
    ///
    /// Why it cannot be added.
    pub fn add_link(
        &mut self,
        id: LinkId,
        window: Layout,
        settings: Settings,
    ) -> Result<(), &'static str> {
        if self.state == SessionState::Closed {
            return Err("the session is closed");
        }
        let local = Peer {
            node: self.config.node,
            incarnation: self.config.incarnation,
            session: self.number,
        };
        let (appliance, expect) = (self.config.appliance, self.config.expect);
        let slot = self
            .links
            .get_mut(id.index())
            .ok_or("there are as many links as can be")?;
        if slot.link.is_some() {
            return Err("the link exists");
        }
        self.seed = mix(self.seed);
        let config = LinkConfig {
            id,
            appliance,
            local,
            expect,
            window,
            settings,
        };
        slot.link = Some(Link::new(config, self.seed)?);
        Ok(())
    }

    /// Takes a link away, and tells its peer.
    pub fn remove_link(&mut self, id: LinkId, now: u64, peer: &impl Region) {
        let Some(slot) = self.links.get_mut(id.index()) else {
            return;
        };
        let Some(link) = &mut slot.link else { return };
        // A window that is too small to tell the peer leaves it to find out by the silence.
        let _ = link.close(now, peer);
        let doorbell = link.take_doorbell();
        self.settle(id, now);
        if let Some(slot) = self.links.get_mut(id.index()) {
            *slot = Slot::default();
        }
        if doorbell {
            self.actions.ring(id);
        }
    }

    /// Does all that is due on a link at `now`. `own` is the own window of it, `peer` the peer's as seen through it.
    pub fn poll(
        &mut self,
        id: LinkId,
        now: u64,
        carrier: Carrier,
        own: &impl Region,
        peer: &impl Region,
    ) {
        self.tick(now);
        if !self.actions.is_empty() {
            return;
        }
        let Some(slot) = self.links.get_mut(id.index()) else {
            return;
        };
        let Some(link) = &mut slot.link else { return };
        let ack = if slot.joined.is_some() {
            self.received
        } else {
            0
        };
        link.poll(now, carrier, ack, own, peer);
        self.settle(id, now);
        self.transmit(id, now, own, peer);
    }

    /// Whether the partner is so far behind that a message had no room.
    fn is_behind(&self) -> bool {
        self.outbox.is_overrun() && self.state.has_partner()
    }

    /// Does what is due without any link: ends a session whose partner is too far behind, that was severed for too long, or
    /// was ending for too long.
    pub fn tick(&mut self, now: u64) {
        if !self.actions.is_empty() {
            return;
        }
        if self.is_behind() {
            return self.end(SessionEvent::End, GoneReason::Behind, now);
        }
        if now < self.until {
            return;
        }
        match self.state {
            SessionState::Severed => self.end(SessionEvent::LingerOver, GoneReason::NoLink, now),
            SessionState::Ending => self.drained(now),
            _ => self.until = u64::MAX,
        }
    }

    /// Every client has closed after `SessionGone`: another session may begin.
    pub fn drained(&mut self, now: u64) {
        if !self.actions.is_empty() || self.state != SessionState::Ending {
            return;
        }
        self.step(SessionEvent::Drained);
        self.until = u64::MAX;
        for id in LinkId::all() {
            self.settle(id, now);
        }
    }

    /// Ends the session at this end: another one begins when the clients have closed.
    pub fn end_session(&mut self, now: u64) {
        if self.actions.is_empty() && self.state.has_partner() {
            self.end(SessionEvent::End, GoneReason::Ended, now);
        }
    }

    /// Closes for good. The links have to be removed one by one, which tells the peer.
    pub fn close(&mut self, now: u64) {
        if !self.actions.is_empty() {
            return;
        }
        if self.state.has_partner() {
            self.end(SessionEvent::Close, GoneReason::Closed, now);
        } else {
            self.step(SessionEvent::Close);
        }
        self.until = u64::MAX;
    }

    fn fence(&mut self, id: LinkId, now: u64, reason: DownReason) {
        if let Some(link) = self
            .links
            .get_mut(id.index())
            .and_then(|slot| slot.link.as_mut())
        {
            link.fence(now, reason);
        }
    }

    fn step(&mut self, event: SessionEvent) {
        match self.state.on(event) {
            SessionStep::To(state) => self.state = state,
            SessionStep::NoOp => {}
            SessionStep::Invalid => {
                debug_assert!(false, "{event:?} cannot happen in {:?}", self.state)
            }
        }
    }
}

const _: () = assert!(2 * LINK_COUNT + 8 <= action::ACTIONS_MAX);
