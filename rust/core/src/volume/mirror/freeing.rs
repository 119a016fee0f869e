// SPDX-License-Identifier: GPL-2.0
//! Freeing slots (PROTOCOL P5).
//!
//! A round takes entries that are done and flushed, each the oldest version of its block; posts their invalidations
//! over every link that carried them, and fences each; and frees those that no read may still copy from. The others are
//! left behind, and freed when the last of these reads is over: nobody else waits for them. What could not be proved on a
//! link stays until the region of that link is closed.

use crate::guards::Guard;
use crate::ids::LinkId;
use crate::volume::action::{Action, Token};
use crate::volume::log::entry::{Entry, EntryId, NONE};
use crate::volume::log::Slab;
use crate::volume::machine::{bit, Volume};
use crate::volume::plan::FenceSample;
use crate::volume::requests::tickets::{Ticket, NO_TICKET};

/// Slots in one round.
const ROUND: usize = 32;

/// Entries that are looked at to begin a round.
const STEP: u32 = 128;

/// The round that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Freeing {
    slots: [EntryId; ROUND],
    len: u8,
    /// The link over which invalidations are posted now.
    pub(crate) link: Option<LinkId>,
    posted: u8,
    fence: Option<Token>,
    fenced: Option<LinkId>,
    /// Where the search for entries goes on that has found nothing so far; `NONE`: at the first that was done.
    cursor: EntryId,
}

impl Freeing {
    pub(crate) const NONE: Self = Self {
        slots: [NONE; ROUND],
        len: 0,
        link: None,
        posted: 0,
        fence: None,
        fenced: None,
        cursor: NONE,
    };

    /// Drops the round.
    pub(crate) fn reset(&mut self) {
        *self = Self {
            fence: self.fence,
            fenced: self.fenced,
            ..Self::NONE
        };
    }

    /// Stops to post over the present link.
    pub(crate) fn leave_link(&mut self) {
        (self.link, self.posted) = (None, 0);
    }

    /// Whether a fence to the region of a link is in flight.
    pub(crate) fn waits_for(&self, link: LinkId) -> bool {
        self.fenced == Some(link)
    }

