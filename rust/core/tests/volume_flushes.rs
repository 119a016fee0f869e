// SPDX-License-Identifier: GPL-2.0
//! FLUSHes: whatever happens to what they wait for, they end, and whoever brings it about is woken.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use appliance::{Appliance, MS};
use yoke_core::volume::*;

const DEGRADED: Role = Role::Owner(Mode::Degraded);

fn begin(a: &mut Appliance, n: usize) -> Option<TicketId> {
    let now = a.now;
    match a.node(n).volume.flush(now) {
        LongBegin::Wait(ticket) => Some(ticket),
        LongBegin::Park => None,
        LongBegin::Fail(reason) => panic!("{reason}"),
    }
}

fn answer(a: &mut Appliance, n: usize, ticket: TicketId) -> Option<Result<(), Reason>> {
    a.node(n).answers.get(&format!("{ticket:?}")).copied()
}

#[test]
fn a_flush_waits_for_nothing_that_is_condemned() {
    let mut a = Appliance::survivor(1);
    assert_eq!(a.read(1, 0), 10);
    a.node(1).windows[0].data[0] ^= 1;
    let flush = begin(&mut a, 1).unwrap();
    a.hold_destage = false;
    a.until("condemned", |a| a.status(1).condemned == 1);
    a.until("flushed", |a| answer(a, 1, flush) == Some(Ok(())));
}

#[test]
fn a_flush_waits_for_nothing_whose_window_is_gone() {
    let mut a = Appliance::survivor(2);
    let flush = begin(&mut a, 1).unwrap();
    let link = appliance::link(0);
    a.tell(1, Input::Room { link, place: None });
    a.until("flushed", |a| answer(a, 1, flush) == Some(Ok(())));
    assert_eq!((a.role(1), a.status(1).condemned), (DEGRADED, 2));
}

/// Nothing else says that the log is to go to the disk now.
#[test]
fn a_flush_that_waits_for_the_log_wakes_who_polls() {
    let mut a = Appliance::mirrored(1, |_| ());
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.settle();
    assert!(!a.node(0).volume.wants_poll());
    assert!(begin(&mut a, 0).is_some());
    assert!(a.node(0).volume.wants_poll(), "nobody is woken");
}

/// Only a run that it waits for has ended.
#[test]
fn the_end_of_a_run_wakes_who_polls_for_a_flush() {
    let mut a = Appliance::mirrored(1, |_| ());
    a.hold_destage = true;
    a.write(0, 1, 10);
    assert!(begin(&mut a, 0).is_some());
    a.settle();
    let now = a.now;
    let run = a.node(0).volume.next_destage(now, 4).unwrap().run;
    a.settle();
    assert!(!a.node(0).volume.wants_poll());
    let node = a.node(0);
    node.volume.destage_finish(run, DestageEnd::Written, now);
    assert!(node.volume.wants_poll(), "nobody is woken");
}

#[test]
fn a_flush_waits_for_the_log() {
    let mut a = Appliance::mirrored(1, |_| ());
    a.hold_destage = true;
    a.write(0, 1, 10);
    let flush = begin(&mut a, 0).unwrap();
    a.pass(1_000 * MS);
    assert_eq!(answer(&mut a, 0, flush), None);
    a.hold_destage = false;
    a.until("flushed", |a| answer(a, 0, flush) == Some(Ok(())));
    assert_eq!(a.disk.get(&1), Some(&10));
}

/// The first end of what the disk was held up with.
fn end_one(a: &mut Appliance) {
    let (n, action) = a.held.remove(0);
    assert!(matches!(action, Action::FlushDisk { .. }));
    let held = core::mem::take(&mut a.hold_disk);
    a.act(n, action);
    a.hold_disk = held;
    a.settle();
}

/// The one that is in flight may have been issued before the disk had all of it.
#[test]
fn a_flush_waits_for_a_flush_of_the_disk_that_began_after_it() {
    let mut a = Appliance::mirrored(1, |_| ());
    a.hold_disk = true;
    a.write(0, 1, 10);
    a.until("the disk flushes", |a| a.held.len() == 1);
    let flush = begin(&mut a, 0).unwrap();
    a.settle();
    end_one(&mut a);
    assert_eq!(answer(&mut a, 0, flush), None);
    a.until("it flushes again", |a| a.held.len() == 1);
    end_one(&mut a);
    assert_eq!(answer(&mut a, 0, flush), Some(Ok(())));
}

