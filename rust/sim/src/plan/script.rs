// SPDX-License-Identifier: GPL-2.0
//! Situations that are brought about on purpose, each for a rule that chance hardly ever needs. What is not forced stays
//! random. At the end the owner dies, its partner takes over, and every block is read. With every rule in force all of
//! it is clean; a situation that did not come about (the rule forbids it) is no failure.

mod owner;
mod region;
mod tools;

use owner::*;
use region::*;
use tools::*;
use yoke_core::volume::{Mode, Role};

use super::settle;
use crate::check::history::Request;
use crate::driver::Driver;
use crate::event::Event;
use crate::scenario::{Script, MS};
use crate::world::World;

/// Runs it to the end, or to the first violation.
pub fn run(driver: &mut Driver, script: Script) {
    if !settle::boot(driver) {
        return;
    }
    let Some(owner) = settle::mirrored(&driver.world) else {
        return;
    };
    match script {
        Script::LostPost => lost_post(driver, owner),
        Script::TwoRegions => two_regions(driver, owner, false),
        Script::FreedInTwo => two_regions(driver, owner, true),
        Script::Narrowed => narrowed(driver, owner),
        Script::Orphaned => orphaned(driver, owner),
        Script::HalfCopied => half_copied(driver, owner),
        Script::LatePost => late_post(driver, owner),
        Script::Retired => retired(driver, owner),
        Script::Leftover => leftover(driver, owner),
        Script::Rejoin => rejoin(driver, owner),
        Script::HeaderFirst => header_first(driver, owner),
        Script::NewerTorn => newer_torn(driver, owner),
        Script::HalfArrived => half_arrived(driver, owner),
        Script::Unproved => unproved(driver, owner),
        Script::LateShadow => late_shadow(driver, owner),
        Script::Hasty => hasty(driver, owner),
        Script::PassedDown => passed_down(driver, owner),
        Script::Laundered => laundered(driver, owner),
        Script::UnderRead => under_read(driver, owner),
        Script::Forced => forced(driver, owner),
        Script::Pathless => pathless(driver, owner),
    }
    if driver.world.violation.is_some() {
        return;
    }
    driver.mend_all();
    if settle::wait_healthy_or_lost(driver, "after the situation") {
        settle::read_all(driver);
    }
}

fn lost_post(driver: &mut Driver, owner: u8) {
    let before = driver.world.stats.writes;
    write(driver, owner, 0);
    if !wait(driver, |world| is_posted(world, owner)) {
        return;
    }
    flap(driver, 0);
    let until = driver.world.now_ns + 5 * MS;
    driver.run(until, |world| world.stats.writes > before);
    kill(driver, owner, [0; 4]);
    survive(driver, 1 - owner);
}

fn orphaned(driver: &mut Driver, owner: u8) {
    let other = 1 - owner;
    if !write_through(driver, owner, 0) {
        return;
    }
    driver.take(Event::Pause { at: owner });
    kill(driver, other, [0; 4]);
    driver.take(Event::Start { at: other });
    survive(driver, other);
}

fn rejoin(driver: &mut Driver, owner: u8) {
    cut(driver, 0);
    if !wait(driver, |world| is_mode(world, owner, Mode::Solo)) {
        return;
    }
    let before = driver.world.stats.writes;
    driver.take(Event::Mend { link: 0 });
    if !wait(driver, |world| world.links[0].answers(0)) {
        return;
    }
    rest(driver, 10 * MS);
    write(driver, owner, 0);
    wait(driver, |world| world.stats.writes > before);
    kill(driver, owner, [0; 4]);
    survive(driver, 1 - owner);
}

fn header_first(driver: &mut Driver, owner: u8) {
    // Half of the time no version of the block is in the region.
    let first = driver.rng.chance(500);
    let ready = first || write_through(driver, owner, 0);
    if ready && wait(driver, |world| dirty(world, owner) == 0) {
        tear(driver, owner);
    }
}

/// As [`header_first`], and an older version of the block is in the log alone.
fn newer_torn(driver: &mut Driver, owner: u8) {
    if write_through(driver, owner, 0) && dirty(&driver.world, owner) > 0 {
        tear(driver, owner);
    }
}

/// The owner dies in the middle of a write, and the header of the slot arrives before its data.
fn tear(driver: &mut Driver, owner: u8) {
    write(driver, owner, 0);
    let end = owner as usize;
    if !wait(driver, |world| {
        is_posted(world, owner) && world.links[0].under_way(end) == 3
    }) {
        return;
    }
    for index in [1, 0] {
        driver.take(Event::Swap {
            link: 0,
            at: owner,
            index,
        });
    }
    let keep = driver.rng.range(1, 2) as u8;
    kill(driver, owner, [keep; 4]);
    survive(driver, 1 - owner);
}

