// SPDX-License-Identifier: GPL-2.0
//! Link layers and sessions, as the core's contract describes them (its own
//! tests prove that it keeps it): a handshake lets every earlier post arrive; a
//! session delivers in order, exactly once, over whatever link is up; each end
//! learns of everything in its own time.

use yoke_core::ids::{LinkEpoch, LinkId};
use yoke_core::mirror::message::Message;
use yoke_core::terms::Terms;
use yoke_core::volume::Input;

use super::beside::News;
use super::{World, CONTROLLERS};
use crate::controller::{Life, Notice};
use crate::event::Event;

impl World {
    /// A link goes down.
    pub(super) fn cut(&mut self, link: u8, keep: [u8; 2]) {
        self.stats.cuts += 1;
        self.links[link as usize].cut(keep.map(usize::from));
        self.trace
            .line(self.now_ns, || format!("link {link} goes DOWN"));
        for at in 0..CONTROLLERS as u8 {
            self.soon(Event::Silent { link, at });
        }
    }

    /// A link is connected again.
    pub(super) fn mend(&mut self, link: u8) {
        self.links[link as usize].mend();
        self.trace
            .line(self.now_ns, || format!("link {link} is connected again"));
        self.soon(Event::Handshake { link });
    }

    /// One end's life of a link, if it has not gone down since.
    fn life(&self, link: usize, at: usize) -> Option<Life> {
        let live = self.controllers[at].live.as_ref()?;
        let life = live.lives.get(link).copied().flatten()?;
        (life.downs == self.links[link].downs(at)).then_some(life)
    }

    /// Whether both ends of a link count the same life of it.
    pub(super) fn agreed(&self, link: usize) -> bool {
        let epoch = |at| self.life(link, at).map(|life| life.epoch);
        epoch(0).is_some() && epoch(0) == epoch(1)
    }

    /// Whether both ends of a link can shake hands and need to.
    pub(super) fn can_shake(&self, link: u8) -> bool {
        let link = link as usize;
        let both_run = self.controllers.iter().all(|c| c.runs());
        let good = self.agreed(link) && self.links[link].answers(0);
        both_run && self.links[link].is_up() && !good
    }

    /// Whether an end that counts a life of a link would hear nothing over it.
    pub(super) fn is_silent(&self, link: u8, at: u8) -> bool {
        let controller = &self.controllers[at as usize];
        let lives = controller
            .live
            .as_ref()
            .is_some_and(|l| l.lives[link as usize].is_some());
        let heard = self.controllers[1 - at as usize].runs()
            && self.agreed(link as usize)
            && self.links[link as usize].answers(at as usize);
        controller.runs() && lives && !heard
    }

    /// A link shakes hands, if both ends can and need to.
    pub(super) fn handshake(&mut self, link: u8) {
        if !self.can_shake(link) {
            return;
        }
        let index = link as usize;
        self.stats.handshakes += 1;
        // The round trip cannot overtake what was posted before.
        for at in 0..CONTROLLERS as u8 {
            self.arrive_all(link, at);
        }
        self.links[index].open();
        let number = self.link_number(link);
        let Some(epoch) = LinkEpoch::new(number) else {
            return;
        };
        self.trace.line(self.now_ns, || {
            format!("link {link} shakes hands: life {epoch}")
        });
        for at in 0..CONTROLLERS as u8 {
            self.end_life(link, at);
        }
        self.meet();
        for at in 0..CONTROLLERS as u8 {
            let downs = self.links[index].downs(at as usize);
            if let Some(live) = &mut self.controllers[at as usize].live {
                live.lives[index] = Some(Life { epoch, downs });
            }
            let life = epoch;
            self.announce(News::Up { at, link, life });
        }
        self.bring_waiting();
    }

    /// Messages that wait for a link go on.
    pub(super) fn bring_waiting(&mut self) {
        for at in 0..CONTROLLERS as u8 {
            let waiting = self.controllers[at as usize]
                .live
                .as_ref()
                .map_or(0, |l| l.inbox.len());
            (0..waiting).for_each(|_| self.soon(Event::Message { at }));
        }
    }

