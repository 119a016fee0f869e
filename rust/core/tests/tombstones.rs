// SPDX-License-Identifier: GPL-2.0
//! Discards and write-zeroes: known to the shadow before the disk, finished by whoever takes over.
#![allow(missing_docs)]

#[allow(dead_code, unreachable_pub)]
#[path = "support/appliance.rs"]
mod appliance;
#[allow(dead_code, unreachable_pub)]
#[path = "support/passing.rs"]
mod passing;

use appliance::{link, Appliance, MS, SLOTS, VOLUME};
use passing::{answer, begin, parks, passing, RANGE, T_IO};
use yoke_core::ids::{Epoch, Generation};
use yoke_core::mirror::header::{Content, SlotHeader, HEADER_SIZE};
use yoke_core::volume::*;

const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const DEGRADED: Role = Role::Owner(Mode::Degraded);
const SOLO: Role = Role::Owner(Mode::Solo);

fn mirrored(links: usize) -> Appliance {
    Appliance::mirrored(links, |_| ())
}

#[test]
fn a_survivor_reads_zeroes_before_the_dead_owners_command_lands_and_after() {
    for op in [PassOp::WriteZeroes, PassOp::Discard] {
        let (mut a, _) = passing(2, op);
        a.kill(0);
        a.until("it serves", |a| a.role(1) == DEGRADED);
        assert_eq!(a.disk.get(&1), Some(&10), "nothing has landed");
        assert_eq!(a.read(1, 1), 0);
        assert!(parks(&mut a, 1, 1), "its range is blocked");
        assert_eq!(a.queued.len(), 1, "the disk is not written before T_io");
        a.land_pass(0);
        assert_eq!(a.read(1, 1), 0);
        a.until("the survivor zeroes", |a| a.queued.len() == 2);
        assert_eq!(a.passed[1], (PassOp::WriteZeroes, RANGE));
        a.pass(100 * MS);
        assert_eq!(a.role(1), DEGRADED, "its shadow is needed until then");
        assert_eq!(a.status(1).adopted, 1);
        a.hold_passes = false;
        a.end_pass(1, PassEnd::Done);
        a.until("solo", |a| a.role(1) == SOLO);
        a.write(1, 1, 11);
        assert_eq!(a.read(1, 1), 11);
        a.until("on the disk", |a| a.disk.get(&1) == Some(&11));
    }
}

/// The survivor's read of two blocks, both of which it lets the disk read, as whoever has a bio does: of the first, all of
/// which the tombstone zeroes, the disk still has the old version.
fn read_from_disk(a: &mut Appliance, meanwhile: fn(&mut Appliance)) -> (ReadEnd, Vec<u64>) {
    let (now, range) = (
        a.now,
        Range {
            block: 15,
            count: 2,
        },
    );
    let ReadBegin::Plan(begun) = a.node(1).volume.read_begin(range, now) else {
        panic!("no plan");
    };
    assert_eq!(begun.sources[..2], [Source::Zero, Source::Disk]);
    let mut values = vec![a.disk[&15], a.disk[&16]];
    meanwhile(a);
    let mut plan = ReadPlan {
        sources: [Source::Disk; BLOCKS_MAX],
        ..begun
    };
    let now = a.now;
    assert_eq!(a.node(1).volume.read_lay(&mut plan, now), Ok(()));
    for (value, source) in values.iter_mut().zip(plan.sources) {
        if source != Source::Disk {
            *value = a.nodes[1].as_ref().unwrap().get(source, &a.disk, 0);
        }
    }
    let end = a.node(1).volume.read_finish(&plan, now);
    a.settle();
    (end, values)
}

