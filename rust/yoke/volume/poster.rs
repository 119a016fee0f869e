// SPDX-License-Identifier: GPL-2.0

//! One who posts slots to a region that is not lost, and is seen doing it until its stores are on their way.

use super::lanes::Lane;
use yoke_core::mirror::posters::Phase;

/// As long as it lives, no grant over its link that comes meanwhile counts. May be dropped in any context, but not under a
/// lock of its volume: the barrier takes its time.
pub(crate) struct Poster {
    lane: Lane,
    entered: Phase,
}

impl Poster {
    /// Over a lane to a region that is not lost, in the hold of the volume's lock in which that was seen.
    pub(super) fn enter(lane: Lane) -> Self {
        let entered = lane.port.enter();
        Poster { lane, entered }
    }

    /// The way.
    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }
}

impl Drop for Poster {
    fn drop(&mut self) {
        self.lane.port.leave(self.entered);
    }
}
