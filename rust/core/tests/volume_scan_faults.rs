// SPDX-License-Identifier: GPL-2.0
//! Slots whose data is not there, when several look at them: readers, runs, and takeovers whose windows go.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;
#[allow(dead_code, unreachable_pub)]
#[path = "support/passing.rs"]
mod passing;

#[path = "support/scanning.rs"]
#[allow(dead_code, unreachable_pub)]
mod scanning;

use appliance::{crc_of, link, one, Appliance, MS, SLOTS, VOLUME};
use scanning::{dead_owner, found_bad, may_write, plan_of, spoil, taken, DEGRADED, MIRRORED};
use yoke_core::disk::node_block::RecordState;
use yoke_core::ids::{Epoch, LinkId};
use yoke_core::mirror::header::{Content, SlotHeader, HEADER_SIZE};
use yoke_core::volume::*;

fn gone(a: &mut Appliance, index: usize) {
    let room = Input::Room {
        link: link(index),
        place: None,
    };
    a.tell(1, room);
}

/// Two reads of a slot that holds nothing: the second is no error either, the disk has the block.
#[test]
fn the_second_reader_of_a_dropped_slot_gets_no_error() {
    let mut a = dead_owner(&[(3, 10)]);
    spoil(&mut a, 10);
    taken(&mut a);
    let plans = [plan_of(&mut a, 3), plan_of(&mut a, 3)];
    assert_eq!(found_bad(&mut a, &plans[0]), ReadEnd::Again);
    assert_eq!(found_bad(&mut a, &plans[1]), ReadEnd::Again);
}

/// The same where a destager was quicker.
#[test]
fn the_reader_of_a_slot_that_the_destager_dropped_gets_no_error() {
    let mut a = dead_owner(&[(3, 10)]);
    spoil(&mut a, 10);
    taken(&mut a);
    may_write(&mut a);
    let plan = plan_of(&mut a, 3);
    let now = a.now;
    let run = a.node(1).volume.next_destage(now, 4).unwrap().run;
    let volume = &mut a.node(1).volume;
    volume.destage_finish(run, DestageEnd::Corrupt { at: 0 }, now);
    assert_eq!(a.status(1).dropped, 1);
    assert_eq!(found_bad(&mut a, &plan), ReadEnd::Again);
}

/// A reader has the data, another one finds it wrong and drops the slot: the first must not tell anybody of it.
#[test]
fn nobody_is_told_of_what_was_dropped_meanwhile() {
    let mut a = dead_owner(&[(3, 10)]);
    taken(&mut a);
    let first = plan_of(&mut a, 3);
    let sampled = 10;
    let second = plan_of(&mut a, 3);
    spoil(&mut a, 10);
    assert_eq!(found_bad(&mut a, &second), ReadEnd::Again);
    let now = a.now;
    let end = a.node(1).volume.read_finish(&first, now);
    let later = a.read(1, 3);
    assert!(
        end != ReadEnd::Complete || later == sampled,
        "told {sampled}, then {later}"
    );
}

/// As `nothing_is_dropped_of_a_window_that_is_gone`, a poll later: the slot is condemned by then, and stays it.
#[test]
fn what_is_condemned_is_not_dropped_by_a_reader() {
    let mut a = dead_owner(&[(3, 10)]);
    taken(&mut a);
    let plan = plan_of(&mut a, 3);
    gone(&mut a, 0);
    a.settle();
    assert_eq!((a.status(1).condemned, a.status(1).dropped), (1, 0));
    let end = found_bad(&mut a, &plan);
    let status = a.status(1);
    assert_eq!(
        (end, status.condemned, status.dropped),
        (ReadEnd::Fail(Reason::Corrupt), 1, 0)
    );
}

