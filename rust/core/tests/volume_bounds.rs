// SPDX-License-Identifier: GPL-2.0
//! No call of a machine looks at more than a piece of its log: it is called under a lock, with interrupts off.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use appliance::{link, looks, Appliance, MS};
use yoke_core::disk::node_block::{Record, RecordState};
use yoke_core::ids::mix;
use yoke_core::volume::*;

const SLOTS: u32 = 16_384;
const BLOCKS: u64 = 20_000;
/// A piece of the log, in which each entry is looked at some thirty times; all of it is 32 times as much.
const MOST: u64 = 32_768;

/// A mirrored pair whose log holds a version of this many blocks that no disk has.
fn full(dirty: u64) -> Appliance {
    let mut a = Appliance::new(1, |config| {
        (config.slots, config.dirty_limit, config.blocks) = (SLOTS, SLOTS, BLOCKS);
    });
    a.until("solo", |a| a.role(0) == Role::Owner(Mode::Solo));
    a.mend(0);
    a.until("mirrored", |a| a.role(0) == Role::Owner(Mode::Mirrored));
    a.hold_destage = true;
    for block in 0..dirty {
        a.write(0, block, block + 1);
    }
    a.most_looks = 0;
    a
}

#[test]
fn a_takeover_of_a_full_log() {
    let mut a = full(SLOTS.into());
    a.kill(0);
    a.until("degraded", |a| a.role(1) == Role::Owner(Mode::Degraded));
    assert_eq!(a.status(1).adopted, SLOTS);
    assert_eq!(a.read(1, 77), 78);
    a.hold_destage = false;
    a.until("solo", |a| a.role(1) == Role::Owner(Mode::Solo));
    assert!(a.most_looks < MOST, "{}", a.most_looks);
}

/// The window of a survivor goes, with all that it has adopted; then a person gives that up.
#[test]
fn a_window_that_goes_under_a_full_log() {
    let mut a = full(SLOTS.into());
    a.kill(0);
    a.until("degraded", |a| a.role(1) == Role::Owner(Mode::Degraded));
    let (link, now) = (link(0), a.now);
    let gone = Input::Room { link, place: None };
    let ((), looked) = looks(|| a.node(1).volume.handle(gone, now));
    assert!(looked < MOST, "{looked}");
    a.settle();
    assert_eq!(a.status(1).condemned, SLOTS);
    let give_up = Input::Command(Command::GiveUpCondemned);
    let ((), looked) = looks(|| a.node(1).volume.handle(give_up, now));
    assert!(looked < MOST, "{looked}");
    a.settle();
    assert_eq!((a.status(1).condemned, a.status(1).adopted), (0, 0));
    assert!(a.most_looks < MOST, "{}", a.most_looks);
}

#[test]
fn a_deposed_owner_with_a_full_log() {
    let mut a = full(SLOTS.into());
    let owner = a.nodes[0].take();
    a.cut(0);
    a.until("degraded", |a| a.role(1) == Role::Owner(Mode::Degraded));
    a.nodes[0] = owner;
    let link = appliance::link(0);
    a.tell(0, Input::LinkDown { link });
    a.tell(0, Input::SessionGone);
    a.most_looks = 0;
    a.until("deposed", |a| a.role(0) == Role::Standby);
    a.pass(MS);
    let status = a.status(0);
    assert_eq!((status.dirty, status.free), (0, SLOTS));
    assert!(a.most_looks < MOST, "{}", a.most_looks);
}

#[test]
fn a_region_that_is_closed_under_a_full_log() {
    let mut a = full(SLOTS.into());
    a.kill(1);
    a.hold_destage = false;
    a.until("solo", |a| a.role(0) == Role::Owner(Mode::Solo));
    a.start(1);
    a.mend(0);
    a.until("mirrored", |a| a.role(0) == Role::Owner(Mode::Mirrored));
    assert!(a.most_looks < MOST, "{}", a.most_looks);
}

#[test]
fn a_block_that_is_written_again_and_again_costs_the_same_each_time() {
    let mut a = full(0);
    a.write(0, 7, 1);
    a.most_looks = 0;
    for value in 2..2_000 {
        a.write(0, 7, value);
    }
    assert!(a.most_looks < 600, "{}", a.most_looks);
    let now = a.now;
    let node = a.node(0);
    let (plan, looked) = looks(|| node.volume.next_destage(now, 4));
    assert!(plan.is_some() && looked < 100, "{looked}");
}

/// Whoever writes chooses the blocks, and knows how they are spread.
#[test]
fn blocks_that_were_chosen_to_meet_do_not_meet() {
    const FEW: u32 = 1_024;
    let mut a = Appliance::new(1, |config| {
        (config.slots, config.dirty_limit, config.blocks) = (FEW, FEW, 1 << 30);
    });
    a.until("solo", |a| a.role(0) == Role::Owner(Mode::Solo));
    a.mend(0);
    a.until("mirrored", |a| a.role(0) == Role::Owner(Mode::Mirrored));
    a.hold_destage = true;
    a.most_looks = 0;
    let meets = |block: &u64| mix(*block) % u64::from(2 * FEW) == 0;
    for block in (0..1 << 30).filter(meets).take(512) {
        a.write(0, block, 1);
    }
    assert!(a.most_looks < 300, "{}", a.most_looks);
}

