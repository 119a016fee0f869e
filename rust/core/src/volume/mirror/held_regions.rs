// SPDX-License-Identifier: GPL-2.0
//! The regions that the partner has granted to us: proving, losing, closing (PROTOCOL P2, P6).

use super::Mirror;
use crate::disk::node_block::{RecordState, Shadow, SHADOW_EPOCHS};
use crate::guards::Guard;
use crate::ids::{Epoch, LinkId};
use crate::mirror::message::Message;
use crate::volume::action::Action;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::{bit, Volume, PIECE};
use crate::volume::mirror::regions::{Held, HeldState};
use crate::volume::plan::{FenceSample, PostTo};
use crate::volume::requests::tickets::Ticket;
use crate::volume::states::HeldEvent;
use crate::volume::Token;

impl Mirror {
    /// A region that the record names and that answers.
    pub(crate) fn live_target(&self, but: Option<LinkId>) -> Option<PostTo> {
        let live = |link: &LinkId| Some(*link) != but && self.held(*link).state == HeldState::Live;
        self.known_links()
            .find(live)
            .and_then(|link| self.post_to(link))
    }

    /// Where the region of a link is posted to.
    pub(crate) fn post_to(&self, link: LinkId) -> Option<PostTo> {
        let held = self.held(link);
        Some(PostTo {
            link,
            life: held.life?,
            epoch: held.epoch?,
            place: held.place?,
        })
    }

    /// Whether a fence could show that what was posted to a region that is closed has arrived: its partner's end was
    /// closed and opened again on one life of the link, and the link lives on.
    fn may_drain(&self, link: LinkId) -> bool {
        let held = self.held(link);
        !held.drained && held.life.is_some() && held.life == self.link(link).life
    }

