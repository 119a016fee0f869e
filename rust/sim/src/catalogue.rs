// SPDX-License-Identifier: GPL-2.0
//! Scenarios by name. A name and a seed give one run, always the same.

pub mod directed;
pub mod owners;

use yoke_core::guards::Guard;
use yoke_core::volume::PowerLoss;

use crate::disk::target::Kind;
use crate::rng::Rng;
use crate::scenario::{Plan, Scenario, MS, US};

/// A scenario that depends on the seed.
pub type Draw = fn(u64) -> Scenario;

/// Scenarios by name: the general ones first.
pub const NAMED: [(&str, Draw); 43] = [
    ("mixed", mixed),
    ("single", single),
    ("storm", storm),
    ("flappy", directed::flappy),
    ("torn", directed::torn),
    ("half-arrived", directed::half_arrived),
    ("apart", directed::apart),
    ("asleep", directed::asleep),
    ("sluggish", directed::sluggish),
    ("patient", directed::patient),
    ("enclosed", directed::enclosed),
    ("erasing", directed::erasing),
    ("lost-post", directed::lost_post),
    ("two-regions", directed::two_regions),
    ("freed-in-two", directed::freed_in_two),
    ("narrowed", directed::narrowed),
    ("half-copied", directed::half_copied),
    ("late-post", directed::late_post),
    ("orphaned", directed::orphaned),
    ("leftover", directed::leftover),
    ("reused", directed::reused),
    ("retired", directed::retired),
    ("rejoin", directed::rejoin),
    ("header-first", directed::header_first),
    ("newer-torn", directed::newer_torn),
    ("unproved", directed::unproved),
    ("late-shadow", directed::late_shadow),
    ("hasty", directed::hasty),
    ("passed-down", directed::passed_down),
    ("long-io", owners::long_io),
    ("unlike", owners::unlike),
    ("hiccups", owners::hiccups),
    ("lossy", owners::lossy),
    ("reopened", owners::reopened),
    ("unfenced", owners::unfenced),
    ("reserved", owners::reserved),
    ("below", owners::below),
    ("past-the-log", owners::past_the_log),
    ("laundered", owners::laundered),
    ("under-read", owners::under_read),
    ("forced", owners::forced),
    ("several", owners::several),
    ("pathless", owners::pathless),
];

/// The scenario with this name.
pub fn named(name: &str) -> Option<Draw> {
    NAMED
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, draw)| *draw)
}

/// The guard with this name.
pub fn guard(name: &str) -> Option<Guard> {
    Guard::ALL
        .into_iter()
        .find(|g| format!("{g:?}").eq_ignore_ascii_case(name))
}

/// Every kind of appliance, workload and fault: what `make test` runs.
pub fn mixed(seed: u64) -> Scenario {
    if seed % 3 == 0 {
        single(seed)
    } else {
        storm(seed)
    }
}

/// Several faults at once.
pub fn storm(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x5ce7_a210);
    let mut s = base(&mut rng);
    s.plan = Plan::Storm;
    s.lays = lays(seed);
    s.storm_ns = rng.delay(100 * MS, 1200 * MS);
    let f = &mut s.faults;
    f.every_ns = (5 * MS, rng.delay(50 * MS, 600 * MS));
    f.crash = weight(&mut rng, 20);
    f.pause = weight(&mut rng, 20);
    f.flap = weight(&mut rng, 20);
    f.cut = weight(&mut rng, 20);
    f.giveback = weight(&mut rng, 10);
    f.takeover = weight(&mut rng, 5);
    f.close = if rng.chance(200) { 5 } else { 0 };
    f.power = if rng.chance(150) { 5 } else { 0 };
    f.enclosure = if s.volatile_cache {
        weight(&mut rng, 5)
    } else {
        0
    };
    f.disk_error = if rng.chance(100) {
        rng.range(1, 250) as u32
    } else {
        0
    };
    f.broken_ns = rng.delay(20 * MS, 1000 * MS);
    f.hiccup = if rng.chance(150) { 5 } else { 0 };
    f.late_failures = rng.chance(500);
    f.reopens = true;
    f.message_loss = if rng.chance(100) {
        rng.range(10, 400) as u32
    } else {
        0
    };
    f.errand_fails = if s.reservations && rng.chance(400) {
        rng.range(100, 900) as u32
    } else {
        0
    };
    target(&mut s, seed);
    handover(&mut s, seed, 0);
    if rng.chance(20) {
        s.io_life_ns = rng.range(1_000, 10_000) * MS;
        s.disk_slow_ns = s.io_life_ns;
        s.disk_slow = rng.range(0, 10) as u32;
    }
    let passes = s.workload.discard + s.workload.zeroes > 0;
    if passes && rng.chance(250) {
        s.faults.refuses_from_ns = rng.range(0, 1_500) * MS;
    }
    s
}

