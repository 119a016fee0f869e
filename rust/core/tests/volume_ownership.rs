// SPDX-License-Identifier: GPL-2.0
//! Who may give a volume away, take it, or hold on to it, and when: what must not happen while commands of a dead
//! owner, a live owner, or a stale promise are in the way.

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
const SOLO: Role = Role::Owner(Mode::Solo);
/// T_io of the controllers here, and L.
const IO_LIFE: u64 = 500 * MS;
const LINK_LEASE: u64 = 50 * MS;

fn mirrored(links: usize) -> Appliance {
    Appliance::mirrored(links, |_| ())
}

/// A survivor that has just taken over: the dead owner's commands may be in the disk's queue for `IO_LIFE` yet.
fn just_taken() -> (Appliance, u64) {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    a.until("destaged", |a| a.status(0).dirty == 0);
    a.kill(0);
    a.until("taken", |a| matches!(a.role(1), Role::Owner(_)));
    let taken = a.now;
    (a, taken)
}

#[test]
fn nothing_is_given_back_while_the_dead_owners_commands_live() {
    let (mut a, taken) = just_taken();
    a.command(1, Command::GiveBack);
    a.until("released", |a| {
        a.blocks[1].record.state == RecordState::Released
    });
    assert!(a.now - taken >= IO_LIFE - 5 * MS);
}

#[test]
fn nothing_is_closed_while_the_dead_owners_commands_live() {
    let (mut a, taken) = just_taken();
    a.command(1, Command::Close);
    a.until("closed", |a| a.role(1) == Role::Closed);
    assert!(a.now - taken >= IO_LIFE - 5 * MS);
}

/// The holder was started anew: nobody has the shadow. The owner lives, and has lost its links.
fn holder_started_anew() -> Appliance {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.kill(1);
    a.start_quiet(1);
    a.until("stands by", |a| a.role(1) == Role::Standby);
    assert_eq!(a.role(0), Role::Owner(Mode::Holding));
    a
}

#[test]
fn force_is_refused_while_the_owner_answers() {
    let mut a = mirrored(1);
    // An owner that cannot destage cannot go solo in time: it would be taken from.
    a.hold_destage = true;
    a.write(0, 1, 10);
    let generation = a.status(0).generation;
    a.command(1, Command::ForceFromDisk);
    a.pass(3_000 * MS);
    assert_eq!((a.role(0), a.role(1)), (MIRRORED, Role::Standby));
    assert_eq!(a.status(0).generation, generation);
    assert_eq!(a.status(1).reason, Some(Reason::OwnerAlive));
}

#[test]
fn force_waits_for_the_link_lease_of_an_owner_that_may_hold() {
    // Its link lease is far longer than its disk lease: what is watched on the disk says nothing of it.
    let mut a = Appliance::new(1, |config| config.link_lease_ns = 3_000 * MS);
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    a.mend(0);
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.hold_destage = true;
    a.write(0, 1, 10);
    let good = a.now;
    a.kill(1);
    a.start_quiet(1);
    // The owner stands still, with a lease that its last fence gave.
    let owner = a.nodes[0].take();
    a.until("stands by", |a| a.role(1) == Role::Standby);
    a.command(1, Command::ForceFromDisk);
    a.until("forced", |a| {
        a.blocks[1].record.generation > a.blocks[0].record.generation
    });
    assert!(a.now - good >= 3_000 * MS, "{} ms", (a.now - good) / MS);
    a.nodes[0] = owner;
}

#[test]
fn a_forced_owner_waits_for_commands_of_one_that_held() {
    let mut a = holder_started_anew();
    let owner = a.nodes[0].take();
    a.command(1, Command::ForceFromDisk);
    a.until("forced", |a| matches!(a.role(1), Role::Owner(_)));
    let landed = a.now;
    let mut plan = a.begin(1, 2, 20);
    while plan == Err(None) {
        a.pass(MS);
        plan = a.begin(1, 2, 20);
    }
    // One that holds issues commands for up to L after the claim.
    assert!(a.now - landed >= IO_LIFE + LINK_LEASE - 5 * MS);
    drop(owner);
}

#[test]
fn an_epoch_that_another_link_has_is_refused() {
    let mut a = mirrored(2);
    a.cut(1);
    a.until("one region", |a| a.status(0).regions == 1);
    let RecordState::Shadow(shadow) = a.status(0).record.state else {
        panic!("no shadow")
    };
    a.forge_epoch = shadow.epochs().next();
    a.mend(1);
    a.pass(500 * MS);
    assert_eq!(a.role(0), MIRRORED);
    assert_eq!(a.status(0).regions, 1, "the forged grant is not used");
    assert_eq!(a.status(0).reason, Some(Reason::EpochTwice));
    a.write(0, 4, 40);
}

