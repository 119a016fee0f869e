// SPDX-License-Identifier: GPL-2.0
//! Appliances in which one kind of trouble is common: where a rule that was left out shows soonest. All of them are
//! legal, so each is clean with every rule in force.

use yoke_core::guards::{Guard, Guards};
use yoke_core::volume::PowerLoss;

use super::storm;
use crate::rng::Rng;
use crate::scenario::{Plan, Scenario, Script, MS, US};

/// Links that flap all the time under a log that goes to the disk slowly, and deaths of controllers.
pub fn flappy(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0xf1a9);
    let mut s = storm(seed);
    s.storm_ns = rng.range(50, 250) * MS;
    s.lazy_ns = rng.delay(5 * MS, 100 * MS);
    s.poll_ns = rng.range(20, 100) * MS;
    s.links = if rng.chance(700) { 2 } else { 1 };
    s.latches = rng.chance(300);
    s.blocks = rng.range(1, 2) as u32;
    s.slots = rng.range(4, 8) as u32;
    s.dirty_limit = s.slots;
    s.post_slow_ns = rng.delay(50 * US, 5 * MS);
    s.step_slow = rng.range(0, 300) as u32;
    s.step_slow_ns = rng.delay(100 * US, 5 * MS);
    s.io_life_ns = rng.range(20, 60) * MS;
    s.disk_slow_ns = s.io_life_ns;
    let f = &mut s.faults;
    *f = crate::scenario::Faults {
        every_ns: (MS, rng.range(5, 40) * MS),
        flap: 30,
        cut: rng.range(0, 10) as u32,
        crash: rng.range(2, 10) as u32,
        broken_ns: 200 * MS,
        ..Scenario::calm().faults
    };
    busy(&mut s, &mut rng);
    s
}

/// The same with a bridge that lets a header overtake its data.
pub fn torn(seed: u64) -> Scenario {
    let mut s = flappy(seed);
    s.swaps = 500;
    s
}

/// An owner that dies while its posts overtake each other, and a survivor with all the trouble of a storm: slots whose data
/// never came, and many who look at them.
pub fn half_arrived(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x4a1f);
    let mut s = storm(seed);
    s.plan = Plan::Script(Script::HalfArrived);
    s.storm_ns = rng.delay(50 * MS, 500 * MS);
    s.swaps = 500;
    s.post_slow_ns = rng.delay(MS, 5 * MS);
    // Many, so that seldom two versions of one are in the log.
    s.blocks = rng.range(2, 24) as u32;
    busy(&mut s, &mut rng);
    s
}

/// Controllers that lose sight of each other, and stand still; the disk is slow at times; clients ask both.
pub fn apart(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0xa9a2);
    let mut s = storm(seed);
    s.storm_ns = rng.range(300, 1000) * MS;
    s.links = 1;
    s.reservations = false;
    s.blocks = rng.range(1, 2) as u32;
    s.link_lease_ns = rng.delay(5 * MS, 30 * MS);
    s.disk_lease_ns = rng.range(30, 100) * MS;
    s.io_life_ns = rng.range(50, 150) * MS;
    s.disk_slow_ns = s.io_life_ns;
    s.disk_slow = rng.range(100, 500) as u32;
    s.step_slow = rng.range(0, 20) as u32;
    s.poll_ns = rng.range(5, 15) * MS;
    let f = &mut s.faults;
    *f = crate::scenario::Faults {
        every_ns: (MS, rng.range(50, 200) * MS),
        cut: 30,
        pause: rng.range(5, 30) as u32,
        crash: rng.range(0, 20) as u32,
        broken_ns: 500 * MS,
        ..Scenario::calm().faults
    };
    busy(&mut s, &mut rng);
    s.workload.stray = 400;
    s.workload.read = 60;
    s
}

