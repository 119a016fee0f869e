// SPDX-License-Identifier: GPL-2.0
//! The disk's reservation: who is registered, who holds it, and what a preemption is good for.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;
#[path = "support/passing.rs"]
#[allow(dead_code, unreachable_pub)]
mod passing;

use appliance::{Appliance, MS, VOLUME};
use yoke_core::disk::Key;
use yoke_core::ids::{Incarnation, NodeId};
use yoke_core::volume::*;

const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const DEGRADED: Role = Role::Owner(Mode::Degraded);
const SOLO: Role = Role::Owner(Mode::Solo);
const LIFE: u64 = 5_000 * MS;

/// When the tests begin.
const BEGIN: u64 = 1_000 * MS;

/// Node 0 owns the volume, mirrored; T_io is five seconds, so that nobody passes it by chance.
fn mirrored() -> Appliance {
    let mut a = Appliance::mirrored(1, |config| {
        (config.reservations, config.io_life_ns) = (true, LIFE);
    });
    a.pass(2_000 * MS);
    a
}

/// The owner dies with something in its log.
fn kill_owner(a: &mut Appliance) {
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.kill(0);
}

/// The owner has sent a write of block 1 to the disk, and hears nothing of it.
fn sent(a: &mut Appliance) -> RunId {
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.settle();
    let now = a.now;
    a.node(0).volume.next_destage(now, 4).unwrap().run
}

fn errands(a: &Appliance, n: usize) -> Vec<Errand> {
    let of = a.target.log.iter().filter(|(node, _)| *node == n);
    of.map(|(_, errand)| *errand).collect()
}

#[test]
fn all_are_registered_before_they_write_and_the_owner_holds() {
    let mut a = mirrored();
    assert_eq!(a.target.keys.len(), 2);
    assert_eq!(a.target.holder, Some(a.key(0)));
    assert_eq!(a.node(0).volume.reservation_holder(), Some(Holder::Me));
    let owner = a.blocks[0].node;
    assert_eq!(
        a.node(1).volume.reservation_holder(),
        Some(Holder::Member(owner))
    );
    // One that is started while the disk is reserved: its block could not be written otherwise.
    a.kill(1);
    a.start(1);
    a.until("it stands by", |a| a.role(1) == Role::Standby);
    assert!(a.target.keys.contains(&a.key(1)));
    assert_eq!(a.target.keys.len(), 2, "the key of its last life is gone");
}

/// The disk is reserved by then, and it has no key.
#[test]
fn who_opens_a_volume_for_the_first_time_does_not_wait_for_commands_that_nobody_sent() {
    let a = Appliance::mirrored(1, |config| {
        (config.reservations, config.io_life_ns) = (true, LIFE);
    });
    assert!(a.now - BEGIN < LIFE / 2, "{} ms", (a.now - BEGIN) / MS);
}

#[test]
fn a_takeover_moves_the_holding_and_writes_at_once() {
    let mut a = mirrored();
    kill_owner(&mut a);
    a.until("taken", |a| a.role(1) == DEGRADED);
    let taken = a.now;
    a.hold_destage = false;
    a.until("destaged", |a| a.role(1) == SOLO);
    assert!(a.now - taken < LIFE / 10, "{} ms", (a.now - taken) / MS);
    assert_eq!(a.disk.get(&1), Some(&10));
    assert_eq!(a.target.keys, [a.key(1)]);
    assert_eq!(a.target.holder, Some(a.key(1)));
}

#[test]
fn where_a_preemption_proves_nothing_t_io_passes() {
    let mut a = mirrored();
    a.target.ends = false;
    kill_owner(&mut a);
    a.until("taken", |a| a.role(1) == DEGRADED);
    assert_eq!(a.read(1, 1), 10, "it is read at once");
    let taken = a.now;
    a.hold_destage = false;
    a.pass(LIFE / 2);
    assert_eq!(a.disk.get(&1), None);
    assert_eq!(
        a.target.holder,
        Some(a.key(1)),
        "the next takeover finds an owner that holds"
    );
    a.pass(LIFE);
    assert_eq!(a.role(1), SOLO);
    assert!(a.now - taken >= LIFE);
}

#[test]
fn a_preemption_that_hangs_holds_up_no_read_and_no_write_for_longer_than_t_io() {
    let mut a = mirrored();
    a.target.silent = true;
    kill_owner(&mut a);
    a.until("taken", |a| a.role(1) == DEGRADED);
    assert_eq!(a.read(1, 1), 10);
    a.hold_destage = false;
    a.pass(LIFE / 2);
    assert_eq!(a.disk.get(&1), None);
    a.pass(LIFE);
    assert_eq!((a.role(1), a.disk.get(&1)), (SOLO, Some(&10)));
    // It answers after all: that changes nothing any more.
    a.target_answers();
    a.pass(2_000 * MS);
    assert_eq!(a.target.holder, Some(a.key(1)));
    a.write(1, 2, 20);
    assert_eq!(a.read(1, 2), 20);
}

