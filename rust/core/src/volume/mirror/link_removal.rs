// SPDX-License-Identifier: GPL-2.0
//! A link is taken away while the volume is open: when its window may go (PROTOCOL P12: nothing discards the only copy).
//!
//! What the partner granted to us over the link is lost with its `LinkDown`. What we granted to it may be needed: the
//! partner's record may name it, and what was acknowledged on its strength stands in our window alone when the partner
//! dies. So the window stays until the partner has retired the region, or its record is seen not to name it any more.

use crate::ids::LinkId;
use crate::owner::survey::Survey;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::mirror::regions::{LentState, Removal};
use crate::volume::requests::tickets::Ticket;
use crate::volume::states::LentEvent;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Whether our own window of this link has, or may have, what nobody else has, or an action on it is under way.
    /// Where it does not, [`crate::volume::Input::Room`] with no place may be told, and the window may go.
    ///
    /// `false` stays `false` until the link's next `LinkUp`: a grant is an answer to a question that came under a life.
    pub fn needs_window(&self, link: LinkId) -> bool {
        match self.mirror.lent(link).state {
            LentState::Idle => false,
            LentState::Voiding | LentState::Clearing | LentState::Setting | LentState::Fencing => {
                true
            }
            // An owner has adopted what it needs, and knows what of it is in use, by readers too.
            LentState::Live | LentState::Fenced => !self.is_owner(),
            LentState::Adopted => !self.is_owner() || self.log.adopted_live() > 0,
        }
    }

    /// A link of which it is not decided yet whether its window may go.
    pub(crate) fn is_link_going(&self) -> bool {
        self.mirror
            .known_links()
            .any(|link| self.mirror.link(link).going != Removal::No)
    }

    /// The link is to be taken away.
    pub(crate) fn remove_link(&mut self, link: LinkId) {
        self.mirror
            .edit_link(link, |link| link.going = Removal::Wanted);
        // A question that came over it has nobody to answer.
        self.mirror.edit_lent(link, |lent| lent.question = None);
        self.ownership.survey_soon();
    }

    /// While standing by: nothing new comes to rest on a window that is to go.
    pub(crate) fn void_removed(&mut self, now_ns: u64) {
        for link in self.mirror.known_links() {
            if self.mirror.link(link).going != Removal::Wanted {
                continue;
            }
            if self.mirror.lent(link).state == LentState::Live {
                self.mirror.edit_lent(link, |lent| lent.on(LentEvent::Void));
            }
            if !self.mirror.lent(link).is_moving() {
                self.mirror.edit_link(link, |link| {
                    link.going = Removal::Voided { since_ns: now_ns }
                });
            }
        }
    }

    /// While standing by, all blocks were read. What the owner acknowledges on the strength of a word it acknowledges
    /// within L, and only when the record that names us has landed: a read that was issued later and does not show the
    /// region named shows that it holds nothing. The record of an owner that does not answer may still be on its way.
    pub(crate) fn removal_read(&mut self, survey: &Survey) {
        let wait = self.let_go_delay_ns(survey, true);
        for link in self.mirror.known_links() {
            let Removal::Voided { since_ns } = self.mirror.link(link).going else {
                continue;
            };
            let named = self
                .mirror
                .lent(link)
                .epoch
                .is_some_and(|epoch| survey.names(epoch));
            let sure = self.ownership.read_issued_ns() >= since_ns.saturating_add(wait);
            if sure && !named && self.mirror.lent(link).state == LentState::Fenced {
                self.mirror.edit_lent(link, |lent| {
                    lent.on(LentEvent::Forget);
                    lent.epoch = None;
                });
            }
        }
    }
}
