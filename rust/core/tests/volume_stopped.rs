// SPDX-License-Identifier: GPL-2.0
//! A controller that has stopped: what it keeps, and how it is closed all the same.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;
#[path = "support/joining.rs"]
#[allow(dead_code, unreachable_pub)]
mod joining;

use appliance::{link, Appliance, MS};
use joining::{joining_until, names_a_holder};
use yoke_core::disk::node_block::RecordState;
use yoke_core::volume::*;

const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const SOLO: Role = Role::Owner(Mode::Solo);

fn mirrored(links: usize) -> Appliance {
    Appliance::mirrored(links, |_| ())
}

/// Somebody else writes its own block, so that it stops.
fn stop(a: &mut Appliance, node: usize) {
    a.blocks[node].sequence += 1;
    a.until("stopped", |a| a.role(node) == Role::Stopped);
}

fn names_node_1(a: &Appliance) -> bool {
    matches!(a.blocks[0].record.state, RecordState::Shadow(shadow) if shadow.holder.get() == 1)
}

#[test]
fn a_stopped_holder_keeps_what_its_dead_owner_acknowledged() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    stop(&mut a, 1);
    // The owner lives, and its record names the holder.
    assert_eq!(a.status(1).keep, Some(Keep::Named));
    a.kill(0);
    a.command(1, Command::Close);
    assert_eq!(a.role(1), Role::Stopped);
    assert_eq!(a.status(1).keep, Some(Keep::OnlyCopy));
}

#[test]
fn a_stopped_holder_closes_when_its_owner_has_recorded_that_it_goes() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    stop(&mut a, 1);
    a.command(1, Command::Close);
    a.pass(300 * MS);
    assert_eq!(a.role(1), Role::Stopped, "the record names it still");
    assert_eq!(a.node(1).volume.may_abort(), Ok(()));
    a.hold_destage = false;
    a.until("closed", |a| a.role(1) == Role::Closed);
    assert_eq!(a.role(0), SOLO);
}

/// It looked at the disk last before the record that names it landed.
#[test]
fn a_stopped_holder_looks_at_the_disk_before_it_is_closed() {
    let (mut a, late) = joining_until(|_| (), 0, names_a_holder);
    a.blocks[1].sequence += 1;
    for _ in 0..1_000 {
        if a.role(1) == Role::Stopped {
            break;
        }
        if !a.step(1) {
            a.now += MS;
        }
    }
    a.act(0, late);
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.hold_destage = true;
    a.write(0, 2, 20);
    assert!(names_node_1(&a) && !a.disk.contains_key(&2));
    a.tell(1, Input::Command(Command::Close));
    a.pass(100 * MS);
    assert_eq!(
        (a.role(1), a.status(1).keep),
        (Role::Stopped, Some(Keep::Named))
    );
    a.hold_destage = false;
    a.until("closed", |a| a.role(1) == Role::Closed);
    assert!(!names_node_1(&a));
}

/// The session is away when the owner retires its region.
#[test]
fn a_stopped_holder_is_closed_though_nobody_tells_it_that_it_is_not_needed() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    stop(&mut a, 1);
    a.command(1, Command::Close);
    a.cut(0);
    a.hold_destage = false;
    a.until("solo", |a| a.role(0) == SOLO);
    a.pass(1_000 * MS);
    a.mend(0);
    a.until("closed", |a| a.role(1) == Role::Closed);
}

#[test]
fn a_stopped_holder_asks_again_to_be_let_go() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    a.pass(500 * MS);
    stop(&mut a, 1);
    a.settle();
    a.tell(1, Input::Command(Command::Close));
    // The first message from here on is that it leaves.
    a.lose_messages = 1;
    a.until("closed", |a| a.role(1) == Role::Closed);
}

#[test]
fn a_stopped_holder_is_closed_when_its_owner_is_gone_in_good_order() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    a.pass(500 * MS);
    stop(&mut a, 1);
    a.command(0, Command::Close);
    a.until("closed", |a| a.role(0) == Role::Closed);
    a.kill(0);
    a.command(1, Command::Close);
    a.until("closed", |a| a.role(1) == Role::Closed);
}

#[test]
fn why_it_has_stopped_stays_said() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    stop(&mut a, 1);
    a.command(1, Command::Close);
    a.pass(500 * MS);
    a.unreadable = true;
    a.pass(500 * MS);
    assert_eq!(a.status(1).reason, Some(Reason::Identity));
}

/// The owner has retired the region in it.
#[test]
fn a_stopped_holder_lets_go_of_the_window_of_a_link() {
    let mut a = mirrored(2);
    a.write(0, 1, 10);
    stop(&mut a, 1);
    a.cut(0);
    a.tell(1, Input::LinkGoing { link: link(0) });
    a.until("the window may go", |a| {
        let node = a.nodes[1].as_ref().expect("it is there");
        !node.volume.needs_window(link(0))
    });
}

/// Its own look at the disk is of before the record that names it.
#[test]
fn a_holder_that_cannot_look_at_the_disk_is_not_closed_as_it_is() {
    let (mut a, late) = joining_until(|_| (), 0, names_a_holder);
    a.slow[1] = 1_000_000_000 * MS;
    a.act(0, late);
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.hold_destage = true;
    a.write(0, 2, 20);
    a.command(1, Command::Close);
    a.pass(20_000 * MS);
    assert!(names_node_1(&a) && !a.disk.contains_key(&2));
    assert_eq!(a.status(1).keep, Some(Keep::Named));
}

/// Its partner has lost what it had, and is there again.
#[test]
fn a_stopped_owner_keeps_what_its_partner_has_lost() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.kill(1);
    a.start(1);
    a.mend(0);
    a.pass(100 * MS);
    assert!(!a.disk.contains_key(&1));
    stop(&mut a, 0);
    assert_eq!(a.status(0).keep, Some(Keep::OnlyCopy));
    a.command(0, Command::Close);
    assert_eq!(a.role(0), Role::Stopped);
}
