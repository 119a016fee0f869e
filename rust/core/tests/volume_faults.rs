// SPDX-License-Identifier: GPL-2.0
//! Disks that fail and slots that are corrupt: they may stop service, never the only copy of what was acknowledged.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use std::collections::BTreeMap;

use appliance::{one, Appliance, MS};
use yoke_core::volume::*;

const DEGRADED: Role = Role::Owner(Mode::Degraded);
const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const SOLO: Role = Role::Owner(Mode::Solo);

#[test]
fn a_disk_that_fails_for_a_while_costs_nothing() {
    let mut a = Appliance::survivor(8);
    (a.hold_destage, a.fail_writes) = (false, true);
    a.pass(12_000 * MS);
    assert_eq!(a.role(1), DEGRADED, "it serves on");
    assert_eq!((a.status(1).dirty, a.status(1).adopted), (8, 8));
    assert_eq!(a.status(1).reason, Some(Reason::Disk));
    assert_eq!(a.status(1).keep, Some(Keep::OnlyCopy));
    assert_eq!(a.read(1, 4), 12);
    a.fail_writes = false;
    a.until("solo", |a| a.role(1) == SOLO);
    assert_eq!(a.status(1).reason, None);
    for block in 0..8 {
        assert_eq!(a.disk[&(2 * block)], 10 + block);
    }
}

#[test]
fn failures_in_flight_together_are_one_and_the_rest_gets_longer() {
    let mut a = Appliance::survivor(8);
    a.pass(1_000 * MS);
    let attempts = |a: &mut Appliance, time: u64| {
        let end = a.now + time;
        let mut attempts = 0;
        while a.now < end {
            let now = a.now;
            let node = a.node(1);
            let plans: Vec<_> = std::iter::from_fn(|| node.volume.next_destage(now, 4)).collect();
            attempts += usize::from(!plans.is_empty());
            for plan in plans {
                node.volume
                    .destage_finish(plan.run, DestageEnd::Failed, now);
            }
            a.pass(5 * MS);
        }
        attempts
    };
    assert_eq!(
        attempts(&mut a, 90 * MS),
        1,
        "all runs of one moment are one failure"
    );
    assert!(
        attempts(&mut a, 20_000 * MS) < 15,
        "it does not hammer a dead disk"
    );
    assert_eq!(a.status(1).dirty, 8);
}

#[test]
fn a_corrupt_slot_takes_its_block_with_it_and_nothing_else() {
    let mut a = Appliance::survivor(4);
    assert_eq!(a.read(1, 2), 11, "somebody has seen it");
    a.node(1).windows[0].data[1] ^= 1;
    a.hold_destage = false;
    a.until("all but one are on the disk", |a| a.status(1).dirty == 0);
    assert_eq!((a.role(1), a.status(1).condemned), (DEGRADED, 1));
    assert_eq!(a.status(1).reason, Some(Reason::Corrupt));
    assert_eq!(a.status(1).keep, Some(Keep::OnlyCopy));
    let now = a.now;
    let begun = a.node(1).volume.read_begin(one(2), now);
    assert_eq!(begun, ReadBegin::Fail(Reason::Corrupt));
    assert_eq!((a.read(1, 0), a.read(1, 4), a.read(1, 6)), (10, 12, 13));
    // A FLUSH is about what is left.
    a.long(1, |volume, now| volume.flush(now));
    // Written anew, it is as good as any.
    a.write(1, 2, 99);
    assert_eq!(a.read(1, 2), 99);
    a.until("solo", |a| a.role(1) == SOLO);
    assert_eq!(a.status(1).condemned, 0);
}

/// Blocks side by side go to the disk together. Only the one that is corrupt is condemned.
#[test]
fn a_corrupt_slot_takes_no_neighbour_with_it() {
    let mut a = Appliance::mirrored(1, |_| ());
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.hold_destage = true;
    for block in 0..4 {
        a.write(0, block, 10 + block);
    }
    a.kill(0);
    a.until("taken", |a| a.role(1) == DEGRADED);
    assert_eq!(a.read(1, 1), 11);
    a.node(1).windows[0].data[1] ^= 1;
    a.hold_destage = false;
    a.until("all but one are on the disk", |a| a.status(1).dirty == 0);
    assert_eq!(a.status(1).condemned, 1);
    assert_eq!((a.read(1, 0), a.read(1, 2), a.read(1, 3)), (10, 12, 13));
}