#[test]
fn a_preemption_that_hangs_and_ends_is_worth_as_much_as_one_that_does_not() {
    let mut a = mirrored();
    a.target.silent = true;
    kill_owner(&mut a);
    a.until("taken", |a| a.role(1) == DEGRADED);
    a.hold_destage = false;
    a.pass(LIFE / 4);
    assert_eq!(a.disk.get(&1), None);
    a.target_answers();
    a.pass(200 * MS);
    assert_eq!(a.disk.get(&1), Some(&10));
}

/// What it proves is about the commands of the owner before the takeover for which it was asked.
#[test]
fn a_preemption_that_is_late_proves_nothing_of_the_next_owner() {
    let mut a = mirrored();
    a.target.silent = true;
    let sleeper = a.nodes[0].take();
    a.cut(0);
    a.until("taken", |a| matches!(a.role(1), Role::Owner(_)));
    a.pass(2 * LIFE);
    assert_eq!(a.role(1), SOLO, "by T_io");
    // The old owner comes back, and takes over while this one sleeps.
    a.nodes[0] = sleeper;
    let link = appliance::link(0);
    a.tell(0, Input::LinkDown { link });
    a.tell(0, Input::SessionGone);
    a.until("deposed", |a| a.role(0) == Role::Standby);
    let sleeper = a.nodes[1].take();
    a.until("taken back", |a| a.role(0) == SOLO);
    a.pass(2 * LIFE);
    a.write(0, 1, 10);
    a.kill(0);
    a.nodes[1] = sleeper;
    a.until("deposed", |a| a.role(1) == Role::Standby);
    a.until("taken again", |a| matches!(a.role(1), Role::Owner(_)));
    let taken = a.now;
    a.target.asked.retain(|(n, ..)| *n == 1);
    assert!(matches!(a.target.asked[0], (1, _, Errand::CutOff { .. })));
    a.target_answers_one();
    a.pass(LIFE / 2);
    assert_eq!(a.status(1).serving, Err(Reason::OldCommands));
    a.until("served", |a| a.status(1).serving.is_ok());
    assert!(a.now >= taken + LIFE / 2, "{} ms", (a.now - taken) / MS);
}

#[test]
fn a_giveback_releases_and_the_next_owner_reserves() {
    let mut a = mirrored();
    a.target.log.clear();
    a.command(0, Command::GiveBack);
    a.until("given", |a| a.role(1) == MIRRORED);
    a.pass(2_000 * MS);
    assert_eq!(a.target.holder, Some(a.key(1)));
    assert_eq!(a.target.keys.len(), 2);
    let cut = |errand: &Errand| matches!(errand, Errand::CutOff { .. });
    assert!(!errands(&a, 0).iter().any(cut) && !errands(&a, 1).iter().any(cut));
}

/// The shelf was started again: whoever finds out that it is forgotten registers anew. An owner waits for its commands first,
/// and looks at all blocks before the next one.
#[test]
fn a_target_that_forgets_is_told_again() {
    let mut a = mirrored();
    let run = sent(&mut a);
    a.target_forgets();
    a.pass(3_000 * MS);
    let key = a.key(0);
    assert!(
        !a.target.keys.contains(&key),
        "a command of its own is under way"
    );
    assert!(a.target.keys.contains(&a.key(1)), "the partner has none");
    let now = a.now;
    a.disk.insert(1, 10);
    a.node(0)
        .volume
        .destage_finish(run, DestageEnd::Written, now);
    a.hold_destage = false;
    a.until("registered", |a| a.target.keys.contains(&key));
    a.until("held", |a| a.target.holder == Some(key));
    a.write(0, 2, 20);
    a.pass(1_000 * MS);
    assert_eq!((a.disk.get(&1), a.disk.get(&2)), (Some(&10), Some(&20)));
}

/// Before it has read all blocks it may be an owner that slept while another one took the volume over: its registration lets
/// in again what it sends.
#[test]
fn who_has_registered_anew_sends_nothing_before_it_has_looked() {
    let mut a = mirrored();
    a.target_forgets();
    a.until("registered", |a| a.target.keys.contains(&a.key(0)));
    a.target_forgets();
    a.target.silent = true;
    a.pass(3_000 * MS);
    a.unreadable = true;
    a.target_answers();
    a.pass(500 * MS);
    assert!(a.target.keys.contains(&a.key(0)));
    a.write(0, 2, 20);
    a.pass(500 * MS);
    assert_eq!(a.disk.get(&2), None);
    a.unreadable = false;
    a.pass(500 * MS);
    assert_eq!(a.disk.get(&2), Some(&20));
}

