// SPDX-License-Identifier: GPL-2.0
//! Sessions where a link leads to somebody unexpected: another node, or two controllers with one node number.
#![allow(missing_docs)]

mod support;

use std::cell::Cell;

use support::pair::{node_id, session_config, Host, MS};
use yoke_core::ids::{LinkId, NodeId};
use yoke_core::link::{
    Carrier, DownReason, Link, LinkConfig, LinkFault, LinkState, Refusal, Settings,
};
use yoke_core::region::CellRegion;
use yoke_core::session::{Action, GoneReason, Kept, SessionState, Slot};
use yoke_core::window::Layout;
use yoke_core::wire::hello::Peer;
use yoke_core::wire::message::{Header, Port, MESSAGE_MAX};

const SIZE: u64 = 16 * 1024;

/// A controller in the middle, called hub, with a link to each of two others. Posts arrive at once.
struct Star {
    now: u64,
    /// The hub, then what its links 0 and 1 lead to.
    sessions: [Option<Host>; 3],
    /// `windows[link]`: the hub's, and the other end's.
    windows: [[Vec<Cell<u64>>; 2]; 2],
    actions: Vec<(usize, Action)>,
    received: Vec<(usize, Vec<u8>)>,
    /// Whether clients answer `SessionGone` at once.
    drain: bool,
}

fn id(link: usize) -> LinkId {
    LinkId::new(link as u8).expect("a link number")
}

fn host(node: usize, incarnation: u64, links: &[usize]) -> Host {
    let mut config = session_config(node, incarnation, 500);
    config.closing_ns = 5_000 * MS;
    let mut host = Host::new(
        config,
        incarnation * 31,
        vec![Slot::default(); 2],
        vec![Kept::EMPTY; 8],
    );
    for &link in links {
        let window = Layout::new(SIZE, 8).expect("a layout");
        host.add_link(id(link), window, Settings::DEFAULT)
            .expect("settings in range");
    }
    host
}

impl Star {
    fn new(first: Option<Host>, second: Option<Host>) -> Self {
        let windows = [(); 2].map(|()| [(); 2].map(|()| vec![Cell::new(0); SIZE as usize / 8]));
        let sessions = [Some(host(0, 100, &[0, 1])), first, second];
        Self {
            now: 0,
            sessions,
            windows,
            actions: Vec::new(),
            received: Vec::new(),
            drain: true,
        }
    }

    fn hub(&mut self) -> &mut Host {
        self.sessions[0].as_mut().expect("the hub lives")
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += MS;
            for (who, link, side) in [(0, 0, 0), (0, 1, 0), (1, 0, 1), (2, 1, 1)] {
                self.poll(who, link, side);
            }
        }
    }

    fn poll(&mut self, who: usize, link: usize, side: usize) {
        let Some(session) = &mut self.sessions[who] else {
            return;
        };
        let own = CellRegion::new(&self.windows[link][side]);
        let peer = CellRegion::new(&self.windows[link][1 - side]);
        session.poll(
            id(link),
            self.now,
            Carrier { up: true, downs: 0 },
            &own,
            &peer,
        );
        let mut buffer = [0; MESSAGE_MAX];
        while let Some(got) = session.receive(id(link), self.now, &own, &peer, &mut buffer) {
            self.received.push((who, buffer[..got.len].to_vec()));
        }
        while let Some(action) = session.next_action() {
            match action {
                Action::Doorbell { .. } => {}
                Action::SessionGone { .. } if self.drain || who != 0 => {
                    self.actions.push((who, action));
                    session.drained(self.now);
                }
                action => self.actions.push((who, action)),
            }
        }
    }

    fn count(&self, who: usize, matches: impl Fn(&Action) -> bool) -> usize {
        self.actions
            .iter()
            .filter(|(other, action)| *other == who && matches(action))
            .count()
    }
}

fn partner(star: &mut Star) -> Option<(NodeId, u64)> {
    star.hub()
        .peer()
        .map(|peer| (peer.node, peer.incarnation.get()))
}

