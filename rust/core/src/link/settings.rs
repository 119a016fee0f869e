// SPDX-License-Identifier: GPL-2.0
//! What a link is told when it is made.

use crate::ids::{LinkId, NodeId, Uuid};
use crate::window::Layout;
use crate::wire::hello::Peer;

/// Nanoseconds in a microsecond.
pub(super) const NS_PER_US: u64 = 1_000;

/// The shortest and the longest heartbeat interval that a peer may have, in nanoseconds: 100 us to 10 s.
pub const BEAT_INTERVAL_NS: core::ops::RangeInclusive<u64> = 100_000..=10_000_000_000;

/// The times of a link. All are fixed: nothing that happened makes a later detection slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How often a heartbeat is sent, in nanoseconds, in [`BEAT_INTERVAL_NS`].
    pub beat_interval_ns: u64,
    /// After how many missing heartbeats the link is down: 2 to 1000. Where the ends have different intervals, the
    /// longer one counts.
    pub beats_missed: u32,
    /// How often a HELLO is repeated that was not answered, in nanoseconds, in [`BEAT_INTERVAL_NS`].
    pub hello_interval_ns: u64,
    /// How many heartbeats a link that failed has to show both ways before it counts again: 0 to 100000.
    pub prove_beats: u32,
    /// How long a link rests that was fenced, in nanoseconds, at most a minute.
    pub holdoff_ns: u64,
}

impl Settings {
    /// Down after 50 ms of silence; back after 200 ms of heartbeats.
    pub const DEFAULT: Self = Self {
        beat_interval_ns: 10_000_000,
        beats_missed: 5,
        hello_interval_ns: 100_000_000,
        prove_beats: 20,
        holdoff_ns: 1_000_000_000,
    };

    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// The name of the first setting that is out of its range.
    pub fn check(&self) -> Result<(), &'static str> {
        if !BEAT_INTERVAL_NS.contains(&self.beat_interval_ns) {
            return Err("beat interval");
        }
        if !(2..=1000).contains(&self.beats_missed) {
            return Err("beats missed");
        }
        if !BEAT_INTERVAL_NS.contains(&self.hello_interval_ns) {
            return Err("hello interval");
        }
        if self.prove_beats > 100_000 {
            return Err("beats to prove");
        }
        if self.holdoff_ns > 60_000_000_000 {
            return Err("holdoff");
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a link is told when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkConfig {
    /// This controller's number of the link.
    pub id: LinkId,
    /// The appliance.
    pub appliance: Uuid,
    /// Who this controller is.
    pub local: Peer,
    /// The node that the link must lead to, if that is known.
    pub expect: Option<NodeId>,
    /// The own window: what the peer writes.
    pub window: Layout,
    /// The times.
    pub settings: Settings,
}