/// An owner that slept, was deposed, and has a command in the disk's queue: if it registered at once that would be let in.
fn registers_when_its_command_is_over(send: fn(&mut Appliance)) {
    let mut a = mirrored();
    let sent_at = a.now;
    send(&mut a);
    let owner = a.nodes[0].take();
    a.cut(0);
    a.until("taken", |a| matches!(a.role(1), Role::Owner(_)));
    (a.hold_destage, a.hold_passes) = (false, false);
    a.pass(1_000 * MS);
    a.nodes[0] = owner;
    let key = a.key(0);
    assert!(!a.target.keys.contains(&key));
    let link = appliance::link(0);
    a.hold_destage = true;
    a.tell(0, Input::LinkDown { link });
    a.tell(0, Input::SessionGone);
    a.until("deposed", |a| a.role(0) == Role::Standby);
    a.pass(sent_at + LIFE - a.now);
    assert!(!a.target.keys.contains(&key));
    a.until("registered", |a| a.target.keys.contains(&key));
    assert_eq!(a.target.holder, Some(a.key(1)), "it takes nothing");
}

#[test]
fn a_deposed_owner_registers_when_its_commands_are_over() {
    registers_when_its_command_is_over(|a| {
        sent(a);
    });
}

/// What went past the log is forgotten with the ownership, and may land all the same.
#[test]
fn a_deposed_owner_registers_when_what_it_passed_down_is_over() {
    registers_when_its_command_is_over(|a| {
        a.hold_passes = true;
        let range = LongRange { block: 4, count: 2 };
        passing::begin(a, PassOp::Discard, range);
        a.settle();
        assert_eq!(a.queued.len(), 1);
    });
}

/// One that lives gives it up by itself, when it may: it is given time for that.
#[test]
fn what_a_dead_partner_has_left_reserved_is_taken_in_the_end() {
    let mut a = mirrored();
    let node = NodeId::new(1).unwrap();
    let left = Key::of(&VOLUME, node, Incarnation::new(999).unwrap());
    a.kill(1);
    a.target.keys.push(left);
    a.target.holder = Some(left);
    a.pass(2 * LIFE);
    assert_eq!(a.target.holder, Some(left));
    a.pass(2 * LIFE);
    assert_eq!(a.target.holder, Some(a.key(0)));
    assert!(!a.target.keys.contains(&left));
}

#[test]
fn what_a_stranger_has_reserved_is_left_alone_and_said() {
    let mut a = Appliance::new(1, |config| config.reservations = true);
    let stranger = Key::from_raw(0xabcd).unwrap();
    a.pass(3_000 * MS);
    a.kill(0);
    a.kill(1);
    (a.target.keys, a.target.holder) = (vec![stranger], Some(stranger));
    a.start(0);
    a.pass(3_000 * MS);
    assert_eq!(a.role(0), Role::Opening);
    assert_eq!(a.status(0).reason, Some(Reason::Reserved));
    assert_eq!(
        a.node(0).volume.reservation_holder(),
        Some(Holder::Stranger(stranger))
    );
    assert_eq!(a.target.keys, [stranger]);
    assert_eq!(stranger.node(&VOLUME), None);
    // It has gone.
    (a.target.keys, a.target.holder) = (Vec::new(), None);
    a.until("owned", |a| a.role(0) == SOLO);
    a.until("held", |a| a.target.holder == Some(a.key(0)));
    assert_eq!(a.status(0).reason, None);
}

#[test]
fn a_stand_by_that_the_disk_refuses_says_that_it_could_not_take_over() {
    let mut a = mirrored();
    let key = a.key(1);
    assert_eq!(a.status(1).takeover, Ok(()));
    a.target.refuses = true;
    a.target.keys.retain(|other| *other != key);
    a.pass(3_000 * MS);
    assert_eq!(a.status(1).takeover, Err(Reason::NotRegistered));
    a.target.refuses = false;
    a.pass(3_000 * MS);
    assert_eq!(a.status(1).takeover, Ok(()));
}