/// Two controllers with different settings: of node 0, and of node 1.
fn unequal(tune: fn(&mut Config)) -> Appliance {
    let mut a = Appliance::new(1, tune);
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    a.mend(0);
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a
}

#[test]
fn the_longer_link_lease_counts_for_both_and_is_promised() {
    for long in [0, 1] {
        let mut a = if long == 0 {
            unequal(|c| c.link_lease_ns = if c.node.get() == 0 { 400 * MS } else { 20 * MS })
        } else {
            unequal(|c| c.link_lease_ns = if c.node.get() == 1 { 400 * MS } else { 20 * MS })
        };
        assert_eq!(a.status(0).record.terms.link_lease_ns(), 400 * MS);
        a.hold_destage = true;
        a.write(0, 1, 10);
        let good = a.now;
        a.kill(0);
        a.until("taken", |a| matches!(a.role(1), Role::Owner(_)));
        assert!(
            a.now - good >= 400 * MS,
            "node {long} has the longer one: {} ms",
            (a.now - good) / MS
        );
        assert_eq!(a.read(1, 1), 10);
    }
}

#[test]
fn a_taker_waits_by_the_record_and_not_by_its_own_setting() {
    // They never met under these settings: the owner's record is all that its successor has.
    let mut a = Appliance::new(1, |c| {
        c.link_lease_ns = if c.node.get() == 0 {
            3_000 * MS
        } else {
            20 * MS
        };
        c.io_life_ns = if c.node.get() == 0 { 900 * MS } else { 10 * MS };
    });
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    a.write(0, 1, 10);
    a.kill(0);
    a.until("taken", |a| matches!(a.role(1), Role::Owner(_)));
    let taken = a.now;
    assert_eq!(a.read(1, 1), 10);
    assert!(
        a.now - taken >= 890 * MS,
        "it served after {} ms",
        (a.now - taken) / MS
    );
}

#[test]
fn a_partner_that_comes_with_a_longer_lease_changes_the_record_first() {
    let mut a = unequal(|c| c.link_lease_ns = 50 * MS);
    assert_eq!(a.status(0).record.terms.link_lease_ns(), 50 * MS);
    let incarnation = a.nodes[1].as_ref().unwrap().incarnation;
    let terms = yoke_core::terms::Terms::new(300 * MS, 500 * MS);
    // The same life of the partner has opened the volume anew, with another setting.
    a.tell(0, Input::SessionUp { incarnation, terms });
    a.settle();
    a.until("promised", |a| a.blocks[0].record.terms == terms);
    assert_eq!(a.role(0), MIRRORED);
    a.write(0, 2, 20);
}

#[test]
fn no_state_rests_on_one_message() {
    for lost in 1..8 {
        let mut a = Appliance::new(2, |_| ());
        a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
        a.lose_messages = lost;
        a.mend(0);
        a.mend(1);
        a.until("mirrored", |a| {
            a.role(0) == MIRRORED && a.status(0).regions == 2
        });
        a.write(0, 1, 10);
        a.lose_messages = lost;
        a.command(1, Command::TakeOver);
        a.until("moved", |a| a.role(1) == MIRRORED);
        a.lose_messages = lost;
        a.command(1, Command::GiveBack);
        a.until("moved back", |a| a.role(0) == MIRRORED);
        a.hold_destage = true;
        a.write(0, 2, 20);
        a.hold_destage = false;
        a.lose_messages = lost;
        a.command(1, Command::Close);
        a.until("closed", |a| a.role(1) == Role::Closed);
        assert_eq!(a.read(0, 2), 20);
    }
}

#[test]
fn a_rescue_does_not_rest_on_one_message() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.lose_messages = 3;
    a.other_writer = Some(0);
    a.cut(0);
    a.mend(0);
    a.until("rescued", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!(a.role(0), Role::Stopped);
    assert_eq!(a.read(1, 1), 10);
}

#[test]
fn a_rescue_is_over_with_the_session_in_which_it_was_asked_for() {
    let mut a = mirrored(1);
    a.unreadable = true;
    let word = Message::Standing {
        standing: Standing::Stopped,
        generation: Generation::NONE,
    };
    a.tell(1, Input::Message(word));
    a.settle();
    // The volume is opened anew there, and what it owns it owns well.
    a.cut(0);
    a.mend(0);
    a.unreadable = false;
    for _ in 0..200 {
        a.pass(5 * MS);
        assert_eq!(a.role(1), Role::Standby);
    }
    a.until("mirrored", |a| a.role(0) == MIRRORED);
}

