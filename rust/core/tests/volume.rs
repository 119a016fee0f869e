// SPDX-License-Identifier: GPL-2.0
//! The basic flows of a volume on two controllers.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use appliance::{one, Appliance, MS};
use yoke_core::disk::node_block::RecordState;
use yoke_core::volume::*;

const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const SOLO: Role = Role::Owner(Mode::Solo);

fn mirrored(links: usize) -> Appliance {
    Appliance::mirrored(links, |_| ())
}

#[test]
fn a_write_is_acknowledged_by_its_own_fence() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    let plan = a.begin(0, 5, 55).unwrap();
    assert!(plan.post.is_some());
    assert_eq!(a.finish(0, &plan), WriteEnd::Complete);
    assert_eq!(a.read(0, 5), 55);
    assert_eq!(a.status(0).dirty, 1);
    assert_eq!(a.status(0).takeover, Ok(()));
    assert_eq!(a.status(1).takeover, Ok(()));
}

#[test]
fn solo_writes_through() {
    let mut a = Appliance::new(1, |_| ());
    a.until("solo", |a| a.role(0) == SOLO);
    a.write(0, 3, 33);
    assert_eq!(a.disk.get(&3), Some(&33));
    assert_eq!(a.read(0, 3), 33);
    assert_eq!(a.status(0).takeover, Err(Reason::NoPartner));
}

#[test]
fn slots_are_freed_and_used_again() {
    let mut a = mirrored(2);
    for round in 0..100 {
        a.write(0, round % 7, round + 1);
    }
    a.pass(500 * MS);
    assert_eq!(a.status(0).free, appliance::SLOTS);
    for block in 0..7 {
        assert_eq!(a.read(0, block), a.disk[&block]);
    }
    let valid = a.node(1).windows.iter().flat_map(|w| &w.headers);
    assert!(valid.into_iter().all(|header| *header == [0; 64]));
}

#[test]
fn the_partner_adopts_what_the_dead_owner_acknowledged() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.write(0, 2, 20);
    a.write(0, 1, 11);
    a.kill(0);
    a.until("degraded", |a| a.role(1) == Role::Owner(Mode::Degraded));
    assert_eq!(a.status(1).adopted_total, 2);
    assert_eq!(a.read(1, 1), 11);
    assert_eq!(a.read(1, 2), 20);
    a.hold_destage = false;
    a.write(1, 2, 21);
    a.until("solo", |a| a.role(1) == SOLO);
    assert_eq!((a.disk[&1], a.disk[&2]), (11, 21));
    assert_eq!(a.blocks[1].record.state, RecordState::Disk);
}

#[test]
fn the_restarted_owner_refuses_and_rejoins() {
    let mut a = mirrored(2);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.kill(0);
    a.start(0);
    a.pass(20 * MS);
    assert!(!matches!(a.role(0), Role::Owner(_)));
    a.hold_destage = false;
    a.until("solo", |a| a.role(1) == SOLO);
    a.mend(0);
    a.mend(1);
    a.until("mirrored", |a| a.role(1) == MIRRORED);
    a.write(1, 4, 40);
    assert_eq!(a.read(1, 1), 10);
    a.hold_destage = true;
    a.write(1, 5, 50);
    a.kill(1);
    a.until("back", |a| matches!(a.role(0), Role::Owner(_)));
    assert_eq!(a.read(0, 5), 50);
    assert_eq!(a.read(0, 4), 40);
}

#[test]
fn an_owner_without_partner_holds_and_goes_solo() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    let plan = a.begin(0, 1, 11).unwrap();
    a.kill(1);
    assert_eq!(a.role(0), Role::Owner(Mode::Holding));
    assert_eq!(a.finish(0, &plan), WriteEnd::Wait);
    a.pass(100 * MS);
    assert_eq!(a.role(0), Role::Owner(Mode::Holding));
    let now = a.now;
    let begun = a.node(0).volume.read_begin(one(9), now);
    assert_eq!(begun, ReadBegin::Park);
    a.hold_destage = false;
    a.until("solo", |a| a.role(0) == SOLO);
    assert_eq!(a.read(0, 1), 11);
    assert_eq!(a.node(0).answers.len(), 1);
    a.write(0, 2, 20);
}

