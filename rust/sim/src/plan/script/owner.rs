// SPDX-License-Identifier: GPL-2.0
//! Situations of owners: who takes the volume, gives it back, or reads, while an earlier owner's commands are alive.

use yoke_core::volume::{Command, Mode, PassOp, Role};

use super::tools::*;
use crate::check::history::Request;
use crate::check::Kind;
use crate::driver::Driver;
use crate::event::{Ask, Event};
use crate::plan::settle;
use crate::scenario::MS;
use crate::world::World;

/// A command of the owner, of which the shadow knows nothing, stays in the disk's queue while it stands still. Its partner takes over, and gives the volume
/// back; the old owner goes on, takes it, and writes; then the old command lands.
pub(super) fn laundered(driver: &mut Driver, owner: u8) {
    let other = 1 - owner;
    if !pass_held(driver, owner) {
        return;
    }
    driver.take(Event::Pause { at: owner });
    let owns =
        |at: u8| move |world: &mut _| matches!(settle::role(world, at), Some(Role::Owner(_)));
    if !wait(driver, owns(other)) {
        return;
    }
    driver.take(Event::Tell {
        at: other,
        command: Command::GiveBack,
    });
    rest(driver, 20 * MS);
    driver.take(Event::Resume { at: owner });
    if !wait(driver, |world| settle::serving(world) == Some(owner)) {
        return;
    }
    write_through(driver, owner, 0);
    wait(driver, |world| dirty(world, owner) == 0);
    driver.hold_command(None);
    settle::read_all(driver);
}

/// A write-zeroes, or a discard that the disk obeys, is in the disk's queue when its owner dies. The survivor reads the
/// block; then the old command lands.
pub(super) fn under_read(driver: &mut Driver, owner: u8) {
    let other = 1 - owner;
    if !pass_held(driver, owner) {
        return;
    }
    kill(driver, owner, [u8::MAX; 4]);
    survive(driver, other);
    read_whole(driver, other);
    driver.hold_command(None);
    rest(driver, MS);
    survive(driver, other);
}

/// All blocks by one read: what reads as zero, and what only the disk has.
fn read_whole(driver: &mut Driver, at: u8) {
    let count = driver.world.setting.scenario.blocks;
    let answered = driver.world.stats.reads;
    ask(driver, at, Request::Read { block: 0, count });
    wait(driver, |world| world.stats.reads > answered);
}

/// Block 0 is on the disk and in no log, and a write-zeroes or a discard of it is in the disk's queue, and stays there.
fn pass_held(driver: &mut Driver, owner: u8) -> bool {
    if !write_through(driver, owner, 0) || !wait(driver, |world| is_free(world, owner)) {
        return false;
    }
    let op = if driver.rng.chance(500) {
        PassOp::WriteZeroes
    } else {
        PassOp::Discard
    };
    let ask = Ask::Pass {
        op,
        block: 0,
        count: 1,
    };
    driver.take(Event::Submit { at: owner, ask });
    let queued = wait(driver, |world| queued_data(world, owner, 0).is_some());
    driver.hold_command(queued_data(&driver.world, owner, 0));
    queued
}

/// A person forces the partner of an owner that lives, mirrored, holding or alone; it may stand still just then.
/// Whoever serves afterwards has everything, and nobody else does.
pub(super) fn forced(driver: &mut Driver, owner: u8) {
    let other = 1 - owner;
    if !write_through(driver, owner, 0) {
        return;
    }
    let way = driver.rng.below(4);
    if way == 1 || way == 3 {
        driver.take(Event::Pause { at: owner });
    }
    if way >= 2 {
        for link in 0..driver.world.links.len() as u8 {
            cut(driver, link);
        }
    }
    if way == 2 && driver.rng.chance(500) {
        wait(driver, |world| is_mode(world, owner, Mode::Solo));
        write_through(driver, owner, 0);
    }
    rest(driver, 60 * MS);
    driver.take(Event::Tell {
        at: other,
        command: Command::ForceFromDisk,
    });
    let read = Request::Read { block: 0, count: 1 };
    for _ in 0..6 {
        for at in [other, owner] {
            write(driver, at, 0);
            ask(driver, at, read);
        }
        rest(driver, 30 * MS);
        if driver.rng.chance(300) {
            driver.take(Event::Resume { at: owner });
        }
    }
    driver.take(Event::Resume { at: owner });
    rest(driver, 20 * MS);
}

/// The owner's path to the disk fails under a log that is not empty. Its partner takes over in time; or it dies, or its path fails
/// as well, and then the owner has to go on when its own path is mended; or the owner stands still when it has let go.
pub(super) fn pathless(driver: &mut Driver, owner: u8) {
    let other = 1 - owner;
    write(driver, owner, 0);
    write(driver, owner, 1);
    let way = driver.rng.below(4);
    driver.lose_path(owner, true);
    if way == 1 {
        driver.lose_path(other, true);
    }
    if !write_through(driver, owner, 0) {
        return;
    }
    let holds = |world: &mut World| is_mode(world, owner, Mode::Holding);
    match way {
        0 => (),
        1 => {
            rest(driver, 2_000 * MS);
            let mended = driver.rng.below(2) as u8;
            driver.lose_path(mended, false);
        }
        2 if wait(driver, holds) => {
            rest(driver, 50 * MS);
            kill(driver, other, [0; 4]);
            driver.lose_path(owner, false);
        }
        _ if wait(driver, holds) => driver.take(Event::Pause { at: owner }),
        _ => return,
    }
    let until = driver.world.now_ns + settle::bound_ns(driver);
    let serves =
        |world: &mut World| settle::serving(world).is_some_and(|at| way != 0 || at == other);
    if driver.run(until, serves) {
        driver.take(Event::Resume { at: owner });
        settle::read_all(driver);
    } else if driver.world.violation.is_none() {
        let words = "stuck: nobody serves though one of them reaches the disk".to_string();
        driver.world.violated(Kind::Stuck, words);
    }
}