    /// Both ends are in one session from now on.
    fn meet(&mut self) {
        if self.session.open == [true; CONTROLLERS] {
            return;
        }
        for at in 0..CONTROLLERS as u8 {
            self.leave_session(at);
        }
        let lives = |at: usize| self.controllers[1 - at].live.is_some();
        self.session.open = [lives(0), lives(1)];
        self.announce(News::Met);
    }

    fn leave_session(&mut self, at: u8) {
        if std::mem::take(&mut self.session.open[at as usize]) {
            self.stats.sessions_gone += 1;
            self.announce(News::Left { at });
        }
    }

    /// One end's life of a link is over.
    fn end_life(&mut self, link: u8, at: u8) {
        let Some(live) = &mut self.controllers[at as usize].live else {
            return;
        };
        if live.lives[link as usize].take().is_none() {
            return;
        }
        let none_left = live.lives.iter().all(Option::is_none);
        self.announce(News::Down { at, link });
        if none_left {
            self.soon(Event::Linger { at });
        }
    }

    /// One end has heard nothing over a link for too long, if that is so.
    pub(super) fn silent(&mut self, link: u8, at: u8) {
        if self.is_silent(link, at) {
            self.end_life(link, at);
        }
        self.soon(Event::Handshake { link });
    }

    /// One end gives the session up, if it still has no link.
    pub(super) fn linger(&mut self, at: u8) {
        let controller = &self.controllers[at as usize];
        let alone = controller.runs()
            && controller
                .live
                .as_ref()
                .is_some_and(|l| l.lives.iter().all(Option::is_none));
        if alone {
            self.leave_session(at);
        }
    }

    /// A volume was closed: its twin hears that links and session are over, though they are not.
    pub(super) fn part(&mut self, at: u8) {
        if std::mem::replace(&mut self.session.closed[at as usize], true) {
            return;
        }
        let (other, session) = (1 - at, self.session.number);
        if self.session.closed[other as usize] || !self.session.open[other as usize] {
            return;
        }
        for link in self.lives_at(other) {
            self.tell_notice(other, Notice::LinkDown { link: link.0 });
        }
        self.tell_notice(other, Notice::SessionGone { session });
    }

    /// A volume was opened again: both ends hear of a session, and of links that have lived all along.
    pub(super) fn join(&mut self, at: u8) {
        if self.session.open != [true; CONTROLLERS] || self.session.closed != [false; CONTROLLERS] {
            return;
        }
        self.session.number += 1;
        let session = self.session.number;
        if let Some(live) = &mut self.controllers[at as usize].live {
            // What was sent to the twin that was closed reaches the one that was opened.
            live.inbox.iter_mut().for_each(|m| m.0 = session);
        }
        for at in 0..CONTROLLERS as u8 {
            let partner = self.controllers[1 - at as usize].live.as_ref();
            let Some(incarnation) = partner.map(|l| l.incarnation) else {
                return;
            };
            self.tell_notice(
                at,
                Notice::SessionUp {
                    session,
                    incarnation,
                },
            );
            for (link, life) in self.lives_at(at) {
                self.tell_notice(at, Notice::LinkUp { link, life });
            }
        }
    }

    /// The lives that an end counts, by link.
    fn lives_at(&self, at: u8) -> Vec<(u8, LinkEpoch)> {
        let live = self.controllers[at as usize].live.as_ref();
        let lives = live.iter().flat_map(|l| (0..).zip(&l.lives));
        lives
            .filter_map(|(link, life)| Some((link, (*life)?.epoch)))
            .collect()
    }

    pub(super) fn notice(&mut self, at: u8, notice: Notice) {
        if self.session.closed == [false; CONTROLLERS] {
            self.tell_notice(at, notice);
        }
    }

    fn tell_notice(&mut self, at: u8, notice: Notice) {
        if let Some(live) = &mut self.controllers[at as usize].live {
            live.notices.push_back(notice);
            self.soon(Event::Notice { at });
        }
    }

