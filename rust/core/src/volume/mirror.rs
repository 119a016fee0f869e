// SPDX-License-Identifier: GPL-2.0
//! The mirror: the links, the regions that the partner grants to us and those that we grant to it, and what is posted to
//! them that no write waits for.

mod asking;
mod copying;
mod freeing;
mod held_regions;
mod lent_regions;
mod link_removal;
pub(crate) mod regions;
mod stand;

use super::states::HeldEvent;
use crate::ids::{LinkId, LINK_COUNT};
use copying::Copying;
use freeing::Freeing;
use regions::{Held, Lent, Link, Question};

/// The regions and what is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mirror {
    links: [Link; LINK_COUNT],
    /// How many of the links, from the first on, this controller has heard of. The others are as they were made.
    reach: u8,
    held: [Held; LINK_COUNT],
    lent: [Lent; LINK_COUNT],
    /// Questions for lives of links that are not up at our end.
    questions_ahead_of_link: [Option<Question>; LINK_COUNT],
    /// Number of the last own question.
    questions: u64,
    /// When the newest good fence was issued, on any region of the partner.
    fence_good_at_ns: Option<u64>,
    copying: Copying,
    freeing: Freeing,
}

impl Mirror {
    pub(crate) const NONE: Self = Self {
        links: [Link::NONE; LINK_COUNT],
        reach: 0,
        held: [Held::NONE; LINK_COUNT],
        lent: [Lent::NONE; LINK_COUNT],
        questions_ahead_of_link: [None; LINK_COUNT],
        questions: 0,
        fence_good_at_ns: None,
        copying: Copying::NONE,
        freeing: Freeing::NONE,
    };

    pub(crate) fn held(&self, link: LinkId) -> &Held {
        self.held.get(link.index()).unwrap_or(&Held::NONE)
    }

    pub(crate) fn link(&self, link: LinkId) -> &Link {
        self.links.get(link.index()).unwrap_or(&Link::NONE)
    }

    pub(crate) fn lent(&self, link: LinkId) -> &Lent {
        self.lent.get(link.index()).unwrap_or(&Lent::NONE)
    }

    pub(crate) fn edit_held(&mut self, link: LinkId, edit: impl FnOnce(&mut Held)) {
        if let Some(held) = self.held.get_mut(link.index()) {
            edit(held);
        }
    }

    pub(crate) fn edit_lent(&mut self, link: LinkId, edit: impl FnOnce(&mut Lent)) {
        if let Some(lent) = self.lent.get_mut(link.index()) {
            edit(lent);
        }
    }

    pub(crate) fn edit_link(&mut self, link: LinkId, edit: impl FnOnce(&mut Link)) {
        self.reach = self.reach.max(link.get().saturating_add(1));
        if let Some(link) = self.links.get_mut(link.index()) {
            edit(link);
        }
    }

    /// The links that this controller has heard of: a poll looks at each of them more than once.
    pub(crate) fn known_links(&self) -> impl Iterator<Item = LinkId> {
        LinkId::first(self.reach)
    }

    /// The regions that the partner grants to us.
    pub(crate) fn all_held(&self) -> impl Iterator<Item = &Held> {
        self.held.iter()
    }

    /// The regions that we grant to the partner.
    pub(crate) fn all_lent(&self) -> impl Iterator<Item = &Lent> {
        self.lent.iter()
    }

    /// When the newest good fence was issued, on any region of the partner.
    pub(crate) fn proved_at_ns(&self) -> Option<u64> {
        self.fence_good_at_ns
    }

    /// The region that is copied to.
    pub(crate) fn copy_target(&self) -> Option<LinkId> {
        self.copying.target
    }

    /// Whether every slot that needs it was copied and proved.
    pub(crate) fn is_copied(&self) -> bool {
        self.copying.complete
    }

    /// Copies what is in the regions of these links (0: everything) to this one.
    pub(crate) fn begin_copy(&mut self, target: LinkId, from: u8) {
        self.copying.begin(target, from);
    }

    /// Whether what is in the regions of these links is being copied, or was.
    pub(crate) fn copies_from(&self, links: u8) -> bool {
        self.copying.target.is_some() && self.copying.from == links
    }

    /// An entry has come that was not there when the copying went by.
    pub(crate) fn entry_added(&mut self) {
        self.copying.entry_added();
    }

    /// Nothing is copied any more.
    pub(crate) fn stop_copy(&mut self) {
        self.copying.reset();
    }

    /// Nothing is posted any more that nobody waits for; a round of freeing goes on when there is a region again.
    pub(crate) fn stop_posting(&mut self) {
        self.copying.reset();
        self.freeing.leave_link();
    }

    /// The ownership is over: no region of the partner counts any more.
    pub(crate) fn end_term(&mut self) {
        for held in &mut self.held {
            held.on(HeldEvent::Dropped);
        }
        self.copying.reset();
        self.freeing.reset();
        self.fence_good_at_ns = None;
    }
}