#[test]
fn a_survivor_lays_zeroes_over_what_the_disk_has_given() {
    let mut a = mirrored(1);
    for block in [15, 16] {
        a.write(0, block, block);
    }
    a.until("on the disk", |a| a.disk.len() == 2);
    a.hold_passes = true;
    let range = LongRange {
        block: 0,
        count: 16,
    };
    let _ = begin(&mut a, PassOp::WriteZeroes, range);
    a.until("in the queue", |a| a.queued.len() == 1);
    a.kill(0);
    a.until("it serves", |a| a.role(1) == DEGRADED);
    assert_eq!(a.read(1, 15), 0);
    let read = read_from_disk(&mut a, |_| ());
    assert_eq!(read, (ReadEnd::Complete, vec![0, 16]));
    // The disk was asked before it was zeroed, and what zeroed it is gone when it has answered.
    let read = read_from_disk(&mut a, |a| {
        a.until("it zeroes", |a| a.queued.len() == 2);
        a.hold_passes = false;
        a.end_pass(1, PassEnd::Done);
        a.until("solo", |a| a.role(1) == SOLO && a.status(1).adopted == 0);
    });
    assert_eq!(read, (ReadEnd::Complete, vec![0, 16]));
}

#[test]
fn a_tombstone_does_not_need_the_window_that_it_was_found_in() {
    let (mut a, _) = passing(1, PassOp::WriteZeroes);
    a.kill(0);
    a.queued.clear();
    a.until("it zeroes", |a| a.queued.len() == 1);
    let (link, place) = (link(0), None);
    a.tell(1, Input::Room { link, place });
    a.settle();
    assert_eq!((a.status(1).condemned, a.status(1).adopted), (0, 1));
    // Nothing is corrupt, so nothing is given up: least of all a command that may still land.
    a.command(1, Command::GiveUpCondemned);
    a.pass(200 * MS);
    assert!(parks(&mut a, 1, 1), "its range is blocked");
    a.hold_passes = false;
    a.end_pass(0, PassEnd::Done);
    a.until("solo", |a| a.role(1) == SOLO);
    a.write(1, 1, 11);
    a.until("on the disk", |a| a.disk.get(&1) == Some(&11));
}

#[test]
fn a_survivor_whose_zeroes_fail_tries_again_when_they_cannot_land_any_more() {
    let (mut a, _) = passing(1, PassOp::WriteZeroes);
    a.kill(0);
    a.queued.clear();
    for _ in 0..4 {
        a.until("it zeroes", |a| a.queued.len() == 1);
        let issued = a.now;
        a.end_pass(0, PassEnd::Failed);
        a.settle();
        a.pass(T_IO - 10 * MS);
        assert!(a.queued.is_empty(), "again at {} of {issued}", a.now);
        assert_eq!((a.role(1), a.read(1, 1)), (DEGRADED, 0));
    }
    a.hold_passes = false;
    a.until("solo", |a| a.role(1) == SOLO);
    assert_eq!(a.disk.get(&1), None);
}

#[test]
fn a_long_tombstone_is_zeroed_piece_by_piece() {
    let mut a = Appliance::mirrored(1, |config| config.blocks = 10_000);
    a.write(0, 400, 10);
    a.hold_passes = true;
    let range = LongRange {
        block: 3,
        count: BLOCKS_MAX as u64 * 7 + 1,
    };
    let _ = begin(&mut a, PassOp::Discard, range);
    a.until("in the queue", |a| a.queued.len() == 1);
    a.kill(0);
    a.queued.clear();
    a.hold_passes = false;
    a.until("solo", |a| a.role(1) == SOLO);
    assert_eq!(a.passed.len(), 1 + 8);
    let zeroed = a.passed[1..].iter().map(|(_, range)| range.count);
    assert_eq!(zeroed.sum::<u64>(), range.count);
    assert!(!a.disk.contains_key(&400));
}

/// A disk may take a command late: whether it may go out is asked then, and its life counts from then on.
#[test]
fn a_command_that_goes_out_late_is_asked_about_then() {
    let (mut a, ticket) = passing(1, PassOp::WriteZeroes);
    let (now, pass) = (a.now, a.queued[0].1);
    let late = now + 10_000 * MS;
    assert!(!a.node(0).volume.issue_pass(pass, late), "no lease");
    a.end_pass(0, PassEnd::NotIssued);
    a.until("once more", |a| a.queued.len() == 1);
    assert_eq!(answer(&mut a, ticket), None);
    a.pass(T_IO / 2);
    let (now, pass) = (a.now, a.queued[0].1);
    assert!(a.node(0).volume.issue_pass(pass, now));
    a.end_pass(0, PassEnd::Failed);
    a.settle();
    a.pass(T_IO - 10 * MS);
    assert_eq!(answer(&mut a, ticket), None, "it may land yet");
    a.until("it is over", |a| answer(a, ticket).is_some());
    assert_eq!(answer(&mut a, ticket), Some(Err(Reason::Disk)));
}

