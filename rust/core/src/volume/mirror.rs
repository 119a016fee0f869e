// SPDX-License-Identifier: GPL-2.0
//! The mirror: the links, the regions that the partner grants to us and those that we grant to it, and what is posted to
//! them that no write waits for.

use super::copying::Copying;
use super::freeing::Freeing;
use super::regions::{Held, Lent, Link, Question};
use crate::ids::LINK_COUNT;

/// The regions and what is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mirror {
    pub(crate) links: [Link; LINK_COUNT],
    pub(crate) held: [Held; LINK_COUNT],
    pub(crate) lent: [Lent; LINK_COUNT],
    /// Questions for lives of links that are not up at our end.
    pub(crate) early: [Option<Question>; LINK_COUNT],
    /// Number of the last own question.
    pub(crate) questions: u64,
    /// When the newest good fence was issued, on any region of the partner.
    pub(crate) good_at: Option<u64>,
    pub(crate) copying: Copying,
    pub(crate) freeing: Freeing,
}

impl Mirror {
    pub(crate) const NONE: Self = Self {
        links: [Link::NONE; LINK_COUNT],
        held: [Held::NONE; LINK_COUNT],
        lent: [Lent::NONE; LINK_COUNT],
        early: [None; LINK_COUNT],
        questions: 0,
        good_at: None,
        copying: Copying::NONE,
        freeing: Freeing::NONE,
    };
}
