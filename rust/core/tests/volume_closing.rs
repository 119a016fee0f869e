// SPDX-License-Identifier: GPL-2.0
//! Wishes to close a volume: when they are to wait, and that none is lost.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;
#[path = "support/joining.rs"]
#[allow(dead_code, unreachable_pub)]
mod joining;

use appliance::{Appliance, MS};
use joining::{joining_until, names_a_holder};
use yoke_core::disk::node_block::RecordState;
use yoke_core::ids::{Epoch, LinkEpoch};
use yoke_core::mirror::message::Message;
use yoke_core::volume::*;
use yoke_core::window::Place;

const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const SOLO: Role = Role::Owner(Mode::Solo);
const IO_LIFE: u64 = 500 * MS;

fn mirrored(links: usize) -> Appliance {
    Appliance::mirrored(links, |_| ())
}

#[test]
fn a_second_wish_to_close_does_not_rest_on_words_changed_for_the_first() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    // The owner cannot let go of the shadow, so the close waits, with all words changed; and is not wanted any more.
    a.command(1, Command::Close);
    a.pass(300 * MS);
    assert_eq!(a.role(1), Role::Standby);
    a.command(1, Command::TakeOver);
    a.hold_destage = false;
    a.until("moved", |a| matches!(a.role(1), Role::Owner(_)));
    a.cut(0);
    a.command(1, Command::GiveBack);
    a.until("moved back", |a| a.role(0) == SOLO);
    // The owner joins: the region is granted, and the record does not name it yet.
    a.mend_quiet(0);
    for _ in 0..10_000 {
        if a.node(1).windows[0].word != 0 {
            break;
        }
        a.step(0);
        a.step(1);
    }
    assert!(a.node(1).windows[0].word != 0 && a.role(0) != MIRRORED);
    a.command(1, Command::Close);
    let closed = a.role(1) == Role::Closed;
    assert!(
        !closed || a.node(1).windows[0].word == 0,
        "closed, and it honours what is posted"
    );
    a.until("closed", |a| a.role(1) == Role::Closed);
    assert_eq!(a.role(0), SOLO);
    assert_eq!(a.node(1).windows[0].word, 0);
}

#[test]
fn a_holder_that_a_record_names_is_not_to_be_closed_as_it_is() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    // The owner's disk takes nothing, so its record names the holder for as long as that lasts.
    a.command(1, Command::Close);
    a.pass(30 * IO_LIFE);
    assert_eq!(a.role(1), Role::Standby);
    assert_eq!(a.status(1).keep, Some(Keep::Named));
    // What that is good for: the owner dies, and nothing is lost.
    a.kill(0);
    a.until("taken over", |a| matches!(a.role(1), Role::Owner(_)));
    a.hold_destage = false;
    assert_eq!(a.read(1, 1), 10);
}

#[test]
fn a_holder_that_no_record_names_any_more_may_be_closed() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    a.command(1, Command::Close);
    a.until("closed", |a| a.role(1) == Role::Closed);
    assert_eq!(a.status(1).keep, None);
}

/// A write of a block lands whose writer is not there any more.
fn land(a: &mut Appliance, late: Action) {
    let Action::WriteNodeBlock { block, .. } = late else {
        panic!("not a block");
    };
    a.blocks[0] = block;
}

/// An owner that joins, and the record that is on its way to the disk: it names the partner.
fn joining(tune: fn(&mut Config)) -> (Appliance, Action) {
    joining_until(tune, 0, names_a_holder)
}