#[test]
fn a_person_may_give_up_what_is_corrupt() {
    let mut a = Appliance::survivor(2);
    assert_eq!(a.read(1, 0), 10);
    a.node(1).windows[0].data[0] ^= 1;
    a.hold_destage = false;
    a.until("condemned", |a| a.status(1).condemned == 1);
    a.command(1, Command::GiveUpCondemned);
    a.until("solo", |a| a.role(1) == SOLO);
    assert_eq!((a.read(1, 0), a.read(1, 2)), (0, 11));
}

#[test]
fn a_window_that_is_made_anew_condemns_what_was_adopted_from_it() {
    let mut a = Appliance::survivor(2);
    let link = appliance::link(0);
    a.tell(1, Input::Room { link, place: None });
    a.pass(10 * MS);
    assert_eq!((a.role(1), a.status(1).condemned), (DEGRADED, 2));
    let now = a.now;
    let begun = a.node(1).volume.read_begin(one(0), now);
    assert_eq!(begun, ReadBegin::Fail(Reason::Corrupt));
    assert_eq!(a.read(1, 5), 0, "the rest is served");
}

/// The dead owner's partner just after this many steps of its takeover, with its window gone; then for ten seconds.
fn without_window(steps: u32) -> Appliance {
    let mut a = Appliance::mirrored(1, |_| ());
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.kill(0);
    let mut left = steps;
    while left > 0 {
        if a.step(1) {
            left -= 1;
        } else {
            a.now += MS;
        }
    }
    let link = appliance::link(0);
    a.tell(1, Input::Room { link, place: None });
    a
}

/// Whether a block can be read; then it has to be what was acknowledged.
fn serves(a: &mut Appliance, block: u64, value: u64) -> bool {
    let now = a.now;
    let ReadBegin::Plan(plan) = a.node(1).volume.read_begin(one(block), now) else {
        return false;
    };
    let found = a.node(1).get(plan.sources[0], &BTreeMap::new(), block);
    let complete = a.node(1).volume.read_finish(&plan, now) == ReadEnd::Complete;
    assert!(!complete || found == value, "lost in silence");
    complete
}

#[test]
fn a_window_that_goes_under_a_takeover_is_no_reason_to_serve_the_past() {
    let mut ends = BTreeMap::new();
    for steps in 1..20 {
        let mut a = without_window(steps);
        for _ in 0..1_000 {
            a.pass(10 * MS);
            serves(&mut a, 1, 10);
        }
        let reason = a.status(1).reason.unwrap();
        *ends
            .entry(format!("{:?}: {reason:?}", a.role(1)))
            .or_insert(0) += 1;
    }
    // Before there is a record; before the slots were looked at; and when it is known what was in them.
    let seen: Vec<_> = ends.keys().map(String::as_str).collect();
    let told = [
        "Owner(Degraded): Corrupt",
        "Standby: EpochUnknown",
        "Stopped: EpochUnknown",
    ];
    assert_eq!(seen, told);
}

#[test]
fn a_window_that_goes_when_its_slots_were_looked_at_takes_no_more_than_they_had() {
    let mut a = Appliance::new(2, |_| ());
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    a.mend(0);
    a.mend(1);
    a.until("mirrored", |a| a.status(0).regions == 2);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.kill(0);
    let mut scans = 0;
    while scans < 2 {
        let now = a.now;
        match a.node(1).volume.poll_action(now) {
            Some(action) => {
                scans += u32::from(matches!(action, Action::ScanRegion { .. }));
                if scans == 2 {
                    let link = appliance::link(0);
                    a.tell(1, Input::Room { link, place: None });
                }
                a.act(1, action);
            }
            None => a.now += MS,
        }
    }
    a.until("degraded", |a| a.role(1) == DEGRADED);
    a.settle();
    assert_eq!(a.status(1).condemned, 1);
    assert_eq!(a.read(1, 5), 0, "the rest is served");
}

