// SPDX-License-Identifier: GPL-2.0
//! How the regions that the partner grants to us stand, all of them together.

use super::Mirror;
use crate::ids::LinkId;
use crate::volume::machine::bit;
use crate::volume::mirror::regions::HeldState;

/// How the regions of the partner stand, by one look at all of them: a poll asks more than one thing of that.
pub(crate) struct Stand {
    /// The first link with a region that is live.
    pub(crate) live: Option<LinkId>,
    /// The links with a region that is dying.
    pub(crate) dying: u8,
    /// Whether one is ready.
    pub(crate) ready: bool,
    /// Whether there is none on a link, or it was asked for.
    pub(crate) missing: bool,
}

impl Mirror {
    /// How the regions of the partner stand.
    pub(crate) fn stand(&self) -> Stand {
        let mut stand = Stand {
            live: None,
            dying: 0,
            ready: false,
            missing: false,
        };
        for link in self.known_links() {
            match self.held(link).state {
                HeldState::Live => stand.live = stand.live.or(Some(link)),
                HeldState::Dying => stand.dying |= bit(link),
                HeldState::Ready => stand.ready = true,
                HeldState::None | HeldState::Asked => stand.missing = true,
                HeldState::Fresh | HeldState::Closing => (),
            }
        }
        stand
    }
}
