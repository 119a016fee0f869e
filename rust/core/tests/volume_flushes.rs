// SPDX-License-Identifier: GPL-2.0
//! FLUSHes: whatever happens to what they wait for, they end, and whoever brings it about is woken.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use appliance::{Appliance, MS};
use yoke_core::volume::*;

const DEGRADED: Role = Role::Owner(Mode::Degraded);

/// A survivor that has adopted so many blocks, and writes nothing to the disk.
fn survivor(blocks: u64) -> Appliance {
    let mut a = Appliance::mirrored(1, |_| ());
    a.hold_destage = true;
    for block in 0..blocks {
        a.write(0, 2 * block, 10 + block);
    }
    a.kill(0);
    a.until("degraded", |a| a.role(1) == DEGRADED);
    a
}

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
    let mut a = survivor(1);
    a.node(1).windows[0].data[0] ^= 1;
    let flush = begin(&mut a, 1).unwrap();
    a.hold_destage = false;
    a.until("condemned", |a| a.status(1).condemned == 1);
    a.until("flushed", |a| answer(a, 1, flush) == Some(Ok(())));
}

#[test]
fn a_flush_waits_for_nothing_whose_window_is_gone() {
    let mut a = survivor(2);
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