#[test]
fn a_survivor_that_is_stopped_keeps_what_it_adopted() {
    let mut a = Appliance::survivor(2);
    a.other_writer = Some(1);
    a.until("stopped", |a| a.role(1) == Role::Stopped);
    assert_eq!(a.status(1).adopted, 2);
    a.command(1, Command::Close);
    assert_eq!(a.role(1), Role::Stopped);
    assert_eq!(a.status(1).keep, Some(Keep::OnlyCopy));
}

#[test]
fn a_disk_slower_than_its_lease_serves_slowly_and_has_one_owner() {
    let mut a = Appliance::mirrored(1, |config| config.io_life_ns = 5_000 * MS);
    a.hold_destage = true;
    a.write(0, 1, 10);
    // A pass over the disk, a write and a read, takes three times as long as the lease of 900 ms that was configured.
    a.slow = [1_500 * MS; 2];
    a.kill(0);
    for _ in 0..6 {
        a.pass(5_000 * MS);
    }
    assert_eq!(a.role(1), DEGRADED);
    let generation = a.status(1).generation;
    assert_eq!(a.read(1, 1), 10, "it serves");
    a.hold_destage = false;
    for _ in 0..6 {
        a.pass(5_000 * MS);
    }
    assert_eq!(a.role(1), SOLO);
    a.write(1, 2, 20);
    let slow_lease = a.blocks[1].lease.expiry_ms;
    assert!(
        slow_lease >= 3_000,
        "the lease follows the disk: {slow_lease} ms"
    );
    // Whoever watches waits for the lease that stands in the block.
    a.start(0);
    for _ in 0..8 {
        a.pass(5_000 * MS);
    }
    assert!(!a.node(0).volume.is_owner());
    assert_eq!(a.role(1), SOLO);
    assert_eq!(a.status(1).generation, generation, "no ping-pong");
    // The disk is quick again: so is the lease.
    a.slow = [0; 2];
    for _ in 0..12 {
        a.pass(5_000 * MS);
    }
    assert_eq!(a.blocks[1].lease.expiry_ms, 900);
}

#[test]
fn a_disk_that_is_too_slow_for_any_lease_is_named() {
    // The longest lease is 8 times this.
    let mut a = Appliance::new(1, |config| config.io_life_ns = 400 * MS);
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    a.slow = [1_500 * MS; 2];
    for _ in 0..6 {
        a.pass(5_000 * MS);
    }
    assert_eq!(a.role(0), SOLO, "it goes on trying");
    assert_eq!(a.status(0).reason, Some(Reason::DiskSlow));
    assert!(a.status(0).serving.is_err());
    a.slow = [0; 2];
    a.until("serving", |a| a.status(0).serving.is_ok());
    assert_eq!(a.status(0).reason, None);
}

/// One that stands by writes its block once, and only reads from then on.
#[test]
fn a_disk_that_was_slow_once_is_not_called_slow_for_ever() {
    let mut a = Appliance::new(1, |config| config.auto_takeover = false);
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    a.kill(1);
    a.slow[1] = 2_000 * MS;
    a.start(1);
    a.pass(30_000 * MS);
    assert_eq!(a.role(1), Role::Standby);
    assert_eq!(a.status(1).reason, Some(Reason::DiskSlow));
    a.slow[1] = 0;
    a.pass(10_000 * MS);
    assert_eq!((a.role(1), a.status(1).reason), (Role::Standby, None));
}

/// The record of a release may be held back until others can own the volume.
#[test]
fn how_long_a_release_took_says_nothing_of_the_disk() {
    let mut a = Appliance::mirrored(1, |_| ());
    a.tell(0, Input::Command(Command::GiveBack));
    let release = a.release_of(0, |_| ());
    a.pass(3_000 * MS);
    a.act(0, release);
    a.until("given", |a| a.role(1) == MIRRORED);
    a.command(1, Command::GiveBack);
    a.until("and back", |a| matches!(a.role(0), Role::Owner(_)));
    assert_eq!(a.blocks[0].lease.expiry_ms, 900);
}

