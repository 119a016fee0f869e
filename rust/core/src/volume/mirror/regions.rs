// SPDX-License-Identifier: GPL-2.0
//! Links, the regions that the partner granted to us, and those that we granted to it.

use crate::ids::{Epoch, Generation, Incarnation, LinkEpoch};
use crate::volume::action::Token;
use crate::volume::states::{HeldEvent, LentEvent};
use crate::window::Place;

/// One link, as far as a volume cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Link {
    /// Its life, while it is up.
    pub(crate) life: Option<LinkEpoch>,
    /// The link-down counter at the beginning of that life.
    pub(crate) downs: u64,
    /// Where our own window has room for the volume's region.
    pub(crate) room: Option<Place>,
    /// Whether it is being taken away.
    pub(crate) going: Removal,
}

/// How far this controller is with doing without its own window of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Removal {
    /// It stays.
    No,
    /// It is to go. What is in it may be needed.
    Wanted,
    /// The word of the region is changed, since this time: nothing new can come to rest on it.
    Voided { since_ns: u64 },
}

impl Link {
    pub(crate) const NONE: Self = Self {
        life: None,
        downs: 0,
        room: None,
        going: Removal::No,
    };
}

/// Where a region that the partner grants to us stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeldState {
    /// There is none.
    None,
    /// The partner was asked for one.
    Asked,
    /// It was granted; a first fence is to show that it answers.
    Fresh,
    /// It has answered. The record does not name it: it proves nothing yet.
    Ready,
    /// The record names it: what is proved in it is safe.
    Live,
    /// It does not answer, or is not to be used any more, and the record names it, or may: it can still be scanned.
    Dying,
    /// The record does not name it. It is waited for those who still post to it.
    Closing,
}

/// A region that the partner grants to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) state: HeldState,
    /// The life of the link on which it was asked for.
    pub(crate) life: Option<LinkEpoch>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) place: Option<Place>,
    /// Number of the question.
    pub(crate) number: u64,
    /// When it was asked last.
    pub(crate) asked_at_ns: u64,
    /// When the newest good fence was issued.
    pub(crate) fence_good_at_ns: Option<u64>,
    /// The fence that only asks whether the region answers.
    pub(crate) ping: Option<Token>,
    /// Writes outside the lock that post to it.
    pub(crate) refs: u32,
    /// What was posted to it has certainly arrived, or never will.
    pub(crate) drained: bool,
    /// Closing: nobody posts to it any more, and what the log says of it is being forgotten, from this entry on.
    pub(crate) forget_from: Option<u32>,
}

impl Held {
    pub(crate) const NONE: Self = Self {
        state: HeldState::None,
        life: None,
        epoch: None,
        place: None,
        number: 0,
        asked_at_ns: 0,
        fence_good_at_ns: None,
        ping: None,
        refs: 0,
        drained: false,
        forget_from: None,
    };

    pub(crate) fn on(&mut self, event: HeldEvent) {
        self.state = self.state.on(event).after(self.state);
    }

    /// Whether it answers, as far as is known.
    pub(crate) fn answers(&self) -> bool {
        matches!(self.state, HeldState::Ready | HeldState::Live)
    }
}

/// Where a region of our own window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LentState {
    /// Nothing is granted, and what is in it does not count.
    Idle,
    /// The partner has asked for it. The old word is being changed.
    Voiding,
    /// The headers are being cleared.
    Clearing,
    /// The new word is being set.
    Setting,
    /// Granted: the word is the epoch, the partner may post.
    Live,
    /// The word is being changed, so that no fence succeeds any more. The slots are kept.
    Fencing,
    /// The word is changed. The slots are kept.
    Fenced,
    /// The slots are adopted: they serve us.
    Adopted,
}

/// A question of the partner for a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) life: LinkEpoch,
    pub(crate) number: u64,
    pub(crate) generation: Generation,
    pub(crate) slots: u32,
}

/// A region of our own window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lent {
    pub(crate) state: LentState,
    /// Of the word that is being set, or the region that is being cleared.
    pub(crate) token: Option<Token>,
    /// The action of the state has been polled.
    pub(crate) epoch: Option<Epoch>,
    /// The incarnation that it was granted to.
    pub(crate) owner: Option<Incarnation>,
    /// What the partner has asked for and was not answered.
    pub(crate) question: Option<Question>,
    /// The question that is being answered, or that the grant has answered.
    pub(crate) answering: Option<Question>,
}

impl Lent {
    pub(crate) const NONE: Self = Self {
        state: LentState::Idle,
        token: None,
        epoch: None,
        owner: None,
        question: None,
        answering: None,
    };

    /// The action of the old state, if one is under way, counts for nothing any more.
    pub(crate) fn on(&mut self, event: LentEvent) {
        let next = self.state.on(event).after(self.state);
        if next != self.state {
            (self.state, self.token) = (next, None);
        }
    }

    /// Whether an action of it is under way.
    pub(crate) fn is_moving(&self) -> bool {
        matches!(
            self.state,
            LentState::Voiding | LentState::Clearing | LentState::Setting | LentState::Fencing
        )
    }

    /// Whether it still has what was posted under its epoch.
    pub(crate) fn is_intact(&self) -> bool {
        matches!(
            self.state,
            LentState::Live | LentState::Fencing | LentState::Fenced
        )
    }
}
