// SPDX-License-Identifier: GPL-2.0
//! Situations that are brought about on purpose, each for a rule that chance hardly ever needs. What is not forced stays
//! random. At the end the owner dies, its partner takes over, and every block is read. With every rule in force all of
//! it is clean; a situation that did not come about (the rule forbids it) is no failure.

use yoke_core::disk::RecordState;
use yoke_core::volume::{Mode, Role};

use super::settle;
use crate::check::history::Request;
use crate::driver::Driver;
use crate::event::{Ask, Event};
use crate::job::Stage;
use crate::scenario::{Script, MS};
use crate::world::World;

/// How long is waited for a situation, in nanoseconds of true time.
const PATIENCE_NS: u64 = 500 * MS;

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
        Script::Retired => retired(driver, owner),
        Script::Rejoin => rejoin(driver, owner),
        Script::HeaderFirst => header_first(driver, owner),
        Script::Unproved => unproved(driver, owner),
        Script::LateShadow => late_shadow(driver, owner),
    }
    if driver.world.violation.is_some() {
        return;
    }
    driver.mend_all();
    if settle::wait_healthy_or_lost(driver, "after the situation") {
        settle::read_all(driver);
    }
}

fn wait(driver: &mut Driver, done: impl FnMut(&mut World) -> bool) -> bool {
    let until = driver.world.now_ns + PATIENCE_NS;
    driver.run(until, done)
}

fn rest(driver: &mut Driver, longest_ns: u64) {
    let until = driver.world.now_ns + driver.rng.delay(1_000, longest_ns);
    driver.run(until, |_| false);
}

fn ask(driver: &mut Driver, at: u8, request: Request) {
    driver.take(Event::Submit {
        at,
        ask: Ask::Io(request),
    });
}

fn write(driver: &mut Driver, at: u8, block: u32) {
    let request = Request::Write {
        block,
        count: 1,
        value: 0,
        fua: false,
    };
    ask(driver, at, request);
}

/// Writes a block and waits for the answer.
fn write_through(driver: &mut Driver, at: u8, block: u32) -> bool {
    let before = driver.world.stats.writes;
    write(driver, at, block);
    wait(driver, |world| world.stats.writes > before)
}

/// Whether a write of `at` is posted and its fence not read.
fn is_posted(world: &World, at: u8) -> bool {
    let live = world.controllers[at as usize].live.as_ref();
    live.is_some_and(|l| {
        let mut jobs = l.jobs.iter().flatten();
        jobs.any(|job| matches!(job.stage, Stage::Fence { .. }))
    })
}

/// Whether the owner is mirrored by this many regions, all confirmed.
fn regions(world: &World, at: u8, count: u8) -> bool {
    settle::status(world, at).is_some_and(|s| {
        s.role == Role::Owner(Mode::Mirrored) && s.serving.is_ok() && s.regions == count
    })
}

fn is_mode(world: &World, at: u8, mode: Mode) -> bool {
    settle::status(world, at).is_some_and(|s| s.role == Role::Owner(mode))
}

fn dirty(world: &World, at: u8) -> u32 {
    settle::status(world, at).map_or(0, |s| s.dirty)
}

fn kill(driver: &mut Driver, at: u8, keep: [u8; 4]) {
    driver.take(Event::Crash { at, keep });
}

/// Lets the survivor serve, and reads all of it.
fn survive(driver: &mut Driver, at: u8) {
    if wait(driver, |world| settle::serving(world) == Some(at)) {
        settle::read_all(driver);
    }
}

