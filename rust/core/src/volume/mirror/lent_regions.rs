// SPDX-License-Identifier: GPL-2.0
//! The regions of our own window that we grant to the partner (PROTOCOL P2, P6, P9).
//!
//! A shadow is kept until its owner says that it is not needed: by asking for a new region on that link (it asks only
//! when its record does not name the old one), or by retiring it. No greeting, no restart of a session wipes one.

use super::Mirror;
use crate::disk::node_block::Shadow;
use crate::guards::{Guard, Guards};
use crate::ids::{Epoch, LinkEpoch, LinkId};
use crate::mirror::message::Message;
use crate::volume::action::{Action, Token};
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::mirror::regions::{LentState, Question};
use crate::volume::requests::tickets::Ticket;
use crate::volume::states::LentEvent;
use crate::volume::status::Role;

impl Mirror {
    /// The partner asks for a region.
    pub(crate) fn question_came(&mut self, question: Question) {
        let here = |link: &LinkId| self.link(*link).life == Some(question.life);
        if let Some(link) = self.known_links().find(here) {
            self.edit_lent(link, |lent| lent.question = Some(question));
        } else {
            // Our end of this life of the link is not up yet.
            self.questions_ahead_of_link.rotate_right(1);
            if let Some(place) = self.questions_ahead_of_link.first_mut() {
                *place = Some(question);
            }
        }
    }

    /// A link has come up: a question for it may have come earlier.
    pub(crate) fn take_questions_ahead(&mut self, guards: Guards, life: LinkEpoch) {
        let early = core::mem::take(&mut self.questions_ahead_of_link);
        for question in early.into_iter().flatten() {
            if question.life == life {
                self.question_came(question);
            } else if let Some(place) = self
                .questions_ahead_of_link
                .iter_mut()
                .find(|place| place.is_none())
            {
                *place = Some(question);
            }
        }
        if !guards.on(Guard::KeepShadow) {
            // What is left out: the greeting of a link wipes what was granted over it.
            let here = |link: &LinkId| self.link(*link).life == Some(life);
            if let Some(link) = self.known_links().find(here) {
                self.edit_lent(link, |lent| {
                    if lent.state == LentState::Live {
                        lent.answering = None;
                        lent.on(LentEvent::Retired);
                    }
                });
            }
        }
    }

    /// The session is over: nobody waits for an answer.
    pub(crate) fn forget_questions(&mut self) {
        self.questions_ahead_of_link = Default::default();
        for lent in &mut self.lent {
            (lent.question, lent.answering) = (None, None);
        }
    }

    /// The owner's record does not name this region any more.
    pub(crate) fn retired(&mut self, guards: Guards, epoch: Epoch) {
        if !guards.on(Guard::NeverScanRetired) {
            return;
        }
        for lent in &mut self.lent {
            if lent.epoch == Some(epoch) && lent.is_intact() {
                lent.answering = None;
                lent.on(LentEvent::Retired);
            }
        }
    }

    /// Whether a region of ours has what was posted under an epoch.
    pub(crate) fn is_intact(&self, epoch: Epoch) -> bool {
        self.lent
            .iter()
            .any(|lent| lent.epoch == Some(epoch) && lent.is_intact())
    }

    /// Takeover, step 1: changes the word of every region. Says whether all are changed.
    pub(crate) fn void_all(&mut self) -> bool {
        let mut done = true;
        for lent in &mut self.lent {
            lent.on(LentEvent::Void);
            done &= !lent.is_moving();
        }
        done
    }

