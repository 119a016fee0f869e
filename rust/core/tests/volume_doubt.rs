// SPDX-License-Identifier: GPL-2.0
//! I/O that comes in at a controller that stands by: it waits for a sign of life of the owner, or for the takeover.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use appliance::{link, one, Appliance, MS};
use yoke_core::volume::*;

/// What an I/O that was parked is told by.
const PARKED: Option<Reason> = None;

fn mirrored(tune: fn(&mut Config)) -> Appliance {
    Appliance::mirrored(1, tune)
}

/// Begins a write at the standby; says why not.
fn refusal(a: &mut Appliance) -> Option<Reason> {
    match a.begin(1, 1, 20) {
        Ok(_) => panic!("a standby has begun a write"),
        Err(why) => why,
    }
}

#[test]
fn an_owner_that_lives_has_it_refused() {
    let mut a = mirrored(|_| ());
    // Just heard, so what comes in is refused at once; later, it waits until the owner is heard again.
    let mut seen = (false, false);
    for _ in 0..200 {
        match refusal(&mut a) {
            PARKED => {
                let since = a.now;
                a.until("refused", |a| refusal(a).is_some());
                assert!(a.now - since <= a.node(1).volume.config().poll_ns + 5 * MS);
                seen.0 = true;
            }
            Some(reason) => {
                assert_eq!(reason, Reason::NotOwner);
                seen.1 = true;
            }
        }
        a.pass(3 * MS);
    }
    assert_eq!(seen, (true, true));
}

#[test]
fn what_comes_in_when_the_owner_has_died_is_served_by_the_takeover() {
    let mut a = mirrored(|_| ());
    a.write(0, 1, 10);
    // Dead, but the links look alive for a while yet: nothing is heard any more.
    a.nodes[0] = None;
    a.until("nothing was heard for a moment", |a| refusal(a) == PARKED);
    a.pass(500 * MS);
    assert_eq!(refusal(&mut a), PARKED);
    a.kill(0);
    for _ in 0..1_000 {
        if matches!(a.role(1), Role::Owner(_)) {
            break;
        }
        assert_eq!(refusal(&mut a), PARKED, "{:?}", a.role(1));
        a.pass(MS);
    }
    assert_eq!(a.read(1, 1), 10);
    a.write(1, 1, 20);
}

#[test]
fn where_no_takeover_can_come_it_is_refused() {
    let mut a = mirrored(|_| ());
    a.hold_destage = true;
    a.write(0, 1, 10);
    // The holder has forgotten what it held; then the owner dies, too.
    a.kill(1);
    a.start_quiet(1);
    a.until("stands by", |a| a.role(1) == Role::Standby);
    a.kill(0);
    a.until("refused", |a| refusal(a) == Some(Reason::NotOwner));
    a.pass(5_000 * MS);
    assert_eq!(refusal(&mut a), Some(Reason::NotOwner));
    assert!(a.status(1).reason.is_some());
}

/// The owner has given the volume away and is gone before anybody was heard to say so; nobody here wants to own it.
#[test]
fn where_no_takeover_is_wanted_it_is_refused() {
    let mut a = mirrored(|_| ());
    a.command(0, Command::Close);
    a.until("closed", |a| a.role(0) == Role::Closed);
    a.tell(1, Input::LinkDown { link: link(0) });
    a.tell(1, Input::SessionGone);
    assert_eq!(
        refusal(&mut a),
        PARKED,
        "as far as is known it has to be taken over"
    );
    let wakes = a.node(1).wakes;
    a.nodes[0] = None;
    a.pass(500 * MS);
    assert!(a.node(1).wakes > wakes, "whoever was parked looks again");
    assert_eq!(refusal(&mut a), Some(Reason::NotOwner));
}

#[test]
fn who_wants_to_close_waits_for_nothing() {
    let mut a = mirrored(|_| ());
    a.nodes[0] = None;
    a.pass(500 * MS);
    a.command(1, Command::Close);
    assert_eq!(refusal(&mut a), Some(Reason::NotOwner));
}

#[test]
fn openers_with_another_path_are_refused_at_once() {
    let mut a = mirrored(|config| config.waits_in_doubt = false);
    a.nodes[0] = None;
    a.pass(500 * MS);
    assert_eq!(refusal(&mut a), Some(Reason::NotOwner));
}

/// What they cached is dropped before others may own the volume, and that waits for their I/O.
#[test]
fn openers_with_another_path_are_refused_as_soon_as_the_volume_is_released() {
    for waits in [true, false] {
        // Without a link: no region is closed, which wakes, too.
        let mut a = if waits {
            Appliance::new(1, |_| ())
        } else {
            Appliance::new(1, |config| config.waits_in_doubt = false)
        };
        a.until("solo", |a| a.role(0) == Role::Owner(Mode::Solo));
        let reads = |a: &mut Appliance| {
            let now = a.now;
            match a.node(0).volume.read_begin(one(1), now) {
                ReadBegin::Plan(_) => panic!("it answers"),
                ReadBegin::Park => PARKED,
                ReadBegin::Fail(reason) => Some(reason),
            }
        };
        a.tell(0, Input::Command(Command::GiveBack));
        // Parked anew at each step, so that only what the release does wakes it in the end.
        let mut wakes = 0;
        let release = a.release_of(0, |a| {
            if a.begin(0, 1, 20) == Err(PARKED) {
                wakes = a.node(0).wakes;
            }
        });
        assert_eq!(a.role(0), Role::Owner(Mode::Solo));
        a.settle();
        assert!(a.node(0).wakes > wakes, "what was parked is begun again");
        assert_eq!(reads(&mut a), (!waits).then_some(Reason::NotOwner));
        a.act(0, release);
        a.until("given", |a| matches!(a.role(1), Role::Owner(_)));
    }
}