#[test]
fn a_lease_that_gets_shorter_is_no_right_for_longer_than_it_says() {
    let mut a = Appliance::new(1, |config| config.io_life_ns = 5_000 * MS);
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    a.slow = [1_500 * MS; 2];
    for _ in 0..4 {
        a.pass(5_000 * MS);
    }
    a.slow = [0; 2];
    for _ in 0..2_000 {
        a.pass(5 * MS);
        let lease = u64::from(a.blocks[0].lease.expiry_ms) * MS;
        let now = a.now;
        let late = a.node(0).volume.status(now + lease).serving;
        assert!(late.is_err(), "at {} ms", a.now / MS);
    }
}

/// A run of an ownership that is over is still in the disk's queue, or on its way there, when this controller takes over
/// again, from the same slots.
#[test]
fn a_run_of_an_ownership_that_is_over_has_no_part_in_the_next() {
    let mut a = Appliance::survivor(3);
    a.pass(1_000 * MS);
    let now = a.now;
    let runs = [0; 2].map(|_| a.node(1).volume.next_destage(now, 4).unwrap().run);
    // While it sleeps a person takes what the disk has.
    let asleep = a.nodes[1].take();
    a.start(0);
    a.until("standby", |a| a.role(0) == Role::Standby);
    a.command(0, Command::ForceFromDisk);
    a.until("forced", |a| a.role(0) == SOLO);
    a.nodes[1] = asleep;
    a.until("deposed", |a| a.role(1) == Role::Standby);
    a.mend(0);
    a.until("mirrored", |a| a.role(0) == Role::Owner(Mode::Mirrored));
    for block in 10..13 {
        a.write(0, 2 * block, block);
    }
    a.kill(0);
    a.until("degraded", |a| a.role(1) == DEGRADED);
    a.pass(1_000 * MS);
    let now = a.now;
    let node = a.node(1);
    assert!(!runs.iter().any(|run| node.volume.may_issue(*run, now)));
    node.volume
        .destage_finish(runs[0], DestageEnd::Written, now);
    node.volume
        .destage_finish(runs[1], DestageEnd::Corrupt { at: 0 }, now);
    assert_eq!((a.status(1).adopted, a.status(1).condemned), (3, 0));
    a.hold_destage = false;
    a.until("solo", |a| a.role(1) == SOLO);
    for block in 10..13 {
        assert_eq!(a.disk.get(&(2 * block)), Some(&block));
    }
}

/// Whoever polls sleeps until its deadline, unless it is woken: so what is to be done now has to wake it.
#[test]
fn what_can_go_on_wakes_who_polls() {
    let mut a = Appliance::new(1, |_| ());
    a.until("solo", |a| a.role(0) == SOLO);
    let now = a.now;
    let range = LongRange { block: 0, count: 8 };
    let node = a.node(0);
    assert!(!node.volume.wants_poll());
    let begun = node.volume.pass_down(PassOp::Discard, range, now);
    assert!(matches!(begun, LongBegin::Wait(_)) && node.volume.wants_poll());

    // The last run before the record may say `disk`.
    let last_run = |a: &mut Appliance, n: usize| {
        let now = a.now;
        let run = a.node(n).volume.next_destage(now, 4).unwrap().run;
        a.settle();
        let node = a.node(n);
        node.volume.destage_finish(run, DestageEnd::Written, now);
        assert!(node.volume.wants_poll());
        a.settle();
        assert_eq!(a.role(n), SOLO);
    };
    let mut a = Appliance::survivor(1);
    a.pass(1_000 * MS);
    last_run(&mut a, 1);
    a.start(0);
    a.mend(0);
    a.until("mirrored", |a| a.role(1) == Role::Owner(Mode::Mirrored));
    a.write(1, 7, 7);
    a.kill(0);
    a.pass(10 * MS);
    assert_eq!(a.role(1), Role::Owner(Mode::Holding));
    last_run(&mut a, 1);
}

/// Mirrored, with node 0 as the owner, and nothing goes to the disk on its own.
fn mirrored(tune: fn(&mut Config)) -> Appliance {
    let mut a = Appliance::mirrored(1, tune);
    a.hold_destage = true;
    a
}