    /// The machine hears the oldest piece of news.
    pub(super) fn deliver_notice(&mut self, at: u8) {
        let controller = &mut self.controllers[at as usize];
        if !controller.runs() {
            return;
        }
        let Some(live) = &mut controller.live else {
            return;
        };
        let Some(notice) = live.notices.pop_front() else {
            return;
        };
        match notice {
            Notice::SessionUp { session, .. } => live.session = Some(session),
            Notice::SessionGone { session } => {
                live.session = None;
                live.inbox.retain(|(s, _)| *s != session);
            }
            _ => {}
        }
        let waiting = live.inbox.len();
        self.trace
            .line(self.now_ns, || format!("controller {at} hears: {notice:?}"));
        let downs = |world: &World, link: u8| world.links[link as usize].downs(at as usize);
        let id = |link: u8| LinkId::new(link).unwrap_or_else(|| unreachable!("few links"));
        let input = match notice {
            Notice::SessionUp { incarnation, .. } => Input::SessionUp {
                incarnation,
                terms: self.terms_of(1 - at),
            },
            Notice::SessionGone { .. } => Input::SessionGone,
            Notice::LinkUp { link, life } => Input::LinkUp {
                link: id(link),
                life,
                downs: downs(self, link),
            },
            Notice::LinkDown { link } => Input::LinkDown { link: id(link) },
        };
        self.handle(at, input);
        if matches!(notice, Notice::SessionUp { .. }) {
            (0..waiting).for_each(|_| self.soon(Event::Message { at }));
        }
    }

    /// What a controller says of its settings in the greeting.
    fn terms_of(&self, at: u8) -> Terms {
        let scenario = &self.setting.scenario;
        match &self.controllers[at as usize].live {
            Some(live) => live.machine.config().terms(),
            None => {
                let (link_lease_ns, io_life_ns) = scenario.terms_of(at);
                Terms::new(link_lease_ns, io_life_ns)
            }
        }
    }

    /// Sends a message of the machine to its twin.
    pub(super) fn send(&mut self, from: u8, message: Message) {
        let told = self.controllers[from as usize]
            .live
            .as_ref()
            .and_then(|l| l.session);
        let current = told == Some(self.session.number)
            && self.session.open[from as usize]
            && self.session.closed == [false; CONTROLLERS];
        self.trace.line(self.now_ns, || {
            let lost = if current {
                ""
            } else {
                " (no session any more)"
            };
            format!("controller {from} sends {message:?}{lost}")
        });
        let at = 1 - from;
        if !current || !self.session.open[at as usize] {
            return;
        }
        let rate = u64::from(self.setting.scenario.faults.message_loss);
        if self.lossy && rate > 0 && (self.number(from) >> 1) % 1000 < rate {
            self.stats.messages_lost += 1;
            self.trace.line(self.now_ns, || "it is LOST".into());
            return;
        }
        let session = self.session.number;
        if let Some(live) = &mut self.controllers[at as usize].live {
            live.inbox.push_back((session, message));
            self.soon(Event::Message { at });
        }
    }

    /// The machine hears the oldest message, if its session has begun and a link is there to bring it.
    pub(super) fn deliver_message(&mut self, at: u8) {
        let carried = (0..self.links.len()).any(|l| self.agreed(l) && self.links[l].answers(0));
        let controller = &mut self.controllers[at as usize];
        if !controller.runs() || !carried {
            return;
        }
        let Some(live) = &mut controller.live else {
            return;
        };
        // Of a session that is over nothing is heard any more.
        let newest = live.session.unwrap_or(0);
        while live.inbox.front().is_some_and(|m| m.0 < newest) {
            live.inbox.pop_front();
        }
        let Some((session, message)) = live.inbox.front().copied() else {
            return;
        };
        if live.session != Some(session) {
            return;
        }
        live.inbox.pop_front();
        self.trace
            .line(self.now_ns, || format!("controller {at} hears {message:?}"));
        self.handle(at, Input::Message(message));
    }
}
