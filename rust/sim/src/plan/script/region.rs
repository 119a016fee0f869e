// SPDX-License-Identifier: GPL-2.0
//! Situations of regions: what is in which of them when links come and go.

use yoke_core::volume::Mode;

use super::tools::*;
use crate::driver::Driver;
use crate::event::Event;
use crate::scenario::MS;
use crate::world::World;

/// Link 0 dies and comes back, so that versions of block 0 are in different regions; then it dies again.
pub(super) fn two_regions(driver: &mut Driver, owner: u8, free: bool) {
    // The disk's cache was flushed just now: it is not flushed again soon.
    let clean = |world: &mut World| dirty(world, owner) == 0;
    if !(free || write_through(driver, owner, 0) && wait(driver, clean)) {
        return;
    }
    cut(driver, 0);
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
    cut(driver, 0);
    // Link 0 is retired, and the flush that came with that was not made use of yet.
    wait(driver, |world| epochs(world, owner) == 1);
    kill(driver, owner, [0; 4]);
    survive(driver, 1 - owner);
}

/// The invalidation of the older version is lost with its link; the owner dies when the newer version is gone.
fn freed_in_two(driver: &mut Driver, owner: u8) {
    let other = 1 - owner;
    if !wait(driver, |world| world.links[1].under_way(owner.into()) > 0) {
        return;
    }
    cut(driver, 1);
    let soon = driver.world.now_ns + 50 * MS;
    driver.run(soon, |world| {
        has_header(world, other, 1) && !has_header(world, other, 0)
    });
    kill(driver, owner, [u8::MAX; 4]);
    survive(driver, other);
}

pub(super) fn narrowed(driver: &mut Driver, owner: u8) {
    for block in 0..driver.world.setting.scenario.blocks {
        if !write_through(driver, owner, block) {
            return;
        }
    }
    cut(driver, 0);
    wait(driver, |world| epochs(world, owner) == 1);
    kill(driver, owner, [u8::MAX; 4]);
    survive(driver, 1 - owner);
}

pub(super) fn retired(driver: &mut Driver, owner: u8) {
    if !write_through(driver, owner, 0) {
        return;
    }
    cut(driver, 0);
    if !wait(driver, |world| epochs(world, owner) == 1) || !write_through(driver, owner, 0) {
        return;
    }
    wait(driver, |world| is_free(world, owner));
    kill(driver, owner, [u8::MAX; 4]);
    survive(driver, 1 - owner);
}

pub(super) fn leftover(driver: &mut Driver, owner: u8) {
    if !write_through(driver, owner, 0) {
        return;
    }
    cut(driver, 0);
    let solo = wait(driver, |world| is_mode(world, owner, Mode::Solo));
    if !solo || !write_through(driver, owner, 0) {
        return;
    }
    // So that nothing of the block is left to be copied.
    if !wait(driver, |world| is_free(world, owner)) {
        return;
    }
    driver.take(Event::Mend { link: 0 });
    wait(driver, |world| epochs(world, owner) == 1);
    kill(driver, owner, [u8::MAX; 4]);
    survive(driver, 1 - owner);
}

/// Two versions of a block, both on the disk already, are only in the region of link 0, which dies. The owner dies when
/// the record names the other region alone, and only the first of the two copies has arrived there.
pub(super) fn half_copied(driver: &mut Driver, owner: u8) {
    // The disk's cache is flushed now, and not again soon, so that nothing is freed.
    let clean = |world: &mut World| dirty(world, owner) == 0;
    if !write_through(driver, owner, 0) || !wait(driver, |world| is_free(world, owner)) {
        return;
    }
    if !wait(driver, |world| regions(world, owner, 2)) {
        return;
    }
    for _ in 0..2 {
        if !write_through(driver, owner, 0) {
            return;
        }
    }
    if !wait(driver, clean) {
        return;
    }
    cut(driver, 0);
    if !wait(driver, |world| epochs(world, owner) == 1) {
        return;
    }
    let end = usize::from(owner);
    let keep = driver.world.links[1].under_way(end).saturating_sub(STORES);
    kill(driver, owner, [keep as u8; 4]);
    survive(driver, 1 - owner);
}

/// A link goes down under a write that is on its way, and comes back; its region is granted again before what was on the
/// way has arrived. Then a newer version comes and goes.
pub(super) fn late_post(driver: &mut Driver, owner: u8) {
    if !wait(driver, |world| regions(world, owner, 2)) {
        return;
    }
    let before = driver.world.stats.writes;
    write(driver, owner, 0);
    if !wait(driver, |world| is_posted(world, owner)) {
        return;
    }
    driver.take(Event::Cut {
        link: 0,
        keep: [u8::MAX; 2],
    });
    if !wait(driver, |world| {
        world.stats.writes > before && epochs(world, owner) == 1
    }) {
        return;
    }
    // In force, the rule makes this wait in vain.
    let mut closed = false;
    let soon = driver.world.now_ns + 2 * MS;
    driver.run(soon, |world| {
        let granted = is_granted(world, 1 - owner, 0);
        closed |= !granted;
        closed && granted
    });
    driver.take(Event::Mend { link: 0 });
    if !wait(driver, |world| regions(world, owner, 2)) || !write_through(driver, owner, 0) {
        return;
    }
    wait(driver, |world| is_free(world, owner));
    kill(driver, owner, [u8::MAX; 4]);
    survive(driver, 1 - owner);
}
