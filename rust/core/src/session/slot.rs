// SPDX-License-Identifier: GPL-2.0
//! How the links of a session come and go, and what that does to the session.

use core::ops::DerefMut;

use super::action::{Action, GoneReason};
use super::outbox::Kept;
use super::state::{SessionEvent, SessionState};
use super::Session;
use crate::ids::{LinkEpoch, LinkId};
use crate::link::{Contact, DownReason, Link, LinkFault, Refusal};
use crate::wire::hello::Peer;

/// The place of one link in a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    pub(super) link: Option<Link>,
    pub(super) joined: Option<Joined>,
    /// The refusal that was told to people. A link that rests and tries again is not told again.
    pub(super) told: Option<Refusal>,
}

/// What a session knows of a link that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Joined {
    /// The epoch in which it joined. INVARIANT: no message of another epoch is given to a client.
    pub(super) epoch: LinkEpoch,
    /// The number of the last message that came over it in this epoch; 0 for none.
    pub(super) last: u64,
    /// Whether the clients know: the link is up, not on probation.
    pub(super) announced: bool,
}

impl<L, S> Session<L, S>
where
    L: DerefMut<Target = [Slot]>,
    S: DerefMut<Target = [Kept]>,
{
    /// Draws the consequences of what happened to a link. To be called after anything that can have changed one.
    pub(super) fn settle(&mut self, id: LinkId, now: u64) {
        self.settle_loss(id, now);
        self.settle_arrival(id, now);
        self.choose();
        let Some(slot) = self.links.get_mut(id.index()) else {
            return;
        };
        let Some(link) = &mut slot.link else { return };
        if link.take_doorbell() {
            self.actions.ring(id);
        }
        match link.refusal() {
            Some(refusal) if slot.told != Some(refusal) => {
                slot.told = Some(refusal);
                self.actions.push(Action::Refused { link: id, refusal });
            }
            _ => {}
        }
    }

    /// A link whose epoch is over leaves the session.
    fn settle_loss(&mut self, id: LinkId, now: u64) {
        let Some(slot) = self.links.get_mut(id.index()) else {
            return;
        };
        let (Some(joined), Some(link)) = (slot.joined, &slot.link) else {
            return;
        };
        if link
            .receiving()
            .is_some_and(|contact| contact.epoch == joined.epoch)
        {
            return;
        }
        let reason = link.last_down().unwrap_or(DownReason::Closed);
        slot.joined = None;
        if !joined.announced {
            return;
        }
        self.actions.push(Action::LinkDown {
            link: id,
            epoch: joined.epoch,
            reason,
        });
        let any = self
            .links
            .iter()
            .any(|slot| slot.joined.is_some_and(|joined| joined.announced));
        if !any && self.state == SessionState::Open {
            self.step(SessionEvent::LastLinkDown);
            // For as long as it was silent it has been waited for.
            let waited_ns = match reason {
                DownReason::Silent(us) => us.saturating_mul(1_000),
                _ => 0,
            };
            let rest_ns = self.config.linger_ns.saturating_sub(waited_ns);
            self.until = now.saturating_add(rest_ns);
        }
    }

    /// A link that is agreed joins the session, begins one, or ends one.
    fn settle_arrival(&mut self, id: LinkId, now: u64) {
        let Some(slot) = self.links.get(id.index()) else {
            return;
        };
        let Some(link) = &slot.link else { return };
        let (Some(&contact), up) = (link.receiving(), link.up().is_some()) else {
            return;
        };
        match (self.state, self.peer) {
            (SessionState::Idle, _) if up => self.meet(id, &contact, now),
            (SessionState::Open | SessionState::Severed, Some(peer)) if peer == contact.peer => {
                self.join(id, &contact, up, now);
            }
            (SessionState::Open | SessionState::Severed, Some(peer)) => {
                self.part(id, &peer, &contact.peer, now)
            }
            // A link that comes up while a session is ending waits for the next one.
            _ => {}
        }
    }

    /// A link is up, and there is no session: one begins.
    fn meet(&mut self, id: LinkId, contact: &Contact, now: u64) {
        if self.former == Some(contact.peer) {
            // It was taken for dead, or gone on to another session, and was not. It may still be in the session that
            // is over here, with message numbers of its own: only another session number keeps the two apart.
            self.former = None;
            return self.renumber(now);
        }
        self.peer = Some(contact.peer);
        self.step(SessionEvent::LinkUp);
        self.actions.push(Action::SessionUp { peer: contact.peer });
        self.join(id, contact, true, now);
    }

    /// A link to the partner joins the session; `up` if it need not prove itself (any more).
    fn join(&mut self, id: LinkId, contact: &Contact, up: bool, now: u64) {
        let Some(slot) = self.links.get_mut(id.index()) else {
            return;
        };
        let joined = slot.joined.get_or_insert(Joined {
            epoch: contact.epoch,
            last: 0,
            announced: false,
        });
        let announce = up && !joined.announced;
        slot.told = None;
        joined.announced |= up;
        if announce {
            self.step(SessionEvent::LinkUp);
            self.until = u64::MAX;
            self.actions.push(Action::LinkUp {
                link: id,
                epoch: contact.epoch,
                peer: contact.peer,
            });
        }
        let acked = slot_acked(self.links.get(id.index()));
        if !self.outbox.acknowledge(acked) {
            let what = "the peer acknowledges messages that were never sent";
            self.fence(id, now, DownReason::Fault(LinkFault::Session(what)));
            self.settle_loss(id, now);
        }
    }

    /// A link leads to somebody else than the partner.
    fn part(&mut self, id: LinkId, partner: &Peer, found: &Peer, now: u64) {
        let Some(link) = self
            .links
            .get_mut(id.index())
            .and_then(|slot| slot.link.as_mut())
        else {
            return;
        };
        if found.node != partner.node {
            return link.refuse(
                now,
                Refusal::OtherNode {
                    expected: partner.node,
                    found: found.node,
                },
            );
        }
        if found.incarnation == partner.incarnation {
            if found.session < partner.session {
                // The partner has left that session; what says so over this link is on its way.
                return link.fence(now, DownReason::SessionEnded);
            }
            return self.end(SessionEvent::PeerChanged, GoneReason::EndedByPeer, now);
        }
        if self
            .former
            .is_some_and(|former| former.incarnation == found.incarnation)
        {
            return link.refuse(now, Refusal::Duplicate(found.node));
        }
        self.end(
            SessionEvent::PeerChanged,
            GoneReason::Restarted(found.incarnation),
            now,
        );
    }

    /// Ends the session: first its links, then itself, so that nothing of it can reach a client of the next.
    pub(super) fn end(&mut self, event: SessionEvent, reason: GoneReason, now: u64) {
        let Some(peer) = self.peer.take() else { return };
        self.step(event);
        self.until = now.saturating_add(self.config.closing_ns);
        let own = matches!(
            reason,
            GoneReason::NoLink | GoneReason::Ended | GoneReason::Behind
        );
        for id in LinkId::all() {
            let joined = self
                .links
                .get(id.index())
                .is_some_and(|slot| slot.joined.is_some());
            if joined && !own {
                self.fence_for_session(id, now);
            }
        }
        if own {
            self.renumber(now);
        }
        for id in LinkId::all() {
            self.settle_loss(id, now);
        }
        self.active = None;
        self.outbox.clear();
        self.received = 0;
        self.unannounced = 0;
        // After a new number of this end nothing of the old one can come back.
        self.former = (!own).then_some(peer);
        self.actions.push(Action::SessionGone { peer, reason });
    }

    /// Makes a link shake hands again under the same session number.
    fn fence_for_session(&mut self, id: LinkId, now: u64) {
        let number = self.number;
        if let Some(link) = self
            .links
            .get_mut(id.index())
            .and_then(|slot| slot.link.as_mut())
        {
            link.begin_session(now, number);
        }
    }

    /// Takes the next session number, and makes every link shake hands with it.
    fn renumber(&mut self, now: u64) {
        self.number = self.number.saturating_add(1);
        for id in LinkId::all() {
            self.fence_for_session(id, now);
        }
    }

    /// Chooses the link for messages: the same as long as it is up, else the lowest that is. The old one is fenced by
    /// then (its epoch is over at this end), so what is sent again cannot be overtaken by what was sent over it.
    fn choose(&mut self) {
        let epoch_of = |id: LinkId| self.contact(id).map(|contact| contact.epoch);
        if self
            .active
            .is_some_and(|(id, epoch)| epoch_of(id) == Some(epoch))
        {
            return;
        }
        self.active = LinkId::all().find_map(|id| epoch_of(id).map(|epoch| (id, epoch)));
        if self.active.is_some() {
            self.outbox.rewind();
        }
    }
}

/// What the peer has acknowledged with its heartbeats over a link.
fn slot_acked(slot: Option<&Slot>) -> u64 {
    slot.and_then(|slot| slot.link.as_ref())
        .map_or(0, Link::acked)
}
