// SPDX-License-Identifier: GPL-2.0
//! Grants that make no sense.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;
#[path = "support/joining.rs"]
#[allow(dead_code, unreachable_pub)]
mod joining;

use appliance::{Appliance, MS};
use joining::joining_until;
use yoke_core::mirror::message::Message;
use yoke_core::volume::*;
use yoke_core::window::Place;

const SOLO: Role = Role::Owner(Mode::Solo);

/// An owner that joins, and is granted a region of one slot.
fn granted_too_little() -> Appliance {
    let (mut a, grant) = joining_until(
        |_| (),
        1,
        |action| matches!(action, Action::Send(Message::Grant { .. })),
    );
    let Action::Send(Message::Grant {
        life,
        number,
        epoch,
        place,
    }) = grant
    else {
        panic!("not a grant");
    };
    let place = Place { slots: 1, ..place };
    a.tell(
        0,
        Input::Message(Message::Grant {
            life,
            number,
            epoch,
            place,
        }),
    );
    a
}

/// Its partner would keep it for nobody.
#[test]
fn a_region_that_is_too_small_is_retired() {
    let mut a = granted_too_little();
    for _ in 0..1_000 {
        let now = a.now;
        match a.node(0).volume.poll_action(now) {
            Some(Action::Send(Message::Retire { .. })) => return,
            Some(action) => a.act(0, action),
            None => a.now += MS,
        }
    }
    panic!("nobody says that it is not used");
}

/// Behind it there may be what belongs to another volume.
#[test]
fn a_region_that_is_too_small_is_not_posted_to() {
    let mut a = granted_too_little();
    a.pass(3_000 * MS);
    assert_eq!((a.role(0), a.copies), (SOLO, 0));
}