#[test]
fn one_of_two_links_may_die_and_return() {
    let mut a = mirrored(2);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.write(0, 2, 20);
    a.cut(0);
    a.until("retired", |a| a.status(0).regions == 1);
    assert_eq!(a.role(0), MIRRORED);
    a.write(0, 1, 11);
    a.mend(0);
    a.until("two again", |a| a.status(0).regions == 2);
    a.write(0, 3, 30);
    a.cut(1);
    a.write(0, 4, 40);
    a.kill(0);
    a.until("degraded", |a| a.role(1) == Role::Owner(Mode::Degraded));
    let values: Vec<_> = (1..5).map(|block| a.read(1, block)).collect();
    assert_eq!(values, [11, 20, 30, 40]);
}

#[test]
fn a_write_under_way_moves_to_the_other_link() {
    let mut a = mirrored(2);
    let plan = a.begin(0, 1, 10).unwrap();
    let first = plan.post.unwrap().link;
    a.cut(first.index());
    assert_eq!(a.finish(0, &plan), WriteEnd::Complete);
    a.kill(0);
    a.until("owner", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!(a.read(1, 1), 10);
}

#[test]
fn a_write_whose_links_die_and_return_for_ever_is_left_to_the_copying() {
    let mut a = mirrored(2);
    let plan = a.begin(0, 5, 55).unwrap();
    let mut posts = 1;
    for round in 0..20 {
        let now = a.now;
        match a.node(0).volume.write_finish(plan.ticket, None, now) {
            WriteEnd::Again(_) => posts += 1,
            end => {
                assert_eq!(end, WriteEnd::Wait);
                break;
            }
        }
        // The one that died before has a new region by the time that the other one dies.
        a.cut(round % 2);
        a.mend(round % 2);
        a.until("both links have a region", |a| a.status(0).regions == 2);
    }
    assert_eq!(posts, 9, "as often as there can be links, and once before");
    let ticket = format!("{:?}", plan.ticket);
    a.until("in both memories", |a| {
        a.node(0).answers.get(&ticket) == Some(&Ok(()))
    });
    assert_eq!(a.read(0, 5), 55);
}

#[test]
fn both_links_cut_has_one_owner_in_the_end() {
    let mut a = mirrored(2);
    a.write(0, 1, 10);
    a.cut(0);
    a.cut(1);
    a.pass(5_000 * MS);
    let owners = (0..2).filter(|n| a.nodes[*n].as_ref().unwrap().volume.is_owner());
    assert_eq!(owners.count(), 1);
    let owner = usize::from(!a.node(0).volume.is_owner());
    assert_eq!(a.read(owner, 1), 10);
    a.write(owner, 2, 20);
    a.mend(0);
    a.mend(1);
    a.until("mirrored", |a| a.role(owner) == MIRRORED);
}

#[test]
fn a_takeover_that_nobody_asked_for_ends_when_the_owner_answers_again() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.cut(0);
    a.pass(10 * MS);
    assert_eq!(a.role(1), Role::Taking);
    assert_eq!(a.role(0), Role::Owner(Mode::Holding));
    // Before the link lease has run out, so before the claim.
    a.mend(0);
    a.pass(2_000 * MS);
    assert_eq!(a.role(1), Role::Standby);
    assert_eq!(a.role(0), Role::Owner(Mode::Holding));
    a.hold_destage = false;
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    assert_eq!(a.status(0).generation, a.status(1).generation);
    assert_eq!(a.read(0, 1), 10);
    // And when it is dead after all, it is taken over.
    a.kill(0);
    a.until("taken over", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!(a.read(1, 1), 10);
}

#[test]
fn giveback_moves_the_volume() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    a.command(0, Command::GiveBack);
    a.until("moved", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!(a.role(0), Role::Standby);
    assert_eq!(a.read(1, 1), 10);
    a.until("mirrored", |a| a.role(1) == MIRRORED);
    a.command(0, Command::TakeOver);
    a.until("moved back", |a| matches!(a.role(0), Role::Owner(_)));
    assert_eq!(a.role(1), Role::Standby);
}

#[test]
fn an_aborted_giveback_claims_again() {
    let mut a = Appliance::new(1, |config| config.auto_takeover = false);
    a.until("solo", |a| a.role(0) == SOLO);
    a.write(0, 1, 10);
    a.command(0, Command::GiveBack);
    a.until("released", |a| a.role(0) == Role::Standby);
    assert_eq!(a.blocks[0].record.state, RecordState::Released);
    a.pass(500 * MS);
    assert_eq!(a.role(0), Role::Standby);
    a.command(0, Command::AbortGiveBack);
    a.until("back", |a| a.role(0) == SOLO);
    a.command(0, Command::GiveBack);
    a.until("released", |a| a.role(0) == Role::Standby);
    a.until("nobody came", |a| a.role(0) == SOLO);
    assert_eq!(a.read(0, 1), 10);
}

#[test]
fn a_flush_destages_what_was_acknowledged() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.hold_destage = false;
    let before = a.flushes;
    a.long(0, |volume, now| volume.flush(now));
    assert_eq!(a.disk.get(&1), Some(&10));
    assert!(a.flushes > before);
}