/// One fault at a time.
pub fn single(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed ^ 0x0519_61e0);
    let mut s = base(&mut rng);
    s.plan = Plan::Single;
    s.lays = lays(seed);
    // A disk that is slow is no fault, and what a survivor has adopted is nowhere else for a while.
    let slowest_ns = s.longest_io_life_ns();
    handover(&mut s, seed, slowest_ns);
    s.faults.crash = 40;
    s.faults.pause = 20;
    s.faults.cut = 20;
    s.faults.flap = 20;
    s
}

/// Whether reads are laid over what the disk gives: drawn apart, so that all else of a seed stays as it is.
fn lays(seed: u64) -> bool {
    Rng::new(seed ^ 0x1a75).chance(500)
}

/// What kind of target has the disk's reservations: drawn apart, so that all else of a seed stays as it is.
fn target(s: &mut Scenario, seed: u64) {
    let mut rng = Rng::new(seed ^ 0x7a49);
    if s.reservations {
        let kinds = [Kind::Aborts, Kind::Waits, Kind::Forgets, Kind::Partly];
        s.target = kinds[rng.below(4) as usize];
        s.late = if rng.chance(500) {
            rng.range(50, 900) as u32
        } else {
            0
        };
        s.faults.forgets = if rng.chance(300) {
            rng.range(1, 10) as u32
        } else {
            0
        };
    }
}

/// When an owner gives its disk up, at the earliest after `slowest_ns`: drawn apart, so that all else of a seed stays as it
/// is.
fn handover(s: &mut Scenario, seed: u64, slowest_ns: u64) {
    let mut rng = Rng::new(seed ^ 0x4a0d);
    if rng.chance(500) {
        s.handover_ns = slowest_ns + rng.delay(5 * MS, 300 * MS);
    }
}

fn weight(rng: &mut Rng, most: u64) -> u32 {
    if rng.chance(700) {
        rng.range(1, most) as u32
    } else {
        0
    }
}

fn base(rng: &mut Rng) -> Scenario {
    let mut s = Scenario::calm();
    s.links = rng.range(1, 2) as usize;
    s.latches = rng.chance(500);
    s.blocks = rng.range(1, 6) as u32;
    s.slots = rng.range(1, 8) as u32;
    s.dirty_limit = rng.range(1, s.slots.into()) as u32;
    s.volatile_cache = rng.chance(500);
    s.reservations = rng.chance(250);
    s.power_loss = if rng.chance(500) {
        PowerLoss::Refuse
    } else {
        PowerLoss::StartFromDisk
    };
    s.link_lease_ns = rng.delay(10 * MS, 80 * MS);
    s.disk_lease_ns = rng.range(60, 300) * MS;
    s.io_life_ns = rng.delay(20 * MS, 150 * MS);
    if rng.chance(150) {
        s.other_terms = Some((rng.delay(10 * MS, 80 * MS), rng.delay(20 * MS, 150 * MS)));
    }
    s.disk_slow_ns = s.longest_io_life_ns();
    s.disk_slow = rng.range(0, 100) as u32;
    s.post_slow_ns = rng.delay(2 * US, 5 * MS);
    s.step_slow_ns = rng.delay(100 * US, 100 * MS);
    s.step_slow = rng.range(0, 20) as u32;
    s.fine = rng.chance(300);
    s.apart_reads = rng.chance(300);
    s.bytes = rng.chance(15);
    s.swaps = if rng.chance(100) { 200 } else { 0 };
    s.lazy_ns = if rng.chance(200) {
        rng.delay(MS, 50 * MS)
    } else {
        0
    };
    s.poll_ns = rng.range(8, 45) * MS;
    let w = &mut s.workload;
    w.depth = rng.range(1, 5) as u32;
    w.blocks_max = if rng.chance(500) {
        1
    } else {
        rng.range(1, 4) as u32
    };
    w.pause_ns = rng.delay(MS, 60 * MS);
    w.fua = if rng.chance(300) {
        rng.range(1, 20) as u32
    } else {
        0
    };
    // Never none: after a loss of both memories each write since the last FLUSH is one more state to keep in mind.
    w.flush = if rng.chance(400) {
        rng.range(4, 20) as u32
    } else {
        3
    };
    w.discard = if rng.chance(200) {
        rng.range(1, 10) as u32
    } else {
        0
    };
    w.zeroes = if rng.chance(200) {
        rng.range(1, 10) as u32
    } else {
        0
    };
    // One block of the log must be enough for the longest write.
    w.blocks_max = w.blocks_max.min(s.dirty_limit);
    s
}

/// The same scenario with one rule left out.
pub fn without(mut scenario: Scenario, guard: Option<Guard>) -> Scenario {
    if let Some(guard) = guard {
        scenario.guards = scenario.guards.without(guard);
    }
    scenario
}