/// The same with a run in the worker's hands.
#[test]
fn what_is_condemned_is_not_dropped_by_a_run() {
    let mut a = dead_owner(&[(3, 10)]);
    taken(&mut a);
    may_write(&mut a);
    let now = a.now;
    let run = a.node(1).volume.next_destage(now, 4).unwrap().run;
    gone(&mut a, 0);
    a.settle();
    assert_eq!(a.status(1).condemned, 1);
    let volume = &mut a.node(1).volume;
    volume.destage_finish(run, DestageEnd::Corrupt { at: 0 }, now);
    assert_eq!((a.status(1).condemned, a.status(1).dropped), (1, 0));
}

fn epochs(a: &Appliance) -> Vec<Epoch> {
    let RecordState::Shadow(shadow) = a.blocks[0].record.state else {
        panic!("no shadow");
    };
    shadow.epochs().collect()
}

/// Two links; the region of link 0 has version 2 (value 11) of block 3 in slot 0, that of link 1 what `other` makes of that
/// header. Nothing else. The owner is dead.
fn two_regions(other: impl Fn(SlotHeader) -> (SlotHeader, u64)) -> Appliance {
    let mut a = Appliance::mirrored(2, |_| ());
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.hold_destage = true;
    a.write(0, 3, 10);
    a.write(0, 3, 11);
    let epochs = epochs(&a);
    assert_eq!(epochs.len(), 2);
    let words: Vec<_> = a.node(1).windows.iter().map(|window| window.word).collect();
    let mut found = Vec::new();
    for at in 0..2 {
        for slot in 0..SLOTS {
            let raw = &a.node(1).windows[at].headers[slot as usize];
            for epoch in &epochs {
                found.extend(SlotHeader::decode(raw, *epoch, &VOLUME, slot));
            }
        }
    }
    let newest = found.iter().max_by_key(|header| header.sequence).unwrap();
    let newest = SlotHeader { slot: 0, ..*newest };
    let windows = &mut a.node(1).windows;
    for window in windows.iter_mut() {
        window.headers.fill([0; HEADER_SIZE]);
    }
    let of = |at: usize| {
        epochs
            .iter()
            .copied()
            .find(|epoch| epoch.get() == words[at])
            .unwrap()
    };
    windows[0].headers[0] = newest.encode(of(0));
    windows[0].data[0] = 11;
    let (header, value) = other(newest);
    windows[1].headers[header.slot as usize] = header.encode(of(1));
    windows[1].data[header.slot as usize] = value;
    a.kill(0);
    a
}

/// The takeover goes on until it is to scan this link.
fn until_scan(a: &mut Appliance, which: LinkId) -> Action {
    for _ in 0..100_000 {
        let now = a.now;
        match a.node(1).volume.poll_action(now) {
            Some(action @ Action::ScanRegion { link, .. }) if link == which => return action,
            Some(action) => a.act(1, action),
            None => a.now += MS,
        }
    }
    panic!("no scan");
}

/// And nothing is asked of a window that is known to be gone: the module can only fail, and gives this region up for it.
#[test]
fn a_scan_does_not_ask_for_data_of_a_window_that_is_gone() {
    for swept in [false, true] {
        let mut a = two_regions(|header| (header, 11));
        let scan = until_scan(&mut a, link(0));
        a.act(1, scan);
        if swept {
            gone(&mut a, 0);
        }
        let Action::ScanRegion { token, epoch, .. } = until_scan(&mut a, link(1)) else {
            panic!("no scan");
        };
        if !swept {
            gone(&mut a, 0);
        }
        let raw = a.node(1).windows[1].headers[0];
        let header = SlotHeader::decode(&raw, epoch, &VOLUME, 0).unwrap();
        let asked = a.node(1).volume.scan_slot(token, &header, None);
        assert_ne!(asked.map(|at| at.link), Some(link(0)), "swept: {swept}");
    }
}

