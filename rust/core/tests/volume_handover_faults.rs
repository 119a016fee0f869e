// SPDX-License-Identifier: GPL-2.0
//! Handovers that are not to be, and those that something could hold up.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use appliance::{Appliance, MS};
use yoke_core::disk::node_block::RecordState;
use yoke_core::ids::Generation;
use yoke_core::mirror::message::Message;
use yoke_core::mirror::standing::Standing;
use yoke_core::volume::*;

const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const HOLDING: Role = Role::Owner(Mode::Holding);
const HANDOVER: u64 = 1_000 * MS;

/// As in production: T_io is much longer than the time after which a disk is given up.
fn tune(config: &mut Config) {
    (config.handover_ns, config.io_life_ns) = (HANDOVER, 30_000 * MS);
}

fn mirrored() -> Appliance {
    Appliance::mirrored(1, tune)
}

fn dirty(a: &mut Appliance) {
    a.hold_destage = true;
    a.write(0, 1, 10);
}

fn anybody_serves(a: &mut Appliance) -> bool {
    (0..2).any(|n| a.status(n).serving == Ok(()))
}

/// The longest time for which nobody served.
fn outage(a: &mut Appliance, time: u64) -> u64 {
    let (end, mut since, mut longest) = (a.now + time, a.now, 0);
    while a.now < end {
        a.pass(5 * MS);
        if anybody_serves(a) {
            since = a.now;
        }
        longest = longest.max(a.now - since);
    }
    longest
}

/// Runs for so long: nobody serves for less than this.
fn is_served_again(a: &mut Appliance, time: u64, bound: u64) {
    let (outage, roles) = (outage(a, time), (a.role(0), a.role(1)));
    assert!(
        outage < bound,
        "nobody served for {} ms: {roles:?}",
        outage / MS
    );
}

/// One write fails, once, and nothing else is asked of the disk while it is in doubt.
#[test]
fn one_command_that_failed_once_is_no_reason_to_hand_over() {
    let mut a = mirrored();
    dirty(&mut a);
    (a.fail_writes, a.hold_destage) = (true, false);
    a.settle();
    a.fail_writes = false;
    let outage = outage(&mut a, 40_000 * MS);
    assert_eq!(outage, 0, "nobody served for {} ms", outage / MS);
}

/// The paths come back when the owner has just let go: what has failed is in doubt for T_io.
#[test]
fn an_owner_whose_paths_come_back_late_is_not_stuck_for_t_io() {
    let mut a = Appliance::mirrored(1, |config| {
        tune(config);
        config.link_lease_ns = 200 * MS;
    });
    dirty(&mut a);
    (a.pathless, a.hold_destage) = (Some(0), false);
    a.until("holding", |a| a.role(0) == HOLDING);
    a.pathless = None;
    is_served_again(&mut a, 40_000 * MS, 2 * HANDOVER);
}

/// One path lets reads through and no write (a reservation conflict, say). Whether the partner could write nobody knows: it only
/// reads. So the owner goes on in two memories.
#[test]
fn an_owner_that_can_read_and_not_write_keeps_the_volume() {
    let mut a = mirrored();
    dirty(&mut a);
    (a.unwritable, a.hold_destage) = (Some(0), false);
    let outage = outage(&mut a, 20_000 * MS);
    assert_eq!((outage, a.role(0)), (0, MIRRORED));
}

/// The disk can be read and takes no write from anybody.
#[test]
fn a_disk_that_takes_no_write_from_either_is_handed_to_nobody() {
    let mut a = mirrored();
    dirty(&mut a);
    (a.fail_writes, a.fail_blocks, a.hold_destage) = (true, true, false);
    let outage = outage(&mut a, 10_000 * MS);
    assert_eq!(
        outage,
        0,
        "nobody served for {} ms: {:?} {:?}",
        outage / MS,
        a.role(0),
        a.role(1)
    );
}