#[test]
fn a_discard_comes_after_its_blocks_are_freed() {
    let mut a = mirrored(2);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.write(0, 2, 20);
    a.write(0, 9, 90);
    a.hold_destage = false;
    let range = LongRange { block: 0, count: 8 };
    a.long(0, |volume, now| {
        volume.pass_down(PassOp::WriteZeroes, range, now)
    });
    assert_eq!(a.read(0, 1), 0);
    a.kill(0);
    a.until("owner", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!((a.read(1, 1), a.read(1, 2), a.read(1, 9)), (0, 0, 90));
}

#[test]
fn a_link_that_came_back_is_not_copied_from_for_ever() {
    let mut a = mirrored(2);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.cut(0);
    a.until(
        "one region",
        |a| matches!(a.status(0).record.state, RecordState::Shadow(s) if s.epochs().count() == 1),
    );
    a.mend(0);
    a.until("two regions", |a| a.status(0).regions == 2);
    a.hold_destage = false;
    let copies = a.copies;
    for round in 0..8 {
        a.write(0, 2, round);
        a.pass(5 * MS);
    }
    assert_eq!(
        a.copies, copies,
        "each write was posted once, by its writer"
    );
}

/// After a call that is no poll: either the machine says that it wants to be polled, or there is nothing to poll for.
fn told_or_idle(a: &mut Appliance, n: usize, what: &str) {
    let now = a.now;
    if a.node(n).volume.wants_poll() {
        return;
    }
    let action = a.node(n).volume.clone().poll_action(now);
    // A round of freeing that nobody needs yet may begin at the next deadline.
    let idle = a.status(n).free > appliance::SLOTS / 4;
    let action = action.filter(|action| !(idle && matches!(action, Action::PostInvalid { .. })));
    assert_eq!(action, None, "nobody is told after {what}");
}

#[test]
fn no_call_leaves_work_that_nobody_is_told_of() {
    for seed in 0..300_u64 {
        let mut a = mirrored(1 + (seed % 2) as usize);
        let mut random = seed;
        let mut next = move |bound: u64| {
            random = yoke_core::ids::mix(random.wrapping_add(1));
            random % bound
        };
        let (mut writes, mut reads) = (Vec::new(), Vec::new());
        for _ in 0..60 {
            a.hold_destage = next(3) == 0;
            // And what is due at this very moment.
            a.pass(1_000);
            let (now, block) = (a.now, next(6));
            let what = match next(9) {
                0 | 1 if writes.len() < 3 => {
                    writes.extend(a.begin(0, block, 1));
                    "write_begin"
                }
                2 | 3 if !writes.is_empty() => {
                    let plan = writes.swap_remove(next(writes.len() as u64) as usize);
                    // By hand, since `finish` would go on after an `Again`.
                    let fence = plan.post.map(|to| a.fence(0, &to));
                    let end = a.node(0).volume.write_finish(plan.ticket, fence, now);
                    if matches!(end, WriteEnd::Again(_)) {
                        writes.push(plan);
                    }
                    "write_finish"
                }
                4 => {
                    if let ReadBegin::Plan(plan) = a.node(0).volume.read_begin(one(block), now) {
                        reads.push(plan);
                    }
                    "read_begin"
                }
                5 | 6 if !reads.is_empty() => {
                    let plan = reads.swap_remove(next(reads.len() as u64) as usize);
                    let _ = a.node(0).volume.read_finish(&plan, now);
                    "read_finish"
                }
                7 => {
                    let _ = a.node(0).volume.flush(now);
                    "flush"
                }
                8 if next(4) == 0 => {
                    a.cut(next(a.wires.len() as u64) as usize);
                    for index in 0..a.wires.len() {
                        if !a.wires[index].up {
                            a.mend(index);
                        }
                    }
                    continue;
                }
                _ => {
                    a.pass(MS);
                    continue;
                }
            };
            told_or_idle(&mut a, 0, what);
        }
    }
}

#[test]
fn a_run_is_not_issued_when_the_right_to_it_is_gone() {
    let mut a = Appliance::new(1, |_| ());
    a.until("solo", |a| a.role(0) == SOLO);
    a.hold_destage = true;
    let write = a.begin(0, 1, 10).unwrap();
    assert_eq!(a.finish(0, &write), WriteEnd::Wait);
    a.settle();
    let now = a.now;
    let plan = a.node(0).volume.next_destage(now, 4).unwrap();
    assert!(a.node(0).volume.may_issue(plan.run, now));
    // To prepare it takes longer than the lease lasts.
    let late = now + 10_000 * MS;
    assert!(!a.node(0).volume.may_issue(plan.run, late));
    let end = DestageEnd::NotIssued;
    a.node(0).volume.destage_finish(plan.run, end, now);
    let again = a.node(0).volume.next_destage(now, 4);
    assert_eq!(again.map(|again| again.range), Some(plan.range), "at once");
    // Another ownership: what was planned in the last one is void.
    a.other_writer = Some(0);
    a.until("stopped", |a| a.role(0) == Role::Stopped);
    let (run, now) = (again.unwrap().run, a.now);
    assert!(!a.node(0).volume.may_issue(run, now));
}

/// The disk may take a run of the own log late: when this controller was deposed since, and owns the volume again.
#[test]
fn a_run_of_the_own_log_is_not_issued_under_a_later_ownership() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    let now = a.now;
    let old = a.node(0).volume.next_destage(now, 4).unwrap().run;
    assert!(a.node(0).volume.may_issue(old, now));
    a.cut(0);
    let sleeper = a.nodes[0].take();
    a.until("degraded", |a| a.role(1) == Role::Owner(Mode::Degraded));
    a.hold_destage = false;
    a.until("solo", |a| a.role(1) == Role::Owner(Mode::Solo));
    a.write(1, 1, 11);
    a.until("on the disk", |a| a.disk.get(&1) == Some(&11));
    a.nodes[0] = sleeper;
    a.until("deposed", |a| a.role(0) == Role::Standby);
    a.mend(0);
    a.until("mirrored", |a| a.role(1) == MIRRORED);
    a.command(1, Command::GiveBack);
    a.until("back", |a| a.role(0) == MIRRORED);
    let now = a.now;
    assert!(!a.node(0).volume.may_issue(old, now));
    let end = DestageEnd::NotIssued;
    a.node(0).volume.destage_finish(old, end, now);
    a.settle();
    assert_eq!((a.read(0, 1), a.disk.get(&1)), (11, Some(&11)));
}
