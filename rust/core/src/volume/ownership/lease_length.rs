// SPDX-License-Identifier: GPL-2.0
//! The disk lease follows what the disk can do (PROTOCOL P3).
//!
//! A lease counts from the issue of the write that renews it, and only when all blocks were read after it: on a disk
//! where that takes longer than the lease it would always be over before it is known to be good. So the lease that
//! a controller takes is some times as long as its last passes over the disk took_ns. It stands in its block, and who
//! watches it waits for as long as it says.

use crate::volume::config::Config;
use crate::volume::ownership::Ownership;
use crate::volume::partner::Partner;
use crate::volume::status::{Reason, Role};

/// The lease is at least so many passes long: it is renewed when a third of it is over, and one pass may fail.
const PASSES: u64 = 4;

/// The longest lease, as many times T_io: a write and a read take at most two.
const LIVES: u64 = 8;

const MS: u64 = 1_000_000;

impl Ownership {
    /// A pass over the disk, the write of the own block and the read of all, has taken this long.
    fn fit_lease(&mut self, config: &Config, partner: &Partner, took_ns: u64) {
        let shortest = config.disk_lease_ns;
        let longest = self.longest_lease_ns(config, partner);
        let fits = took_ns.saturating_mul(PASSES).clamp(shortest, longest);
        // Longer at once, shorter by and by: a disk that was slow is slow again.
        let less = self.lease_ns.saturating_sub(self.lease_ns / 4);
        let whole = fits.max(less).div_ceil(MS).saturating_mul(MS);
        self.lease_ns = whole.min(longest).max(shortest);
    }

    fn longest_lease_ns(&self, config: &Config, partner: &Partner) -> u64 {
        let life = self.agreed(config, partner).io_life_ns();
        config.disk_lease_ns.max(life.saturating_mul(LIVES))
    }

    /// All blocks were read. Says so where a pass takes so long that the longest lease is not renewed in time, as on a disk
    /// whose commands live for much longer than T_io.
    pub(super) fn learn_speed(&mut self, config: &Config, partner: &Partner, now_ns: u64) {
        let longest = self.longest_lease_ns(config, partner);
        // It is renewed when a third of it is over.
        let in_time = |took_ns: u64| took_ns < longest - longest / 3;
        // The write of a release may have waited for more than the disk; whoever wrote it stands by.
        if self.cycle.writes && self.role != Role::Standby {
            let took_ns = now_ns.saturating_sub(self.cycle.issued_ns);
            self.fit_lease(config, partner, took_ns);
            self.say_while(Reason::DiskSlow, !in_time(took_ns));
        } else {
            // One that stands by renews nothing, so this is all it hears of a disk that was slow once.
            let took_ns = now_ns.saturating_sub(self.cycle.read_issued_ns);
            if in_time(took_ns.saturating_mul(2)) {
                self.say_while(Reason::DiskSlow, false);
            }
        }
    }

    /// How long the next lease is to be.
    pub(crate) fn wanted_lease_ns(&self) -> u64 {
        self.lease_ns
    }

    /// The lease that stands in the own block, as it landed last.
    pub(crate) fn own_lease_ns(&self) -> u64 {
        u64::from(self.cycle.mine.lease.expiry_ms).saturating_mul(MS)
    }

    /// A block with this lease is on its way: from now on others may watch for no longer than it says.
    pub(crate) fn shorten_lease(&mut self, now_ns: u64) {
        let says = u64::from(self.cycle.block.lease.expiry_ms).saturating_mul(MS);
        let until_ns = now_ns.saturating_add(says);
        self.lease_until_ns = self.lease_until_ns.map(|old| old.min(until_ns));
    }
}