/// A bad sector: the data of one block is refused, all else is well, for both. Two memories have it, and one less afterwards.
#[test]
fn one_bad_block_does_not_cost_the_mirror() {
    let mut a = mirrored();
    dirty(&mut a);
    (a.fail_writes, a.hold_destage) = (true, false);
    a.pass(10 * HANDOVER);
    assert_eq!((a.role(0), a.role(1)), (MIRRORED, Role::Standby));
}

/// The path hangs between a write and the flush that a client waits for. Nothing else is asked of the disk.
#[test]
fn a_disk_that_does_not_answer_a_flush_is_given_up() {
    let mut a = mirrored();
    a.write(0, 1, 10);
    a.until("on the disk", |a| a.disk.contains_key(&1));
    a.silent = Some(0);
    let now = a.now;
    let begun = a.node(0).volume.flush(now);
    assert!(matches!(begun, LongBegin::Wait(_)), "{begun:?}");
    a.settle();
    assert!(!a.held.is_empty());
    a.pass(10 * HANDOVER);
    assert!(matches!(a.role(1), Role::Owner(_)), "{:?}", a.role(0));
}

/// The same, with a discard.
#[test]
fn a_disk_that_does_not_answer_a_discard_is_given_up() {
    let mut a = mirrored();
    (a.silent, a.hold_passes) = (Some(0), true);
    let now = a.now;
    let range = LongRange { block: 0, count: 8 };
    let begun = a.node(0).volume.pass_down(PassOp::WriteZeroes, range, now);
    assert!(matches!(begun, LongBegin::Wait(_)));
    a.pass(10 * HANDOVER);
    assert_eq!(a.queued.len(), 1);
    assert!(matches!(a.role(1), Role::Owner(_)), "{:?}", a.role(0));
}

fn neither_reaches(tune: fn(&mut Config)) {
    let mut a = Appliance::mirrored(1, tune);
    for time in 0..16 {
        a.pass(7 * MS);
        a.hold_destage = true;
        a.write(0, 1, 10 + time);
        (a.fail_writes, a.fail_blocks, a.unreadable) = (true, true, true);
        a.hold_destage = false;
        let end = a.now + 3 * a.node(0).volume.config().handover_ns;
        while a.now < end {
            a.pass(5 * MS);
            assert_eq!(
                (a.role(0), a.role(1)),
                (MIRRORED, Role::Standby),
                "round {time}"
            );
        }
        (a.fail_writes, a.fail_blocks, a.unreadable) = (false, false, false);
        a.until("well", |a| {
            a.status(0).dirty == 0 && a.status(0).takeover == Ok(())
        });
    }
}

/// `handover_ms` 150 with `disk_lease_ms` 800.
#[test]
fn a_disk_that_neither_reaches_is_handed_to_nobody_with_a_short_time() {
    neither_reaches(|config| config.handover_ns = 150 * MS);
}

/// `disk_lease_ms` 10,000 and `handover_ms` as it is by default.
#[test]
fn a_disk_that_neither_reaches_is_handed_to_nobody_with_a_long_disk_lease() {
    neither_reaches(|config| {
        (config.handover_ns, config.disk_lease_ns, config.poll_ns) =
            (HANDOVER, 10_000 * MS, 1_250 * MS);
    });
}

/// A person has asked the partner for the volume just before.
#[test]
fn a_wish_for_the_volume_does_not_hold_up_a_handover() {
    let mut a = Appliance::mirrored(1, |config| {
        tune(config);
        config.giveback_ns = 10_000 * MS;
    });
    dirty(&mut a);
    (a.pathless, a.hold_destage) = (Some(0), false);
    a.settle();
    a.command(1, Command::TakeOver);
    is_served_again(&mut a, 15_000 * MS, 2 * HANDOVER);
}