/// What the end of a flush of the disk says of a cache that another one, that of a node block, may have been told of.
#[test]
fn a_flush_whose_flush_of_the_disk_says_nothing_has_another_at_once() {
    let mut a = Appliance::new(1, |config| config.poll_ns = 5_000 * MS);
    a.until("solo", |a| a.role(0) == Role::Owner(Mode::Solo));
    a.hold_disk = true;
    a.write(0, 1, 10);
    a.until("the disk flushes", |a| a.held.len() == 1);
    let flush = begin(&mut a, 0).unwrap();
    end_one(&mut a);
    // The one that it waits for; then the lease is renewed.
    assert_eq!(a.held.len(), 1);
    let block = loop {
        let now = a.now;
        match a.node(0).volume.poll_action(now) {
            Some(action @ Action::WriteNodeBlock { .. }) => break action,
            Some(action) => a.act(0, action),
            None => a.now += MS,
        }
    };
    end_one(&mut a);
    assert_eq!(answer(&mut a, 0, flush), None);
    a.hold_disk = false;
    a.act(0, block);
    a.pass(10 * MS);
    assert_eq!(answer(&mut a, 0, flush), Some(Ok(())));
}

/// Those that waited when the ownership ended are in nobody's way.
#[test]
fn a_flush_ends_in_the_next_ownership_of_the_same_controller() {
    for on_the_disk in [false, true] {
        let mut a = Appliance::mirrored(1, |_| ());
        (a.hold_destage, a.hold_disk) = (!on_the_disk, true);
        a.write(0, 1, 10);
        let lost = [(); 2].map(|()| begin(&mut a, 0).unwrap());
        a.settle();
        let owner = a.nodes[0].take();
        a.cut(0);
        (a.hold_destage, a.hold_disk) = (false, false);
        a.until("taken over", |a| a.role(1) == Role::Owner(Mode::Solo));
        a.nodes[0] = owner;
        let link = appliance::link(0);
        a.tell(0, Input::LinkDown { link });
        a.tell(0, Input::SessionGone);
        a.until("deposed", |a| a.role(0) == Role::Standby);
        for flush in lost {
            assert!(answer(&mut a, 0, flush).is_some_and(|answer| answer.is_err()));
        }
        for (n, action) in core::mem::take(&mut a.held) {
            a.act(n, action);
        }
        a.mend(0);
        a.until("mirrored", |a| a.role(1) == Role::Owner(Mode::Mirrored));
        a.command(1, Command::GiveBack);
        a.until("given back", |a| matches!(a.role(0), Role::Owner(_)));
        a.write(0, 2, 20);
        let flush = begin(&mut a, 0).unwrap();
        a.until("flushed", |a| answer(a, 0, flush) == Some(Ok(())));
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        let seed = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = seed.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// The disk flushes, or fails to.
fn end_flushes(a: &mut Appliance, random: &mut Random) {
    for (n, action) in core::mem::take(&mut a.held) {
        match action {
            Action::FlushDisk { token } if random.below(2) == 0 => {
                a.tell(n, Input::DiskFlushed { token, ok: false });
            }
            action => {
                a.hold_disk = false;
                a.act(n, action);
            }
        }
    }
}

fn destage(a: &mut Appliance, random: &mut Random) {
    let now = a.now;
    let Some(plan) = a.node(0).volume.next_destage(now, 1) else {
        return;
    };
    let end = match random.below(3) {
        0 => DestageEnd::NotIssued,
        1 => DestageEnd::Refused,
        _ => DestageEnd::Written,
    };
    a.node(0).volume.destage_finish(plan.run, end, now);
}

/// Many at a time, on a disk that fails now and then, and some that nobody waits for any more.
#[test]
fn every_flush_ends() {
    for round in 0..400 {
        let mut random = Random(round);
        let mut a = Appliance::mirrored(1, |_| ());
        a.hold_destage = true;
        let mut flushes = Vec::new();
        for _ in 0..60 {
            match random.below(8) {
                0 | 1 => {
                    if let Ok(plan) = a.begin(0, random.below(20), 1) {
                        let _ = a.finish(0, &plan);
                    }
                }
                2 | 3 => flushes.extend(begin(&mut a, 0)),
                4 => destage(&mut a, &mut random),
                5 => {
                    a.hold_disk = !a.hold_disk;
                    end_flushes(&mut a, &mut random);
                }
                6 if !flushes.is_empty() => {
                    let at = random.below(flushes.len() as u64) as usize;
                    let given_up = flushes.swap_remove(at);
                    a.node(0).volume.nobody_waits(given_up);
                    a.settle();
                    assert!(answer(&mut a, 0, given_up).is_some(), "round {round}");
                }
                _ => a.pass(5 * MS),
            }
        }
        (a.hold_destage, a.hold_disk) = (false, false);
        end_flushes(&mut a, &mut Random(1));
        a.pass(3_000 * MS);
        for flush in flushes {
            let answer = answer(&mut a, 0, flush);
            assert_eq!(answer, Some(Ok(())), "round {round}: {flush:?}");
        }
    }
}