#[test]
fn a_command_of_an_ownership_that_is_over_does_not_go_out() {
    let (mut a, _) = passing(1, PassOp::Discard);
    let (_, pass, _) = a.queued.remove(0);
    let generation = a.status(0).record.generation.next().unwrap();
    a.blocks[1].record.generation = generation;
    a.blocks[1].sequence += 2;
    a.kill(1);
    a.until("deposed", |a| !matches!(a.role(0), Role::Owner(_)));
    let now = a.now;
    assert!(!a.node(0).volume.issue_pass(pass, now));
    let end = PassEnd::NotIssued;
    a.tell(0, Input::PassedDown { pass, end });
    a.settle();
}

#[test]
fn its_range_is_blocked_until_no_shadow_has_it() {
    let (mut a, ticket) = passing(1, PassOp::WriteZeroes);
    a.hold_passes = false;
    let now = a.now;
    assert!(parks(&mut a, 0, 7) && !parks(&mut a, 0, 8));
    let (n, pass, _) = a.queued.remove(0);
    a.disk.clear();
    a.node(n).volume.handle(
        Input::PassedDown {
            pass,
            end: PassEnd::Done,
        },
        now,
    );
    assert!(parks(&mut a, 0, 7), "done, and in the shadow");
    a.settle();
    assert_eq!(answer(&mut a, ticket), Some(Ok(())));
    a.until("gone", |a| !parks(a, 0, 7));
}

#[test]
fn the_ownership_ends_under_a_command_and_its_client_is_told() {
    let (mut a, ticket) = passing(1, PassOp::Discard);
    let (_, pass, _) = a.queued.remove(0);
    // Somebody has claimed in its place.
    let generation = a.status(0).record.generation.next().unwrap();
    a.blocks[1].record.generation = generation;
    a.blocks[1].sequence += 2;
    a.kill(1);
    a.until("deposed", |a| !matches!(a.role(0), Role::Owner(_)));
    assert_eq!(answer(&mut a, ticket), Some(Err(Reason::Deposed)));
    let end = PassEnd::Done;
    a.tell(0, Input::PassedDown { pass, end });
    a.settle();
}

#[test]
fn a_link_that_dies_under_a_tombstone_costs_nothing() {
    let mut a = mirrored(2);
    a.write(0, 1, 10);
    a.until("on the disk", |a| {
        a.disk.contains_key(&1) && a.status(0).free == SLOTS
    });
    a.hold_passes = true;
    // Posts over the first link are lost from now on, and its fences are read all ones.
    a.wires[0].up = false;
    let ticket = begin(&mut a, PassOp::WriteZeroes, RANGE);
    a.until("in the queue", |a| a.queued.len() == 1);
    let there = |a: &mut Appliance, wire: usize| {
        let headers = &a.node(1).windows[wire].headers;
        headers.iter().any(|header| *header != [0; HEADER_SIZE])
    };
    assert!(there(&mut a, 1) && !there(&mut a, 0));
    a.end_pass(0, PassEnd::Done);
    a.settle();
    assert_eq!(answer(&mut a, ticket), Some(Ok(())));
}