/// Controllers that stand still and go on in the middle of everything.
pub fn asleep(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0xa51e);
    let mut s = apart(seed);
    s.storm_ns = rng.range(200, 600) * MS;
    s.links = rng.range(1, 2) as usize;
    s.disk_slow = rng.range(0, 30) as u32;
    s.io_life_ns = rng.range(5, 30) * MS;
    s.disk_slow_ns = s.io_life_ns;
    s.disk_lease_ns = rng.range(20, 60) * MS;
    let f = &mut s.faults;
    (f.cut, f.pause, f.crash) = (rng.range(0, 10) as u32, 30, 0);
    f.every_ns = (MS, 60 * MS);
    f.broken_ns = 300 * MS;
    s.workload.flush = 20;
    s
}

/// The same, and every thread may be held up for long at every step.
pub fn sluggish(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x510);
    let mut s = asleep(seed);
    s.step_slow = rng.range(20, 150) as u32;
    s.step_slow_ns = rng.range(50, 200) * MS;
    s.link_lease_ns = rng.delay(3 * MS, 10 * MS);
    s
}

/// Controllers apart, with a link lease that is longer than the disk lease.
pub fn patient(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x9a71);
    let mut s = apart(seed);
    s.link_lease_ns = rng.range(200, 600) * MS;
    s.disk_lease_ns = rng.range(10, 40) * MS;
    s
}

/// The owner's enclosure fails, and with it the disk's cache.
pub fn enclosed(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0xe2c1);
    let mut s = storm(seed);
    s.storm_ns = rng.range(100, 400) * MS;
    s.volatile_cache = true;
    s.poll_ns = rng.range(20, 100) * MS;
    s.slots = rng.range(4, 8) as u32;
    s.dirty_limit = s.slots;
    s.faults = crate::scenario::Faults {
        every_ns: (10 * MS, 100 * MS),
        enclosure: 10,
        flap: 5,
        broken_ns: 100 * MS,
        ..Scenario::calm().faults
    };
    busy(&mut s, &mut rng);
    (s.workload.discard, s.workload.zeroes) = (rng.range(0, 3) as u32, rng.range(0, 10) as u32);
    s
}

/// Discards and write-zeroes under every kind of trouble: several faults, flapping links, sleepers, lost enclosures.
pub fn erasing(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0xe2a5);
    let mut s = match rng.below(5) {
        0 => flappy(seed),
        1 => apart(seed),
        2 => asleep(seed),
        3 => enclosed(seed),
        _ => storm(seed),
    };
    s.blocks = rng.range(1, 3) as u32;
    s.workload.blocks_max = s.blocks.min(s.dirty_limit);
    s.workload.discard = rng.range(0, 20) as u32;
    s.workload.zeroes = rng.range(10, 40) as u32;
    s
}

pub(super) fn busy(s: &mut Scenario, rng: &mut Rng) {
    let w = &mut s.workload;
    w.depth = 5;
    w.pause_ns = rng.delay(500 * US, 10 * MS);
    w.blocks_max = 1;
}

/// An appliance for one situation: nothing else goes wrong.
pub(super) fn scripted(seed: u64, script: Script, links: usize) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x5c91);
    let mut s = Scenario::calm();
    s.plan = Plan::Script(script);
    s.links = links;
    s.latches = rng.chance(500);
    s.blocks = rng.range(1, 2) as u32;
    s.slots = rng.range(4, 8) as u32;
    s.dirty_limit = s.slots;
    s.link_lease_ns = rng.range(60, 100) * MS;
    s.io_life_ns = 50 * MS;
    s.disk_slow_ns = rng.delay(MS, 20 * MS);
    s.disk_slow = rng.range(0, 100) as u32;
    s.step_slow = 0;
    s.post_slow_ns = 5 * MS;
    s.fine = rng.chance(300);
    s
}

/// A link that does not latch flaps between a post and its fence.
pub fn lost_post(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::LostPost, 1);
    s.latches = false;
    s.lazy_ns = 50 * MS;
    s
}

/// Versions of a block in two regions, one of which dies before the disk's cache was flushed.
pub fn two_regions(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::TwoRegions, 2);
    s.volatile_cache = true;
    s.poll_ns = 800 * MS;
    s.lazy_ns = 100 * MS;
    s
}