/// A registration that was reported as failed lands late: after a preemption it would let in again what was sent before.
fn waits_after_a_registration_that_failed(mut a: Appliance) {
    a.target.refuses = true;
    a.target_forgets();
    a.target.log.clear();
    a.until("tried", |a| errands(a, 0).contains(&Errand::Register));
    let failed = a.now;
    a.target.refuses = false;
    a.until("registered", |a| a.target.keys.contains(&a.key(0)));
    // Alone it is not acknowledged before it is on the disk.
    a.write(0, 2, 20);
    a.until("written", |a| a.disk.contains_key(&2));
    let waited = a.now - failed;
    assert!(waited >= LIFE - 10 * MS, "{} ms", waited / MS);
}

#[test]
fn after_a_registration_that_failed_nothing_is_sent_for_as_long_as_it_may_land() {
    waits_after_a_registration_that_failed(mirrored());
    // One that is alone reads all blocks again and again, for its lease.
    let mut alone = mirrored();
    alone.kill(1);
    alone.until("solo", |a| a.role(0) == SOLO);
    waits_after_a_registration_that_failed(alone);
}

/// A registration that hangs: the data's way may be well, so service goes on when the commands of before are over.
#[test]
fn a_registration_that_hangs_holds_commands_for_t_io_at_most() {
    let mut a = mirrored();
    a.target_forgets();
    a.target.silent = true;
    a.pass(3_000 * MS);
    a.target_answers_one();
    a.pass(500 * MS);
    let asked = |a: &Appliance| {
        a.target
            .asked
            .iter()
            .any(|(n, _, errand)| (*n, *errand) == (0, Errand::Register))
    };
    a.until("asked", |a| {
        if !asked(a) && !a.target.asked.is_empty() {
            a.target_answers_one();
        }
        asked(a)
    });
    a.write(0, 2, 20);
    a.pass(LIFE / 2);
    assert_eq!(a.disk.get(&2), None);
    a.pass(LIFE);
    assert_eq!(a.disk.get(&2), Some(&20));
    a.target_answers();
    a.until("held", |a| a.target.holder == Some(a.key(0)));
    a.write(0, 3, 30);
    a.pass(1_000 * MS);
    assert_eq!(a.disk.get(&3), Some(&30));
}

/// A path that is gone, a host that was given another name: its old key stays, and says nothing of the commands that were cut
/// off under the new one.
#[test]
fn a_key_that_an_earlier_life_has_left_elsewhere_does_not_end_the_keeping() {
    let mut a = mirrored();
    let left = Key::of(
        &VOLUME,
        NodeId::new(0).unwrap(),
        Incarnation::new(999).unwrap(),
    );
    a.target.keys.push(left);
    kill_owner(&mut a);
    a.until("taken", |a| a.role(1) == DEGRADED);
    a.hold_destage = false;
    a.until("destaged", |a| a.role(1) == SOLO);
    a.pass(2_500 * MS);
    a.command(1, Command::Close);
    a.until("closed", |a| a.role(1) == Role::Closed);
    let now = a.now;
    assert!(
        !a.node(1).volume.may_leave_disk(now),
        "its victim's commands may be alive"
    );
}

/// A path failed while the preemption was on its way: the old owner holds still, so it can be asked for again.
#[test]
fn a_preemption_that_was_not_done_is_tried_again() {
    let mut a = mirrored();
    a.target.loses_cuts = 1;
    kill_owner(&mut a);
    a.until("taken", |a| a.role(1) == DEGRADED);
    a.hold_destage = false;
    a.pass(LIFE / 2);
    assert_eq!(a.disk.get(&1), Some(&10));
}

/// Closed and opened in the same life, with a command that failed and may land: rule 2.
#[test]
fn who_was_cut_off_and_is_opened_again_does_not_register_while_a_command_of_its_may_land() {
    let mut a = mirrored();
    let sent_at = a.now;
    let run = sent(&mut a);
    let now = a.now;
    a.node(0)
        .volume
        .destage_finish(run, DestageEnd::Failed, now);
    let owner = a.nodes[0].take();
    a.cut(0);
    a.until("taken", |a| a.role(1) == DEGRADED);
    a.hold_destage = false;
    a.until("destaged", |a| a.role(1) == SOLO);
    a.nodes[0] = owner;
    let key = a.key(0);
    assert!(!a.target.keys.contains(&key));
    let link = appliance::link(0);
    a.tell(0, Input::LinkDown { link });
    a.tell(0, Input::SessionGone);
    a.until("deposed", |a| a.role(0) == Role::Standby);
    a.command(0, Command::Close);
    a.until("closed", |a| a.role(0) == Role::Closed);
    let life = a.node(0).incarnation;
    a.open_in(0, life);
    assert!(a.now < sent_at + LIFE / 2, "{}", (a.now - sent_at) / MS);
    a.pass(LIFE / 4);
    assert!(!a.target.keys.contains(&key), "what failed is let in again");
}