    /// The regions that a takeover adopts; the others hold nothing any more.
    pub(crate) fn adopt_regions(&mut self, guards: Guards, shadow: Option<&Shadow>) {
        let scan_all = !guards.on(Guard::NeverScanRetired);
        for lent in &mut self.lent {
            if !lent.is_intact() {
                continue;
            }
            let named = shadow.is_some_and(|shadow| {
                shadow.epochs().any(|epoch| lent.epoch == Some(epoch)) || scan_all
            });
            lent.on(if named {
                LentEvent::Adopt
            } else {
                LentEvent::Forget
            });
        }
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Begins to answer a question, or to change words before a takeover; then the actions that this needs.
    pub(crate) fn next_lending(&mut self) -> Option<Action> {
        self.mirror
            .known_links()
            .find_map(|link| self.next_lending_of(link))
    }

    fn next_lending_of(&mut self, link: LinkId) -> Option<Action> {
        if self.mirror.lent(link).question.is_some() {
            self.begin_answer(link);
        }
        if self.mirror.lent(link).token.is_some() || !self.mirror.lent(link).is_moving() {
            return None;
        }
        let lent = *self.mirror.lent(link);
        let token = self.agenda.token();
        self.mirror.edit_lent(link, |lent| lent.token = Some(token));
        Some(match lent.state {
            LentState::Clearing => Action::ClearRegion { token, link },
            LentState::Setting => Action::SetWord {
                token,
                link,
                word: lent.epoch.map_or(0, Epoch::get),
            },
            _ => Action::SetWord {
                token,
                link,
                word: 0,
            },
        })
    }

    /// Takes up a question, if it can be answered now.
    fn begin_answer(&mut self, link: LinkId) {
        let lent = *self.mirror.lent(link);
        let Some(question) = lent.question else {
            return;
        };
        let stale = self.mirror.link(link).life != Some(question.life)
            || question.generation < self.ownership.known_generation();
        if stale {
            return self.mirror.edit_lent(link, |lent| lent.question = None);
        }
        // One whose word was changed since, for a takeover that came to nothing, is granted anew.
        let granting = matches!(
            lent.state,
            LentState::Live | LentState::Voiding | LentState::Clearing | LentState::Setting
        );
        if lent.answering == Some(question) && lent.owner == self.partner.life() && granting {
            // It was asked again: the answer was lost, or is on its way.
            self.mirror.edit_lent(link, |lent| lent.question = None);
            if lent.state == LentState::Live {
                self.tell_grant(link);
            }
            return;
        }
        let room = self
            .mirror
            .link(link)
            .room
            .is_some_and(|room| room.slots >= question.slots);
        let free = matches!(
            lent.state,
            LentState::Idle | LentState::Live | LentState::Fenced
        );
        if self.ownership.role() != Role::Standby || self.ownership.is_closing() || !room || !free {
            return;
        }
        let owner = self.partner.life();
        self.mirror.edit_lent(link, |lent| {
            lent.question = None;
            lent.answering = Some(question);
            lent.owner = owner;
            lent.on(LentEvent::Asked);
        });
    }

    /// A word is set, or a region is cleared.
    pub(crate) fn lent_done(&mut self, token: Token) {
        let mine = |link: &LinkId| self.mirror.lent(*link).token == Some(token);
        let Some(link) = self.mirror.known_links().find(mine) else {
            return;
        };
        let lent = *self.mirror.lent(link);
        let event = match lent.state {
            LentState::Voiding if lent.answering.is_none() => LentEvent::DoneForNobody,
            LentState::Voiding if !self.guards.on(Guard::ClearBeforeGrant) => {
                LentEvent::DoneUncleared
            }
            _ => LentEvent::Done,
        };
        let next = lent.state.on(event).after(lent.state);
        let epoch = match next {
            LentState::Setting => self.fresh_epoch(link),
            LentState::Idle => None,
            _ => lent.epoch,
        };
        self.mirror.edit_lent(link, |lent| {
            lent.on(event);
            lent.epoch = epoch;
        });
        if next == LentState::Live {
            self.tell_grant(link);
        }
    }

    fn fresh_epoch(&mut self, link: LinkId) -> Option<Epoch> {
        if !self.guards.on(Guard::FreshEpoch) {
            return Epoch::new(1 + u64::from(link.get()));
        }
        // Two of 2^64 numbers are no epochs: the first draw does.
        (0..8).find_map(|_| Epoch::new(self.random()))
    }

    fn tell_grant(&mut self, link: LinkId) {
        let lent = *self.mirror.lent(link);
        let here = *self.mirror.link(link);
        let (Some(question), Some(epoch), Some(place)) = (lent.answering, lent.epoch, here.room)
        else {
            return;
        };
        if here.life == Some(question.life) && lent.owner == self.partner.life() {
            self.partner.send(Message::Grant {
                life: question.life,
                number: question.number,
                epoch,
                place,
            });
        }
    }

    /// Nothing adopted is left. What the owner's record names is its shadow: it outbid our claim before our record had
    /// landed, so nothing was done with what we had adopted.
    pub(crate) fn drop_adopted(&mut self) {
        let ownership = &self.ownership;
        let named = |epoch| ownership.is_seen_named(epoch);
        for lent in &mut self.mirror.lent {
            if lent.state != LentState::Adopted {
                continue;
            }
            if lent.epoch.is_some_and(named) {
                lent.on(LentEvent::Outranked);
            } else {
                lent.on(LentEvent::Forget);
                lent.epoch = None;
            }
        }
    }
}