#[test]
fn a_takeover_is_possible_when_the_partner_says_so() {
    let mut a = mirrored(1);
    assert_eq!(a.status(0).takeover, Ok(()));
    a.other_writer = Some(1);
    a.until("stopped", |a| a.role(1) == Role::Stopped);
    a.pass(200 * MS);
    assert_eq!(a.role(0), MIRRORED);
    assert_eq!(a.status(0).takeover, Err(Reason::PartnerStopped));
}

#[test]
fn a_takeover_is_not_possible_while_the_partner_opens() {
    let mut a = mirrored(1);
    a.kill(1);
    a.until("solo", |a| a.role(0) == SOLO);
    // It is there, and waits for commands of its earlier life.
    a.start(1);
    a.mend(0);
    a.pass(50 * MS);
    assert_eq!((a.role(0), a.role(1)), (SOLO, Role::Opening));
    assert_eq!(a.status(0).takeover, Err(Reason::PartnerOpening));
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.until("ready", |a| a.status(0).takeover == Ok(()));
}

#[test]
fn a_twin_that_closes_and_opens_on_one_life_of_a_link_is_mirrored_to_again() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    let link = appliance::link(0);
    // The twin is closed: the machine hears that there is no session. The link itself lives on.
    a.tell(0, Input::LinkDown { link });
    a.tell(0, Input::SessionGone);
    a.settle();
    a.until("solo", |a| a.role(0) == SOLO);
    // It is opened again, in the same life of its controller.
    let life = a.nodes[1].as_ref().unwrap().incarnation;
    a.open_in(1, life);
    let (number, downs) = (a.wires[0].life, a.wires[0].downs);
    for n in 0..2 {
        let peer = a.nodes[1 - n].as_ref().unwrap();
        let (incarnation, terms) = (peer.incarnation, peer.volume.config().terms());
        a.tell(n, Input::SessionUp { incarnation, terms });
        let life = yoke_core::ids::LinkEpoch::new(number).unwrap();
        a.tell(n, Input::LinkUp { link, life, downs });
    }
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.write(0, 2, 20);
    a.kill(0);
    a.until("taken", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!((a.read(1, 1), a.read(1, 2)), (10, 20));
}

#[test]
fn flushes_without_end_do_not_keep_a_volume() {
    let mut a = mirrored(1);
    a.cut(0);
    a.until("solo", |a| a.role(0) == SOLO);
    a.mend(0);
    a.hold_disk = true;
    a.tell(0, Input::Command(Command::GiveBack));
    for _ in 0..300 {
        // The next one is begun before this one is answered.
        let held: Vec<_> = a.held.drain(..).collect();
        a.hold_disk = false;
        for (n, action) in held {
            a.act(n, action);
        }
        a.hold_disk = true;
        let now = a.now;
        let _ = a.node(0).volume.flush(now);
        a.pass(2 * MS);
    }
    assert_ne!(a.role(0), SOLO);
    a.hold_disk = false;
    a.until("it is at the partner", |a| {
        matches!(a.role(1), Role::Owner(_))
    });
    let answers = &a.node(0).answers;
    assert!(answers.values().all(|answer| answer.is_ok()));
}

#[test]
fn a_giveback_on_a_disk_that_fails_takes_nothing_away() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    (a.hold_destage, a.fail_writes) = (false, true);
    a.command(1, Command::TakeOver);
    a.pass(5_000 * MS);
    assert_eq!(a.role(0), MIRRORED, "two memories have it");
    assert_eq!((a.read(0, 1), a.status(0).reason), (10, Some(Reason::Disk)));
    a.command(0, Command::AbortGiveBack);
    a.write(0, 2, 11);
    a.fail_writes = false;
    a.command(0, Command::GiveBack);
    a.until("it is at the partner", |a| {
        matches!(a.role(1), Role::Owner(_))
    });
    assert_eq!((a.disk.get(&1), a.disk.get(&2)), (Some(&10), Some(&11)));
}

