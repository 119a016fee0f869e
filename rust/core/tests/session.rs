// SPDX-License-Identifier: GPL-2.0
//! Sessions between two controllers in virtual time.
#![allow(missing_docs)]

mod support;

use proptest::prelude::*;
use support::pair::{Fault, Pair, Weather, MS};
use yoke_core::ids::LinkId;
use yoke_core::link::{DownReason, LinkState, Settings};
use yoke_core::session::{Action, GoneReason, SessionState};

fn link(number: u8) -> LinkId {
    LinkId::new(number).expect("a link number")
}

/// Both ends have all links and nothing is left to be received.
fn settled(pair: &Pair) -> bool {
    let all = |node: usize| {
        let session = pair.session(node);
        session.state() == SessionState::Open
            && pair.checker.links(node) == pair.weather.links
            && session.unacknowledged() == 0
    };
    all(0) && all(1) && pair.checker.all_received()
}

fn settle(pair: &mut Pair) {
    pair.sending = false;
    assert!(
        pair.run_until(20_000, settled),
        "the pair does not come to rest
{}",
        pair.describe()
    );
    pair.sending = true;
}

#[test]
fn a_fair_world() {
    let mut pair = Pair::new(1, Weather::FAIR);
    assert!(pair.run_until(20, settled));
    pair.run(2_000);
    settle(&mut pair);
    assert!(
        pair.checker.total_received > 500,
        "{}",
        pair.checker.total_received
    );
    assert_eq!([pair.checker.sessions(0), pair.checker.sessions(1)], [1, 1]);
    let round_trip = pair
        .session(0)
        .link(link(0))
        .and_then(|link| link.round_trip_ns())
        .expect("an estimate");
    assert!(round_trip < 3 * MS, "{round_trip} ns");
}

/// When a node was told that a link is down or up, and why.
fn downs(pair: &Pair, node: usize, since: u64) -> Vec<(u64, LinkId, DownReason)> {
    let log = pair
        .checker
        .log
        .iter()
        .filter(|(at, who, _)| *who == node && *at >= since);
    let down = |&(at, _, action): &(u64, usize, Action)| match action {
        Action::LinkDown { link, reason, .. } => Some((at - since, link, reason)),
        _ => None,
    };
    log.filter_map(down).collect()
}

fn back(pair: &Pair, node: usize, id: LinkId, since: u64) -> Option<u64> {
    let log = pair
        .checker
        .log
        .iter()
        .filter(|(at, who, _)| *who == node && *at >= since);
    let up = |&(at, _, action): &(u64, usize, Action)| match action {
        Action::LinkUp { link, .. } if link == id => Some(at - since),
        _ => None,
    };
    log.filter_map(up).next()
}

/// A pair that has been working for a while.
fn warm(seed: u64, weather: Weather) -> Pair {
    let mut pair = Pair::new(seed, weather);
    assert!(pair.run_until(1_000, settled));
    pair.run(300);
    pair
}

#[test]
fn a_cut_link_goes_down_at_both_ends_and_has_to_prove_itself() {
    for posts_still_land in [false, true] {
        let mut pair = warm(2, Weather::FAIR);
        let cut = pair.now;
        pair.inject(Fault::Cut {
            link: 0,
            ms: 100,
            posts_still_land,
        });
        pair.run(1_000);
        for node in 0..2 {
            let [(after, id, reason)] = downs(&pair, node, cut)[..] else {
                panic!("not one link down")
            };
            assert_eq!((id, reason), (link(0), DownReason::Carrier));
            assert!(after < 12 * MS, "{after} ns");
            let back = back(&pair, node, link(0), cut).expect("the link comes back");
            assert!(
                back > (100 + 190) * MS && back < (100 + 260) * MS,
                "{back} ns"
            );
        }
        settle(&mut pair);
        assert_eq!(pair.checker.gone, []);
    }
}

#[test]
fn a_link_that_dies_silently_is_down_at_both_ends_in_time() {
    for fault in [
        Fault::Silent { link: 1, ms: 300 },
        Fault::Deaf {
            link: 1,
            node: 0,
            ms: 300,
        },
        Fault::Deaf {
            link: 1,
            node: 1,
            ms: 300,
        },
    ] {
        let mut pair = warm(3, Weather::FAIR);
        let dead = pair.now;
        pair.inject(fault);
        pair.run(1_000);
        for node in 0..2 {
            let [(after, id, _)] = downs(&pair, node, dead)[..] else {
                panic!("not one link down: {fault:?}")
            };
            assert_eq!(id, link(1));
            // Five beats of 10 ms, of which the first may have been due at once, and a turn of the event loop.
            assert!(after < 62 * MS, "{after} ns");
        }
        settle(&mut pair);
        assert_eq!(pair.checker.gone, []);
    }
}