/// The partner is told to close in the moment in which the owner lets go: it hears of the offer when it closes already.
#[test]
fn a_partner_that_is_to_be_closed_takes_what_it_is_offered() {
    let mut a = Appliance::mirrored(1, |config| config.handover_ns = HANDOVER);
    dirty(&mut a);
    (a.pathless, a.hold_destage) = (Some(0), false);
    while a.role(0) != HOLDING {
        a.now += MS;
        let now = a.now;
        while let Some(action) = a.node(0).volume.poll_action(now) {
            let offers = Standing::Offering;
            if matches!(action, Action::Send(Message::Standing { standing, .. }) if standing == offers)
            {
                a.tell(1, Input::Command(Command::Close));
            }
            a.act(0, action);
        }
        a.settle();
    }
    is_served_again(&mut a, 15_000 * MS, 3 * HANDOVER);
}

/// One write takes five seconds, by any path; whatever else is asked of the disk is done at once.
#[test]
fn one_command_that_is_late_is_no_reason_to_hold() {
    let mut a = Appliance::mirrored(1, |config| config.handover_ns = HANDOVER);
    dirty(&mut a);
    let now = a.now;
    let plan = a.node(0).volume.next_destage(now, 4).unwrap();
    let outage = outage(&mut a, 5_000 * MS);
    a.disk.insert(1, 10);
    let now = a.now;
    a.node(0)
        .volume
        .destage_finish(plan.run, DestageEnd::Written, now);
    a.settle();
    assert_eq!(
        outage,
        0,
        "nobody served for {} ms: {:?} {:?}",
        outage / MS,
        a.role(0),
        a.role(1)
    );
}

/// A run of an ownership that is over is still not answered when this controller owns the volume again, and its disk is well.
#[test]
fn a_run_of_an_earlier_ownership_says_nothing_of_the_disk() {
    let mut a = Appliance::mirrored(1, |config| config.handover_ns = HANDOVER);
    dirty(&mut a);
    (a.silent, a.hold_destage) = (Some(0), false);
    a.until("deposed", |a| a.role(0) == Role::Standby);
    a.silent = None;
    for (n, action) in std::mem::take(&mut a.held) {
        a.act(n, action);
    }
    a.until("mirrored", |a| {
        a.role(1) == MIRRORED && a.status(1).takeover == Ok(())
    });
    a.command(1, Command::GiveBack);
    a.until("back", |a| {
        a.role(0) == MIRRORED && a.status(0).takeover == Ok(())
    });
    // It asks nothing of the disk, and has no reason to change its record.
    let sequence = a.blocks[0].sequence;
    a.pass(5 * HANDOVER);
    assert_eq!(a.blocks[0].sequence, sequence);
}

/// One whose own disk is never given up says that it is ready, though it reads nothing: it and the owner lose the disk.
#[test]
fn a_partner_that_never_hands_over_is_ready_only_while_its_disk_is_well() {
    neither_reaches(|config| {
        config.handover_ns = if config.node.index() == 0 {
            HANDOVER
        } else {
            NEVER_NS
        };
    });
}

/// The same, with a partner that is more patient.
#[test]
fn a_partner_that_is_patient_is_ready_only_while_its_disk_is_well() {
    neither_reaches(|config| {
        config.handover_ns = HANDOVER * if config.node.index() == 0 { 1 } else { 10 };
    });
}

/// An owner closes the volume in order, and the write of the record that says so takes a little longer than `handover_ms`.
#[test]
fn a_volume_that_was_closed_in_order_is_not_rescued() {
    let mut a = mirrored();
    a.tell(0, Input::Command(Command::Close));
    let release = a.release_of(0, |_| ());
    a.pass(HANDOVER + 200 * MS);
    a.act(0, release);
    a.settle();
    assert_eq!(a.role(0), Role::Closed);
    a.pass(10_000 * MS);
    assert_eq!(a.role(1), Role::Standby);
}

