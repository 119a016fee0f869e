// SPDX-License-Identifier: GPL-2.0
//! Reads that hang on the disk keep the slots of their own blocks, and nobody else waits for them.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use appliance::{one, Appliance, MS, SLOTS};
use yoke_core::volume::*;

const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const SOLO: Role = Role::Owner(Mode::Solo);

fn solo(tune: fn(&mut Config)) -> Appliance {
    let mut a = Appliance::new(1, tune);
    a.until("solo", |a| a.role(0) == SOLO);
    a
}

fn mirrored(tune: fn(&mut Config)) -> Appliance {
    Appliance::mirrored(1, tune)
}

/// A read begins, and goes to the disk.
fn begin(a: &mut Appliance, range: Range) -> ReadPlan {
    let now = a.now;
    match a.node(0).volume.read_begin(range, now) {
        ReadBegin::Plan(plan) => plan,
        other => panic!("{other:?}"),
    }
}

/// The disk has answered.
fn end(a: &mut Appliance, plan: &ReadPlan) -> ReadEnd {
    let now = a.now;
    let end = a.node(0).volume.read_finish(plan, now);
    a.settle();
    end
}

/// Far more writes than there are slots, to `blocks` blocks from `first` on.
fn write_on(a: &mut Appliance, first: u64, blocks: u64) {
    for value in 0..u64::from(20 * SLOTS) {
        a.write(0, first + value % blocks, value + 1);
    }
}

#[test]
fn a_read_that_hangs_stops_no_writes_of_other_blocks() {
    for mut a in [solo(|_| ()), mirrored(|_| ())] {
        let hung = begin(&mut a, one(60));
        write_on(&mut a, 0, 40);
        a.pass(500 * MS);
        assert_eq!(a.status(0).free, SLOTS);
        assert_eq!(end(&mut a, &hung), ReadEnd::Complete);
    }
}

#[test]
fn what_was_written_under_a_read_is_kept_until_it_is_over() {
    for mut a in [solo(|_| ()), mirrored(|_| ())] {
        let hung = begin(&mut a, one(60));
        a.write(0, 60, 1);
        a.pass(500 * MS);
        assert_eq!(a.disk.get(&60), Some(&1));
        assert_eq!(a.status(0).free, SLOTS - 1);
        write_on(&mut a, 0, 40);
        a.pass(500 * MS);
        assert_eq!(a.status(0).free, SLOTS - 1);
        // What comes now sees the block where it is, and keeps nothing.
        assert_eq!(a.read(0, 60), 1);
        assert_eq!(end(&mut a, &hung), ReadEnd::Again);
        a.pass(500 * MS);
        assert_eq!(a.status(0).free, SLOTS);
    }
}

#[test]
fn a_read_that_began_while_its_block_was_being_freed_is_not_disturbed() {
    let mut a = solo(|_| ());
    let hung = begin(&mut a, one(60));
    a.write(0, 60, 1);
    a.pass(500 * MS);
    let later = begin(&mut a, one(60));
    assert_eq!(later.sources[0], Source::Disk);
    assert_eq!(end(&mut a, &later), ReadEnd::Complete);
    assert_eq!(end(&mut a, &hung), ReadEnd::Again);
}

#[test]
fn reads_of_one_block_that_overlap_for_ever_put_nothing_off() {
    for mut a in [solo(|_| ()), mirrored(|_| ())] {
        let mut last = begin(&mut a, one(7));
        for value in 0..u64::from(20 * SLOTS) {
            a.write(0, 7, value);
            let next = begin(&mut a, one(7));
            let _ = end(&mut a, &last);
            last = next;
        }
        let _ = end(&mut a, &last);
        a.pass(500 * MS);
        assert_eq!(a.status(0).free, SLOTS);
    }
}

#[test]
fn many_slots_that_are_kept_hide_none_that_are_not() {
    const HUNG: u64 = 5;
    const KEPT: u64 = HUNG * BLOCKS_MAX as u64;
    let mut a = mirrored(|config| {
        (config.slots, config.dirty_limit, config.blocks) = (512, 512, 1 << 20);
    });
    let plans: Vec<_> = (0..HUNG)
        .map(|at| {
            let range = Range {
                block: at * BLOCKS_MAX as u64,
                count: BLOCKS_MAX as u32,
            };
            begin(&mut a, range)
        })
        .collect();
    for block in 0..KEPT {
        a.write(0, block, block);
    }
    a.pass(500 * MS);
    assert_eq!(u64::from(a.status(0).free), 512 - KEPT);
    for value in 0..2_000 {
        a.write(0, 1_000 + value, value);
    }
    a.pass(500 * MS);
    // A few may share a word with one of the reads.
    assert!(u64::from(a.status(0).free) > 512 - KEPT - 150);
    for plan in &plans {
        assert_eq!(end(&mut a, plan), ReadEnd::Again);
    }
    a.pass(500 * MS);
    assert_eq!(a.status(0).free, 512);
}

/// One version of a block is freed after the other, each in a round of its own.
#[test]
fn the_next_version_of_a_block_that_was_written_many_times_is_not_searched_for() {
    const VERSIONS: u64 = 2_000;
    let mut a = mirrored(|config| (config.slots, config.dirty_limit) = (2_048, 2_048));
    a.hold_destage = true;
    for value in 0..VERSIONS {
        a.write(0, 7, value);
    }
    a.hold_destage = false;
    let mut steps = 0;
    while a.status(0).free < 2_048 {
        if !(a.step(0) | a.step(1)) {
            a.now += 1;
        }
        steps += 1;
    }
    assert!(steps < 4 * VERSIONS, "{steps}");
}

#[test]
fn an_ownership_that_ends_under_a_read_leaves_no_slot_behind() {
    let mut a = mirrored(|_| ());
    let hung = begin(&mut a, one(60));
    a.write(0, 60, 1);
    a.pass(500 * MS);
    a.command(0, Command::GiveBack);
    a.until("given back", |a| {
        a.role(0) == Role::Standby && matches!(a.role(1), Role::Owner(_))
    });
    a.command(1, Command::GiveBack);
    a.until("taken back", |a| a.role(0) == MIRRORED);
    a.write(0, 60, 2);
    write_on(&mut a, 0, 40);
    assert_eq!(end(&mut a, &hung), ReadEnd::Again);
    a.pass(500 * MS);
    assert_eq!((a.status(0).free, a.read(0, 60)), (SLOTS, 2));
}
