// SPDX-License-Identifier: GPL-2.0
//! An owner whose disk does nothing lets its partner take over from the shadow, if that one's disk is well (PROTOCOL P12).

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use appliance::{Appliance, MS};
use yoke_core::ids::Generation;
use yoke_core::mirror::message::Message;
use yoke_core::mirror::standing::Standing;
use yoke_core::volume::*;

const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const HOLDING: Role = Role::Owner(Mode::Holding);
const DEGRADED: Role = Role::Owner(Mode::Degraded);
const SOLO: Role = Role::Owner(Mode::Solo);
const HANDOVER: u64 = 1_000 * MS;

fn mirrored() -> Appliance {
    Appliance::mirrored(1, |config| config.handover_ns = HANDOVER)
}

/// Node 0 has acknowledged block 1, which is not on the disk, when its paths to that fail.
fn pathless(mut a: Appliance) -> Appliance {
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.pathless = Some(0);
    a.hold_destage = false;
    a
}

/// Runs for so long, and says which role was seen last before the volume changed hands, if it did.
fn watch(a: &mut Appliance, time: u64) -> Option<Role> {
    let (end, mut last) = (a.now + time, a.role(0));
    while a.now < end {
        a.pass(5 * MS);
        if matches!(a.role(1), Role::Owner(_)) {
            return Some(last);
        }
        last = a.role(0);
    }
    None
}

/// Runs for so long, and nothing happens to the volume meanwhile.
fn stays(a: &mut Appliance, time: u64) {
    let end = a.now + time;
    while a.now < end {
        a.pass(5 * MS);
        assert_eq!((a.role(0), a.role(1)), (MIRRORED, Role::Standby));
    }
}

fn standing(standing: Standing, generation: Generation) -> Input<'static> {
    Input::Message(Message::Standing {
        standing,
        generation,
    })
}

#[test]
fn an_owner_that_loses_its_paths_hands_over_and_nothing_is_lost() {
    let mut a = pathless(mirrored());
    assert_eq!(watch(&mut a, HANDOVER - 50 * MS), None);
    assert_eq!(a.role(0), MIRRORED);
    assert_eq!(watch(&mut a, 500 * MS), Some(HOLDING));
    assert_eq!(a.read(1, 1), 10);
    // It cannot read the disk: its partner has told it.
    a.until("deposed", |a| a.role(0) == Role::Standby);
    assert_eq!(a.status(0).takeover, Err(Reason::DiskIll));
    a.until("mirrored", |a| a.role(1) == MIRRORED);
    assert_eq!(a.status(1).takeover, Err(Reason::PartnerBlocked));
    a.pathless = None;
    a.until("whole", |a| a.status(1).takeover == Ok(()));
    assert_eq!(a.read(1, 1), 10);
}

#[test]
fn a_disk_that_does_not_even_answer_is_given_up_as_well() {
    let mut a = pathless(mirrored());
    (a.pathless, a.silent) = (None, Some(0));
    assert_eq!(watch(&mut a, HANDOVER - 50 * MS), None);
    assert_eq!(watch(&mut a, 500 * MS), Some(HOLDING));
    assert_eq!(a.read(1, 1), 10);
    a.until("deposed", |a| a.role(0) == Role::Standby);
}

#[test]
fn a_disk_that_neither_reaches_is_handed_to_nobody() {
    let mut a = mirrored();
    a.hold_destage = true;
    a.write(0, 1, 10);
    (a.fail_writes, a.fail_blocks, a.unreadable) = (true, true, true);
    a.hold_destage = false;
    for block in 2..6 {
        assert_eq!(watch(&mut a, HANDOVER), None);
        assert_eq!(a.role(0), MIRRORED);
        a.write(0, block, 20);
    }
    assert_eq!(a.status(1).takeover, Err(Reason::DiskIll));
    (a.fail_writes, a.fail_blocks, a.unreadable) = (false, false, false);
    // The partner finds out first: the owner rests between two attempts.
    stays(&mut a, 5 * HANDOVER);
    assert_eq!(a.status(0).takeover, Ok(()));
}

#[test]
fn a_disk_that_is_late_with_some_is_not_given_up() {
    let mut a = pathless(mirrored());
    for block in 0..30 {
        // Every other one is good.
        a.pathless = (block % 2 == 0).then_some(0);
        a.write(0, 2 + block, 20 + block);
        assert_eq!(watch(&mut a, HANDOVER / 4), None);
    }
    assert_eq!(a.role(0), MIRRORED);
}

#[test]
fn an_owner_that_stood_still_does_not_blame_its_disk() {
    let mut a = pathless(mirrored());
    (a.pathless, a.silent) = (None, Some(0));
    a.pass(HANDOVER / 2);
    // Both stand still, for long, and find that no time has passed on their links.
    a.now += 2 * HANDOVER;
    assert_eq!(watch(&mut a, HANDOVER / 2), None);
    assert_eq!(a.role(0), MIRRORED);
    assert_eq!(watch(&mut a, HANDOVER), Some(HOLDING));
}