/// The owner dies when several of its stores are under way, in any order; then anything goes.
fn half_arrived(driver: &mut Driver, owner: u8) {
    driver.set_clients(true);
    rest(driver, 20 * MS);
    let end = owner as usize;
    if !wait(driver, |world| world.links[0].under_way(end) > STORES) {
        return;
    }
    let under_way = driver.world.links[0].under_way(end) as u64;
    for _ in 0..2 * under_way {
        let (link, at) = (0, owner);
        let index = driver.rng.below(under_way) as u8;
        driver.take(Event::Swap { link, at, index });
    }
    let keep = driver.rng.range(1, under_way - 1) as u8;
    kill(driver, owner, [keep; 4]);
    driver.set_faults(true);
    let until = driver.world.now_ns + driver.world.setting.scenario.storm_ns;
    driver.run(until, |_| false);
    driver.set_faults(false);
}

fn unproved(driver: &mut Driver, owner: u8) {
    if !write_through(driver, owner, 0) || !wait(driver, |world| dirty(world, owner) == 0) {
        return;
    }
    // Something proved, so that there is something to destage while it holds.
    if !write_through(driver, owner, 1) {
        return;
    }
    write(driver, owner, 0);
    if !wait(driver, |world| is_posted(world, owner)) {
        return;
    }
    cut(driver, 0);
    let soon = driver.world.now_ns + 60 * MS;
    let holding = |world: &World| is_mode(world, owner, Mode::Holding);
    if !driver.run(soon, |world| {
        holding(world) && queued_data(world, owner, 0).is_some()
    }) {
        return;
    }
    driver.hold_command(queued_data(&driver.world, owner, 0));
    kill(driver, owner, [0; 4]);
    survive(driver, 1 - owner);
    driver.hold_command(None);
    rest(driver, MS);
    survive(driver, 1 - owner);
}

fn late_shadow(driver: &mut Driver, owner: u8) {
    let other = 1 - owner;
    cut(driver, 0);
    if !wait(driver, |world| is_mode(world, owner, Mode::Solo)) {
        return;
    }
    driver.take(Event::Mend { link: 0 });
    if !wait(driver, |world| queued_shadow(world, owner).is_some()) {
        return;
    }
    driver.hold_command(queued_shadow(&driver.world, owner));
    let request = Request::Read { block: 0, count: 1 };
    ask(driver, owner, request);
    driver.take(Event::Pause { at: owner });
    wait(driver, |world| {
        settle::status(world, other).is_some_and(|s| s.role == Role::Taking)
    });
    wait(driver, |world| {
        settle::status(world, other).is_some_and(|s| s.record.generation == s.generation)
    });
    driver.hold_command(None);
    wait(driver, |world| settle::serving(world) == Some(other));
    ask(driver, other, request);
    rest(driver, MS);
    driver.take(Event::Resume { at: owner });
    for _ in 0..8 {
        ask(driver, owner, request);
        rest(driver, 20_000);
    }
}

/// The owner dies while a write-zeroes of it is in the disk's queue. Its partner is read, and then the command lands.
fn passed_down(driver: &mut Driver, owner: u8) {
    if !write_through(driver, owner, 0) || !wait(driver, |world| is_free(world, owner)) {
        return;
    }
    zero(driver, owner, 0);
    if !wait(driver, |world| queued_data(world, owner, 0).is_some()) {
        return;
    }
    driver.hold_command(queued_data(&driver.world, owner, 0));
    kill(driver, owner, [0; 4]);
    survive(driver, 1 - owner);
    driver.hold_command(None);
    rest(driver, MS);
    survive(driver, 1 - owner);
}

/// A link is lost under a write while the `shadow` record is in flight. The region has an older version of its block.
fn hasty(driver: &mut Driver, owner: u8) {
    cut(driver, 0);
    let solo = wait(driver, |world| is_mode(world, owner, Mode::Solo));
    // The disk's cache is flushed after the first, and not again soon: the second stays in the log.
    if !solo || !write_through(driver, owner, 0) || !wait(driver, |world| is_free(world, owner)) {
        return;
    }
    if !write_through(driver, owner, 0) {
        return;
    }
    driver.take(Event::Mend { link: 0 });
    if !wait(driver, |world| queued_shadow(world, owner).is_some()) {
        return;
    }
    driver.hold_command(queued_shadow(&driver.world, owner));
    let before = driver.world.stats.writes;
    write(driver, owner, 0);
    if !wait(driver, |world| is_posted(world, owner)) {
        return;
    }
    cut(driver, 0);
    let soon = driver.world.now_ns + 20 * MS;
    driver.run(soon, |world| world.stats.writes > before);
    driver.hold_command(None);
    if wait(driver, |world| epochs(world, owner) == 1) {
        kill(driver, owner, [0; 4]);
        survive(driver, 1 - owner);
    }
}
