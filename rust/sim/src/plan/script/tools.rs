// SPDX-License-Identifier: GPL-2.0
//! What situations are made of: steps to take, and things to wait for.

use yoke_core::disk::RecordState;
use yoke_core::volume::{Mode, PassOp, Role};

use crate::check::history::Request;
use crate::driver::Driver;
use crate::event::{Ask, Event};
use crate::job::Stage;
use crate::plan::settle;
use crate::scenario::MS;
use crate::world::World;

/// How long is waited for a situation, in nanoseconds of true time.
const PATIENCE_NS: u64 = 500 * MS;

/// Stores that post a slot: two halves of the data, and the header.
pub(super) const STORES: usize = 3;

pub(super) fn wait(driver: &mut Driver, done: impl FnMut(&mut World) -> bool) -> bool {
    let until = driver.world.now_ns + PATIENCE_NS;
    driver.run(until, done)
}

pub(super) fn rest(driver: &mut Driver, longest_ns: u64) {
    let until = driver.world.now_ns + driver.rng.delay(1_000, longest_ns);
    driver.run(until, |_| false);
}

pub(super) fn ask(driver: &mut Driver, at: u8, request: Request) {
    driver.take(Event::Submit {
        at,
        ask: Ask::Io(request),
    });
}

pub(super) fn write(driver: &mut Driver, at: u8, block: u32) {
    let request = Request::Write {
        block,
        count: 1,
        value: 0,
        fua: false,
    };
    ask(driver, at, request);
}

/// Asks for a block of zeroes.
pub(super) fn zero(driver: &mut Driver, at: u8, block: u32) {
    let op = PassOp::WriteZeroes;
    let ask = Ask::Pass {
        op,
        block,
        count: 1,
    };
    driver.take(Event::Submit { at, ask });
}

/// Writes a block and waits for the answer.
pub(super) fn write_through(driver: &mut Driver, at: u8, block: u32) -> bool {
    let before = driver.world.stats.writes;
    write(driver, at, block);
    wait(driver, |world| world.stats.writes > before)
}

/// Whether a write of `at` is posted and its fence not read.
pub(super) fn is_posted(world: &World, at: u8) -> bool {
    let live = world.controllers[at as usize].live.as_ref();
    live.is_some_and(|l| {
        let mut jobs = l.jobs.iter().flatten();
        jobs.any(|job| matches!(job.stage, Stage::Fence { .. }))
    })
}

/// Whether the owner is mirrored by this many regions, all confirmed.
pub(super) fn regions(world: &World, at: u8, count: u8) -> bool {
    settle::status(world, at).is_some_and(|s| {
        s.role == Role::Owner(Mode::Mirrored) && s.serving.is_ok() && s.regions == count
    })
}

pub(super) fn is_mode(world: &World, at: u8, mode: Mode) -> bool {
    settle::status(world, at).is_some_and(|s| s.role == Role::Owner(mode))
}

pub(super) fn dirty(world: &World, at: u8) -> u32 {
    settle::status(world, at).map_or(0, |s| s.dirty)
}

pub(super) fn kill(driver: &mut Driver, at: u8, keep: [u8; 4]) {
    driver.take(Event::Crash { at, keep });
}

/// Lets the survivor serve, and reads all of it.
pub(super) fn survive(driver: &mut Driver, at: u8) {
    if wait(driver, |world| settle::serving(world) == Some(at)) {
        settle::read_all(driver);
    }
}

/// A link goes down with everything that is under way on it.
pub(super) fn cut(driver: &mut Driver, link: u8) {
    driver.take(Event::Cut { link, keep: [0; 2] });
}

pub(super) fn flap(driver: &mut Driver, link: u8) {
    cut(driver, link);
    driver.take(Event::Mend { link });
}

/// Whether nothing is left in the log of `at`.
pub(super) fn is_free(world: &World, at: u8) -> bool {
    let slots = world.setting.scenario.slots;
    settle::status(world, at).is_some_and(|s| s.free == slots)
}

/// How many regions the record of `at` names, as far as it knows.
pub(super) fn epochs(world: &World, at: u8) -> usize {
    match settle::status(world, at).map(|s| s.record.state) {
        Some(RecordState::Shadow(shadow)) => shadow.epochs().count(),
        _ => 0,
    }
}

/// Whether the window of `at` has a header in the region of a link.
pub(super) fn has_header(world: &World, at: u8, link: usize) -> bool {
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

/// Whether the region of a link in the window of `at` is granted.
pub(super) fn is_granted(world: &World, at: u8, link: usize) -> bool {
    let word = world.place().epoch_word;
    let live = world.controllers[at as usize].live.as_ref();
    live.is_some_and(|l| l.memory[link].epoch(word) != 0)
}

/// A write of a data block by `at` that has not landed.
pub(super) fn queued_data(world: &World, at: u8, block: u32) -> Option<u16> {
    let mut queue = world.disk.queue().iter();
    queue
        .find(|c| c.issuer.controller == at as usize && !c.landed && c.verb.writes_block(block))
        .map(|c| c.id)
}

/// A node block of `at` that names a shadow, and has not landed.
pub(super) fn queued_shadow(world: &World, at: u8) -> Option<u16> {
    let mut queue = world.disk.queue().iter();
    queue
        .find(|c| c.issuer.controller == at as usize && !c.landed && c.verb.names_shadow())
        .map(|c| c.id)
}