#[test]
fn who_never_hands_over_keeps_the_volume() {
    let mut a = pathless(Appliance::mirrored(1, |_| ()));
    assert_eq!(watch(&mut a, 5 * HANDOVER), None);
    assert_eq!(a.role(0), MIRRORED);
}

#[test]
fn an_owner_that_nobody_takes_over_from_goes_on_when_its_disk_is_well() {
    let mut a = pathless(mirrored());
    a.until("holding", |a| a.role(0) == HOLDING);
    a.kill(1);
    a.pass(2 * HANDOVER);
    assert_eq!(a.role(0), HOLDING);
    a.pathless = None;
    a.until("solo", |a| {
        a.role(0) == SOLO && a.status(0).serving == Ok(())
    });
    assert_eq!(a.read(0, 1), 10);
}

#[test]
fn an_owner_that_is_alone_hands_over_as_well() {
    let mut a = mirrored();
    a.cut(0);
    a.until("solo", |a| a.role(0) == SOLO);
    a.write(0, 1, 10);
    a.pathless = Some(0);
    a.mend(0);
    assert!(watch(&mut a, 5 * HANDOVER).is_some());
    a.until("serves", |a| a.status(1).serving == Ok(()));
    assert_eq!(a.read(1, 1), 10);
}

#[test]
fn an_offer_that_was_taken_back_is_not_taken() {
    let mut a = mirrored();
    for now in [Standing::Serving, Standing::Ready, Standing::Closing] {
        a.unreadable = true;
        a.tell(1, standing(Standing::Offering, Generation::NONE));
        a.settle();
        a.tell(1, standing(now, Generation::NONE));
        a.unreadable = false;
        // Not even until it says the next time how it stands.
        let poll_ns = a.node(1).volume.config().poll_ns;
        a.lose_messages = 1_000;
        stays(&mut a, poll_ns);
        a.lose_messages = 0;
        stays(&mut a, poll_ns);
    }
}

#[test]
fn an_owner_that_offers_the_volume_believes_who_says_that_it_has_it() {
    let mut a = pathless(mirrored());
    a.until("holding", |a| a.role(0) == HOLDING);
    a.kill(1);
    let mine = a.node(0).volume.own_generation();
    for generation in [Generation::NONE, mine] {
        a.tell(0, standing(Standing::Serving, generation));
        assert_eq!(a.role(0), HOLDING);
    }
    a.tell(0, standing(Standing::Serving, mine.next().unwrap()));
    assert_eq!(a.role(0), Role::Standby);
}

#[test]
fn an_owner_that_offers_nothing_goes_by_the_disk() {
    let mut a = mirrored();
    let higher = a.node(0).volume.own_generation().next().unwrap();
    a.tell(0, standing(Standing::Serving, higher));
    a.settle();
    assert_eq!(a.role(0), MIRRORED);
    // It holds, and its disk is not given up yet.
    a.pathless = Some(0);
    a.kill(1);
    a.tell(0, standing(Standing::Serving, higher));
    a.settle();
    assert_eq!(a.role(0), HOLDING);
}

#[test]
fn a_survivor_keeps_the_only_copy_whatever_it_is_told() {
    let mut a = Appliance::mirrored(1, |config| config.handover_ns = HANDOVER);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.kill(0);
    a.until("degraded", |a| a.role(1) == DEGRADED);
    a.pathless = Some(1);
    a.hold_destage = false;
    a.pass(3 * HANDOVER);
    let higher = a.node(1).volume.own_generation().next().unwrap();
    a.tell(1, standing(Standing::Serving, higher));
    a.settle();
    assert_eq!(a.role(1), DEGRADED);
    a.pathless = None;
    a.until("solo", |a| a.role(1) == SOLO);
    assert_eq!(a.read(1, 1), 10);
}

#[test]
fn an_owner_with_a_claim_of_its_own_goes_by_the_disk() {
    let mut a = mirrored();
    a.kill(1);
    a.until("solo", |a| a.role(0) == SOLO);
    // The claim of a controller that died, which the owner outbids; that claim of its own may land.
    let claim = a.node(0).volume.own_generation().next().unwrap();
    a.blocks[1].claim = Some(claim);
    a.until("claimed", |a| {
        a.status(0).serving == Err(Reason::ClaimPending(a.blocks[1].node))
    });
    a.fail_blocks = true;
    a.pass(3_000 * MS);
    a.pathless = Some(0);
    a.pass(3 * HANDOVER);
    let higher = claim.next().and_then(Generation::next).unwrap();
    a.tell(0, standing(Standing::Serving, higher));
    a.settle();
    assert!(matches!(a.role(0), Role::Owner(_)));
    // Without it, it believes.
    (a.pathless, a.fail_blocks, a.blocks[1].claim) = (None, false, None);
    a.until("solo", |a| a.status(0).serving == Ok(()));
    a.pathless = Some(0);
    a.pass(3 * HANDOVER);
    a.tell(0, standing(Standing::Serving, higher));
    assert_eq!(a.role(0), Role::Standby);
}