#[test]
fn earlier_stalls_do_not_make_detection_slower() {
    let mut pair = warm(
        4,
        Weather {
            links: 1,
            ..Weather::FAIR
        },
    );
    for _ in 0..20 {
        pair.inject(Fault::Stall { node: 0, ms: 35 });
        pair.run(40);
        pair.inject(Fault::Stall { node: 1, ms: 35 });
        pair.run(40);
    }
    assert_eq!(downs(&pair, 0, 0), []);
    assert_eq!(downs(&pair, 1, 0), []);
    let dead = pair.now;
    pair.inject(Fault::Silent { link: 0, ms: 1_000 });
    pair.run(200);
    for node in 0..2 {
        let [(after, _, reason)] = downs(&pair, node, dead)[..] else {
            panic!("not one link down")
        };
        assert!(
            matches!(reason, DownReason::Silent(_)) && after < 62 * MS,
            "{after} ns, {reason}"
        );
    }
}

#[test]
fn a_controller_that_stalled_does_not_take_its_peer_for_dead() {
    let mut pair = warm(
        5,
        Weather {
            links: 1,
            ..Weather::FAIR
        },
    );
    let stall = pair.now;
    pair.inject(Fault::Stall { node: 0, ms: 500 });
    pair.run(520);
    let [(after, _, reason)] = downs(&pair, 1, stall)[..] else {
        panic!("not one link down")
    };
    assert!(matches!(reason, DownReason::Silent(_)) && after < 62 * MS);
    let [(_, _, reason)] = downs(&pair, 0, stall)[..] else {
        panic!("not one link down")
    };
    assert_eq!(
        reason,
        DownReason::PeerReset,
        "its first look tells that the peer has gone on"
    );
    settle(&mut pair);
    assert_eq!(
        pair.checker.gone,
        [],
        "a stall shorter than the linger time keeps the session"
    );
}

#[test]
fn who_has_been_silent_for_the_linger_time_is_not_waited_for_once_more() {
    let linger_ms = 50;
    let mut pair = warm(
        5,
        Weather {
            links: 1,
            linger_ms,
            ..Weather::FAIR
        },
    );
    let stall = pair.now;
    pair.inject(Fault::Stall { node: 0, ms: 500 });
    pair.run(65);
    let [(after, _, DownReason::Silent(us))] = downs(&pair, 1, stall)[..] else {
        panic!("not one link down")
    };
    assert!(us >= 1_000 * linger_ms && after < 62 * MS);
    assert_eq!(pair.checker.gone, [(1, GoneReason::NoLink)]);
}

#[test]
fn a_new_incarnation_ends_the_old_session_first() {
    for clear in [true, false] {
        let mut pair = warm(6, Weather::FAIR);
        let died = pair.now;
        pair.inject(Fault::Restart { node: 1, clear });
        pair.run(500);
        settle(&mut pair);
        let [(0, GoneReason::Restarted(_))] = pair.checker.gone[..] else {
            panic!("{:?}", pair.checker.gone)
        };
        assert_eq!([pair.checker.sessions(0), pair.checker.sessions(1)], [2, 1]);
        let up = back(&pair, 1, link(0), died).expect("the link comes up");
        assert!(
            up < 30 * MS,
            "a new incarnation has not failed and need not prove anything: {up} ns"
        );
    }
}

#[test]
fn a_session_outlives_its_links_for_a_while_and_no_longer() {
    let cut_both = |pair: &mut Pair, ms| {
        for link in 0..2 {
            pair.inject(Fault::Cut {
                link,
                ms,
                posts_still_land: false,
            });
        }
        pair.run(ms + 10);
    };
    let mut pair = warm(7, Weather::FAIR);
    cut_both(&mut pair, 1_500);
    settle(&mut pair);
    assert_eq!(pair.checker.gone, []);
    cut_both(&mut pair, 3_000);
    settle(&mut pair);
    let mut gone = pair.checker.gone.clone();
    gone.sort_by_key(|(node, _)| *node);
    assert_eq!(gone, [(0, GoneReason::NoLink), (1, GoneReason::NoLink)]);
}

#[test]
fn a_session_that_one_end_ends_is_over_at_both() {
    let mut pair = warm(8, Weather::FAIR);
    pair.inject(Fault::End { node: 0 });
    pair.run(100);
    settle(&mut pair);
    assert_eq!(
        pair.checker.gone,
        [(0, GoneReason::Ended), (1, GoneReason::EndedByPeer)]
    );
    assert_eq!([pair.checker.sessions(0), pair.checker.sessions(1)], [2, 2]);
}

