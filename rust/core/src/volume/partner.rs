// SPDX-License-Identifier: GPL-2.0
//! The partner, as far as the session with it says: which life of it that is, what it promises, how it stands, and what is
//! to be sent to it.

mod standing;

use crate::ids::{Incarnation, LINK_COUNT};
use crate::mirror::message::Message;
use crate::mirror::standing::Standing;
use crate::terms::Terms;

/// What is known of the partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Partner {
    /// Its incarnation, while there is a session.
    life: Option<Incarnation>,
    /// What it said last that it would promise.
    terms: Option<Terms>,
    /// How it said last that it stands, in this session.
    standing: Option<Standing>,
    /// When it said anything last, in this session.
    heard_at_ns: Option<u64>,
    /// What this controller said last of itself in this session, and when.
    standing_told: Option<(Standing, u64)>,
    outbox: Outbox,
}

impl Partner {
    pub(crate) const NONE: Self = Self {
        life: None,
        terms: None,
        standing: None,
        heard_at_ns: None,
        standing_told: None,
        outbox: Outbox {
            queue: [None; OUTBOX_MAX],
        },
    };

    /// Its incarnation, while there is a session.
    pub(crate) fn life(&self) -> Option<Incarnation> {
        self.life
    }

    /// What it said last that it would promise, in whichever session.
    pub(crate) fn terms(&self) -> Option<Terms> {
        self.terms
    }

    /// When it said anything last, in this session.
    pub(crate) fn heard_at_ns(&self) -> Option<u64> {
        self.heard_at_ns
    }

    /// It has said something.
    pub(crate) fn heard(&mut self, now_ns: u64) {
        self.heard_at_ns = Some(now_ns);
    }

    /// There is a session with this life of it.
    pub(crate) fn session_up(&mut self, incarnation: Incarnation, terms: Terms) {
        (self.life, self.terms) = (Some(incarnation), Some(terms));
        (self.standing, self.standing_told) = (None, None);
        self.heard_at_ns = None;
    }

    /// The session is over.
    pub(crate) fn session_gone(&mut self) {
        (self.life, self.standing) = (None, None);
        self.outbox.clear();
    }

    /// Queues a message; `false`: see [`Outbox::push`].
    pub(crate) fn send(&mut self, message: Message) -> bool {
        self.outbox.push(message)
    }

    /// The next message to send.
    pub(crate) fn next_message(&mut self) -> Option<Message> {
        self.outbox.pop()
    }
}

/// The most messages that wait to be sent at a time: one question and one answer for each link, and three more.
const OUTBOX_MAX: usize = 2 * LINK_COUNT + 4;

/// Messages that wait to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Outbox {
    queue: [Option<Message>; OUTBOX_MAX],
}

impl Outbox {
    /// Queues a message; `false`: the queue is full, and it is not sent. Nothing rests on one message: whoever waits
    /// for what it brings about says it again.
    fn push(&mut self, message: Message) -> bool {
        let place = self.queue.iter_mut().find(|place| place.is_none());
        place.is_some_and(|place| {
            *place = Some(message);
            true
        })
    }

    fn pop(&mut self) -> Option<Message> {
        let first = self.queue.first_mut().filter(|first| first.is_some())?;
        let first = first.take()?;
        // Few wait at a time: the others need not be moved.
        let behind = self.queue.iter().skip(1).take_while(|m| m.is_some());
        let used = behind.count().saturating_add(1);
        if let Some(queue) = self.queue.get_mut(..used) {
            queue.rotate_left(1);
        }
        Some(first)
    }

    fn clear(&mut self) {
        self.queue = [None; OUTBOX_MAX];
    }
}