/// The newer version was in a window that is gone, and is condemned: an older one in another region does not take its
/// place silently.
#[test]
fn an_older_version_does_not_take_the_place_of_a_condemned_one() {
    let mut a = two_regions(|header| {
        let older = SlotHeader {
            sequence: header.sequence - 1,
            slot: 1,
            content: Content::Data { crc: crc_of(10) },
            ..header
        };
        (older, 10)
    });
    let scan = until_scan(&mut a, link(0));
    a.act(1, scan);
    gone(&mut a, 0);
    let scan = until_scan(&mut a, link(1));
    assert_eq!(a.status(1).condemned, 1);
    // The device is back, and its memory is empty.
    a.node(1).windows[0].data.fill(0);
    a.act(1, scan);
    taken(&mut a);
    let now = a.now;
    let begun = a.node(1).volume.read_begin(one(3), now);
    assert!(
        matches!(begun, ReadBegin::Fail(Reason::Corrupt)),
        "reads {:?}, condemned {}",
        a.read(1, 3),
        a.status(1).condemned
    );
}

/// A newer version of a block whose data is not there does not undo the zeroes of a tombstone.
#[test]
fn a_tombstone_goes_only_for_a_newer_version_that_is_there() {
    let (mut a, _) = passing::passing(1, PassOp::WriteZeroes);
    assert_eq!(a.disk.get(&1), Some(&10));
    let epoch = epochs(&a)[0];
    let mut tomb = None;
    for slot in 0..SLOTS {
        let raw = &a.node(1).windows[0].headers[slot as usize];
        let header = SlotHeader::decode(raw, epoch, &VOLUME, slot);
        tomb = tomb.or(header.filter(|h| matches!(h.content, Content::Tombstone { .. })));
    }
    let tomb = tomb.unwrap();
    let torn = SlotHeader {
        sequence: tomb.sequence + 1,
        slot: SLOTS - 1,
        block: tomb.block,
        content: Content::Data { crc: crc_of(99) },
        ..tomb
    };
    assert_ne!(torn.slot, tomb.slot);
    let window = &mut a.node(1).windows[0];
    window.headers[torn.slot as usize] = torn.encode(epoch);
    window.data[torn.slot as usize] = 98;
    a.hold_destage = true;
    a.kill(0);
    taken(&mut a);
    a.pass(20 * MS);
    assert_eq!(a.read(1, tomb.block), 0);
    assert_eq!(
        a.read(1, 1),
        0,
        "the tombstone is gone, and the past is back"
    );
}

/// A flush fails while a slow reader has a version that was outdone: all that may be lost is written once more.
fn cache_loss(drops: bool) {
    let mut a = Appliance::mirrored(1, |config| {
        (config.slots, config.dirty_limit, config.blocks) = (2048, 2048, 4096);
    });
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.hold_destage = true;
    a.write(0, 3, 10);
    a.kill(0);
    spoil(&mut a, 10);
    taken(&mut a);
    let plan = plan_of(&mut a, 3);
    may_write(&mut a);
    a.hold_disk = true;
    // Its own writes of the slot's run are held back until there is something newer.
    let newer = a.begin(1, 3, 11).unwrap();
    let lost = a.begin(1, 100, 77).unwrap();
    let _ = a.finish(1, &lost);
    while a.disk.get(&100) != Some(&77) {
        let now = a.now;
        let volume = &mut a.node(1).volume;
        if let Some(action) = volume.poll_action(now) {
            a.act(1, action);
            continue;
        }
        let run = a.node(1).volume.next_destage(now, 1).unwrap();
        let adopted = matches!(run.sources[0], Source::Adopted { .. });
        if run.range.block == 100 {
            a.disk.insert(100, 77);
        }
        let end = if adopted {
            DestageEnd::NotIssued
        } else {
            DestageEnd::Written
        };
        a.node(1).volume.destage_finish(run.run, end, now);
    }
    let _ = a.finish(1, &newer);
    a.hold_destage = false;
    a.settle();
    assert_eq!(a.disk.get(&3), Some(&11));
    assert_eq!(a.status(1).adopted, 0);
    for block in 0..1023 {
        a.write(1, 200 + block, 1);
    }
    a.hold_destage = true;
    // The flush in flight fails: what was in the cache is lost.
    let at = a
        .held
        .iter()
        .position(|(n, action)| *n == 1 && matches!(action, Action::FlushDisk { .. }));
    let (_, Action::FlushDisk { token }) = a.held.remove(at.unwrap()) else {
        panic!("no flush");
    };
    a.disk.remove(&100);
    a.tell(1, Input::DiskFlushed { token, ok: false });
    let now = a.now;
    assert_eq!(a.node(1).volume.poll_action(now), Some(Action::Yield));
    if drops {
        let _ = found_bad(&mut a, &plan);
    } else {
        let _ = a.node(1).volume.read_finish(&plan, now);
    }
    (a.hold_disk, a.hold_destage) = (false, false);
    a.pass(3_000 * MS);
    assert_eq!(a.disk.get(&100), Some(&77), "drops: {drops}");
}