#[test]
fn an_owner_that_holds_finishes_what_the_shadow_has() {
    let (mut a, ticket) = passing(1, PassOp::WriteZeroes);
    a.kill(1);
    a.pass(200 * MS);
    assert_eq!(a.role(0), Role::Owner(Mode::Holding), "it is not done");
    a.hold_passes = false;
    a.end_pass(0, PassEnd::Done);
    a.until("solo", |a| a.role(0) == SOLO);
    a.until("answered", |a| answer(a, ticket) == Some(Ok(())));
    assert_eq!(a.read(0, 1), 0);
    // Alone, one goes down without anybody's proof.
    a.write(0, 1, 11);
    let ticket = begin(&mut a, PassOp::WriteZeroes, RANGE);
    a.until("answered", |a| answer(a, ticket) == Some(Ok(())));
    assert_eq!(a.read(0, 1), 0);
}

#[test]
fn a_partner_that_comes_back_is_told_of_what_is_under_way() {
    let mut a = mirrored(1);
    a.cut(0);
    a.until("solo", |a| a.role(0) == SOLO);
    a.write(0, 1, 10);
    a.hold_passes = true;
    let _ = begin(&mut a, PassOp::WriteZeroes, RANGE);
    a.until("in the queue", |a| a.queued.len() == 1);
    a.mend(0);
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.kill(0);
    a.until("it serves", |a| a.role(1) == DEGRADED);
    assert_eq!(a.read(1, 1), 0);
}

#[test]
fn a_walk_over_a_large_log_lets_go_of_the_lock() {
    let mut a = Appliance::mirrored(1, |config| {
        config.blocks = 100_000;
        (config.slots, config.dirty_limit) = (4_096, 4_096);
    });
    a.write(0, 99_999, 10);
    a.most_looks = 0;
    let count = 100_000;
    let range = LongRange { block: 0, count };
    a.long(0, |volume, now| {
        volume.pass_down(PassOp::WriteZeroes, range, now)
    });
    assert!(a.yields >= 7, "{}", a.yields);
    assert!(a.most_looks < 4_000, "{}", a.most_looks);
    assert_eq!(a.read(0, 99_999), 0);
}

#[test]
fn one_waits_for_a_slot_and_gets_the_next() {
    let mut a = Appliance::mirrored(1, |config| {
        (config.slots, config.dirty_limit) = (1, 1);
    });
    a.hold_destage = true;
    a.write(0, 20, 20);
    let ticket = begin(&mut a, PassOp::WriteZeroes, RANGE);
    a.pass(100 * MS);
    assert!(a.passed.is_empty() && parks(&mut a, 0, 21));
    a.hold_destage = false;
    a.until("answered", |a| answer(a, ticket) == Some(Ok(())));
    a.until("free", |a| !parks(a, 0, 1));
}

/// What a peer may have left in its slots: tombstones of every kind, more than any owner has at a time.
#[test]
fn of_forged_tombstones_only_proper_ones_count() {
    let mut a = mirrored(2);
    a.hold_destage = true;
    a.write(0, 40, 40);
    let owner = a.status(0).record.generation.get();
    let blocks = appliance::BLOCKS;
    let forge = |a: &mut Appliance, wire: usize, slot: u32, header: (u64, u64, u64, u64)| {
        let window = &mut a.node(1).windows[wire];
        let (generation, sequence, block, count) = header;
        let header = SlotHeader {
            volume: VOLUME,
            generation: Generation::new(generation),
            sequence,
            block,
            slot,
            content: Content::Tombstone {
                op: PassOp::Discard,
                count,
            },
        };
        let epoch = Epoch::new(window.word).unwrap();
        window.headers[slot as usize] = header.encode(epoch);
    };
    // One in both regions; one that ends behind the volume, one whose end is nowhere, one from the future.
    for wire in 0..2 {
        forge(&mut a, wire, 1, (owner, 100, 0, 8));
        forge(&mut a, wire, 2, (owner, 101, blocks - 1, 2));
        forge(&mut a, wire, 3, (owner, 102, 2, u64::MAX));
        forge(&mut a, wire, 4, (owner + 1, 103, 0, blocks));
    }
    // Older than what slot 0 has of block 40.
    forge(&mut a, 0, 5, (owner, 0, 32, 16));
    // Another tombstone in the place of slot 1, in the other region: the newer counts.
    forge(&mut a, 1, 1, (owner, 104, 8, 8));
    for slot in 6..SLOTS {
        forge(&mut a, 0, slot, (owner, 200 + u64::from(slot), 56, 1));
        forge(&mut a, 1, slot, (owner, 300 + u64::from(slot), 57, 1));
    }
    for block in 0..blocks {
        a.disk.entry(block).or_insert(1_000 + block);
    }
    a.kill(0);
    a.until("it serves", |a| a.role(1) == DEGRADED);
    assert_eq!(a.read(1, 40), 40, "the newer version counts");
    // It has been seen now, and the tombstone goes for it.
    a.settle();
    assert_eq!(a.read(1, 8), 0);
    assert_eq!(a.read(1, 1), 1_001, "its place was taken");
    assert_eq!(a.read(1, 63), 1_063);
    assert_eq!(a.read(1, 33), 1_033);
    a.hold_destage = false;
    a.until("solo", |a| a.role(1) == SOLO);
    a.write(1, 8, 80);
    assert_eq!(a.read(1, 8), 80);
    let _ = link(0);
}

