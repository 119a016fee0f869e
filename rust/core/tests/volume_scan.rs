// SPDX-License-Identifier: GPL-2.0
//! What a takeover makes of the slots that it finds: their data is looked at when it is first used, or where an older version
//! would go for it.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;
#[path = "support/scanning.rs"]
#[allow(dead_code, unreachable_pub)]
mod scanning;

use appliance::{link, Appliance, MS, SLOTS};
use scanning::{dead_owner, found_bad, may_write, plan_of, spoil, taken, DEGRADED, MIRRORED};
use yoke_core::volume::*;

const SOLO: Role = Role::Owner(Mode::Solo);

/// What a read that is begun now comes to, if it finds the data of its adopted slot wrong.
fn read_in_vain(a: &mut Appliance, block: u64) -> ReadEnd {
    let plan = plan_of(a, block);
    found_bad(a, &plan)
}

#[test]
fn a_full_log_is_taken_over_without_a_look_at_its_data() {
    let writes: Vec<_> = (0..u64::from(SLOTS)).map(|at| (at, 100 + at)).collect();
    let mut a = dead_owner(&writes);
    taken(&mut a);
    assert_eq!((a.status(1).adopted, a.looked_at), (SLOTS, 0));
    for (block, value) in &writes {
        assert_eq!(a.read(1, *block), *value);
    }
    a.hold_destage = false;
    a.until("solo", |a| a.role(1) == SOLO);
    assert_eq!(a.disk[&3], 103);
    assert_eq!(a.status(1).dropped, 0);
}

/// Slots are found in the order of their numbers: once the newer version comes first, once the older one.
#[test]
fn an_older_version_goes_only_for_a_newer_one_that_is_there() {
    for newer_first in [false, true] {
        let mut a = dead_owner(&[(3, 10), (3, 11), (5, 12)]);
        if newer_first {
            swap(&mut a);
        }
        spoil(&mut a, 11);
        taken(&mut a);
        assert!((1..=2).contains(&a.looked_at));
        assert_eq!((a.status(1).adopted, a.status(1).dropped), (2, 1));
        assert_eq!((a.read(1, 3), a.read(1, 5)), (10, 12), "{newer_first}");
    }
}

#[test]
fn of_three_versions_the_newest_is_served_that_is_there() {
    let mut a = dead_owner(&[(3, 10), (3, 11), (3, 12)]);
    spoil(&mut a, 12);
    taken(&mut a);
    assert_eq!(a.read(1, 3), 11);
    let mut a = dead_owner(&[(3, 10), (3, 11), (3, 12)]);
    taken(&mut a);
    assert_eq!((a.read(1, 3), a.status(1).dropped), (12, 0));
    assert_eq!(a.looked_at, 2, "nothing goes for the oldest");
}

/// The slots of the versions of block 3 change places, as if the log had been used in another order.
fn swap(a: &mut Appliance) {
    use yoke_core::mirror::header::SlotHeader;
    let now = a.blocks[0].record;
    let yoke_core::disk::node_block::RecordState::Shadow(shadow) = now.state else {
        panic!("{now:?}");
    };
    let epoch = shadow.epochs().next().unwrap();
    let window = &mut a.node(1).windows[0];
    let mut found = Vec::new();
    for (slot, raw) in (0..).zip(&window.headers) {
        if let Some(header) = SlotHeader::decode(raw, epoch, &appliance::VOLUME, slot) {
            if header.block == 3 {
                found.push(header);
            }
        }
    }
    let [first, second] = found[..] else {
        panic!("{found:?}");
    };
    for (header, slot) in [(first, second.slot), (second, first.slot)] {
        window.headers[slot as usize] = SlotHeader { slot, ..header }.encode(epoch);
    }
    let (x, y) = (first.slot as usize, second.slot as usize);
    window.data.swap(x, y);
}