    /// Whether a fence shows that everything that was posted to a region has arrived.
    fn shows_drained(&self, link: LinkId, sample: FenceSample) -> bool {
        let (held, here) = (self.held(link), self.link(link));
        sample.word != u64::MAX
            && held.life == here.life
            && held.life.is_some()
            && sample.downs == here.downs
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Whether slots may be posted to a region still. When it is lost, its place may be another volume's soon.
    pub fn may_post(&self, to: &PostTo) -> bool {
        self.mirror.held(to.link).answers() && self.mirror.post_to(to.link) == Some(*to)
    }

    /// Whether a fence proves what was posted before it to this grant. If not, the region is dead.
    pub(crate) fn judge_fence(&mut self, link: LinkId, epoch: Epoch, sample: FenceSample) -> bool {
        let held = *self.mirror.held(link);
        if held.epoch != Some(epoch) {
            return false;
        }
        let lived = held.life.is_some()
            && held.life == self.mirror.link(link).life
            && sample.downs == self.mirror.link(link).downs;
        let lived = lived || !self.guards.on(Guard::LinkLived);
        let value = sample.word == epoch.get() || !self.guards.on(Guard::FenceValue);
        if !(lived && value) {
            self.lose_region(link);
            return false;
        }
        if !matches!(
            held.state,
            HeldState::Fresh | HeldState::Ready | HeldState::Live
        ) {
            return false;
        }
        self.mirror.edit_held(link, |held| {
            held.on(HeldEvent::Answered);
            held.fence_good_at_ns = Some(
                held.fence_good_at_ns
                    .map_or(sample.issued_ns, |at| at.max(sample.issued_ns)),
            );
        });
        let lapsed = self
            .mirror
            .fence_good_at_ns
            .is_none_or(|at| at < sample.issued_ns);
        if lapsed {
            let before = self
                .ownership
                .link_lease_until_ns(self.mirror.proved_at_ns());
            self.mirror.fence_good_at_ns = Some(sample.issued_ns);
            let seen = self
                .agenda
                .polled_at_ns()
                .max(self.requests.refused_at_ns());
            if before <= seen.max(sample.issued_ns) {
                // The lease had run out: somebody may wait for it.
                self.requests.retry_all();
            }
        }
        true
    }

    /// A region does not answer any more, or is not to be used any more. One that no record names, nor will, is retired: the
    /// partner need not keep it, and may close without waiting for a record that could name it.
    pub(crate) fn lose_region(&mut self, link: LinkId) {
        let held = *self.mirror.held(link);
        let named = held
            .epoch
            .is_some_and(|epoch| self.ownership.may_be_named(epoch));
        let event = if named {
            HeldEvent::LostNamed
        } else {
            HeldEvent::LostUnnamed
        };
        let had_one = matches!(
            held.state,
            HeldState::Fresh | HeldState::Ready | HeldState::Live | HeldState::Dying
        );
        self.mirror.edit_held(link, |held| held.on(event));
        if let Some(epoch) = held.epoch.filter(|_| had_one && !named) {
            self.partner.send(Message::Retire { epoch });
        }
        if self.mirror.copying.target == Some(link) {
            self.mirror.copying.reset();
        }
        if self.mirror.freeing.link == Some(link) {
            self.mirror.freeing.leave_link();
        }
    }

    /// The record for the regions that `choose` takes; `None` if it takes none.
    pub(crate) fn shadow_of(&self, choose: impl Fn(LinkId, &Held) -> bool) -> Option<RecordState> {
        let mut epochs = [None; SHADOW_EPOCHS];
        let chosen = self
            .mirror
            .known_links()
            .filter(|link| choose(*link, self.mirror.held(*link)));
        for (place, link) in epochs.iter_mut().zip(chosen) {
            *place = self.mirror.held(link).epoch;
        }
        epochs.first()?.as_ref()?;
        Some(RecordState::Shadow(Shadow {
            holder: self.config.partner,
            holder_incarnation: self.partner.life()?,
            epochs,
        }))
    }

    /// The next fence that only asks whether a region answers.
    pub(crate) fn next_ping(&mut self, now_ns: u64) -> Option<Action> {
        let third = self.ownership.promised().link_lease_ns() / 3;
        for link in self.mirror.known_links() {
            let held = self.mirror.held(link);
            if held.ping.is_some() {
                continue;
            }
            let due = match held.state {
                HeldState::Fresh => true,
                HeldState::Ready | HeldState::Live => {
                    let at = held.fence_good_at_ns.unwrap_or(0);
                    self.agenda.due(at.saturating_add(third), now_ns)
                }
                HeldState::Closing => held.forget_from.is_none() && self.may_close(link),
                HeldState::None if self.mirror.may_drain(link) => self
                    .agenda
                    .due(held.asked_at_ns.saturating_add(self.config.poll_ns), now_ns),
                _ => false,
            };
            if !due {
                continue;
            }
            if let Some(to) = self.mirror.post_to(link) {
                let token = self.agenda.token();
                self.mirror.edit_held(link, |held| {
                    held.ping = Some(token);
                    if held.state == HeldState::None {
                        held.asked_at_ns = now_ns;
                    }
                });
                return Some(Action::Fence { token, to });
            }
        }
        None
    }

    /// Whether nobody posts to a region any more. Hardly any region closes, and each poll looks for one that does.
    #[cold]
    fn may_close(&self, link: LinkId) -> bool {
        let busy = self.mirror.copying.waits_for(link)
            || self.mirror.freeing.waits_for(link)
            || self.requests.posts_tomb_to(link);
        self.mirror.held(link).refs == 0 && !busy
    }

    /// A fence that only asked was read. False: it was none.
    pub(crate) fn pinged(&mut self, token: Token, sample: FenceSample) -> bool {
        let mine = |link: &LinkId| self.mirror.held(*link).ping == Some(token);
        let Some(link) = self.mirror.known_links().find(mine) else {
            return false;
        };
        self.mirror.edit_held(link, |held| held.ping = None);
        let held = *self.mirror.held(link);
        if held.state == HeldState::Closing {
            if self.may_close(link) {
                self.close(link, sample);
            }
        } else if held.state == HeldState::None {
            let drained = self.mirror.shows_drained(link, sample);
            self.mirror.edit_held(link, |held| held.drained = drained);
        } else if let Some(epoch) = held.epoch {
            self.judge_fence(link, epoch, sample);
        }
        true
    }

    /// Everything that was posted to a region has been stored or dropped: forget it. A read that was answered shows
    /// that the posts have arrived; otherwise only the link's next handshake does.
    fn close(&mut self, link: LinkId, sample: FenceSample) {
        let drained = self.mirror.shows_drained(link, sample);
        self.forget_link_in_round(link);
        self.mirror.edit_held(link, |held| {
            held.drained = drained;
            held.forget_from = Some(0);
        });
    }

    /// One piece of the work that closing a region makes. Says whether there is more.
    pub(crate) fn forget_some(&mut self) -> bool {
        let closing = |link: &LinkId| self.mirror.held(*link).forget_from.is_some();
        let Some(link) = self.mirror.known_links().find(closing) else {
            return false;
        };
        let first = self.mirror.held(link).forget_from.unwrap_or(0);
        let next = self.log.forget_regions(bit(link), first, PIECE);
        self.mirror.edit_held(link, |held| held.forget_from = next);
        if next.is_none() {
            self.mirror.edit_held(link, |old| {
                old.on(HeldEvent::Drained);
                // Where it is: to be asked again whether the posts have arrived.
                let (epoch, place) = (old.epoch, old.place);
                *old = Held {
                    state: old.state,
                    life: old.life,
                    epoch: epoch.filter(|_| !old.drained),
                    place: place.filter(|_| !old.drained),
                    drained: old.drained,
                    ..Held::NONE
                }
            });
            self.requests.retry_parked();
        }
        true
    }

    /// Gives up every region.
    pub(crate) fn lose_all_regions(&mut self) {
        for link in self.mirror.known_links() {
            self.lose_region(link);
        }
    }

    /// What the record does not name any more is closed; the partner is told.
    pub(crate) fn retire(&mut self) {
        for link in self.mirror.known_links() {
            let held = self.mirror.held(link);
            let (state, Some(epoch)) = (held.state, held.epoch) else {
                continue;
            };
            if state == HeldState::Dying && !self.ownership.may_be_named(epoch) {
                self.mirror
                    .edit_held(link, |held| held.on(HeldEvent::LostUnnamed));
                self.partner.send(Message::Retire { epoch });
            }
        }
    }
}