#[test]
fn a_link_to_another_node_is_refused_and_the_session_goes_on() {
    let mut star = Star::new(Some(host(1, 201, &[0])), Some(host(2, 202, &[1])));
    star.run(5_000);
    let (node, _) = partner(&mut star).expect("a partner");
    let stray = 2 - node.index();
    let found = NodeId::new(3 - node.get()).expect("a node");
    assert_eq!(
        star.hub().refusal(id(stray)),
        Some(Refusal::OtherNode {
            expected: node,
            found
        })
    );
    assert_eq!(
        star.count(0, |action| matches!(action, Action::SessionUp { .. })),
        1
    );
    assert_eq!(
        star.count(0, |action| matches!(action, Action::SessionGone { .. })),
        0
    );
    assert_eq!(
        star.count(0, |action| matches!(action, Action::Refused { .. })),
        1,
        "people are told once"
    );
}

#[test]
fn two_controllers_with_one_number_do_not_take_turns() {
    let mut star = Star::new(Some(host(1, 201, &[0])), None);
    star.run(200);
    assert_eq!(
        partner(&mut star).map(|(_, incarnation)| incarnation),
        Some(201)
    );
    star.sessions[2] = Some(host(1, 202, &[1]));
    star.run(10_000);
    assert_eq!(
        partner(&mut star).map(|(_, incarnation)| incarnation),
        Some(202),
        "the later one counts"
    );
    let node = NodeId::new(1).expect("a node");
    assert_eq!(star.hub().refusal(id(0)), Some(Refusal::Duplicate(node)));
    assert_eq!(
        star.count(0, |action| matches!(action, Action::SessionUp { .. })),
        2
    );
    // The later one goes: the earlier one is welcome again.
    star.sessions[2] = None;
    star.run(3_000);
    assert_eq!(
        partner(&mut star).map(|(_, incarnation)| incarnation),
        Some(201)
    );
    assert_eq!(
        star.count(0, |action| matches!(action, Action::SessionUp { .. })),
        3
    );
}

#[test]
fn a_partner_that_was_taken_for_dead_is_met_under_another_number() {
    let mut star = Star::new(Some(host(1, 201, &[0])), None);
    star.run(200);
    for number in 0..5 {
        star.hub().send(Port(1), &[number]).expect("room");
        star.run(20);
    }
    assert_eq!(star.received.len(), 5);
    // Somebody with the partner's number appears, which ends the session, and is gone before the clients have closed.
    // The partner itself has only lost its link, and keeps the session.
    star.drain = false;
    star.sessions[2] = Some(host(1, 202, &[1]));
    star.run(30);
    star.sessions[2] = None;
    assert_eq!(star.hub().state(), SessionState::Ending);
    star.run(400);
    star.drain = true;
    let now = star.now;
    star.hub().drained(now);
    star.run(200);
    let gone = |reason| move |action: &Action| matches!(action, Action::SessionGone { reason: r, .. } if *r == reason);
    assert_eq!(
        star.count(1, gone(GoneReason::EndedByPeer)),
        1,
        "the partner learns that its session is over"
    );
    assert_eq!(star.hub().state(), SessionState::Open);
    for number in 5..8 {
        star.hub().send(Port(1), &[number]).expect("room");
    }
    star.run(50);
    let numbers: Vec<u8> = star
        .received
        .iter()
        .map(|(_, message)| message[0])
        .collect();
    assert_eq!(
        numbers,
        [0, 1, 2, 3, 4, 5, 6, 7],
        "nothing of the new session is taken for something of the old"
    );
}