#[test]
fn a_holder_keeps_its_window_while_a_record_that_names_it_may_be_on_its_way() {
    let (mut a, late) = joining(|config| config.auto_takeover = false);
    a.kill(0);
    let link = appliance::link(0);
    a.tell(1, Input::LinkGoing { link });
    a.pass(IO_LIFE - 100 * MS);
    assert!(a.node(1).volume.needs_window(link));
    land(&mut a, late);
    a.pass(2 * IO_LIFE);
    assert!(a.node(1).volume.needs_window(link), "it is named");
    a.command(1, Command::TakeOver);
    a.until("taken", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!(a.read(1, 1), 10);
}

#[test]
fn a_holder_lets_go_of_its_window_when_no_record_can_come_any_more() {
    let (mut a, _) = joining(|config| config.auto_takeover = false);
    a.kill(0);
    let link = appliance::link(0);
    a.tell(1, Input::LinkGoing { link });
    a.until("let go", |a| !a.node(1).volume.needs_window(link));
}

#[test]
fn a_holder_does_not_close_while_a_record_that_names_it_may_be_on_its_way() {
    let (mut a, late) = joining(|_| ());
    a.tell(1, Input::Command(Command::Close));
    a.kill(0);
    a.pass(IO_LIFE - 100 * MS);
    assert_ne!(a.role(1), Role::Closed);
    land(&mut a, late);
    // Now it stands on the disk, and what it names is here.
    a.until("taken", |a| matches!(a.role(1), Role::Owner(_)));
}

/// It dies without a sign: the session with it still stands.
#[test]
fn a_holder_does_not_take_an_owner_at_its_word_that_it_lives() {
    let (mut a, late) = joining(|config| config.auto_takeover = false);
    a.tell(1, Input::Command(Command::Close));
    a.nodes[0] = None;
    a.pass(IO_LIFE - 100 * MS);
    assert_ne!(a.role(1), Role::Closed);
    land(&mut a, late);
    a.cut(0);
    a.until("it is named", |a| {
        a.status(1).reason == Some(Reason::ShadowHere)
    });
    a.command(1, Command::TakeOver);
    a.until("taken", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!(a.read(1, 1), 10);
}

/// How long a close of node 1 takes, of which the owner hears.
fn time_to_close(a: &mut Appliance) -> u64 {
    let began = a.now;
    a.command(1, Command::Close);
    a.until("closed", |a| a.role(1) == Role::Closed);
    a.now - began
}

#[test]
fn an_owner_that_lives_lets_its_holder_close_soon() {
    let mut a = mirrored(2);
    a.write(0, 1, 10);
    assert!(time_to_close(&mut a) < IO_LIFE);
    assert_eq!(a.role(0), SOLO);
    // It has just asked, or has a record on its way.
    let (mut a, late) = joining(|_| ());
    a.act(0, late);
    assert!(time_to_close(&mut a) < IO_LIFE);
    assert_eq!(a.role(0), SOLO);
}

#[test]
fn an_owner_retires_a_region_that_it_loses_before_it_has_named_it() {
    let (mut a, fence) = joining_until(|_| (), 0, |action| matches!(action, Action::Fence { .. }));
    a.act(0, fence);
    // Granted, and it answers. The owner hears of the close next.
    a.tell(1, Input::Command(Command::Close));
    while a.step(1) {}
    assert!(time_to_close(&mut a) < IO_LIFE);
}

#[test]
fn an_owner_retires_what_was_granted_when_it_did_not_ask_any_more() {
    let mut a = mirrored(2);
    a.cut(0);
    let old = a.node(1).windows[0].word;
    a.mend_quiet(0);
    // The word is set, and the answer is on its way, when the link is lost again.
    while [0, old].contains(&a.node(1).windows[0].word) {
        assert!(a.step(0) | a.step(1));
    }
    a.cut(0);
    assert!(time_to_close(&mut a) < IO_LIFE);
}

/// Solo at node 0, which then stands still: node 1 has to watch its lease before it may claim.
fn taking() -> (Appliance, Option<appliance::Controller>) {
    let mut a = Appliance::new(1, |_| ());
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    let owner = a.nodes[0].take();
    a.until("node 1 takes over", |a| a.role(1) == Role::Taking);
    (a, owner)
}

#[test]
fn a_close_that_comes_during_a_takeover_follows_it() {
    let (mut a, _owner) = taking();
    a.command(1, Command::Close);
    assert_eq!(a.role(1), Role::Taking);
    a.until("closed", |a| a.role(1) == Role::Closed);
    assert_eq!(a.blocks[1].record.state, RecordState::Released);
}

#[test]
fn a_close_that_comes_during_a_takeover_follows_it_when_it_is_given_up() {
    let (mut a, owner) = taking();
    a.command(1, Command::Close);
    assert_eq!(a.role(1), Role::Taking);
    // It lives, after all.
    a.nodes[0] = owner;
    a.until("closed", |a| a.role(1) == Role::Closed);
    assert_eq!(a.role(0), SOLO);
    assert!(a.blocks[1].record.generation < a.blocks[0].record.generation);
}

#[test]
fn a_close_that_is_taken_back_during_a_takeover_does_not_follow_it() {
    let (mut a, _owner) = taking();
    a.command(1, Command::Close);
    a.command(1, Command::AbortGiveBack);
    a.until("taken", |a| a.role(1) == SOLO);
    a.pass(2_000 * MS);
    assert_eq!(a.role(1), SOLO);
}

#[test]
fn an_owner_that_is_deposed_while_it_closes_is_closed_all_the_same() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.command(0, Command::Close);
    a.pass(200 * MS);
    assert!(matches!(a.role(0), Role::Owner(_)), "its log is not empty");
    let owner = a.nodes[0].take();
    a.cut(0);
    a.until("taken over", |a| matches!(a.role(1), Role::Owner(_)));
    a.nodes[0] = owner;
    let link = appliance::link(0);
    a.tell(0, Input::LinkDown { link });
    a.tell(0, Input::SessionGone);
    a.until("closed", |a| a.role(0) == Role::Closed);
    assert_eq!(a.read(1, 1), 10);
}

/// Whoever waits for the end asks again and again.
#[test]
fn a_close_that_is_asked_for_again_does_not_begin_anew() {
    let (mut a, _) = joining(|config| config.auto_takeover = false);
    a.kill(0);
    let began = a.now;
    while a.role(1) != Role::Closed {
        a.command(1, Command::Close);
        a.pass(200 * MS);
        assert!(a.now < began + 4 * IO_LIFE, "it never closes");
    }
    assert!(a.now >= began + IO_LIFE);
}

/// Its log is still being emptied, so the close has not begun yet.
#[test]
fn a_close_that_is_about_to_follow_an_ownership_can_be_taken_back() {
    for command in [Command::AbortGiveBack, Command::TakeOver] {
        let mut a = mirrored(1);
        a.hold_destage = true;
        a.write(0, 1, 10);
        a.command(0, Command::Close);
        let owner = a.nodes[0].take();
        a.cut(0);
        a.until("taken over", |a| matches!(a.role(1), Role::Owner(_)));
        a.nodes[0] = owner;
        let link = appliance::link(0);
        a.tell(0, Input::LinkDown { link });
        a.tell(0, Input::SessionGone);
        while a.role(0) != Role::Standby {
            if !a.step(0) {
                a.now += MS;
            }
        }
        a.tell(0, Input::Command(command));
        a.pass(2_000 * MS);
        assert_ne!(a.role(0), Role::Closed, "{command:?}");
    }
}

/// The word of the grant is being set when the holder is told to close.
#[test]
fn an_owner_retires_a_grant_that_comes_after_the_wish_to_close() {
    let mut a = Appliance::new(1, |_| ());
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    a.write(0, 1, 10);
    a.mend_quiet(0);
    let set = loop {
        let now = a.now;
        match a.node(1).volume.poll_action(now) {
            Some(action @ Action::SetWord { word: 1.., .. }) => break action,
            Some(action) => a.act(1, action),
            None if a.step(0) => (),
            None => a.now += MS,
        }
    };
    a.tell(1, Input::Command(Command::Close));
    a.act(1, set);
    assert!(time_to_close(&mut a) < IO_LIFE);
}

/// What the partner granted for link 0, as it says once more.
fn grant_again(a: &mut Appliance, epoch: u64) -> Message {
    let life = LinkEpoch::new(a.wires[0].life).unwrap();
    let place = Place {
        epoch_word: 0,
        offset: 0,
        slots: appliance::SLOTS,
    };
    let epoch = Epoch::new(epoch).unwrap();
    Message::Grant {
        life,
        number: 1,
        epoch,
        place,
    }
}

#[test]
fn a_second_copy_of_a_grant_retires_nothing() {
    let (mut a, fence) = joining_until(|_| (), 0, |action| matches!(action, Action::Fence { .. }));
    let word = a.node(1).windows[0].word;
    // Granted, and no record names it yet.
    let copy = grant_again(&mut a, word);
    a.tell(0, Input::Message(copy));
    a.act(0, fence);
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    assert_eq!(a.node(1).windows[0].word, word);
}

#[test]
fn a_late_grant_retires_nothing_that_a_record_names() {
    let mut a = Appliance::mirrored(1, |config| config.auto_takeover = false);
    a.hold_destage = true;
    a.write(0, 1, 10);
    let word = a.node(1).windows[0].word;
    a.kill(0);
    // Its own record still names it; it has never asked for it in this life.
    a.start(0);
    a.mend(0);
    a.until("it stands by", |a| a.role(0) == Role::Standby);
    let late = grant_again(&mut a, word);
    a.tell(0, Input::Message(late));
    a.settle();
    a.hold_destage = false;
    a.command(1, Command::TakeOver);
    a.until("taken", |a| matches!(a.role(1), Role::Owner(_)));
    assert_eq!(a.read(1, 1), 10);
}

/// The owner was not dead, and has gone on without the region since the taker has read its record.
#[test]
fn a_taker_keeps_what_its_record_names_whatever_the_owner_retires() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    let RecordState::Shadow(shadow) = a.blocks[0].record.state else {
        panic!("not mirrored");
    };
    a.kill(0);
    a.slow[1] = 100 * MS;
    a.until("it takes over", |a| a.role(1) == Role::Taking);
    while a.role(1) == Role::Taking {
        for epoch in shadow.epochs() {
            a.tell(1, Input::Message(Message::Retire { epoch }));
        }
        a.pass(5 * MS);
    }
    assert_eq!(a.role(1), Role::Owner(Mode::Degraded));
    assert_eq!(a.read(1, 1), 10);
}
