// SPDX-License-Identifier: GPL-2.0
//! Appliances whose trouble is with owners: who may take, give and read, and by whose settings; and with disks that fail.

use yoke_core::guards::{Guard, Guards};

use super::directed::{busy, scripted};
use super::{lays, mixed, storm, target};
use crate::disk::target::Kind;
use crate::rng::Rng;
use crate::scenario::{Faults, Scenario, Script, MS};

/// Commands that may live far longer than any lease, and a volume that goes to and fro.
pub fn long_io(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x1006);
    let mut s = storm(seed);
    s.storm_ns = rng.range(2_000, 8_000) * MS;
    s.link_lease_ns = rng.range(50, 1_000) * MS;
    s.disk_lease_ns = rng.range(300, 1_000) * MS;
    s.io_life_ns = rng.range(3_000, 30_000) * MS;
    s.disk_slow_ns = s.io_life_ns;
    s.disk_slow = rng.range(1, 15) as u32;
    s.poll_ns = rng.range(100, 300) * MS;
    s.workload.pause_ns = rng.range(50, 200) * MS;
    s.faults = Faults {
        every_ns: (20 * MS, 1_500 * MS),
        giveback: 30,
        pause: rng.range(5, 20) as u32,
        crash: rng.range(0, 10) as u32,
        cut: rng.range(0, 10) as u32,
        takeover: rng.range(0, 10) as u32,
        broken_ns: 3_000 * MS,
        ..Scenario::calm().faults
    };
    s
}

/// Two controllers with different settings.
pub fn unlike(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x0701);
    let mut s = storm(seed);
    let link_lease_ns = rng.delay(5 * MS, 400 * MS);
    let io_life_ns = rng.delay(5 * MS, 400 * MS);
    s.other_terms = Some((link_lease_ns, io_life_ns));
    s.disk_slow_ns = s.longest_io_life_ns();
    s.disk_slow = rng.range(20, 300) as u32;
    let f = &mut s.faults;
    f.pause = rng.range(5, 30) as u32;
    f.crash = rng.range(1, 20) as u32;
    f.giveback = rng.range(0, 10) as u32;
    s.workload.stray = 200;
    s
}

/// Disks that fail, one command at a time or all of them for a while, in whichever way; and deaths of controllers.
pub fn hiccups(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x41cc);
    let mut s = storm(seed);
    s.dirty_limit = s.slots;
    s.faults = Faults {
        every_ns: (5 * MS, rng.range(30, 200) * MS),
        hiccup: 20,
        crash: rng.range(0, 10) as u32,
        pause: rng.range(0, 5) as u32,
        cut: rng.range(0, 5) as u32,
        giveback: rng.range(0, 5) as u32,
        disk_error: rng.range(0, 200) as u32,
        broken_ns: 300 * MS,
        ..Scenario::calm().faults
    };
    busy(&mut s, &mut rng);
    s
}

/// Messages that get lost, on links that come and go.
pub fn lossy(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x1055);
    let mut s = storm(seed);
    s.faults.message_loss = rng.range(50, 600) as u32;
    s.faults.giveback = rng.range(1, 20) as u32;
    s.faults.close = rng.range(0, 5) as u32;
    s
}

/// Volumes that are closed and opened again in one life of their controller, taken over and given back.
pub fn reopened(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x4e09);
    let mut s = storm(seed);
    s.storm_ns = rng.range(200, 1_500) * MS;
    s.faults = Faults {
        every_ns: (MS, rng.range(30, 200) * MS),
        close: 30,
        reopens: true,
        giveback: rng.range(0, 20) as u32,
        takeover: rng.range(0, 20) as u32,
        cut: rng.range(0, 10) as u32,
        flap: rng.range(0, 10) as u32,
        crash: rng.range(0, 5) as u32,
        pause: rng.range(0, 5) as u32,
        broken_ns: 100 * MS,
        ..Scenario::calm().faults
    };
    s
}

/// Reservations that cannot always be preempted, on a slow disk.
pub fn unfenced(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x0fe2);
    let mut s = storm(seed);
    s.reservations = true;
    s.disk_slow = rng.range(50, 400) as u32;
    s.faults.errand_fails = rng.range(100, 900) as u32;
    target(&mut s, seed);
    s.faults.pause = rng.range(5, 20) as u32;
    s.faults.crash = rng.range(5, 20) as u32;
    s
}