/// Takes the next run of node 0.
fn next_run(a: &mut Appliance) -> Option<DestagePlan> {
    let now = a.now;
    a.node(0).volume.next_destage(now, 1)
}

fn end_run(a: &mut Appliance, plan: &DestagePlan, end: DestageEnd) {
    let now = a.now;
    a.node(0).volume.destage_finish(plan.run, end, now);
    a.settle();
}

#[test]
fn a_failed_write_that_lands_late_does_not_undo_a_newer_one() {
    let mut a = mirrored(|_| ());
    a.write(0, 1, 10);
    let (issued, plan) = (a.now, next_run(&mut a).unwrap());
    a.pass(20 * MS);
    end_run(&mut a, &plan, DestageEnd::Failed);
    a.write(0, 1, 11);
    a.write(0, 9, 90);
    a.hold_destage = false;
    a.until("another block is not kept up", |a| a.disk.contains_key(&9));
    let life = a.node(0).volume.config().io_life_ns;
    while a.now < issued + life {
        assert_eq!(a.disk.get(&1), None, "at {} ms", (a.now - issued) / MS);
        assert_eq!(a.read(0, 1), 11);
        a.pass(MS);
    }
    a.disk.insert(1, 10);
    a.until("the newer is there", |a| a.disk.get(&1) == Some(&11));
    assert!(a.now < issued + life + 20 * MS);
    a.until("all is done", |a| a.status(0).dirty == 0);
}

#[test]
fn a_run_counts_from_when_it_was_issued_and_not_from_when_it_was_planned() {
    let mut a = mirrored(|_| ());
    a.write(0, 1, 10);
    let plan = next_run(&mut a).unwrap();
    a.pass(300 * MS);
    let issued = a.now;
    assert!(a.node(0).volume.may_issue(plan.run, issued));
    end_run(&mut a, &plan, DestageEnd::Failed);
    let life = a.node(0).volume.config().io_life_ns;
    a.hold_destage = false;
    a.pass(life - MS);
    assert_eq!(a.disk.get(&1), None);
    a.until("written", |a| a.disk.get(&1) == Some(&10));
    assert!(a.now < issued + life + 20 * MS);
}

#[test]
fn what_was_certainly_not_written_is_tried_again_after_the_rest() {
    let mut a = mirrored(|_| ());
    a.write(0, 1, 10);
    let began = a.now;
    let plan = next_run(&mut a).unwrap();
    end_run(&mut a, &plan, DestageEnd::Refused);
    assert_eq!(next_run(&mut a), None, "it rests");
    a.hold_destage = false;
    a.until("written", |a| a.disk.get(&1) == Some(&10));
    let config = *a.node(0).volume.config();
    assert!(a.now - began < config.poll_ns + 20 * MS && config.poll_ns < config.io_life_ns / 2);
}

#[test]
fn more_failed_writes_than_there_are_runs_do_not_keep_up_other_blocks() {
    let mut a = mirrored(|config| (config.slots, config.dirty_limit) = (64, 64));
    let failing = yoke_core::volume::log::RUNS_MAX as u64 + 4;
    for block in 0..failing {
        a.write(0, 2 * block, 10 + block);
    }
    let began = a.now;
    for _ in 0..2 {
        let mut plans = Vec::new();
        while plans.is_empty() {
            plans.extend(std::iter::from_fn(|| next_run(&mut a)));
            a.pass(5 * MS);
        }
        for plan in &plans {
            end_run(&mut a, plan, DestageEnd::Failed);
        }
    }
    a.write(0, 63, 99);
    a.hold_destage = false;
    a.until("another block is not kept up", |a| a.disk.contains_key(&63));
    assert!(a.now - began < a.node(0).volume.config().io_life_ns);
    a.until("all is written", |a| a.disk.len() as u64 == failing + 1);
}

/// Ends the flush of the disk's cache that node 0 has under way, and says how.
fn end_flush(a: &mut Appliance, ok: bool) {
    a.until("a flush is under way", |a| !a.held.is_empty());
    for (n, action) in std::mem::take(&mut a.held) {
        match action {
            Action::FlushDisk { token } => a.tell(n, Input::DiskFlushed { token, ok }),
            other => panic!("{other:?}"),
        }
    }
}

