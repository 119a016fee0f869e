// SPDX-License-Identifier: GPL-2.0
//! One end of a link against peers that it cannot work with, and against windows full of anything.
#![allow(missing_docs)]

mod support;

use std::cell::Cell;

use proptest::prelude::*;
use yoke_core::crc::crc32c;
use yoke_core::ids::{Incarnation, LinkId, NodeId, Uuid};
use yoke_core::link::{
    Carrier, DownReason, Link, LinkConfig, LinkFault, LinkState, Refusal, Settings,
};
use yoke_core::region::{CellRegion, Region};
use yoke_core::window::{self, Layout};
use yoke_core::wire::hello::{self, Hello, Peer, Versions};
use yoke_core::wire::message::MESSAGE_MAX;

const MS: u64 = 1_000_000;
const SIZE: u64 = 16 * 1024;
const UP: Carrier = Carrier { up: true, downs: 3 };

fn node(number: u8) -> NodeId {
    NodeId::new(number).expect("a node")
}

fn config(number: u8) -> LinkConfig {
    let incarnation = Incarnation::new(1000 + u64::from(number)).expect("not 0");
    LinkConfig {
        id: LinkId::new(number).expect("a link"),
        appliance: Uuid::from_bytes([1; 16]),
        local: Peer {
            node: node(number),
            incarnation,
            session: 1,
        },
        expect: None,
        window: Layout::new(SIZE, 8).expect("a layout"),
        settings: Settings::DEFAULT,
    }
}

/// Two ends whose posts arrive at once.
struct Ends {
    now: u64,
    links: [Link; 2],
    windows: [Vec<Cell<u64>>; 2],
}

impl Ends {
    fn new(first: LinkConfig, second: LinkConfig) -> Self {
        let links = [
            Link::new(first, 11).expect("settings"),
            Link::new(second, 22).expect("settings"),
        ];
        Self {
            now: 0,
            links,
            windows: [(); 2].map(|()| vec![Cell::new(0); SIZE as usize / 8]),
        }
    }

    fn poll(&mut self, end: usize) {
        let (own, peer) = (
            CellRegion::new(&self.windows[end]),
            CellRegion::new(&self.windows[1 - end]),
        );
        self.links[end].poll(self.now, UP, 0, &own, &peer);
    }

    /// Both ends look once a millisecond. How many HELLOs each has posted.
    fn run(&mut self, ms: u64) -> [u64; 2] {
        let mut hellos = [0; 2];
        for _ in 0..ms {
            self.now += MS;
            for (end, count) in hellos.iter_mut().enumerate() {
                let word = self.windows[1 - end][0].get();
                self.poll(end);
                *count += u64::from(self.windows[1 - end][0].get() != word);
            }
        }
        hellos
    }

    fn states(&self) -> [LinkState; 2] {
        [self.links[0].state(), self.links[1].state()]
    }

    fn refusals(&self) -> [Option<Refusal>; 2] {
        [self.links[0].refusal(), self.links[1].refusal()]
    }
}

#[test]
fn two_ends_come_up_with_one_epoch() {
    let mut ends = Ends::new(config(0), config(1));
    ends.run(20);
    let [first, second] = [0, 1].map(|end: usize| *ends.links[end].up().expect("up"));
    assert_eq!(first.epoch, second.epoch);
    assert_eq!(
        (first.peer, second.peer),
        (config(1).local, config(0).local)
    );
    assert_eq!((first.link.get(), second.link.get()), (1, 0));
    assert_eq!(
        (first.version, first.downs, first.window),
        (2, 3, config(1).window)
    );
    assert!(ends.links[0]
        .echoed_at()
        .is_some_and(|at| at + 20 * MS > ends.now));
}

#[test]
fn peers_that_do_not_fit_are_refused_with_a_reason_and_without_a_storm() {
    let other = Uuid::from_bytes([2; 16]);
    let both = [LinkState::Refused; 2];
    let cases = [
        (
            LinkConfig {
                appliance: other,
                ..config(1)
            },
            [
                Refusal::Appliance(other),
                Refusal::Appliance(Uuid::from_bytes([1; 16])),
            ],
        ),
        (
            LinkConfig {
                id: config(1).id,
                ..config(0)
            },
            [Refusal::SameNode(node(0)), Refusal::SameNode(node(0))],
        ),
        (
            LinkConfig {
                expect: Some(node(9)),
                ..config(1)
            },
            [
                Refusal::ByPeer(4),
                Refusal::OtherNode {
                    expected: node(9),
                    found: node(0),
                },
            ],
        ),
    ];
    for (second, refusals) in cases {
        let mut ends = Ends::new(config(0), second);
        let hellos = ends.run(10_000);
        assert_eq!((ends.states(), ends.refusals()), (both, refusals.map(Some)));
        assert!(
            hellos.iter().all(|&count| count < 20),
            "{hellos:?} HELLOs in ten seconds"
        );
        assert!(ends
            .refusals()
            .iter()
            .flatten()
            .all(|refusal| refusal.to_string().len() > 30));
    }
}