#[test]
fn a_session_that_closes_tells_its_clients_and_its_peer() {
    let mut star = Star::new(Some(host(1, 201, &[0])), None);
    star.run(200);
    let now = star.now;
    star.hub().close(now);
    let window = star.windows[0][1].clone();
    let hub = star.sessions[0].as_mut().expect("the hub lives");
    let told: Vec<Action> = std::iter::from_fn(|| hub.next_action()).collect();
    assert!(matches!(
        told[..2],
        [
            Action::LinkDown { .. },
            Action::SessionGone {
                reason: GoneReason::Closed,
                ..
            }
        ]
    ));
    hub.remove_link(id(0), now, &CellRegion::new(&window));
    assert_eq!(
        (hub.state(), hub.link(id(0)).map(|link| link.state())),
        (SessionState::Closed, None)
    );
    assert!(hub
        .add_link(
            id(0),
            Layout::new(SIZE, 8).expect("a layout"),
            Settings::DEFAULT
        )
        .is_err());
    star.windows[0][1] = window;
    star.sessions[0] = None;
    star.poll(1, 0, 1);
    let peer = star.sessions[1].as_ref().expect("the peer lives");
    assert_eq!(
        peer.state(),
        SessionState::Severed,
        "without waiting for the silence"
    );
    assert_eq!(
        peer.link(id(0)).map(|link| link.state()),
        Some(LinkState::Greeting)
    );
}

#[test]
fn a_link_that_still_speaks_of_an_earlier_session_does_not_end_the_new_one() {
    let mut star = Star::new(Some(host(1, 201, &[0])), None);
    star.run(200);
    let now = star.now;
    star.sessions[1]
        .as_mut()
        .expect("the peer lives")
        .end_session(now);
    star.run(400);
    assert_eq!(star.hub().peer().map(|peer| peer.session), Some(2));
    // The same life of the same node, over a slower link: it has not heard yet that there is a second session.
    star.sessions[2] = Some(host(1, 201, &[1]));
    star.run(3_000);
    assert_eq!(star.hub().peer().map(|peer| peer.session), Some(2));
    assert_eq!(
        star.count(0, |action| matches!(action, Action::SessionGone { .. })),
        1
    );
}

/// A peer that speaks the protocol of links in order, and sends messages with these numbers and acknowledgements.
fn receive_from_a_liar(numbers: &[(u64, u64)]) -> (usize, Option<DownReason>) {
    let windows = [(); 2].map(|()| vec![Cell::new(0); SIZE as usize / 8]);
    let (own, peer) = (CellRegion::new(&windows[0]), CellRegion::new(&windows[1]));
    let carrier = Carrier { up: true, downs: 0 };
    let mut hub = host(0, 100, &[0]);
    let liar = LinkConfig {
        id: id(3),
        appliance: session_config(1, 7, 1).appliance,
        local: Peer {
            node: node_id(1),
            incarnation: session_config(1, 7, 1).incarnation,
            session: 1,
        },
        expect: None,
        window: Layout::new(SIZE, 8).expect("a layout"),
        settings: Settings::DEFAULT,
    };
    let mut liar = Link::new(liar, 5).expect("settings in range");
    for ms in 1..10 {
        hub.poll(id(0), ms * MS, carrier, &own, &peer);
        while hub.next_action().is_some() {}
        liar.poll(ms * MS, carrier, 0, &peer, &own);
    }
    for &(seq, ack) in numbers {
        assert!(liar.push(
            10 * MS,
            &Header {
                seq,
                ack,
                port: Port(1),
                len: 0
            },
            &[],
            &own
        ));
    }
    let mut buffer = [0; MESSAGE_MAX];
    let count =
        std::iter::from_fn(|| hub.receive(id(0), 10 * MS, &own, &peer, &mut buffer)).count();
    (count, hub.link(id(0)).and_then(|link| link.last_down()))
}

#[test]
fn impossible_message_numbers_fence_the_link() {
    let fault = |what| Some(DownReason::Fault(LinkFault::Session(what)));
    let missing = fault("a message of the session is missing on this link");
    let never_sent = fault("the peer acknowledges messages that were never sent");
    assert_eq!(receive_from_a_liar(&[(1, 0), (2, 0), (3, 0)]), (3, None));
    assert_eq!(receive_from_a_liar(&[(2, 0)]), (0, missing));
    assert_eq!(receive_from_a_liar(&[(1, 0), (3, 0)]), (1, missing));
    assert_eq!(receive_from_a_liar(&[(1, 0), (1, 0)]), (1, missing));
    assert_eq!(
        receive_from_a_liar(&[(1, 0), (2, 1), (3, 0)]),
        (1, never_sent)
    );
}
