// SPDX-License-Identifier: GPL-2.0
//! Inputs in, actions out.

use super::action::{Action, Input};
use super::leaving::LeavingEvent;
use super::machine::{Volume, Wanted, PIECE};
use super::plan::FenceSample;
use super::regions::{Going, Lent, LentState, Link, Question};
use super::states::LentEvent;
use super::status::{Reason, Role};
use super::tickets::Ticket;
use super::Token;
use crate::ids::{Incarnation, LinkEpoch, LinkId};
use crate::mirror::entry::Entry;
use crate::mirror::log::Slab;
use crate::mirror::message::Message;
use crate::terms::Terms;
use crate::window::Place;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Something happened. Afterwards poll.
    pub fn handle(&mut self, input: Input<'_>, now: u64) {
        match input {
            Input::Room { link, place } => self.room(link, place),
            Input::SessionUp { incarnation, terms } => self.session_up(incarnation, terms),
            Input::SessionGone => self.session_gone(),
            Input::LinkUp { link, life, downs } => self.link_up(link, life, downs),
            Input::LinkDown { link } => self.link_down(link),
            Input::LinkGoing { link } => self.link_going(link),
            Input::Message(message) => {
                self.heard(now);
                self.message(message);
            }
            Input::NodeBlockWritten { token, ok } => self.block_written(token, ok, now),
            Input::NodeBlocks { token, blocks } => self.blocks_read(token, blocks, now),
            Input::Fenced { token, sample } => self.fenced(token, sample),
            Input::WordSet { token } | Input::Cleared { token } => self.lent_done(token),
            Input::Slot {
                token,
                slot,
                raw,
                crc,
            } => self.scanned_slot(token, slot, raw, crc),
            Input::Scanned { token } => self.scanned(token, now),
            Input::DiskFlushed { token, ok } => {
                if self.flushes.token == Some(token) {
                    self.flushed(ok, now);
                }
            }
            Input::Preempted { token, ok } => self.preempted(token, ok, now),
            Input::PassedDown { pass, end } => self.passed_down(pass, end),
            Input::Command(command) => self.command(command, now),
        }
    }

    pub(crate) fn edit_link(&mut self, link: LinkId, edit: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.get_mut(link.index()) {
            edit(link);
        }
    }

    /// Our own window has, or has no, room for a region. What was in it before is gone.
    fn room(&mut self, link: LinkId, place: Option<Place>) {
        self.edit_link(link, |link| (link.room, link.going) = (place, Going::No));
        let adopted = self.lent(link).state == LentState::Adopted;
        if adopted {
            self.log.condemn_link(link.get());
        }
        if adopted && self.is_to_be_scanned(link) {
            // Nobody can tell any more which blocks it had.
            self.stop(Reason::EpochUnknown);
        }
        self.edit_lent(link, |lent| {
            lent.on(LentEvent::WindowGone);
            *lent = Lent {
                state: lent.state,
                question: lent.question,
                ..Lent::NONE
            }
        });
    }

    fn session_up(&mut self, incarnation: Incarnation, terms: Terms) {
        self.partner_terms = Some(terms);
        (self.partner_standing, self.said) = (None, None);
        self.heard_at = None;
        self.peer = Some(incarnation);
        self.looked_at = None;
    }

    fn session_gone(&mut self) {
        for link in LinkId::all() {
            self.link_down(link);
        }
        self.peer = None;
        self.partner_standing = None;
        if self.wanted == Some(Wanted::Rescue) {
            // Said in a session that is over: by the next one it may have been opened anew, and own the volume well.
            self.wanted = None;
        }
        self.forget_questions();
        self.outbox.clear();
        self.looked_at = None;
    }

    fn link_up(&mut self, link: LinkId, life: LinkEpoch, downs: u64) {
        self.lose(link);
        self.edit_link(link, |link| {
            (link.life, link.downs, link.going) = (Some(life), downs, Going::No);
        });
        self.early_question(life);
    }

    fn link_down(&mut self, link: LinkId) {
        self.lose(link);
        self.edit_link(link, |link| link.life = None);
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Ask {
                life,
                generation,
                number,
                slots,
            } => self.asked(Question {
                life,
                number,
                generation,
                slots,
            }),
            Message::Grant {
                life,
                number,
                epoch,
                place,
            } => self.grant(life, number, epoch, place),
            Message::Retire { epoch } => self.retired(epoch),
            Message::Released { generation } => self.offered(generation),
            Message::Leaving => self.partner_leaves(),
            Message::Standing(standing) => self.partner_stands(standing),
            Message::Want => {
                if matches!(self.role, Role::Owner(_)) {
                    self.leave(LeavingEvent::GiveBack);
                }
            }
        }
    }

    /// The partner wants to close: its regions are given up, so that the record becomes `disk`.
    fn partner_leaves(&mut self) {
        if matches!(self.role, Role::Owner(_)) {
            self.lose_all();
        }
    }

    fn fenced(&mut self, token: Token, sample: FenceSample) {
        let known = self.pinged(token, sample)
            || self.copied(token, sample)
            || self.tomb_fenced(token, sample);
        if !known {
            self.freed(token, sample);
        }
    }

    /// The next thing to do; `None`: nothing before `next_deadline`, or before something happens.
    pub fn poll_action(&mut self, now: u64) -> Option<Action> {
        self.deadline = None;
        if self.log.is_emptying() {
            self.log.empty_some(PIECE);
            return Some(Action::Yield);
        }
        let more = self.forget_some();
        self.poke = false;
        self.tick(now);
        if let Some(action) = self.next_action(now) {
            return Some(action);
        }
        while let Some(index) = self.tickets.pop() {
            if let Some(action) = self.look(index, now) {
                return Some(action);
            }
        }
        if core::mem::take(&mut self.wake) {
            return Some(Action::Wake);
        }
        let told = Some((self.role, self.why()));
        if self.told != told {
            self.told = told;
            return Some(Action::Notify(self.role));
        }
        more.then_some(Action::Yield)
    }

    fn tick(&mut self, now: u64) {
        match self.role {
            Role::Standby => self.standby_tick(now),
            Role::Taking => self.taking_tick(now),
            Role::Owner(mode) => self.owner_tick(mode, now),
            Role::Opening | Role::Stopped | Role::Closed => (),
        }
        self.say_standing(now);
        for time in [self.serve_from, self.write_from, self.destage_from] {
            if time > now {
                self.at(time);
            } else if time > self.ticked_at {
                self.stir_all();
            }
        }
        self.ticked_at = now;
    }

    fn next_action(&mut self, now: u64) -> Option<Action> {
        if let Some(message) = self.outbox.pop() {
            return Some(Action::Send(message));
        }
        if matches!(self.role, Role::Stopped | Role::Closed) {
            return self.next_ping(now);
        }
        if let Some(action) = self.next_lending() {
            return Some(action);
        }
        if let Some(action) = self.next_block(now) {
            return Some(action);
        }
        if let Some(action) = self.next_taking() {
            return Some(action);
        }
        if let Some(action) = self.next_ping(now) {
            return Some(action);
        }
        if let Some(action) = self.next_copy(now) {
            return Some(action);
        }
        if let Some(action) = self.next_pass(now) {
            return Some(action);
        }
        if let Some(action) = self.next_free(now) {
            return Some(action);
        }
        self.next_flush(now)
    }
}
