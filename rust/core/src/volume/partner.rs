// SPDX-License-Identifier: GPL-2.0
//! The partner, as far as the session with it says: which life of it that is, what it promises, how it stands, and what is
//! to be sent to it.

use crate::ids::{Incarnation, LINK_COUNT};
use crate::mirror::message::Message;
use crate::mirror::standing::Standing;
use crate::terms::Terms;

/// What is known of the partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Partner {
    /// Its incarnation, while there is a session.
    pub(crate) life: Option<Incarnation>,
    /// What it said last that it would promise.
    pub(crate) terms: Option<Terms>,
    /// How it said last that it stands, in this session.
    pub(crate) standing: Option<Standing>,
    /// What this controller said last of itself in this session, and when.
    pub(crate) said: Option<(Standing, u64)>,
    pub(crate) outbox: Outbox,
}

impl Partner {
    pub(crate) const NONE: Self = Self {
        life: None,
        terms: None,
        standing: None,
        said: None,
        outbox: Outbox {
            queue: [None; OUTBOX_MAX],
        },
    };
}

/// The most messages that wait to be sent at a time: one question and one answer for each link, and three more.
const OUTBOX_MAX: usize = 2 * LINK_COUNT + 4;

/// Messages that wait to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Outbox {
    queue: [Option<Message>; OUTBOX_MAX],
}

impl Outbox {
    /// Queues a message; `false`: the queue is full, and it is not sent. Nothing rests on one message: whoever waits
    /// for what it brings about says it again.
    pub(crate) fn push(&mut self, message: Message) -> bool {
        let place = self.queue.iter_mut().find(|place| place.is_none());
        place.is_some_and(|place| {
            *place = Some(message);
            true
        })
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let first = self.queue.first_mut()?.take()?;
        self.queue.rotate_left(1);
        Some(first)
    }

    pub(crate) fn clear(&mut self) {
        self.queue = [None; OUTBOX_MAX];
    }
}