/// A client that relies on each message of a session never has one and not the one before it.
#[test]
fn a_session_in_which_a_message_has_no_room_is_over_at_both_ends() {
    let mut pair = warm(8, Weather::FAIR);
    pair.inject(Fault::Overrun { node: 0 });
    pair.run(5);
    assert_eq!(pair.checker.gone.first(), Some(&(0, GoneReason::Behind)));
    settle(&mut pair);
    assert_eq!(
        pair.checker.gone,
        [(0, GoneReason::Behind), (1, GoneReason::EndedByPeer)]
    );
    assert_eq!([pair.checker.sessions(0), pair.checker.sessions(1)], [2, 2]);
}

#[test]
fn a_scribbled_message_fences_the_link_and_nothing_is_lost() {
    let mut pair = warm(
        9,
        Weather {
            links: 1,
            ..Weather::FAIR
        },
    );
    let mut fenced = 0;
    for round in 0..40 {
        let word = (yoke_core::window::RING_AT + (round % 8) * 256) / 8 + round % 4;
        pair.inject(Fault::Scribble {
            link: 0,
            node: 0,
            word,
            value: round * 77,
        });
        pair.run(20);
        fenced += usize::from(
            pair.session(0)
                .link(link(0))
                .is_some_and(|link| link.state() == LinkState::Holdoff),
        );
    }
    pair.run(3_000);
    settle(&mut pair);
    assert!(fenced > 0);
    assert_eq!(pair.checker.gone, []);
}

fn any_weather() -> impl Strategy<Value = Weather> {
    let delay_us = prop_oneof![Just(20_u64), Just(500), Just(5_000)];
    let bells = prop_oneof![Just(0_u64), Just(2), Just(1)];
    (1..=3_usize, delay_us, any::<bool>(), bells, 0..2_u32).prop_map(
        |(links, delay_us, uneven, lose_bells_one_in, slow)| {
            let settings = Settings {
                prove_beats: 5 + slow * 10,
                holdoff_ns: 300 * MS,
                ..Settings::DEFAULT
            };
            Weather {
                links,
                delay_us,
                uneven,
                lose_bells_one_in,
                settings,
                linger_ms: 600,
                ..Weather::FAIR
            }
        },
    )
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let (link, node) = (0..3_usize, 0..2_usize);
    prop_oneof![
        4 => (link.clone(), 1..400_u64, any::<bool>())
            .prop_map(|(link, ms, posts_still_land)| Fault::Cut { link, ms, posts_still_land }),
        2 => (link.clone(), node.clone(), 1..400_u64).prop_map(|(link, node, ms)| Fault::Deaf { link, node, ms }),
        2 => (link.clone(), 1..400_u64).prop_map(|(link, ms)| Fault::Silent { link, ms }),
        3 => (node.clone(), 1..300_u64).prop_map(|(node, ms)| Fault::Stall { node, ms }),
        2 => (node.clone(), any::<bool>()).prop_map(|(node, clear)| Fault::Restart { node, clear }),
        1 => node.clone().prop_map(|node| Fault::End { node }),
        1 => node.clone().prop_map(|node| Fault::Overrun { node }),
        1 => (link, node, 0..2_048_u64, any::<u64>())
            .prop_map(|(link, node, word, value)| Fault::Scribble { link, node, word, value }),
    ]
}

proptest! {
    #![proptest_config(support::cases(400))]

    /// Whatever happens to links and controllers: messages arrive in order, exactly once, within one session of each
    /// end, and when it is over the pair comes to rest by itself.
    #[test]
    fn sessions_survive_everything(
        seed in any::<u64>(),
        weather in any_weather(),
        lose_one_in in prop_oneof![3 => Just(0_u64), 1 => Just(200), 1 => Just(20)],
        faults in proptest::collection::vec((0..200_u64, any_fault()), 0..20),
    ) {
        let mut pair = Pair::new(seed, Weather { lose_one_in, ..weather });
        for (pause, fault) in faults {
            pair.run(pause);
            let links = pair.weather.links;
            pair.inject(match fault {
                Fault::Cut { link, ms, posts_still_land } => Fault::Cut { link: link % links, ms, posts_still_land },
                Fault::Deaf { link, node, ms } => Fault::Deaf { link: link % links, node, ms },
                Fault::Silent { link, ms } => Fault::Silent { link: link % links, ms },
                Fault::Scribble { link, node, word, value } => Fault::Scribble { link: link % links, node, word, value },
                other => other,
            });
        }
        pair.run(500);
        pair.weather.lose_one_in = 0;
        settle(&mut pair);
        pair.run(100);
        settle(&mut pair);
    }
}