#[test]
fn a_refused_peer_that_is_set_right_comes_up() {
    let mut ends = Ends::new(
        config(0),
        LinkConfig {
            appliance: Uuid::from_bytes([2; 16]),
            ..config(1)
        },
    );
    ends.run(100);
    ends.links[1] = Link::new(config(1), 33).expect("settings");
    ends.run(1_000);
    assert_eq!(
        (ends.states(), ends.refusals()),
        ([LinkState::Up; 2], [None; 2])
    );
}

/// Puts a HELLO of node 1 into the window of node 0, changed by `change`.
fn speak(change: impl FnOnce(&mut [u8; hello::SIZE])) -> Link {
    let mut ends = Ends::new(config(0), config(1));
    ends.run(1);
    let mut bytes = [0; hello::SIZE];
    let own = CellRegion::new(&ends.windows[0]);
    own.copy_out(window::HELLO_AT, &mut bytes).expect("inside");
    bytes[0] ^= 0x55;
    change(&mut bytes);
    let crc = crc32c(&bytes[..hello::SIZE - 4]);
    bytes[hello::SIZE - 4..].copy_from_slice(&crc.to_le_bytes());
    own.copy_in(window::HELLO_AT, &bytes).expect("inside");
    ends.poll(0);
    let [link, _] = ends.links;
    link
}

#[test]
fn what_a_peer_needs_and_this_end_lacks_is_told() {
    let older = speak(|bytes| bytes[16..20].copy_from_slice(&[1, 0, 1, 0]));
    assert_eq!(
        older.refusal(),
        Some(Refusal::Version(Versions { min: 1, max: 1 }))
    );
    let newer = speak(|bytes| bytes[16..20].copy_from_slice(&[3, 0, 5, 0]));
    assert_eq!(
        newer.refusal(),
        Some(Refusal::Version(Versions { min: 3, max: 5 }))
    );
    assert!(newer
        .refusal()
        .is_some_and(|refusal| refusal.to_string().contains("version 3 to 5, this yoke 2")));
    assert_eq!(
        speak(|bytes| bytes[80] = 6).refusal(),
        Some(Refusal::Features(6))
    );
    assert_eq!(
        speak(|bytes| bytes[88..96].fill(0)).refusal(),
        Some(Refusal::Window(0))
    );
    assert_eq!(
        speak(|bytes| bytes[96] = 3).refusal(),
        Some(Refusal::Field("entries of the ring"))
    );
    assert_eq!(
        speak(|bytes| bytes[100..104].fill(0)).refusal(),
        Some(Refusal::Field("heartbeat interval"))
    );
    assert_eq!(
        speak(|bytes| bytes[23] = 8).refusal(),
        Some(Refusal::ByPeer(8))
    );
    assert_eq!(
        speak(|bytes| bytes[20] = 64).refusal(),
        Some(Refusal::Field("node"))
    );
    assert_eq!(speak(|_| {}).refusal(), None);
}

#[test]
fn what_a_dead_peer_left_behind_does_not_shake_hands() {
    let mut ends = Ends::new(config(0), config(1));
    ends.run(20);
    // Only the end lives on; its window still holds a HELLO that echoes it, and heartbeats.
    for _ in 0..200 {
        ends.now += MS;
        ends.poll(0);
    }
    assert_eq!(ends.links[0].state(), LinkState::Greeting);
    let reborn = Link::new(config(0), 44).expect("settings");
    ends.links[0] = reborn;
    for _ in 0..200 {
        ends.now += MS;
        ends.poll(0);
        assert_eq!(ends.links[0].state(), LinkState::Greeting);
    }
}

#[test]
fn a_peer_that_closes_is_down_at_once() {
    let mut ends = Ends::new(config(0), config(1));
    ends.run(20);
    let peer = CellRegion::new(&ends.windows[0]);
    ends.links[1].close(ends.now, &peer).expect("inside");
    ends.poll(0);
    assert_eq!(
        (ends.states(), ends.links[0].last_down()),
        (
            [LinkState::Greeting, LinkState::Closed],
            Some(DownReason::PeerLeft)
        )
    );
    ends.run(500);
    assert_eq!(ends.states(), [LinkState::Greeting, LinkState::Closed]);
}

