// SPDX-License-Identifier: GPL-2.0
//! Claims of controllers that died, slept or were outbid, and what an owner makes of them.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use appliance::{Appliance, MS};
use yoke_core::volume::*;

const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const SOLO: Role = Role::Owner(Mode::Solo);

fn mirrored(links: usize) -> Appliance {
    Appliance::mirrored(links, |_| ())
}

/// The owner of a pair whose links are cut, and a partner that stands still from its `steps`-th step on.
fn claimed(steps: u32) -> (Appliance, Option<appliance::Controller>) {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    let owner = a.nodes[0].take();
    a.cut(0);
    let mut left = steps;
    while left > 0 {
        if a.step(1) {
            left -= 1;
        } else {
            a.now += 5 * MS;
        }
    }
    let claimant = a.nodes[1].take();
    a.nodes[0] = owner;
    let link = appliance::link(0);
    a.tell(0, Input::LinkDown { link });
    a.tell(0, Input::SessionGone);
    a.hold_destage = false;
    (a, claimant)
}

#[test]
fn a_claimant_that_died_does_not_hold_its_owner_for_ever() {
    let mut served = 0;
    for steps in 1..40 {
        let (mut a, claimant) = claimed(steps);
        drop(claimant);
        let claim = a.blocks[1].claim;
        let won = a.blocks[1].record.generation > a.blocks[0].record.generation;
        let tenure = a.node(0).volume.tenure();
        a.pass(4_000 * MS);
        if won {
            assert!(!a.node(0).volume.is_owner(), "step {steps}");
            continue;
        }
        assert_eq!(a.role(0), SOLO, "step {steps}, claim {claim:?}");
        // It is the same ownership for those who have the disk open: nobody else has written.
        assert_eq!(a.node(0).volume.tenure(), tenure, "step {steps}");
        a.write(0, 2, 20);
        assert_eq!(a.read(0, 1), 10);
        served += u32::from(claim.is_some());
    }
    assert!(served > 1, "{served} claims were outbid");
}

#[test]
fn a_claimant_that_only_slept_and_its_owner_never_both_serve() {
    for steps in 1..60 {
        for awake in [500, 1_200, 1_500, 1_600, 2_000, 4_000] {
            let (mut a, claimant) = claimed(steps);
            a.pass(awake * MS);
            a.nodes[1] = claimant;
            let link = appliance::link(0);
            a.tell(1, Input::LinkDown { link });
            a.tell(1, Input::SessionGone);
            for _ in 0..400 {
                a.pass(5 * MS);
                let now = a.now;
                let serving = [0, 1].map(|n| a.node(n).volume.status(now).serving.is_ok());
                assert_ne!(serving, [true; 2], "step {steps}, awake at {awake} ms");
            }
            a.pass(4_000 * MS);
            let owner = usize::from(!a.node(0).volume.is_owner());
            assert_eq!(a.read(owner, 1), 10, "step {steps}, awake at {awake} ms");
        }
    }
}

/// The claimant's record lands just after its owner, who outbids it, has read all blocks: it sees that claim, adopts the
/// shadow and does nothing with it, and then sees the owner's new record.
#[test]
fn a_claimant_that_was_outbid_in_the_last_moment_still_holds_the_shadow() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.kill(0);
    let old = a.blocks[0].record;
    let step = |a: &mut Appliance| {
        if !a.step(1) {
            a.now += MS;
        }
    };
    while a.blocks[1].claim.is_none() {
        step(&mut a);
    }
    let claim = a.blocks[1].claim.unwrap();
    while a.blocks[1].record.generation < claim {
        step(&mut a);
    }
    // The owner has read the blocks before that, with its claim on the disk.
    a.blocks[0].claim = claim.next();
    a.blocks[0].sequence += 2;
    while a.role(1) != Role::Owner(Mode::Degraded) {
        step(&mut a);
    }
    a.pass(10 * MS);
    assert!(a.status(1).serving.is_err());
    a.blocks[0].claim = None;
    a.blocks[0].record.generation = claim.next().unwrap();
    a.blocks[0].sequence += 2;
    a.until("deposed", |a| a.role(1) == Role::Standby);
    assert_eq!(a.blocks[0].record.state, old.state, "it is the shadow");
    // The owner dies before it has brought its log to the disk.
    a.until("taken", |a| a.role(1) == Role::Owner(Mode::Degraded));
    assert_eq!(a.read(1, 1), 10);
}

/// Whose commands the next owner cuts off are those of the owner before it: what an earlier ownership of its own has left in
/// the disk's queue nobody cuts off. As long as that may land it does not register, so that the disk takes nothing from it.
#[test]
fn an_owner_that_comes_back_waits_for_its_own_earlier_commands() {
    const LIFE: u64 = 4_000 * MS;
    let mut a = Appliance::new(1, |config| {
        (config.reservations, config.io_life_ns) = (true, LIFE);
    });
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    a.mend(0);
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.fail_writes = true;
    let issued = a.now;
    a.write(0, 1, 10);
    let owner = a.nodes[0].take();
    a.cut(0);
    a.fail_writes = false;
    // The survivor preempts, and writes at once.
    a.until("taken", |a| a.role(1) == SOLO);
    a.nodes[0] = owner;
    let link = appliance::link(0);
    a.tell(0, Input::LinkDown { link });
    a.tell(0, Input::SessionGone);
    a.until("deposed", |a| a.role(0) == Role::Standby);
    a.kill(1);
    a.pass(LIFE / 4);
    assert_eq!(a.status(0).takeover, Err(Reason::NotRegistered));
    a.until("taken back", |a| a.role(0) == SOLO);
    a.until("served", |a| a.status(0).serving.is_ok());
    assert!(a.now >= issued + LIFE, "{} ms", (a.now - issued) / MS);
    assert_eq!(a.read(0, 1), 10);
}
