// SPDX-License-Identifier: GPL-2.0
//! What becomes of a volume when a controller goes, comes back, or closes.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use appliance::{link, one, Appliance, MS};
use yoke_core::disk::node_block::RecordState;
use yoke_core::volume::*;

const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const SOLO: Role = Role::Owner(Mode::Solo);
const JOINING: Role = Role::Owner(Mode::Joining);

fn mirrored(links: usize) -> Appliance {
    Appliance::mirrored(links, |_| ())
}

#[test]
fn both_gone_is_refused_unless_told() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.nodes = [None, None];
    a.session = false;
    a.start(0);
    a.start(1);
    a.pass(3_000 * MS);
    for n in 0..2 {
        assert_eq!(a.role(n), Role::Standby);
        let node = yoke_core::ids::NodeId::new(1).unwrap();
        assert_eq!(a.status(n).takeover, Err(Reason::ShadowLost(node)));
    }
    a.command(0, Command::ForceFromDisk);
    a.until("forced", |a| a.role(0) == SOLO);
    assert_eq!(a.read(0, 1), 0);
}

#[test]
fn start_from_disk_is_a_policy() {
    let mut a = Appliance::new(1, |config| config.power_loss = PowerLoss::StartFromDisk);
    a.until("solo", |a| a.role(0) == SOLO);
    a.mend(0);
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.nodes = [None, None];
    a.session = false;
    a.start(0);
    a.pass(3_000 * MS);
    assert_eq!(a.role(0), Role::Standby);
    a.start(1);
    a.until("an owner", |a| {
        (0..2).any(|n| matches!(a.role(n), Role::Owner(_)))
    });
}

#[test]
fn the_partner_closes_without_losing_anything() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    a.command(1, Command::Close);
    a.until("closed", |a| a.role(1) == Role::Closed);
    assert_eq!(a.role(0), SOLO);
    a.command(0, Command::Close);
    a.until("closed", |a| a.role(0) == Role::Closed);
    assert_eq!(a.disk[&1], 10);
    assert_eq!(a.blocks[0].record.state, RecordState::Released);
}

#[test]
fn a_closed_volume_opens_again_in_the_same_life() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    for n in [1, 0] {
        let life = a.nodes[n].as_ref().unwrap().incarnation;
        a.command(n, Command::Close);
        a.until("closed", |a| a.role(n) == Role::Closed);
        a.kill(n);
        a.open_in(n, life);
        a.settle();
        a.mend(0);
        a.until("mirrored", |a| {
            (0..2).any(|n| a.role(n) == MIRRORED) && a.role(n) != Role::Opening
        });
    }
    assert_eq!(a.read(0, 1), 10);
}

#[test]
fn a_paused_owner_answers_nothing_from_the_past() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    let now = a.now;
    let ReadBegin::Plan(plan) = a.node(0).volume.read_begin(one(1), now) else {
        panic!("no plan");
    };
    let write = a.begin(0, 1, 11).unwrap();
    let sample = a.fence(0, &write.post.unwrap());
    // The owner sleeps; its partner takes over.
    let sleeper = a.nodes[0].take();
    for wire in &mut a.wires {
        wire.up = false;
        wire.downs += 1;
    }
    let link = appliance::link(0);
    let now = a.now;
    a.node(1).volume.handle(Input::LinkDown { link }, now);
    a.node(1).volume.handle(Input::SessionGone, now);
    a.until("degraded", |a| a.role(1) == Role::Owner(Mode::Degraded));
    a.nodes[0] = sleeper;
    let now = a.now;
    let volume = &mut a.node(0).volume;
    assert_eq!(volume.read_finish(&plan, now), ReadEnd::Park);
    let end = volume.write_finish(write.ticket, Some(sample), now);
    assert_eq!(end, WriteEnd::Wait);
    a.node(0).volume.handle(Input::LinkDown { link }, now);
    a.node(0).volume.handle(Input::SessionGone, now);
    a.until("deposed", |a| a.role(0) == Role::Standby);
    let answers: Vec<_> = a.node(0).answers.values().copied().collect();
    assert_eq!(answers, [Err(Reason::Deposed)]);
}

#[test]
fn a_holder_whose_owner_is_gone_takes_over_and_does_not_close() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.kill(0);
    a.command(1, Command::Close);
    a.until("degraded", |a| a.role(1) == Role::Owner(Mode::Degraded));
    assert_eq!((a.status(1).dirty, a.status(1).adopted), (1, 1));
    assert_eq!(a.read(1, 1), 10);
}

#[test]
fn a_holder_that_cannot_read_the_disk_knows_that_it_may_have_the_only_copy() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    a.unreadable = true;
    assert_eq!(a.status(1).keep, None, "the owner lives, and has it too");
    a.kill(0);
    a.command(1, Command::Close);
    a.pass(5_000 * MS);
    assert_ne!(a.role(1), Role::Closed);
    assert_eq!(a.status(1).keep, Some(Keep::OnlyCopy));
    a.unreadable = false;
    a.until("owner", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!(a.read(1, 1), 10);
}

#[test]
fn a_takeover_under_way_is_not_closed() {
    let mut a = Appliance::new(1, |_| ());
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    a.kill(0);
    a.until("a takeover", |a| a.role(1) == Role::Taking);
    assert_eq!(a.status(1).keep, Some(Keep::Claiming));
    a.until("owner", |a| a.role(1) == SOLO);
    assert_eq!(a.status(1).keep, None);
}

/// It was handed back when the link that was copied to had died, and is on the disk when the other one is copied to.
#[test]
fn a_write_that_no_region_has_is_answered_though_the_disk_has_it() {
    let mut a = Appliance::new(2, |_| ());
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    a.hold_destage = true;
    let first = a.begin(0, 1, 10).unwrap();
    let second = a.begin(0, 1, 11).unwrap();
    assert_eq!(a.finish(0, &second), WriteEnd::Wait);
    let now = a.now;
    let run = a.node(0).volume.next_destage(now, 4).unwrap().run;
    a.mend_quiet(0);
    a.mend_quiet(1);
    // What is copied over link 0 is not known to have arrived until link 1 answers, too: so the record names both.
    let (mut copied, mut answers) = (None, false);
    let shadow = loop {
        if answers {
            copied.take().into_iter().for_each(|fence| a.act(0, fence));
        }
        let now = a.now;
        match a.node(0).volume.poll_action(now) {
            Some(fence @ Action::Fence { to, .. }) if to.link == link(0) && a.copies > 0 => {
                copied = Some(fence);
            }
            Some(action @ Action::WriteNodeBlock { block, .. })
                if matches!(block.record.state, RecordState::Shadow(_)) =>
            {
                break action;
            }
            Some(action) => {
                answers |= matches!(action, Action::Fence { to, .. } if to.link == link(1));
                a.act(0, action);
            }
            None if a.step(1) => (),
            None => a.now += MS,
        }
    };
    a.cut(0);
    assert_eq!(a.finish(0, &first), WriteEnd::Wait);
    let now = a.now;
    a.disk.insert(1, 11);
    a.node(0)
        .volume
        .destage_finish(run, DestageEnd::Written, now);
    a.settle();
    assert_eq!(a.role(0), JOINING);
    a.act(0, shadow);
    for write in [first, second] {
        let key = format!("{:?}", write.ticket);
        a.until("answered", |a| a.node(0).answers.get(&key) == Some(&Ok(())));
    }
    assert_eq!(a.role(0), MIRRORED);
    a.kill(0);
    a.until("taken over", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!(a.read(1, 1), 11);
}