fn flap(driver: &mut Driver, link: u8) {
    driver.take(Event::Cut { link, keep: [0; 2] });
    driver.take(Event::Mend { link });
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

/// Link 0 dies and comes back, so that versions of block 0 are in different regions; then it dies again.
fn two_regions(driver: &mut Driver, owner: u8, free: bool) {
    // The disk's cache was flushed just now: it is not flushed again soon.
    let clean = |world: &mut World| dirty(world, owner) == 0;
    if !(free || write_through(driver, owner, 0) && wait(driver, clean)) {
        return;
    }
    driver.take(Event::Cut {
        link: 0,
        keep: [0; 2],
    });
    if !wait(driver, |world| regions(world, owner, 1)) || !write_through(driver, owner, 0) {
        return;
    }
    driver.take(Event::Mend { link: 0 });
    if !wait(driver, |world| regions(world, owner, 2)) || !write_through(driver, owner, 0) {
        return;
    }
    if free {
        return freed_in_two(driver, owner);
    }
    if !wait(driver, |world| dirty(world, owner) == 0) {
        return;
    }
    driver.take(Event::Cut {
        link: 0,
        keep: [0; 2],
    });
    // Link 0 is retired, and the flush that came with that was not made use of yet.
    wait(driver, |world| epochs(world, owner) == 1);
    kill(driver, owner, [0; 4]);
    survive(driver, 1 - owner);
}

/// How many regions the record of `at` names, as far as it knows.
fn epochs(world: &World, at: u8) -> usize {
    match settle::status(world, at).map(|s| s.record.state) {
        Some(RecordState::Shadow(shadow)) => shadow.epochs().count(),
        _ => 0,
    }
}

/// Whether the window of `at` has a header in the region of a link.
fn has_header(world: &World, at: u8, link: usize) -> bool {
    let place = world.place();
    let live = world.controllers[at as usize].live.as_ref();
    let mut slots = 0..place.slots;
    live.is_some_and(|l| {
        slots.any(|slot| {
            let offset = place.header_at(slot).unwrap_or_default();
            l.memory[link].header(offset) != [0; 64]
        })
    })
}

/// The invalidation of the older version is lost with its link; the owner dies when the newer version is gone.
fn freed_in_two(driver: &mut Driver, owner: u8) {
    let other = 1 - owner;
    if !wait(driver, |world| world.links[1].under_way(owner.into()) > 0) {
        return;
    }
    driver.take(Event::Cut {
        link: 1,
        keep: [0; 2],
    });
    let soon = driver.world.now_ns + 50 * MS;
    driver.run(soon, |world| {
        has_header(world, other, 1) && !has_header(world, other, 0)
    });
    kill(driver, owner, [u8::MAX; 4]);
    survive(driver, other);
}

fn narrowed(driver: &mut Driver, owner: u8) {
    for block in 0..driver.world.setting.scenario.blocks {
        if !write_through(driver, owner, block) {
            return;
        }
    }
    driver.take(Event::Cut {
        link: 0,
        keep: [0; 2],
    });
    wait(driver, |world| epochs(world, owner) == 1);
    kill(driver, owner, [u8::MAX; 4]);
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

fn retired(driver: &mut Driver, owner: u8) {
    if !write_through(driver, owner, 0) {
        return;
    }
    driver.take(Event::Cut {
        link: 0,
        keep: [0; 2],
    });
    if !wait(driver, |world| epochs(world, owner) == 1) || !write_through(driver, owner, 0) {
        return;
    }
    let slots = driver.world.setting.scenario.slots;
    let is_free = |world: &mut World| settle::status(world, owner).is_some_and(|s| s.free == slots);
    wait(driver, is_free);
    kill(driver, owner, [u8::MAX; 4]);
    survive(driver, 1 - owner);
}

fn rejoin(driver: &mut Driver, owner: u8) {
    driver.take(Event::Cut {
        link: 0,
        keep: [0; 2],
    });
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
    if !write_through(driver, owner, 0) || !wait(driver, |world| dirty(world, owner) == 0) {
        return;
    }
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

/// A write of a data block by `at` that has not landed.
fn queued_data(world: &World, at: u8, block: u32) -> Option<u16> {
    let mut queue = world.disk.queue().iter();
    queue
        .find(|c| c.issuer.controller == at as usize && !c.landed && c.verb.writes_block(block))
        .map(|c| c.id)
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
    driver.take(Event::Cut {
        link: 0,
        keep: [0; 2],
    });
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

/// A node block of `at` that names a shadow, and has not landed.
fn queued_shadow(world: &World, at: u8) -> Option<u16> {
    let mut queue = world.disk.queue().iter();
    queue
        .find(|c| c.issuer.controller == at as usize && !c.landed && c.verb.names_shadow())
        .map(|c| c.id)
}

fn late_shadow(driver: &mut Driver, owner: u8) {
    let other = 1 - owner;
    driver.take(Event::Cut {
        link: 0,
        keep: [0; 2],
    });
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