    fn slots(&self) -> &[EntryId] {
        self.slots.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    fn is_freeable(&self, entry: EntryId) -> bool {
        let at = self.log.at(entry);
        let oldest = at.older == NONE || !self.guards.on(Guard::FreeOrder);
        oldest
            && at.ticket == NO_TICKET
            && !(at.is_freeing() || at.is_filling() || at.is_busy())
            && self.log.may_free(entry)
            && !self.mirror.copying.batch().contains(&entry)
    }

    /// Where the search for entries to free goes on.
    fn search_from(&self) -> EntryId {
        let cursor = self.mirror.freeing.cursor;
        if cursor != NONE && self.log.at(cursor).is_done() {
            return cursor;
        }
        self.log.first_done().unwrap_or(NONE)
    }

    /// Begins a round, if there is something to free. Frees what earlier rounds have left behind.
    fn begin_round(&mut self, now_ns: u64) -> bool {
        let mut entry = self.search_from();
        if entry == NONE || !self.permit().may_free(now_ns) {
            return false;
        }
        let mut round = Freeing {
            fence: self.mirror.freeing.fence,
            fenced: self.mirror.freeing.fenced,
            ..Freeing::NONE
        };
        let mut freed = false;
        let mut steps = STEP;
        while entry != NONE && usize::from(round.len) < ROUND && steps > 0 {
            steps = steps.saturating_sub(1);
            let next = self.log.at(entry).next;
            if self.log.at(entry).is_freeing() {
                freed |= self.free_unread(entry);
            } else if !self.is_flushed(entry) {
                // Nor is anything that was done later.
                entry = NONE;
                break;
            } else if self.is_freeable(entry) {
                if let Some(place) = round.slots.get_mut(usize::from(round.len)) {
                    *place = entry;
                    round.len = round.len.saturating_add(1);
                }
            }
            entry = next;
        }
        let begun = round.len > 0;
        // What was found may have kept others, of which the first is looked for from the beginning: of a block that was
        // written many times one version is freed after the other. A search that has found nothing is over at the last.
        let found = freed || begun;
        round.cursor = if found { NONE } else { entry };
        for entry in round.slots() {
            self.log.set_freeing(*entry);
        }
        self.mirror.freeing = round;
        if freed {
            self.requests.retry_parked();
        }
        if !begun && (freed || entry != NONE) {
            self.agenda.wake_at(now_ns);
        }
        begun
    }

    /// The next invalidation or fence of a round; begins and ends rounds.
    pub(crate) fn next_free(&mut self, now_ns: u64) -> Option<Action> {
        if self.mirror.freeing.fence.is_some() || self.ownership.mode().is_none() {
            return None;
        }
        if self.mirror.freeing.len == 0 && !self.begin_round(now_ns) {
            return None;
        }
        if let Some(link) = self.mirror.freeing.link {
            return self.next_invalid(link, now_ns);
        }
        let carried = |round: &Freeing, log: &crate::volume::log::Log<E, B>| {
            round
                .slots()
                .iter()
                .fold(0, |links, entry| links | log.at(*entry).carried)
        };
        let links = carried(&self.mirror.freeing, &self.log);
        let next = self
            .mirror
            .known_links()
            .find(|link| links & bit(*link) != 0 && self.mirror.held(*link).answers());
        if let Some(link) = next {
            (self.mirror.freeing.link, self.mirror.freeing.posted) = (Some(link), 0);
            return self.next_invalid(link, now_ns);
        }
        if links == 0 {
            self.end_round(now_ns);
        }
        None
    }

    fn next_invalid(&mut self, link: LinkId, now_ns: u64) -> Option<Action> {
        let to = self.mirror.post_to(link)?;
        while let Some(slot) = self
            .mirror
            .freeing
            .slots()
            .get(usize::from(self.mirror.freeing.posted))
            .copied()
        {
            self.mirror.freeing.posted = self.mirror.freeing.posted.saturating_add(1);
            if self.log.at(slot).carried & bit(link) != 0 {
                return Some(Action::PostInvalid {
                    to,
                    slot: slot.index(),
                });
            }
        }
        if !self.guards.on(Guard::FreeProved) {
            self.invalidated(link);
            self.agenda.wake_at(now_ns);
        }
        let token = self.agenda.token();
        (self.mirror.freeing.fence, self.mirror.freeing.fenced) = (Some(token), Some(link));
        Some(Action::Fence { token, to })
    }

    /// The invalidations over a link count as proved.
    fn invalidated(&mut self, link: LinkId) {
        for slot in self.mirror.freeing.slots() {
            let at = self.log.at_mut(*slot);
            at.carried &= !bit(link);
            at.proved &= !bit(link);
        }
        self.mirror.freeing.leave_link();
    }

    /// The fence of a round was read. False: it was none.
    pub(crate) fn freed(&mut self, token: Token, sample: FenceSample) -> bool {
        if self.mirror.freeing.fence != Some(token) {
            return false;
        }
        let link = self.mirror.freeing.fenced;
        (self.mirror.freeing.fence, self.mirror.freeing.fenced) = (None, None);
        if let (Some(link), Some(to)) = (link, link.and_then(|link| self.mirror.post_to(link))) {
            if self.judge_fence(link, to.epoch, sample) && self.mirror.freeing.link == Some(link) {
                self.invalidated(link);
            }
        }
        true
    }

    /// The regions of these links are closed.
    pub(crate) fn forget_link_in_round(&mut self, link: LinkId) {
        if self.mirror.freeing.link == Some(link) {
            self.mirror.freeing.leave_link();
        }
    }

    /// All invalidations are proved: frees the slots that nobody copies from any more.
    fn end_round(&mut self, now_ns: u64) {
        if !self.permit().may_free(now_ns) {
            return;
        }
        let round = self.mirror.freeing;
        for entry in round.slots() {
            self.free_unread(*entry);
        }
        self.mirror.freeing.reset();
        self.requests.retry_parked();
        self.agenda.wake_at(now_ns);
    }

    /// Frees an entry whose invalidations are proved, unless somebody may still copy from it. Whether it is free. It was in
    /// a round that has come to its end: until then no other begins, and nothing is posted of it any more.
    fn free_unread(&mut self, entry: EntryId) -> bool {
        debug_assert!(self.log.at(entry).carried == 0);
        if !self.log.is_unread(entry) {
            return false;
        }
        let tomb = self.log.at(entry).tomb;
        self.log.discard(entry);
        if tomb {
            self.tomb_freed(entry);
        }
        true
    }
}