/// A disk that reports once what it has lost of its cache, as SCSI does with a deferred error: the next flush is good.
#[test]
fn what_a_failed_flush_may_have_lost_is_written_again() {
    let mut a = mirrored(|_| ());
    a.hold_destage = false;
    a.hold_disk = true;
    a.write(0, 1, 10);
    a.write(0, 1, 11);
    a.write(0, 2, 20);
    a.until("in its cache", |a| {
        a.disk.contains_key(&1) && a.disk.contains_key(&2)
    });
    let now = a.now;
    let LongBegin::Wait(flush) = a.node(0).volume.flush(now) else {
        panic!("not begun");
    };
    a.until("flushing", |a| !a.held.is_empty());
    a.disk.clear();
    a.hold_destage = true;
    end_flush(&mut a, false);
    a.settle();
    assert_eq!((a.status(0).dirty, a.read(0, 1), a.read(0, 2)), (3, 11, 20));
    // Nothing of it is done, so a flush is no answer yet, and nothing is free.
    let key = format!("{flush:?}");
    a.pass(300 * MS);
    assert_eq!(a.node(0).answers.get(&key), None);
    (a.hold_destage, a.hold_disk) = (false, false);
    for (n, action) in std::mem::take(&mut a.held) {
        a.act(n, action);
    }
    a.until("answered", |a| a.node(0).answers.contains_key(&key));
    assert_eq!(a.node(0).answers[&key], Ok(()));
    assert_eq!((a.disk.get(&1), a.disk.get(&2)), (Some(&11), Some(&20)));
    a.until("all is free", |a| a.status(0).free == appliance::SLOTS);
}

#[test]
fn what_is_in_flight_when_the_cache_is_lost_is_written_again() {
    let mut a = mirrored(|_| ());
    a.hold_destage = false;
    a.hold_disk = true;
    a.write(0, 1, 10);
    a.until("flushing", |a| !a.held.is_empty());
    a.hold_destage = true;
    a.write(0, 2, 20);
    let plan = next_run(&mut a).unwrap();
    assert_eq!(plan.range.block, 2);
    end_flush(&mut a, false);
    // It was in the cache before it was lost.
    end_run(&mut a, &plan, DestageEnd::Written);
    assert_eq!(a.status(0).dirty, 2);
    a.hold_destage = false;
    a.until("written", |a| {
        a.disk.contains_key(&1) && a.disk.contains_key(&2)
    });
}

#[test]
fn a_record_that_says_disk_waits_until_what_was_adopted_would_stay_there() {
    let mut a = Appliance::survivor(2);
    (a.hold_destage, a.hold_disk) = (false, true);
    a.until("flushing", |a| !a.held.is_empty() && a.disk.len() == 2);
    a.pass(50 * MS);
    a.disk.clear();
    a.hold_destage = true;
    end_flush(&mut a, false);
    a.hold_disk = false;
    a.pass(1_000 * MS);
    assert_eq!((a.role(1), a.status(1).adopted), (DEGRADED, 2));
    a.hold_destage = false;
    a.until("solo", |a| a.role(1) == SOLO);
    assert_eq!(a.disk.len(), 2);
}

#[test]
fn a_write_of_the_own_block_that_fails_says_the_same_of_the_cache() {
    let mut a = Appliance::new(1, |_| ());
    a.until("solo", |a| a.role(0) == SOLO);
    (a.hold_disk, a.fail_blocks) = (true, true);
    a.write(0, 1, 10);
    assert_eq!(a.status(0).dirty, 0);
    a.until("flushing", |a| !a.held.is_empty());
    a.hold_destage = true;
    a.until("a renewal fails", |a| a.status(0).dirty == 1);
    // What was under way meanwhile says nothing.
    end_flush(&mut a, true);
    a.disk.clear();
    (a.hold_destage, a.fail_blocks) = (false, false);
    a.until("written", |a| a.disk.get(&1) == Some(&10));
    assert!(a.status(0).free < appliance::SLOTS);
    a.hold_disk = false;
    end_flush(&mut a, true);
    a.until("free", |a| a.status(0).free == appliance::SLOTS);
}