/// Somebody may be taking over by the record before it, and wait for the shorter lease that stood there.
#[test]
fn a_longer_lease_counts_from_the_confirmation_of_its_record() {
    let mut a = unequal(|c| c.link_lease_ns = 50 * MS);
    let incarnation = a.nodes[1].as_ref().unwrap().incarnation;
    let terms = yoke_core::terms::Terms::new(300 * MS, 500 * MS);
    a.pass(100 * MS);
    a.tell(0, Input::SessionUp { incarnation, terms });
    while a.blocks[0].record.terms != terms {
        assert!(a.step(0));
    }
    let reads = |a: &mut Appliance, later: u64| {
        let now = a.now + later;
        let begun = a.node(0).volume.read_begin(appliance::one(1), now);
        matches!(begun, ReadBegin::Plan(_))
    };
    assert!(reads(&mut a, MS) && !reads(&mut a, 51 * MS));
    a.settle();
    assert!(reads(&mut a, 51 * MS));
}

#[test]
fn a_grant_that_was_lost_before_a_takeover_that_came_to_nothing_is_granted_anew() {
    let mut a = Appliance::new(1, |_| ());
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    // The grant is lost: the last message of the partner before it takes the owner for dead.
    a.mend_quiet(0);
    for _ in 0..10_000 {
        if a.node(1).windows[0].word != 0 {
            break;
        }
        if !(a.step(0) | a.step(1)) {
            a.now += MS;
        }
    }
    assert!(a.node(1).windows[0].word != 0);
    a.lose_messages = 1;
    a.step(1);
    // A takeover changes the word, and is given up when the owner is seen to live.
    let peer = a.nodes[0].as_ref().unwrap();
    let (life, terms) = (peer.incarnation, peer.volume.config().terms());
    let incarnation = yoke_core::ids::Incarnation::new(999).unwrap();
    a.tell(1, Input::SessionUp { incarnation, terms });
    for _ in 0..200 {
        if a.node(1).windows[0].word == 0 {
            break;
        }
        if !a.step(1) {
            a.now += MS;
        }
    }
    assert_eq!(a.node(1).windows[0].word, 0);
    a.lose_messages = 0;
    let incarnation = life;
    a.tell(1, Input::SessionUp { incarnation, terms });
    a.until("mirrored", |a| a.role(0) == MIRRORED);
}

/// What is given up is done, and counts for nothing; but a write of it that failed may still land.
#[test]
fn nothing_is_given_back_while_a_write_of_what_was_given_up_may_land() {
    let mut a = Appliance::new(1, |config| config.reservations = true);
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    a.mend(0);
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.kill(0);
    a.until("taken", |a| a.role(1) == Role::Owner(Mode::Degraded));
    (a.hold_destage, a.fail_writes) = (false, true);
    a.settle();
    let issued = a.now;
    (a.hold_destage, a.fail_writes) = (true, false);
    let link = appliance::link(0);
    a.tell(1, Input::Room { link, place: None });
    a.settle();
    assert_eq!(a.status(1).condemned, 1);
    a.command(1, Command::GiveUpCondemned);
    a.command(1, Command::GiveBack);
    a.until("released", |a| {
        a.blocks[1].record.state == RecordState::Released
    });
    assert!(a.now - issued >= IO_LIFE, "{} ms", (a.now - issued) / MS);
}

#[test]
fn a_volume_that_was_closed_is_not_taken_by_who_saw_it_owned_just_before() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    // The partner's last look at the disk is from before the end.
    a.pass(200 * MS);
    let seen = a.blocks.clone();
    // Nor does it hear that its region is not needed any more.
    a.lose_messages = 1_000;
    a.command(0, Command::Close);
    a.until("closed", |a| a.role(0) == Role::Closed);
    let closed = std::mem::replace(&mut a.blocks, seen);
    a.pass(100 * MS);
    a.blocks = closed;
    a.cut(0);
    for _ in 0..200 {
        a.pass(5 * MS);
        assert!(
            !matches!(a.role(1), Role::Owner(_)),
            "nobody has given it away"
        );
    }
}

#[test]
fn a_takeover_begins_with_the_end_of_the_session() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    a.pass(200 * MS);
    a.slow = [0, 60 * MS];
    a.kill(0);
    // Its words are changed at once. One look with the link lease over, a claim and a look, a record and a look.
    assert_eq!(a.role(1), Role::Taking);
    a.pass(51 * MS + 5 * 60 * MS);
    assert!(matches!(a.role(1), Role::Owner(_)));
}

#[test]
fn a_session_that_ends_during_a_look_at_the_disk_waits_for_that() {
    for offset in 0..12 {
        let mut a = mirrored(1);
        a.write(0, 1, 10);
        a.pass(200 * MS);
        a.slow = [0, 60 * MS];
        a.pass(offset * 15 * MS);
        a.kill(0);
        a.until("taken over", |a| matches!(a.role(1), Role::Owner(_)));
        assert_eq!(a.read(1, 1), 10);
    }
}