/// Versions of a block in two regions, both being freed.
pub fn freed_in_two(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::FreedInTwo, 2);
    s.lazy_ns = 100 * MS;
    s
}

/// A link that dies under a log that is not on the disk.
pub fn narrowed(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::Narrowed, 2);
    s.lazy_ns = 400 * MS;
    s.step_slow = 300;
    s.step_slow_ns = 20 * MS;
    s
}

/// Two versions on the disk are copied from a region that is retired. Proving the copies makes their order matter to
/// nobody, so nothing proves them here.
pub fn half_copied(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::HalfCopied, 2);
    s.guards = Guards::ALL.without(Guard::JoinFence);
    s.volatile_cache = true;
    s.poll_ns = 800 * MS;
    s.lazy_ns = 20 * MS;
    s
}

/// A region is granted again before old posts have arrived. The epoch in their headers and the count of downs would each
/// be enough to make them harmless, so neither is there.
pub fn late_post(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::LatePost, 2);
    s.guards = Guards::ALL
        .without(Guard::FreshEpoch)
        .without(Guard::LinkLived);
    s.latches = false;
    s.post_slow_ns = 100 * MS;
    s
}

/// An owner that stands still while its partner dies and comes back; then the disk is enough.
pub fn orphaned(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::Orphaned, 1);
    s.power_loss = PowerLoss::StartFromDisk;
    s.lazy_ns = 400 * MS;
    s.disk_lease_ns = 100 * MS;
    s
}

/// What the last grant of a region has left in it. Every slot's header is made for one epoch, so this takes a partner that
/// uses one twice.
pub fn leftover(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::Leftover, 1);
    s.guards = Guards::ALL.without(Guard::FreshEpoch);
    s.lazy_ns = 20 * MS;
    s
}

/// The same, with nothing cleared: only the epoch tells what is new.
pub fn reused(seed: u64) -> Scenario {
    let mut s = leftover(seed);
    s.guards = Guards::ALL.without(Guard::ClearBeforeGrant);
    s
}

/// A region that is retired with a version in it.
pub fn retired(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::Retired, 2);
    s.lazy_ns = 30 * MS;
    s
}

/// A log that is not on the disk is copied to a partner that came back.
pub fn rejoin(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::Rejoin, 1);
    s.lazy_ns = 400 * MS;
    s
}

/// A header that arrives before its data.
pub fn header_first(seed: u64) -> Scenario {
    scripted(seed, Script::HeaderFirst, 1)
}

/// A header that arrives before its data, of a newer version of what is in the log.
pub fn newer_torn(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::NewerTorn, 1);
    s.lazy_ns = 400 * MS;
    s
}

/// An unproved write in the disk's queue.
pub fn unproved(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::Unproved, 1);
    // The unproved block goes to the disk together with a proved one.
    s.blocks = 2;
    s.workload.blocks_max = 2;
    s.lazy_ns = 10 * MS;
    s.link_lease_ns = 10 * MS;
    s.io_life_ns = 200 * MS;
    s
}

/// A `shadow` record that lands late, under a link lease that outlasts the disk lease.
pub fn late_shadow(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::LateShadow, 1);
    s.link_lease_ns = 3000 * MS;
    s.disk_lease_ns = 20 * MS;
    s.io_life_ns = 400 * MS;
    s
}

/// A `shadow` record in flight over a link that dies. What could be answered meanwhile is on the disk alone, so it takes
/// a disk that gets what no region was proved to have.
pub fn hasty(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::Hasty, 1);
    s.guards = Guards::ALL.without(Guard::DestageProved);
    s.volatile_cache = true;
    s.poll_ns = 800 * MS;
    s.io_life_ns = 200 * MS;
    s
}

/// A write-zeroes in the disk's queue, and nothing of its blocks in the log.
pub fn passed_down(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::PassedDown, 1);
    s.io_life_ns = 200 * MS;
    s
}
