// SPDX-License-Identifier: GPL-2.0
//! Two controllers with up to three links between them, in virtual time: posts are delayed, and lost with a link;
//! links are cut with and without notice; controllers stall and start anew. One seed gives one run.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::Write as _;

use super::checker::Checker;
use yoke_core::ids::{Incarnation, LinkId, NodeId, Uuid};
use yoke_core::link::{Carrier, Settings};
use yoke_core::region::{check_range, check_word, CellRegion, Region, RegionError};
use yoke_core::session::{Action, Kept, SendError, Session, SessionConfig, Slot};
use yoke_core::window::Layout;
use yoke_core::wire::message::{Port, MESSAGE_MAX};

pub const MS: u64 = 1_000_000;
const WINDOW: u64 = 16 * 1024;
const RING_ENTRIES: u32 = 8;
const OUTBOX: usize = 6;

pub type Host = Session<Vec<Slot>, Vec<Kept>>;

/// Random numbers from one seed.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
    pub fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }
}

#[derive(Clone, Debug)]
enum Post {
    Word(u64, u64),
    Bytes(u64, Vec<u8>),
}

/// One direction of a link: what is under way to the window at its end.
struct Way {
    memory: Vec<Cell<u64>>,
    under_way: VecDeque<(u64, Post)>,
    last_arrival: u64,
}

impl Way {
    fn new() -> Self {
        Self {
            memory: vec![Cell::new(0); WINDOW as usize / 8],
            under_way: VecDeque::new(),
            last_arrival: 0,
        }
    }

    fn arrive(&mut self, now: u64) {
        while self.under_way.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, post)) = self.under_way.pop_front() else {
                return;
            };
            let memory = CellRegion::new(&self.memory);
            match post {
                Post::Word(at, value) => memory.store_release_u64(at, value),
                Post::Bytes(at, bytes) => memory.copy_in(at, &bytes),
            }
            .expect("posts were checked when they were made");
        }
    }
}

/// The peer's window as one end sees it: everything that is written is collected.
struct Posts(RefCell<Vec<Post>>);

impl Region for Posts {
    fn size(&self) -> u64 {
        WINDOW
    }
    fn load_acquire_u64(&self, _: u64) -> Result<u64, RegionError> {
        panic!("nothing may be read through a link");
    }
    fn store_release_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
        check_word(offset, WINDOW)?;
        self.0.borrow_mut().push(Post::Word(offset, value));
        Ok(())
    }
    fn copy_in(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        check_range(offset, data.len() as u64, WINDOW)?;
        self.0.borrow_mut().push(Post::Bytes(offset, data.to_vec()));
        Ok(())
    }
    fn copy_out(&self, _: u64, _: &mut [u8]) -> Result<(), RegionError> {
        panic!("nothing may be read through a link");
    }
}

struct Wire {
    /// `ways[n]` leads to node n.
    ways: [Way; 2],
    up: bool,
    downs: u64,
    /// Loses everything to node n, and says nothing.
    deaf: [bool; 2],
}

struct End {
    session: Host,
    incarnation: u64,
    /// When it looks next, doorbells apart.
    wake_at: u64,
    /// It does nothing before.
    stalled_until: u64,
    drained_at: Option<u64>,
    send_at: u64,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The link is down at both ends, with notice, for a while.
    Cut {
        link: usize,
        ms: u64,
        posts_still_land: bool,
    },
    /// Everything to one node is lost for a while, without notice.
    Deaf { link: usize, node: usize, ms: u64 },
    /// As `Deaf`, both ways.
    Silent { link: usize, ms: u64 },
    /// The controller does nothing for a while; its windows go on taking writes.
    Stall { node: usize, ms: u64 },
    /// The controller dies and starts anew.
    Restart { node: usize, clear: bool },
    /// The client of a controller ends the session.
    End { node: usize },
    /// It sends more than there is room for.
    Overrun { node: usize },
    /// One word of a window is overwritten.
    Scribble {
        link: usize,
        node: usize,
        word: u64,
        value: u64,
    },
}