#[test]
fn all_that_may_be_lost_is_written_once_more_where_nothing_is_dropped() {
    cache_loss(false);
}

#[test]
fn all_that_may_be_lost_is_written_once_more_whatever_is_dropped() {
    cache_loss(true);
}

/// An environment that issues at once asks nobody (the simulator): a write that failed was sent all the same.
#[test]
fn what_failed_without_may_issue_was_sent() {
    let mut a = dead_owner(&[(3, 10)]);
    taken(&mut a);
    may_write(&mut a);
    let now = a.now;
    let volume = &mut a.node(1).volume;
    let run = volume.next_destage(now, 4).unwrap().run;
    volume.destage_finish(run, DestageEnd::Failed, now);
    spoil(&mut a, 10);
    let plan = plan_of(&mut a, 3);
    assert_eq!(found_bad(&mut a, &plan), ReadEnd::Fail(Reason::Corrupt));
}

/// A writer for whom there was no room hears of it when a reader has made some.
#[test]
fn a_writer_hears_of_the_room_that_a_drop_makes() {
    let writes: Vec<_> = (0..u64::from(SLOTS)).map(|at| (at, 100 + at)).collect();
    let mut a = dead_owner(&writes);
    spoil(&mut a, 103);
    taken(&mut a);
    a.settle();
    assert_eq!(a.begin(1, 20, 5), Err(None));
    let wakes = a.node(1).wakes;
    let plan = plan_of(&mut a, 3);
    assert_eq!(found_bad(&mut a, &plan), ReadEnd::Again);
    a.settle();
    assert!(a.node(1).wakes > wakes);
    assert!(a.begin(1, 20, 5).is_ok());
}

/// A device that is pulled costs what was in its window, and not the volume.
#[test]
fn the_volume_is_served_without_that_slot() {
    let mut a = two_regions(|header| (header, 11));
    let scan = until_scan(&mut a, link(0));
    a.act(1, scan);
    let Action::ScanRegion { token, .. } = until_scan(&mut a, link(1)) else {
        panic!("no scan");
    };
    gone(&mut a, 0);
    a.tell(1, Input::Scanned { token });
    a.pass(100 * MS);
    assert_eq!((a.role(1), a.status(1).condemned), (DEGRADED, 1));
}

/// In the same slot of another region is a tombstone, older than data that never arrived: the blocks read as zero.
#[test]
fn a_tombstone_stays_where_the_newer_data_of_its_slot_is_not_there() {
    let mut a = two_regions(|header| {
        let content = Content::Tombstone {
            op: PassOp::WriteZeroes,
            count: 2,
        };
        let older = SlotHeader {
            sequence: header.sequence - 1,
            block: 2,
            content,
            ..header
        };
        (older, 0)
    });
    a.disk.insert(2, 7);
    spoil(&mut a, 11);
    taken(&mut a);
    assert_eq!((a.read(1, 2), a.status(1).dropped), (0, 1));
    // The next takeover counts anew.
    a.hold_destage = false;
    a.until("solo", |a| a.role(1) == Role::Owner(Mode::Solo));
    a.start(0);
    a.mend(0);
    a.mend(1);
    a.until("mirrored", |a| a.role(1) == MIRRORED);
    a.command(1, Command::GiveBack);
    a.until("given back", |a| a.role(0) == MIRRORED);
    a.kill(0);
    a.until("taken again", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!(a.status(1).dropped, 0);
}