/// Reservations of a target that ends the commands of one that is preempted, on a slow disk whose commands are long in their
/// host's queue; and owners that sleep, die, are deposed and give their volume back.
pub fn reserved(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x2e5e);
    let mut s = storm(seed);
    s.storm_ns = rng.range(300, 1_500) * MS;
    s.reservations = true;
    s.target = [Kind::Aborts, Kind::Waits][rng.below(2) as usize];
    s.late = rng.range(500, 1_000) as u32;
    s.io_life_ns = rng.range(200, 600) * MS;
    s.other_terms = None;
    s.disk_slow = rng.range(100, 500) as u32;
    s.disk_slow_ns = s.io_life_ns;
    s.dirty_limit = s.slots;
    s.faults = Faults {
        every_ns: (5 * MS, rng.range(30, 150) * MS),
        pause: rng.range(10, 20) as u32,
        crash: rng.range(10, 30) as u32,
        cut: rng.range(0, 10) as u32,
        giveback: rng.range(20, 40) as u32,
        errand_fails: if rng.chance(500) {
            rng.range(0, 300) as u32
        } else {
            0
        },
        forgets: if rng.chance(300) {
            rng.range(0, 10) as u32
        } else {
            0
        },
        broken_ns: 100 * MS,
        ..Scenario::calm().faults
    };
    busy(&mut s, &mut rng);
    s
}

/// As `reserved`, with a target that is taken for one that waits and does not: what a table that is wrong costs.
pub fn lying(seed: u64) -> Scenario {
    let mut s = reserved(seed);
    s.target = Kind::Lies;
    s
}

/// Owners that are deposed, or die, with every kind of request below, on a slow disk.
pub fn below(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0xbe10);
    let mut s = storm(seed);
    s.storm_ns = rng.range(200, 800) * MS;
    s.links = 1;
    s.disk_slow = rng.range(200, 600) as u32;
    s.disk_slow_ns = s.io_life_ns;
    s.faults = Faults {
        every_ns: (5 * MS, rng.range(50, 300) * MS),
        pause: rng.range(10, 30) as u32,
        cut: rng.range(10, 30) as u32,
        takeover: rng.range(0, 10) as u32,
        giveback: rng.range(0, 10) as u32,
        crash: rng.range(0, 5) as u32,
        broken_ns: 300 * MS,
        ..Scenario::calm().faults
    };
    let w = &mut s.workload;
    (w.read, w.write, w.fua, w.flush, w.discard, w.zeroes) = (20, 30, 15, 15, 15, 15);
    w.depth = 6;
    w.pause_ns = rng.delay(MS, 20 * MS);
    s
}

/// Discards and write-zeroes under a volatile cache, deaths of the enclosure, and commands that are said to have failed
/// and land later.
pub fn past_the_log(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x9a57);
    let mut s = below(seed);
    s.links = rng.range(1, 2) as usize;
    s.volatile_cache = true;
    s.faults.enclosure = 10;
    s.faults.crash = 10;
    s.faults.disk_error = rng.range(0, 100) as u32;
    s.faults.late_failures = true;
    if rng.chance(300) {
        s.faults.refuses_from_ns = rng.range(0, 800) * MS;
    }
    s
}

/// A survivor that gives the volume back while commands of the owner before are alive. A tombstone would keep it from
/// that until they are over, so there is none.
pub fn laundered(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::Laundered, 1);
    s.guards = Guards::ALL.without(Guard::TombstoneFirst);
    s.lazy_ns = 2 * MS;
    s.link_lease_ns = 10 * MS;
    s.io_life_ns = 400 * MS;
    s
}

/// A write-zeroes or discard in the disk's queue when its owner dies.
pub fn under_read(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::UnderRead, 1);
    s.lays = lays(seed);
    s.link_lease_ns = 10 * MS;
    s.io_life_ns = 200 * MS;
    s
}

/// A forced takeover from an owner that lives.
pub fn forced(seed: u64) -> Scenario {
    let mut s = scripted(seed, Script::Forced, 1);
    s.disk_lease_ns = 100 * MS;
    s.disk_slow = 200;
    s.io_life_ns = 100 * MS;
    s.disk_slow_ns = s.io_life_ns;
    s
}

/// Two or three volumes on the same controllers and links, each with a disk, a home and clients of its own; the faults
/// of `mixed`.
pub fn several(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x5e7e);
    let mut s = mixed(seed);
    s.volumes = if rng.chance(700) { 2 } else { 3 };
    s.workload.pause_ns = s.workload.pause_ns / u64::from(s.volumes) + 1;
    s
}

/// The owner's path to the disk fails while its links are whole, and its partner's may fail as well.
pub fn pathless(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x9a71e55);
    let mut s = scripted(seed, Script::Pathless, 1 + rng.below(2) as usize);
    s.blocks = 2;
    s.handover_ns = rng.range(80, 400) * MS;
    s.lazy_ns = rng.delay(MS, 50 * MS);
    s.step_slow = rng.range(0, 100) as u32;
    s.volatile_cache = rng.chance(500);
    s.reservations = rng.chance(300);
    target(&mut s, seed);
    s
}
