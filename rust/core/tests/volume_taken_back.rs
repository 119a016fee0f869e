// SPDX-License-Identifier: GPL-2.0
//! Givebacks and closes that are taken back.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use appliance::{Appliance, MS};
use yoke_core::volume::*;

const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const SOLO: Role = Role::Owner(Mode::Solo);

fn mirrored() -> Appliance {
    Appliance::mirrored(1, |_| ())
}

#[test]
fn a_holder_that_is_not_to_close_after_all_grants_again() {
    let mut a = mirrored();
    a.hold_destage = true;
    a.write(0, 1, 10);
    // The owner cannot let go of the shadow, so the close waits.
    a.command(1, Command::Close);
    a.pass(300 * MS);
    assert_eq!(a.role(1), Role::Standby);
    a.command(1, Command::AbortGiveBack);
    a.hold_destage = false;
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.write(0, 2, 20);
    a.kill(0);
    a.until("taken over", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!((a.read(1, 1), a.read(1, 2)), (10, 20));
}

#[test]
fn an_abort_that_comes_too_late_takes_nothing_from_the_partner() {
    let mut a = mirrored();
    a.write(0, 1, 10);
    a.command(0, Command::GiveBack);
    a.until("moved", |a| matches!(a.role(1), Role::Owner(_)));
    // Node 0 has not looked at the disk since.
    assert_eq!(a.node(0).volume.may_abort(), Ok(()));
    a.command(0, Command::AbortGiveBack);
    let generation = a.status(1).generation;
    a.until("mirrored", |a| a.role(1) == MIRRORED);
    a.pass(5_000 * MS);
    assert_eq!((a.role(0), a.role(1)), (Role::Standby, MIRRORED));
    assert_eq!(a.status(1).generation, generation);
}

/// The release is on its way to the disk: from its landing on the partner may claim.
#[test]
fn a_release_is_taken_back_when_it_has_landed() {
    let mut a = Appliance::new(1, |config| config.auto_takeover = false);
    a.until("solo", |a| a.role(0) == SOLO);
    a.write(0, 1, 10);
    assert_eq!(a.node(0).volume.may_abort(), Err(Reason::NotLeaving));
    a.tell(0, Input::Command(Command::GiveBack));
    assert_eq!(a.node(0).volume.may_abort(), Ok(()));
    let release = a.release_of(0, |_| ());
    assert_eq!(a.node(0).volume.may_abort(), Err(Reason::Recording));
    a.tell(0, Input::Command(Command::AbortGiveBack));
    a.act(0, release);
    a.until("released", |a| a.role(0) == Role::Standby);
    assert_eq!(a.node(0).volume.may_abort(), Ok(()));
    a.command(0, Command::AbortGiveBack);
    a.until("back", |a| a.role(0) == SOLO);
    assert_eq!(a.node(0).volume.may_abort(), Err(Reason::NotLeaving));
    assert_eq!(a.read(0, 1), 10);
}

#[test]
fn a_controller_that_only_stands_by_has_nothing_to_take_back() {
    let mut a = mirrored();
    assert_eq!(a.node(1).volume.may_abort(), Err(Reason::NotLeaving));
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.command(1, Command::Close);
    a.pass(300 * MS);
    assert_eq!(a.node(1).volume.may_abort(), Ok(()));
    a.command(1, Command::AbortGiveBack);
    assert_eq!(a.node(1).volume.may_abort(), Err(Reason::NotLeaving));
}

/// Nobody here has asked for it, so nobody here would take it back.
#[test]
fn a_giveback_that_the_partner_asked_for_ends_when_it_asks_no_more() {
    let mut a = mirrored();
    a.hold_destage = true;
    a.write(0, 1, 10);
    (a.hold_destage, a.fail_writes) = (false, true);
    a.command(1, Command::TakeOver);
    a.pass(1_000 * MS);
    assert_eq!(a.node(0).volume.may_abort(), Ok(()));
    a.pass(4_000 * MS);
    assert_eq!(a.node(0).volume.may_abort(), Err(Reason::NotLeaving));
    a.write(0, 2, 20);
    assert_eq!(a.role(0), MIRRORED);
    // One that was asked for here, too, is waited for.
    a.command(0, Command::GiveBack);
    a.command(1, Command::TakeOver);
    a.pass(10_000 * MS);
    assert_eq!(a.node(0).volume.may_abort(), Ok(()));
    a.fail_writes = false;
    a.until("moved", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!((a.read(1, 1), a.read(1, 2)), (10, 20));
}

/// The partner's record lands between two of our looks, and its disk is slow.
#[test]
fn what_the_partner_has_claimed_is_not_taken_back_from_it() {
    let mut a = mirrored();
    a.write(0, 1, 10);
    a.tell(0, Input::Command(Command::GiveBack));
    let release = a.release_of(0, |_| ());
    a.act(0, release);
    while a.role(0) != Role::Standby {
        a.step(0);
    }
    a.tell(0, Input::Command(Command::AbortGiveBack));
    let look = look_of_a_taker(&mut a);
    for _ in 0..10_000 {
        if a.role(1) == SOLO {
            break;
        }
        if !a.step(1) {
            a.now += MS;
        }
    }
    for _ in 0..50 {
        a.step(1);
    }
    a.slow[1] = 3_000 * MS;
    a.act(0, look);
    for _ in 0..1_000 {
        a.pass(10 * MS);
        assert!(!matches!(a.role(0), Role::Owner(_)));
    }
}

/// The read with which node 0, which takes over, observes.
fn look_of_a_taker(a: &mut Appliance) -> Action {
    for _ in 0..10_000 {
        let now = a.now;
        let taking = a.role(0) == Role::Taking;
        match a.node(0).volume.poll_action(now) {
            Some(look @ Action::ReadNodeBlocks { .. }) if taking => return look,
            Some(action) => a.act(0, action),
            None => a.now += MS,
        }
    }
    panic!("it does not look");
}

/// It learns that it was too late only when the partner owns the volume.
#[test]
fn who_takes_a_release_back_too_late_takes_nothing() {
    let mut a = mirrored();
    a.write(0, 1, 10);
    a.tell(0, Input::Command(Command::GiveBack));
    let release = a.release_of(0, |_| ());
    a.slow[0] = 300 * MS;
    let Action::WriteNodeBlock { token, block } = release else {
        panic!("not a block");
    };
    a.blocks[0] = block;
    a.tell(0, Input::NodeBlockWritten { token, ok: true });
    a.until("moved", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!(a.node(0).volume.may_abort(), Ok(()));
    a.slow[1] = 3_000 * MS;
    a.tell(0, Input::Command(Command::AbortGiveBack));
    for _ in 0..160 {
        a.pass(50 * MS);
        assert!(!matches!(a.role(0), Role::Owner(_)));
    }
}

/// The partner says so again and again until its wish is over.
#[test]
fn what_a_person_has_refused_does_not_begin_anew() {
    let mut a = mirrored();
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.command(1, Command::TakeOver);
    a.pass(300 * MS);
    a.command(0, Command::AbortGiveBack);
    a.hold_destage = false;
    for _ in 0..100 {
        a.pass(50 * MS);
        assert_eq!(a.node(0).volume.may_abort(), Err(Reason::NotLeaving));
        assert!(matches!(a.role(0), Role::Owner(_)));
    }
    // Another time it is asked again.
    a.pass(60_000 * MS);
    a.command(1, Command::TakeOver);
    a.until("moved", |a| a.role(1) == MIRRORED);
}

/// A person wants it closed, whatever the partner wants.
#[test]
fn a_close_does_not_end_when_the_partner_asks_no_more() {
    let mut a = mirrored();
    a.hold_destage = true;
    a.write(0, 1, 10);
    (a.hold_destage, a.fail_writes) = (false, true);
    a.command(1, Command::TakeOver);
    a.pass(500 * MS);
    a.command(0, Command::Close);
    a.pass(10_000 * MS);
    assert_eq!(a.node(0).volume.may_abort(), Ok(()));
    a.fail_writes = false;
    a.until("closed", |a| a.role(0) == Role::Closed);
}