#[test]
fn a_slot_whose_data_never_arrived_holds_nothing() {
    let mut a = dead_owner(&[(3, 10), (5, 12)]);
    spoil(&mut a, 10);
    taken(&mut a);
    assert_eq!(a.status(1).adopted, 2);
    assert_eq!(read_in_vain(&mut a, 3), ReadEnd::Again);
    assert_eq!((a.read(1, 3), a.read(1, 5)), (0, 12), "as the disk has it");
    let status = a.status(1);
    assert_eq!((status.dropped, status.condemned), (1, 0));
    a.hold_destage = false;
    a.until("solo", |a| a.role(1) == SOLO);
}

#[test]
fn who_writes_it_down_finds_that_too() {
    let mut a = dead_owner(&[(3, 10), (4, 11), (5, 12)]);
    spoil(&mut a, 11);
    taken(&mut a);
    a.hold_destage = false;
    a.until("solo", |a| a.role(1) == SOLO);
    assert_eq!((a.status(1).dropped, a.status(1).condemned), (1, 0));
    assert_eq!(a.disk.get(&4), None);
    assert_eq!((a.disk[&3], a.disk[&5]), (10, 12));
}

/// Somebody has seen it: what the disk has instead is the past.
#[test]
fn what_was_read_once_is_never_dropped() {
    let mut a = dead_owner(&[(3, 10)]);
    taken(&mut a);
    assert_eq!(a.read(1, 3), 10);
    spoil(&mut a, 10);
    assert_eq!(read_in_vain(&mut a, 3), ReadEnd::Fail(Reason::Corrupt));
    a.hold_destage = false;
    a.until("condemned", |a| a.status(1).condemned == 1);
    assert_eq!(a.status(1).dropped, 0);
}

/// A read that nobody was told of has shown nobody anything.
#[test]
fn what_nobody_was_told_of_is_not_seen() {
    let mut a = dead_owner(&[(3, 10)]);
    taken(&mut a);
    let plan = plan_of(&mut a, 3);
    let now = a.now;
    let volume = &mut a.node(1).volume;
    // The lease is over by then.
    let late = now + 60_000 * MS;
    assert_eq!(volume.read_finish(&plan, late), ReadEnd::Park);
    spoil(&mut a, 10);
    assert_eq!(read_in_vain(&mut a, 3), ReadEnd::Again);
}

/// A write of it that failed may land yet: its data was there.
#[test]
fn what_was_sent_to_the_disk_is_never_dropped() {
    let mut a = dead_owner(&[(3, 10)]);
    taken(&mut a);
    may_write(&mut a);
    let now = a.now;
    let volume = &mut a.node(1).volume;
    let plan = volume.next_destage(now, 4).unwrap();
    assert!(volume.may_issue(plan.run, now));
    volume.destage_finish(plan.run, DestageEnd::Failed, now);
    spoil(&mut a, 10);
    assert_eq!(read_in_vain(&mut a, 3), ReadEnd::Fail(Reason::Corrupt));
    assert_eq!(a.status(1).dropped, 0);
}

/// While somebody prepares to write it down it stays where it is, and the reader waits for that.
#[test]
fn what_is_in_hand_is_dropped_by_whoever_has_it() {
    let mut a = dead_owner(&[(3, 10)]);
    spoil(&mut a, 10);
    taken(&mut a);
    may_write(&mut a);
    let now = a.now;
    let plan = a.node(1).volume.next_destage(now, 4).unwrap();
    let woken = a.node(1).wakes;
    assert_eq!(read_in_vain(&mut a, 3), ReadEnd::Park);
    assert_eq!((a.status(1).adopted, a.status(1).dropped), (1, 0));
    let volume = &mut a.node(1).volume;
    volume.destage_finish(plan.run, DestageEnd::Corrupt { at: 0 }, now);
    assert_eq!((a.status(1).adopted, a.status(1).dropped), (0, 1));
    a.settle();
    assert!(a.node(1).wakes > woken);
}