/// Whom people, and yokectl, are told who owns the volume.
#[test]
fn one_that_was_told_that_it_owns_the_volume_no_more_says_who_does() {
    let mut a = mirrored();
    dirty(&mut a);
    (a.pathless, a.hold_destage) = (Some(0), false);
    a.until("deposed", |a| a.role(0) == Role::Standby);
    let node = a.node(1).volume.config().node;
    assert_eq!(a.status(0).owner, Some(node));
}

#[test]
fn what_was_released_is_taken_from_nobody() {
    let mut a = mirrored();
    a.command(0, Command::Close);
    a.until("closed", |a| a.role(0) == Role::Closed);
    a.tell(1, offers());
    a.pass(2 * HANDOVER);
    assert_eq!(a.role(1), Role::Standby);
}

/// The release lands while the partner, which was asked to take over, waits for the link lease.
#[test]
fn what_is_released_during_a_rescue_is_left_alone() {
    let mut a = mirrored();
    a.pass(200 * MS);
    // And nothing else is heard.
    a.tell(1, offers());
    a.lose_messages = 10_000;
    a.until("taking", |a| a.role(1) == Role::Taking);
    a.blocks[0].record.state = RecordState::Released;
    a.pathless = Some(0);
    for _ in 0..200 {
        a.pass(5 * MS);
        assert!(!matches!(a.role(1), Role::Owner(_)));
    }
}

fn offers() -> Input<'static> {
    Input::Message(Message::Standing {
        standing: Standing::Offering,
        generation: Generation::NONE,
    })
}

#[test]
fn a_partner_on_a_slow_disk_is_ready_all_the_time() {
    let mut a = mirrored();
    a.slow = [0, 600 * MS];
    a.pass(3_000 * MS);
    for _ in 0..1_000 {
        a.pass(5 * MS);
        assert_eq!(a.status(1).takeover, Ok(()));
    }
}

/// A write takes long, as all does there.
#[test]
fn an_owner_on_a_slow_disk_waits_for_its_answer() {
    let mut a = mirrored();
    // Its lease is from before.
    a.slow = [400 * MS, 0];
    dirty(&mut a);
    let now = a.now;
    let plan = a.node(0).volume.next_destage(now, 4).unwrap();
    let outage = outage(&mut a, 5_000 * MS);
    let now = a.now;
    let end = DestageEnd::Written;
    a.node(0).volume.destage_finish(plan.run, end, now);
    assert_eq!((outage, a.role(0)), (0, MIRRORED));
}

/// Nobody writes.
#[test]
fn reads_that_fail_are_heard_of() {
    let mut a = mirrored();
    a.pathless = Some(0);
    a.pass(2 * HANDOVER);
    let now = a.now;
    a.node(0).volume.disk_read_ended(false, now);
    a.pass(2 * HANDOVER);
    assert!(matches!(a.role(1), Role::Owner(_)));
}

/// Nobody writes, and all that is asked of the disk is a flush.
#[test]
fn a_flush_that_fails_is_heard_of() {
    let mut a = mirrored();
    a.write(0, 1, 10);
    a.until("on the disk", |a| a.disk.contains_key(&1));
    a.pathless = Some(0);
    let now = a.now;
    let begun = a.node(0).volume.flush(now);
    assert!(matches!(begun, LongBegin::Wait(_)), "{begun:?}");
    a.pass(3 * HANDOVER);
    assert!(matches!(a.role(1), Role::Owner(_)));
}

/// The same, with a write of zeroes.
#[test]
fn what_goes_past_the_log_and_fails_is_heard_of() {
    let mut a = mirrored();
    a.hold_passes = true;
    let now = a.now;
    let range = LongRange { block: 0, count: 8 };
    let begun = a.node(0).volume.pass_down(PassOp::WriteZeroes, range, now);
    assert!(matches!(begun, LongBegin::Wait(_)));
    a.until("with the disk", |a| a.queued.len() == 1);
    a.pathless = Some(0);
    a.end_pass(0, PassEnd::Failed);
    a.pass(3 * HANDOVER);
    assert!(matches!(a.role(1), Role::Owner(_)));
}