#[test]
fn many_versions_of_one_block_are_copied_piece_by_piece() {
    let mut a = Appliance::new(2, |config| {
        (config.slots, config.dirty_limit, config.blocks) = (SLOTS, SLOTS, BLOCKS);
    });
    a.until("solo", |a| a.role(0) == Role::Owner(Mode::Solo));
    a.mend(0);
    a.until("mirrored", |a| a.role(0) == Role::Owner(Mode::Mirrored));
    a.hold_destage = true;
    for value in 1..4_000 {
        a.write(0, 7, value);
    }
    a.mend(1);
    a.until("two regions", |a| a.status(0).regions == 2);
    a.most_looks = 0;
    a.cut(0);
    a.until("copied", |a| a.status(0).regions == 1);
    assert_eq!(a.role(0), Role::Owner(Mode::Mirrored));
    assert!(a.most_looks < MOST, "{}", a.most_looks);
    a.kill(0);
    a.until("degraded", |a| a.role(1) == Role::Owner(Mode::Degraded));
    assert_eq!(a.read(1, 7), 3_999);
}

/// Writes, and lets the owner take three steps after each.
fn load(a: &mut Appliance, writes: u64) {
    for value in 0..writes {
        let plan = a.begin(0, value % 50, value).unwrap();
        let _ = a.finish(0, &plan);
        for _ in 0..3 {
            a.step(0);
            while a.step(1) {}
        }
        a.now += MS / 10;
    }
}

const LARGE: fn(&mut Config) = |config| (config.slots, config.dirty_limit) = (16_384, 16_384);

#[test]
fn a_rejoin_ends_however_much_is_written() {
    let mut a = Appliance::new(2, LARGE);
    a.until("solo", |a| a.role(0) == Role::Owner(Mode::Solo));
    // A write that takes its time, and two links, the second of which comes up first.
    let late = a.begin(0, 60, 1).unwrap();
    a.mend_quiet(1);
    while a.role(0) != Role::Owner(Mode::Joining) {
        if !a.step(0) {
            a.now += MS;
        }
        while a.step(1) {}
    }
    a.mend_quiet(0);
    // The write ends in the moment in which the record is confirmed.
    loop {
        let now = a.now;
        let named = matches!(a.blocks[0].record.state, RecordState::Shadow(_));
        let action = a.node(0).volume.poll_action(now);
        let confirms = named && matches!(action, Some(Action::ReadNodeBlocks { .. }));
        if confirms {
            let _ = a.finish(0, &late);
        }
        match action {
            Some(action) => a.act(0, action),
            None => a.now += MS,
        }
        if confirms {
            break;
        }
        while a.step(1) {}
    }
    load(&mut a, 100);
    assert_eq!(
        (a.role(0), a.status(0).regions),
        (Role::Owner(Mode::Mirrored), 2)
    );
    let before = a.copies;
    load(&mut a, 400);
    assert!(a.copies - before < 40, "{} copies", a.copies - before);
}

#[test]
fn a_dead_link_is_done_with_however_much_is_written() {
    let mut a = Appliance::new(3, LARGE);
    a.until("solo", |a| a.role(0) == Role::Owner(Mode::Solo));
    a.mend(1);
    a.mend(2);
    a.until("two", |a| a.status(0).regions == 2);
    a.hold_destage = true;
    for block in 0..50 {
        a.write(0, block, block);
    }
    // The second one dies while the record is written that names the first.
    a.mend_quiet(0);
    let named = |record: &Record| match &record.state {
        RecordState::Shadow(shadow) => shadow.epochs().count(),
        _ => 0,
    };
    loop {
        let now = a.now;
        let action = a.node(0).volume.poll_action(now);
        let writes = matches!(action, Some(Action::WriteNodeBlock { block, .. }) if named(&block.record) == 3);
        if writes {
            a.wires[1].up = false;
            a.wires[1].downs += 1;
            for n in 0..2 {
                a.tell(n, Input::LinkDown { link: link(1) });
            }
        }
        match action {
            Some(action) => a.act(0, action),
            None => a.now += MS,
        }
        if writes {
            break;
        }
        while a.step(1) {}
    }
    load(&mut a, 1_000);
    assert_eq!(named(&a.blocks[0].record), 2, "its slots are elsewhere");
}

/// Who waits is not looked for among all who might, write by write and run by run: in no call is each of the tickets, of
/// which there are 1,024, looked at.
#[test]
fn writes_while_a_discard_and_flushes_wait() {
    let mut a = full(16);
    a.hold_passes = true;
    let now = a.now;
    let range = LongRange {
        block: BLOCKS - 8,
        count: 8,
    };
    let node = a.node(0);
    let discard = node.volume.pass_down(PassOp::Discard, range, now);
    assert!(matches!(discard, LongBegin::Wait(_)));
    a.until("it is below", |a| a.queued.len() == 1);
    let mut flushes = Vec::new();
    let mut write_some = |a: &mut Appliance, first: u64| {
        a.most_looks = 0;
        for block in first..first + 100 {
            a.write(0, block, 1);
        }
        let now = a.now;
        let LongBegin::Wait(flush) = a.node(0).volume.flush(now) else {
            panic!("not begun");
        };
        flushes.push(format!("{flush:?}"));
        a.settle();
        assert!(a.most_looks < 900, "{}", a.most_looks);
    };
    // Flushes that wait for what is in the log; then for the disk; then for the next one of the disk.
    write_some(&mut a, 100);
    write_some(&mut a, 200);
    a.end_pass(0, PassEnd::Done);
    (a.hold_destage, a.hold_disk) = (false, true);
    write_some(&mut a, 300);
    a.until("the disk flushes", |a| !a.held.is_empty());
    write_some(&mut a, 400);
    a.hold_disk = false;
    for (n, action) in core::mem::take(&mut a.held) {
        a.act(n, action);
    }
    a.until("flushed", |a| {
        let answers = &a.node(0).answers;
        flushes.iter().all(|flush| answers.contains_key(flush))
    });
    assert!(a.most_looks < 900, "{}", a.most_looks);
}