#[test]
fn a_window_that_is_smaller_than_agreed_fences_the_link() {
    let mut ends = Ends::new(config(0), config(1));
    ends.windows[1].truncate(512);
    ends.run(200);
    assert_eq!(ends.links[0].refusal(), Some(Refusal::Window(4096)));
    assert_ne!(ends.links[1].state(), LinkState::Up);
}

#[test]
fn a_link_that_was_fenced_rests_and_comes_back() {
    let mut ends = Ends::new(config(0), config(1));
    ends.run(20);
    ends.links[0].fence(ends.now, DownReason::Fault(LinkFault::Session("a test")));
    ends.run(5);
    assert_eq!(ends.states(), [LinkState::Holdoff, LinkState::Greeting]);
    assert_eq!(ends.links[1].last_down(), Some(DownReason::PeerReset));
    ends.run(1_400);
    assert_eq!(ends.states(), [LinkState::Up; 2]);
}

#[test]
fn settings_out_of_range_are_named() {
    let bad = |settings| {
        Link::new(
            LinkConfig {
                settings,
                ..config(0)
            },
            1,
        )
        .err()
    };
    assert_eq!(
        bad(Settings {
            beat_interval_ns: 0,
            ..Settings::DEFAULT
        }),
        Some("beat interval")
    );
    assert_eq!(
        bad(Settings {
            beats_missed: 1,
            ..Settings::DEFAULT
        }),
        Some("beats missed")
    );
    assert_eq!(
        bad(Settings {
            hello_interval_ns: u64::MAX,
            ..Settings::DEFAULT
        }),
        Some("hello interval")
    );
    assert_eq!(
        bad(Settings {
            prove_beats: u32::MAX,
            ..Settings::DEFAULT
        }),
        Some("beats to prove")
    );
    assert_eq!(
        bad(Settings {
            holdoff_ns: u64::MAX,
            ..Settings::DEFAULT
        }),
        Some("holdoff")
    );
    assert_eq!(bad(Settings::DEFAULT), None);
}

proptest! {
    #![proptest_config(support::cases(300))]

    /// A window full of random bytes, before and while a link is up: no panic, no message, and a link that comes up
    /// when the bytes stop.
    #[test]
    fn a_window_of_random_bytes_does_no_harm(
        before in any::<bool>(),
        garbage in proptest::collection::vec((0..SIZE / 8, any::<u64>()), 1..400),
        copied in proptest::collection::vec((0..64_u64, 0..64_u64), 0..20),
    ) {
        let mut ends = Ends::new(config(0), config(1));
        if !before {
            ends.run(30);
        }
        for (at, value) in garbage {
            ends.windows[0][at as usize].set(value);
            if value % 16 == 0 {
                ends.run(1);
            }
        }
        // Pieces of what is really there, at other places.
        for (from, to) in copied {
            let value = ends.windows[0][from as usize * 16].get();
            ends.windows[0][to as usize * 16].set(value);
            ends.run(1);
        }
        let mut buffer = [0; MESSAGE_MAX];
        for _ in 0..20 {
            ends.run(1);
            let own = CellRegion::new(&ends.windows[0]);
            prop_assert_eq!(ends.links[0].pop(ends.now, &own, &mut buffer), None);
        }
        ends.run(4_000);
        prop_assert_eq!(ends.states(), [LinkState::Up; 2]);
    }

    /// Any carrier at any time: a link is up only under the count of downs that it was agreed under.
    #[test]
    fn a_link_is_never_up_over_a_carrier_that_was_down(
        steps in proptest::collection::vec((0..2_usize, 0..30_u64, any::<bool>(), 0..3_u64), 0..200),
    ) {
        let mut ends = Ends::new(config(0), config(1));
        let mut carriers = [UP; 2];
        for (end, ms, up, downs) in steps {
            carriers[end] = Carrier { up: up || ms > 10, downs: carriers[end].downs + downs / 2 };
            ends.now += ms * MS;
            let (own, peer) = (CellRegion::new(&ends.windows[end]), CellRegion::new(&ends.windows[1 - end]));
            ends.links[end].poll(ends.now, carriers[end], 0, &own, &peer);
            let (carrier, link) = (carriers[end], &ends.links[end]);
            prop_assert!(carrier.up || link.state() == LinkState::Down);
            prop_assert!(link.up().is_none_or(|contact| contact.downs == carrier.downs));
            let deadline = link.next_deadline(ends.now);
            prop_assert!(link.state() == LinkState::Down || deadline <= ends.now + 1_000 * MS);
        }
    }
}

#[test]
fn a_link_takes_less_than_a_kilobyte() {
    assert!(
        std::mem::size_of::<Link>() < 1024,
        "{}",
        std::mem::size_of::<Link>()
    );
    assert!(std::mem::size_of::<Hello>() <= 128);
}
