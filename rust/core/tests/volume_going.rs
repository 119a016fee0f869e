// SPDX-License-Identifier: GPL-2.0
//! Links that are taken away for good while a volume is open: when their windows may go.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use appliance::{Appliance, BLOCKS, MS, SLOTS};
use yoke_core::ids::{Epoch, LinkId};
use yoke_core::volume::*;
use yoke_core::window::Place;

const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const SOLO: Role = Role::Owner(Mode::Solo);

fn mirrored(links: usize) -> Appliance {
    Appliance::mirrored(links, |_| ())
}

fn link(index: u8) -> LinkId {
    LinkId::new(index).unwrap()
}

/// Both ends hear that the link is down, and one is to do without its window.
fn take_away(a: &mut Appliance, index: u8, n: usize) {
    a.cut(index.into());
    a.tell(n, Input::LinkGoing { link: link(index) });
    a.settle();
}

fn needs(a: &mut Appliance, n: usize, index: u8) -> bool {
    a.node(n).volume.needs_window(link(index))
}

/// The window goes, and later another one comes in its place.
fn another_window(a: &mut Appliance, n: usize, index: u8) {
    assert!(!needs(a, n, index));
    let link = link(index);
    a.tell(n, Input::Room { link, place: None });
    a.node(n).windows[usize::from(index)].word = 0;
    a.settle();
    let place = Some(Place {
        epoch_word: 5,
        offset: 1 << 20,
        slots: SLOTS,
    });
    a.tell(n, Input::Room { link, place });
    a.mend(index.into());
}

#[test]
fn an_owner_lets_go_at_once() {
    let mut a = mirrored(2);
    a.write(0, 1, 10);
    take_away(&mut a, 0, 0);
    another_window(&mut a, 0, 0);
    a.until("both", |a| {
        a.role(0) == MIRRORED && a.status(0).regions == 2
    });
    assert_eq!(a.read(0, 1), 10);
}

#[test]
fn a_holder_lets_go_when_the_owner_has_done_without() {
    let mut a = mirrored(2);
    a.hold_destage = true;
    a.write(0, 1, 10);
    take_away(&mut a, 0, 1);
    a.until("let go", |a| !needs(a, 1, 0));
    assert_eq!(a.role(0), MIRRORED, "over the other link");
    another_window(&mut a, 1, 0);
    a.until("both", |a| {
        a.role(0) == MIRRORED && a.status(0).regions == 2
    });
    a.kill(0);
    a.until("degraded", |a| a.role(1) == Role::Owner(Mode::Degraded));
    assert_eq!(a.read(1, 1), 10);
}

#[test]
fn a_holder_lets_go_of_its_last_link_when_the_owner_is_alone() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    take_away(&mut a, 0, 1);
    assert!(needs(&mut a, 1, 0), "the record names it still");
    a.until("solo", |a| a.role(0) == SOLO);
    a.until("let go", |a| !needs(a, 1, 0));
    another_window(&mut a, 1, 0);
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    assert_eq!(a.read(0, 1), 10);
}

#[test]
fn the_only_copy_keeps_its_window_until_it_is_on_the_disk() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    a.kill(0);
    a.tell(1, Input::LinkGoing { link: link(0) });
    for _ in 0..200 {
        a.pass(5 * MS);
        assert!(needs(&mut a, 1, 0));
    }
    a.until("degraded", |a| a.role(1) == Role::Owner(Mode::Degraded));
    a.pass(5_000 * MS);
    assert!(needs(&mut a, 1, 0), "its slots serve");
    assert_eq!(a.read(1, 1), 10);
    a.hold_destage = false;
    a.until("solo", |a| a.role(1) == SOLO);
    a.until("let go", |a| !needs(a, 1, 0));
    assert_eq!(a.disk.get(&1), Some(&10));
    a.start(0);
    another_window(&mut a, 1, 0);
    a.until("mirrored", |a| a.role(1) == MIRRORED);
    assert_eq!(a.read(1, 1), 10);
}

#[test]
fn an_unreadable_disk_lets_nothing_go() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    a.unreadable = true;
    take_away(&mut a, 0, 1);
    a.pass(10_000 * MS);
    assert!(needs(&mut a, 1, 0));
}

#[test]
fn a_link_that_is_added_again_in_time_keeps_its_window() {
    let mut a = mirrored(1);
    a.hold_destage = true;
    a.write(0, 1, 10);
    take_away(&mut a, 0, 1);
    assert!(needs(&mut a, 1, 0));
    a.mend(0);
    a.hold_destage = false;
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    for block in 0..BLOCKS {
        a.write(0, block, block);
        a.pass(10 * MS);
    }
    a.kill(0);
    a.until("owner", |a| matches!(a.role(1), Role::Owner(_)));
    for block in 0..BLOCKS {
        assert_eq!(a.read(1, block), block);
    }
}

/// Another volume has given back what it had in the window.
#[test]
fn room_that_comes_while_the_link_is_up_is_used() {
    let mut a = Appliance::new(1, |_| ());
    a.until("node 0 owns the volume", |a| a.role(0) == SOLO);
    let (link, place) = (link(0), None);
    a.tell(1, Input::Room { link, place });
    a.mend(0);
    a.pass(2_000 * MS);
    assert_eq!(a.role(0), SOLO, "nothing can be granted");
    let place = Some(Place {
        epoch_word: 5,
        offset: 1 << 20,
        slots: SLOTS,
    });
    a.tell(1, Input::Room { link, place });
    a.until("mirrored", |a| a.role(0) == MIRRORED);
}

/// Its place may be another volume's soon.
#[test]
fn nothing_is_posted_to_a_region_that_is_lost() {
    let mut a = mirrored(1);
    let plan = a.begin(0, 1, 10).expect("a plan");
    let to = plan.post.expect("it is mirrored");
    assert!(a.node(0).volume.may_post(&to));
    let other = PostTo {
        epoch: Epoch::new(to.epoch.get() ^ 1).expect("an epoch"),
        ..to
    };
    assert!(!a.node(0).volume.may_post(&other));
    a.cut(0);
    assert!(!a.node(0).volume.may_post(&to));
    a.finish(0, &plan);
    a.mend(0);
    a.until("mirrored again", |a| a.role(0) == MIRRORED);
    assert!(!a.node(0).volume.may_post(&to), "that one is another");
}