/// What was adopted from a window that is gone is no post that did not arrive: it is the only copy, and it is lost.
#[test]
fn nothing_is_dropped_of_a_window_that_is_gone() {
    let mut a = dead_owner(&[(3, 10)]);
    taken(&mut a);
    let plan = plan_of(&mut a, 3);
    let now = a.now;
    let volume = &mut a.node(1).volume;
    let gone = Input::Room {
        link: link(0),
        place: None,
    };
    volume.handle(gone, now);
    let end = volume.read_failed(&plan, Some(0), now);
    assert_eq!(end, ReadEnd::Fail(Reason::Corrupt));
    a.settle();
    assert_eq!((a.status(1).condemned, a.status(1).dropped), (1, 0));
}

/// A FLUSH that waits for a slot which turns out to hold nothing is answered, and the record becomes `disk`.
#[test]
fn nothing_waits_for_what_a_reader_has_dropped() {
    let mut a = dead_owner(&[(3, 10)]);
    spoil(&mut a, 10);
    taken(&mut a);
    let now = a.now;
    let LongBegin::Wait(ticket) = a.node(1).volume.flush(now) else {
        panic!("not begun");
    };
    assert_eq!(read_in_vain(&mut a, 3), ReadEnd::Again);
    let key = format!("{ticket:?}");
    a.until("it is answered", |a| a.node(1).answers.contains_key(&key));
    a.until("solo", |a| a.role(1) == SOLO);
}

/// Versions in the same slot, over two links: the older one stays until the data of the newer one was seen.
#[test]
fn of_two_regions_the_slot_counts_that_is_there() {
    for torn in [0, 1] {
        let mut a = Appliance::mirrored(2, |_| ());
        a.until("mirrored", |a| a.role(0) == MIRRORED);
        a.hold_destage = true;
        a.write(0, 3, 10);
        // What is in the first region is copied to the second before that one goes.
        let now = a.blocks[0].record.state;
        let yoke_core::disk::node_block::RecordState::Shadow(shadow) = now else {
            panic!("{now:?}");
        };
        let epochs: Vec<_> = shadow.epochs().collect();
        assert_eq!(epochs.len(), 2);
        copy_between(&mut a, epochs[0], epochs[1]);
        a.kill(0);
        a.node(1).windows[torn].data[0] ^= 1 << 40;
        taken(&mut a);
        assert_eq!(a.read(1, 3), 10, "region {torn} is torn");
    }
}

/// The window of the first region goes while the second one is looked at: what was adopted from it is lost, and nobody looks at
/// it again.
#[test]
fn nothing_is_looked_at_in_a_window_that_is_gone() {
    let mut a = Appliance::mirrored(2, |_| ());
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.hold_destage = true;
    a.write(0, 3, 10);
    let state = a.blocks[0].record.state;
    let yoke_core::disk::node_block::RecordState::Shadow(shadow) = state else {
        panic!("{state:?}");
    };
    let epochs: Vec<_> = shadow.epochs().collect();
    copy_between(&mut a, epochs[0], epochs[1]);
    a.kill(0);
    let mut scans = 0;
    while a.role(1) != DEGRADED {
        let now = a.now;
        let Some(action) = a.node(1).volume.poll_action(now) else {
            a.now += MS;
            continue;
        };
        scans += u32::from(matches!(action, Action::ScanRegion { .. }));
        if scans == 2 {
            let gone = Input::Room {
                link: link(0),
                place: None,
            };
            a.tell(1, gone);
            a.node(1).windows[0].data.fill(1 << 40);
        }
        a.act(1, action);
    }
    a.settle();
    assert_eq!((a.status(1).condemned, a.status(1).dropped), (1, 0));
}

/// Both regions have every slot.
fn copy_between(a: &mut Appliance, first: yoke_core::ids::Epoch, second: yoke_core::ids::Epoch) {
    use yoke_core::mirror::header::SlotHeader;
    let windows = &mut a.node(1).windows;
    for slot in 0..SLOTS {
        let at = slot as usize;
        for (from, to, old, new) in [(0, 1, first, second), (1, 0, second, first)] {
            let header =
                SlotHeader::decode(&windows[from].headers[at], old, &appliance::VOLUME, slot);
            if let Some(header) = header {
                windows[to].headers[at] = header.encode(new);
                windows[to].data[at] = windows[from].data[at];
            }
        }
    }
}