/// How bad the world is, faults apart.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub links: usize,
    pub delay_us: u64,
    /// Each link is ten times slower than the one before (at most 20 ms).
    pub uneven: bool,
    /// One in so many posts is lost without notice; 0 for none.
    pub lose_one_in: u64,
    /// One in so many doorbells is lost; 0 for none.
    pub lose_bells_one_in: u64,
    pub settings: Settings,
    pub linger_ms: u64,
}

impl Weather {
    pub const FAIR: Self = Self {
        links: 2,
        delay_us: 50,
        uneven: false,
        lose_one_in: 0,
        lose_bells_one_in: 0,
        settings: Settings::DEFAULT,
        linger_ms: 2_000,
    };
}

pub struct Pair {
    pub now: u64,
    pub weather: Weather,
    pub checker: Checker,
    rng: Rng,
    wires: Vec<Wire>,
    ends: [End; 2],
    /// (when, what): what ends or happens later.
    planned: Vec<(u64, Planned)>,
    pub sending: bool,
}

#[derive(Clone, Copy, Debug)]
enum Planned {
    Mend(usize, bool),
    Hear(usize, usize),
    Bell(usize),
}

fn link_id(link: usize) -> LinkId {
    LinkId::new(link as u8).expect("a link number")
}

pub fn node_id(node: usize) -> NodeId {
    NodeId::new(node as u8).expect("a node number")
}

pub fn session_config(node: usize, incarnation: u64, linger_ms: u64) -> SessionConfig {
    SessionConfig {
        appliance: Uuid::from_bytes([7; 16]),
        node: node_id(node),
        incarnation: Incarnation::new(incarnation).expect("not 0"),
        expect: None,
        linger_ns: linger_ms * MS,
        closing_ns: 200 * MS,
    }
}

fn end(node: usize, rng: &mut Rng, weather: &Weather, now: u64) -> End {
    let incarnation = rng.next().max(1);
    let config = session_config(node, incarnation, weather.linger_ms);
    let mut session = Host::new(
        config,
        rng.next(),
        vec![Slot::default(); 3],
        vec![Kept::EMPTY; OUTBOX],
    );
    let window = Layout::new(WINDOW, RING_ENTRIES).expect("a layout");
    for link in 0..weather.links {
        session
            .add_link(link_id(link), window, weather.settings)
            .expect("settings in range");
    }
    End {
        session,
        incarnation,
        wake_at: now,
        stalled_until: 0,
        drained_at: None,
        send_at: now,
    }
}

impl Pair {
    pub fn new(seed: u64, weather: Weather) -> Self {
        let mut rng = Rng::new(seed);
        let ends = [0, 1].map(|node| end(node, &mut rng, &weather, 0));
        let wire = |_| Wire {
            ways: [Way::new(), Way::new()],
            up: true,
            downs: 0,
            deaf: [false; 2],
        };
        let wires = (0..weather.links).map(wire).collect();
        Self {
            now: 0,
            weather,
            checker: Checker::default(),
            rng,
            wires,
            ends,
            planned: Vec::new(),
            sending: true,
        }
    }

    pub fn session(&self, node: usize) -> &Host {
        &self.ends[node].session
    }

