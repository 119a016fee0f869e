// SPDX-License-Identifier: GPL-2.0
//! Inputs in, actions out.

use super::action::{Action, Input};
use super::machine::{Volume, PIECE};
use super::plan::FenceSample;
use super::states::LentEvent;
use super::status::Role;
use super::Token;
use crate::ids::{Incarnation, LinkEpoch, LinkId};
use crate::mirror::message::Message;
use crate::terms::Terms;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::mirror::regions::{Lent, LentState, Question, Removal};
use crate::volume::requests::pass::PassEnd;
use crate::volume::requests::tickets::Ticket;
use crate::volume::status::Reason;
use crate::window::Place;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Something happened. Afterwards poll.
    pub fn handle(&mut self, input: Input<'_>, now_ns: u64) {
        match input {
            Input::Room { link, place } => self.room(link, place),
            Input::SessionUp { incarnation, terms } => self.session_up(incarnation, terms),
            Input::SessionGone => self.session_gone(now_ns),
            Input::LinkUp { link, life, downs } => self.link_up(link, life, downs),
            Input::LinkDown { link } => self.link_down(link),
            Input::LinkGoing { link } => self.remove_link(link),
            Input::Message(message) => {
                self.heard(now_ns);
                self.message(message, now_ns);
            }
            Input::NodeBlockWritten { token, ok } => self.block_written(token, ok, now_ns),
            Input::NodeBlocks { token, blocks } => self.blocks_read(token, blocks, now_ns),
            Input::Fenced { token, sample } => self.fenced(token, sample),
            Input::WordSet { token } | Input::Cleared { token } => self.lent_done(token),
            Input::Scanned { token } => self.scanned(token, now_ns),
            Input::DiskFlushed { token, ok } => {
                if self.log.flushes().awaits(token) {
                    self.flushed(ok, now_ns);
                }
            }
            Input::Reservation { token, told } => self.reservation_told(token, told, now_ns),
            Input::PassedDown { pass, end } => {
                match end {
                    PassEnd::Done => self.disk_told(true, now_ns),
                    PassEnd::Failed => self.disk_told(false, now_ns),
                    // The disk knows no such command, or was not asked.
                    PassEnd::Refused | PassEnd::NotIssued => (),
                }
                self.passed_down(pass, end);
            }
            Input::Command(command) => self.command(command, now_ns),
        }
    }

    /// Our own window has, or has no, room for a region. What was in it before is gone.
    fn room(&mut self, link: LinkId, place: Option<Place>) {
        self.mirror
            .edit_link(link, |link| (link.room, link.going) = (place, Removal::No));
        let adopted = self.mirror.lent(link).state == LentState::Adopted;
        if adopted {
            self.log.condemn_link(link.get());
        }
        if adopted && self.is_to_be_scanned(link) {
            // Nobody can tell any more which blocks it had.
            self.stop(Reason::EpochUnknown);
        }
        self.mirror.edit_lent(link, |lent| {
            lent.on(LentEvent::WindowGone);
            *lent = Lent {
                state: lent.state,
                question: lent.question,
                ..Lent::NONE
            }
        });
    }

    fn session_up(&mut self, incarnation: Incarnation, terms: Terms) {
        self.partner.session_up(incarnation, terms);
        self.ownership.survey_soon();
    }

    fn session_gone(&mut self, now_ns: u64) {
        for link in self.mirror.known_links() {
            self.link_down(link);
        }
        self.partner.session_gone();
        self.ownership.forget_rescue();
        self.mirror.forget_questions();
        self.ownership.survey_soon();
        self.take_over_at_once(now_ns);
    }

    fn link_up(&mut self, link: LinkId, life: LinkEpoch, downs: u64) {
        self.lose_region(link);
        self.mirror.edit_link(link, |link| {
            (link.life, link.downs, link.going) = (Some(life), downs, Removal::No);
        });
        self.mirror.take_questions_ahead(self.guards, life);
    }

    fn link_down(&mut self, link: LinkId) {
        self.lose_region(link);
        self.mirror.edit_link(link, |link| link.life = None);
    }

    fn message(&mut self, message: Message, now_ns: u64) {
        match message {
            Message::Ask {
                life,
                generation,
                number,
                slots,
            } => self.mirror.question_came(Question {
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
            // Whoever is taking the volume over goes by the record that it has read, and its own may name this region.
            Message::Retire { .. } if self.ownership.role() == Role::Taking => (),
            Message::Retire { epoch } => self.mirror.retired(self.guards, epoch),
            Message::Released { generation } => self.offered(generation),
            Message::Leaving => self.partner_leaves(),
            Message::Standing {
                standing,
                generation,
            } => self.partner_stands(standing, generation, now_ns),
            Message::Want => self.partner_wants(now_ns),
        }
    }

    /// The partner wants to close: its regions are given up, so that the record becomes `disk`.
    fn partner_leaves(&mut self) {
        if matches!(self.ownership.role(), Role::Owner(_)) {
            self.lose_all_regions();
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
    pub fn poll_action(&mut self, now_ns: u64) -> Option<Action> {
        self.agenda.begin_poll();
        if self.log.is_emptying() {
            self.log.empty_some(PIECE);
            return Some(Action::Yield);
        }
        if self.log.is_undoing() {
            self.undo_some();
            return Some(Action::Yield);
        }
        if self.log.is_sorting() {
            self.log.sort_some(PIECE);
            return Some(Action::Yield);
        }
        if self.log.is_sweeping() {
            self.log.sweep_some(PIECE);
            self.requests.retry_all();
            return Some(Action::Yield);
        }
        let mut more = self.forget_some();
        more |= self.settle_doubts(now_ns);
        // Whatever has left the log, no flush waits for it.
        self.drain_flushes();
        self.agenda.look_at_all();
        self.tick(now_ns);
        if let Some(action) = self.next_action(now_ns) {
            return Some(action);
        }
        while let Some(index) = self.requests.next_queued() {
            if let Some(action) = self.advance_ticket(index, now_ns) {
                return Some(action);
            }
        }
        if self.requests.take_retry() {
            return Some(Action::Wake);
        }
        let news = Some((self.ownership.role(), self.why()));
        if self.notified != news {
            self.notified = news;
            return Some(Action::Notify(self.ownership.role()));
        }
        (more || self.log.is_sorting()).then_some(Action::Yield)
    }

    fn tick(&mut self, now_ns: u64) {
        self.close_now();
        self.excuse_disk_after_stillness(now_ns);
        match self.ownership.role() {
            Role::Standby => self.standby_tick(now_ns),
            Role::Taking => self.takeover_tick(now_ns),
            Role::Owner(mode) => self.owner_tick(mode, now_ns),
            Role::Stopped => self.stopped_tick(now_ns),
            Role::Opening | Role::Closed => (),
        }
        self.prove_registration(now_ns);
        self.say_standing(now_ns);
        let [serve_from_ns, write_from_ns] = self.ownership.not_before_ns();
        for time in [
            serve_from_ns,
            write_from_ns,
            self.log.runs().not_before_ns(),
        ] {
            if time > now_ns {
                self.agenda.wake_at(time);
            } else if time > self.agenda.polled_at_ns() {
                self.requests.retry_all();
            }
        }
        self.agenda.set_polled_at(now_ns);
    }

    fn next_action(&mut self, now_ns: u64) -> Option<Action> {
        if let Some(message) = self.partner.next_message() {
            return Some(Action::Send(message));
        }
        let role = self.ownership.role();
        if role == Role::Closed {
            return self.next_ping(now_ns);
        }
        if let Some(action) = self.next_lending() {
            return Some(action);
        }
        if let Some(action) = self.next_block(now_ns) {
            return Some(action);
        }
        if role == Role::Stopped {
            return self.next_ping(now_ns);
        }
        if let Some(action) = self.next_takeover() {
            return Some(action);
        }
        if let Some(action) = self.next_reservation(now_ns) {
            return Some(action);
        }
        if let Some(action) = self.next_ping(now_ns) {
            return Some(action);
        }
        if let Some(action) = self.next_copy(now_ns) {
            return Some(action);
        }
        if let Some(action) = self.next_pass(now_ns) {
            return Some(action);
        }
        if let Some(action) = self.next_free(now_ns) {
            return Some(action);
        }
        self.next_flush(now_ns)
    }
}