/// The next action of a controller, or, where there is none now, of the next moment.
fn step(a: &mut Appliance, n: usize) {
    if !a.step(n) {
        a.now += MS;
    }
}

#[test]
fn a_command_that_ends_between_the_end_of_the_ownership_and_the_next_poll_leaves_no_client_behind()
{
    for op in [PassOp::WriteZeroes, PassOp::Discard] {
        let (mut a, ticket) = passing(1, op);
        let (_, pass, _) = a.queued.remove(0);
        let generation = a.status(0).record.generation.next().unwrap();
        a.blocks[1].record.generation = generation;
        a.blocks[1].sequence += 2;
        a.nodes[1] = None;
        a.wires[0].up = false;
        a.tell(0, Input::LinkDown { link: link(0) });
        a.tell(0, Input::SessionGone);
        while matches!(a.role(0), Role::Owner(_)) {
            step(&mut a, 0);
        }
        let end = PassEnd::Done;
        a.tell(0, Input::PassedDown { pass, end });
        a.settle();
        assert_eq!(answer(&mut a, ticket), Some(Err(Reason::Deposed)));
    }
}

#[test]
fn a_tombstone_that_comes_behind_the_copying_is_copied_too() {
    let mut a = mirrored(1);
    a.cut(0);
    a.until("solo", |a| a.role(0) == SOLO);
    a.mend_quiet(0);
    while a.role(0) != Role::Owner(Mode::Joining) {
        step(&mut a, 0);
        while a.step(1) {}
    }
    // Everything is copied, and the record that names the partner is being written.
    a.slow = [50 * MS; 2];
    a.now += 400 * MS;
    a.settle();
    assert_eq!(a.role(0), Role::Owner(Mode::Joining));
    a.hold_passes = true;
    let ticket = begin(&mut a, PassOp::WriteZeroes, RANGE);
    // It does not wait for that record to stand: it is copied, too, and goes down.
    a.until("in the queue", |a| a.queued.len() == 1);
    assert_eq!(a.role(0), Role::Owner(Mode::Joining));
    // However long the command takes: the shadow knows of it.
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    assert_eq!((a.queued.len(), answer(&mut a, ticket)), (1, None));
    a.kill(0);
    a.until("it serves", |a| a.role(1) == DEGRADED);
    a.disk.insert(1, 10);
    assert_eq!(a.read(1, 1), 0);
}

#[test]
fn writes_do_not_take_the_slot_that_one_waits_for() {
    let mut a = Appliance::mirrored(1, |config| {
        (config.slots, config.dirty_limit) = (1, 1);
    });
    a.hold_destage = true;
    a.write(0, 20, 20);
    let _ = begin(&mut a, PassOp::WriteZeroes, RANGE);
    a.hold_destage = false;
    for _ in 0..10_000 {
        if !a.passed.is_empty() {
            return;
        }
        assert!(parks(&mut a, 0, 30), "it has overtaken the tombstone");
        step(&mut a, 0);
        while a.step(1) {}
    }
    panic!("it never gets a slot");
}
