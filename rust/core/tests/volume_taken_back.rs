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