    /// What the two ends are at, for the message of a failed test.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for node in 0..2 {
            let session = &self.ends[node].session;
            let _ = writeln!(
                text,
                "{} ms, node {node}: {:?}, active {:?}, {} not acknowledged, {}",
                self.now / MS,
                session.state(),
                session.active(),
                session.unacknowledged(),
                self.checker.describe(node)
            );
            for link in LinkId::all().filter_map(|id| session.link(id)) {
                let (state, down) = (link.state(), link.last_down());
                let _ = writeln!(
                    text,
                    "  {}: {state:?}, last {down:?}, refusal {:?}",
                    link.config().id,
                    link.refusal()
                );
            }
        }
        text
    }

    pub fn memory(&self, link: usize, node: usize) -> &[Cell<u64>] {
        &self.wires[link].ways[node].memory
    }

    /// Runs for a while.
    pub fn run(&mut self, ms: u64) {
        let until = self.now + ms * MS;
        while let Some(at) = self.next_event().filter(|&at| at <= until) {
            self.now = at.max(self.now);
            self.step();
        }
        self.now = until;
    }

    /// Runs until `done`, or `ms` are over. Whether it came to be.
    pub fn run_until(&mut self, ms: u64, done: impl Fn(&Self) -> bool) -> bool {
        let until = self.now + ms * MS;
        while !done(self) {
            let Some(at) = self.next_event().filter(|&at| at <= until) else {
                return false;
            };
            self.now = at.max(self.now);
            self.step();
        }
        true
    }

    fn next_event(&self) -> Option<u64> {
        let arrivals = self
            .wires
            .iter()
            .flat_map(|wire| &wire.ways)
            .filter_map(|way| way.under_way.front());
        let planned = self.planned.iter().map(|(at, _)| *at);
        let wakes = self
            .ends
            .iter()
            .map(|end| end.wake_at.max(end.stalled_until));
        arrivals
            .map(|(at, _)| *at)
            .chain(planned)
            .chain(wakes)
            .min()
    }

    fn step(&mut self) {
        for wire in &mut self.wires {
            for way in &mut wire.ways {
                way.arrive(self.now);
            }
        }
        let now = self.now;
        let planned = std::mem::take(&mut self.planned);
        let (due, later): (Vec<_>, Vec<_>) = planned.into_iter().partition(|(at, _)| *at <= now);
        self.planned = later;
        for (_, planned) in due {
            match planned {
                Planned::Mend(link, up) => self.wires[link].up = up,
                Planned::Hear(link, node) => self.wires[link].deaf[node] = false,
                Planned::Bell(node) => self.ends[node].wake_at = now,
            }
        }
        for node in 0..2 {
            let end = &self.ends[node];
            if end.wake_at.max(end.stalled_until) <= now {
                self.act(node);
            }
        }
    }

    /// One turn of the event loop of a controller.
    fn act(&mut self, node: usize) {
        let now = self.now;
        if self.sending && self.ends[node].send_at <= now {
            self.send(node);
            self.ends[node].send_at = now + self.rng.below(8 * MS);
        }
        if self.ends[node].drained_at.is_some_and(|at| at <= now) {
            self.ends[node].drained_at = None;
            self.ends[node].session.drained(now);
            self.take_actions(node);
        }
        self.ends[node].session.tick(now);
        self.take_actions(node);
        for link in 0..self.weather.links {
            self.poll(node, link);
        }
        let end = &mut self.ends[node];
        let next = end
            .session
            .next_deadline(now)
            .min(end.drained_at.unwrap_or(u64::MAX));
        let next = if self.sending {
            next.min(end.send_at)
        } else {
            next
        };
        end.wake_at = next.max(now + 1_000) + self.rng.below(200_000);
    }

    fn send(&mut self, node: usize) {
        for _ in 0..=self.rng.below(4) {
            // A message more than there is room for would end the session.
            if self.ends[node].session.room() == 0 {
                return;
            }
            let Some(message) = self.checker.message(node) else {
                return;
            };
            if self.ends[node].session.send(Port(5), &message).is_ok() {
                self.checker.sent(node);
            }
        }
    }

    fn poll(&mut self, node: usize, link: usize) {
        let id = link_id(link);
        let posts = Posts(RefCell::new(Vec::new()));
        let carrier = Carrier {
            up: self.wires[link].up,
            downs: self.wires[link].downs,
        };
        {
            let own = CellRegion::new(&self.wires[link].ways[node].memory);
            self.ends[node]
                .session
                .poll(id, self.now, carrier, &own, &posts);
        }
        self.take_actions(node);
        loop {
            let mut buffer = [0; MESSAGE_MAX];
            let own = CellRegion::new(&self.wires[link].ways[node].memory);
            let Some(received) =
                self.ends[node]
                    .session
                    .receive(id, self.now, &own, &posts, &mut buffer)
            else {
                break;
            };
            assert_eq!(received.port, Port(5));
            self.checker.received(node, &buffer[..received.len]);
        }
        self.take_actions(node);
        self.carry(link, 1 - node, posts.0.into_inner());
    }

    /// Sends posts on their way. Within one link they arrive in order, but pieces of one copy do not.
    fn carry(&mut self, link: usize, to: usize, posts: Vec<Post>) {
        let slower = if self.weather.uneven {
            10_u64.pow(link as u32)
        } else {
            1
        };
        let delay_us = (self.weather.delay_us * slower).min(20_000);
        let wire = &mut self.wires[link];
        if !wire.up || wire.deaf[to] {
            return;
        }
        for post in posts {
            if self.rng.one_in(self.weather.lose_one_in) {
                continue;
            }
            let way = &mut wire.ways[to];
            let at = (self.now + self.rng.below(delay_us * 1_000)).max(way.last_arrival);
            way.last_arrival = at;
            way.under_way.push_back((at, post));
        }
    }

    fn take_actions(&mut self, node: usize) {
        while let Some(action) = self.ends[node].session.next_action() {
            if let Action::Doorbell { .. } = action {
                if !self.rng.one_in(self.weather.lose_bells_one_in) {
                    let at = self.now + self.rng.below(self.weather.delay_us * 2_000);
                    self.planned.push((at, Planned::Bell(1 - node)));
                }
                continue;
            }
            if let Action::SessionGone { .. } = action {
                let never = self.rng.one_in(8);
                self.ends[node].drained_at = (!never).then_some(self.now + self.rng.below(20 * MS));
            }
            self.checker
                .action(node, self.ends[node].incarnation, self.now, &action);
        }
    }

    pub fn inject(&mut self, fault: Fault) {
        let now = self.now;
        match fault {
            Fault::Cut {
                link,
                ms,
                posts_still_land,
            } => {
                let wire = &mut self.wires[link];
                if wire.up {
                    wire.downs += 1;
                }
                wire.up = false;
                if !posts_still_land {
                    wire.ways.iter_mut().for_each(|way| way.under_way.clear());
                }
                self.planned
                    .push((now + ms * MS, Planned::Mend(link, true)));
            }
            Fault::Deaf { link, node, ms } => {
                self.wires[link].deaf[node] = true;
                self.planned
                    .push((now + ms * MS, Planned::Hear(link, node)));
            }
            Fault::Silent { link, ms } => {
                self.inject(Fault::Deaf { link, node: 0, ms });
                self.inject(Fault::Deaf { link, node: 1, ms });
            }
            Fault::Stall { node, ms } => {
                let end = &mut self.ends[node];
                end.stalled_until = end.stalled_until.max(now + ms * MS);
            }
            Fault::Restart { node, clear } => {
                self.checker.died(node);
                self.ends[node] = end(node, &mut self.rng, &self.weather, now);
                if clear {
                    for wire in &self.wires {
                        wire.ways[node].memory.iter().for_each(|word| word.set(0));
                    }
                }
            }
            Fault::End { node } => {
                self.ends[node].session.end_session(now);
                self.take_actions(node);
            }
            Fault::Overrun { node } => {
                let Some(message) = self.checker.message(node) else {
                    return;
                };
                while self.ends[node].session.room() > 0 {
                    self.send(node);
                }
                let end = &mut self.ends[node];
                let refused = end.session.send(Port(5), &message);
                assert_eq!(refused, Err(SendError::Full));
                end.wake_at = end.session.next_deadline(now);
                assert!(end.wake_at <= now, "it is due");
            }
            Fault::Scribble {
                link,
                node,
                word,
                value,
            } => {
                let memory = &self.wires[link].ways[node].memory;
                memory[word as usize % memory.len()].set(value);
            }
        }
    }
}
