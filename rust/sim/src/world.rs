// SPDX-License-Identifier: GPL-2.0
//! A whole appliance: two controllers, the links between them, the disk that
//! they share, their clients, and the checkers that watch. One volume of it:
//! where there are several, each is a world ([`beside`]).
//!
//! A world only moves by [`World::take`], one [`Event`] at a time, and draws no
//! random numbers: who chooses the events (a seeded driver, or the explorer)
//! chooses everything.

mod act;
pub mod beside;
mod disk;
mod drive;
mod enabled;
mod finish;
mod jobs;
mod lost;
mod node_blocks;
mod posts;
mod power;
mod reads;
mod reserve;
mod session;

use std::collections::BTreeMap;
use std::sync::Arc;

use yoke_core::ids::{Incarnation, NodeId};
use yoke_core::window::Place;

use beside::{News, Room};
use reserve::Asked;

use crate::check::history::History;
use crate::check::owner::{Actor, Owner};
use crate::check::{Kind, Violation};
use crate::clock::Clock;
use crate::controller::Controller;
use crate::disk::{Cookie, Disk};
use crate::event::Event;
use crate::link::Link;
use crate::rng::splitmix64;
use crate::scenario::Scenario;
use crate::stats::Stats;
use crate::trace::Trace;

/// Controllers of a simulated appliance.
pub const CONTROLLERS: usize = 2;

/// Who draws numbers: controllers, and up to four links.
const SOURCES: usize = CONTROLLERS + 4;

/// The stamps of each volume have a range of their own: what another one wrote is told from its own.
const STAMPS: u64 = 1 << 40;

/// Something that has become possible, for the driver to choose its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fresh {
    /// What.
    pub event: Event,
    /// Not before this true time, if that matters.
    pub due_ns: Option<u64>,
}

/// The link layers' agreement on who is in a session with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// The number of the newest session.
    pub number: u32,
    /// Whether each end is in it.
    pub open: [bool; CONTROLLERS],
    /// Whether each end has closed the volume: its twin hears nothing of links and session then.
    pub closed: [bool; CONTROLLERS],
}

/// What of a world is the same in all its states.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The kind of appliance.
    pub scenario: Scenario,
    /// Which controllers claim a released volume by themselves.
    pub home: [bool; CONTROLLERS],
    /// Drift of each controller's clock, in parts per million.
    pub drift_ppm: [i32; CONTROLLERS],
    /// Judge losses of all power.
    pub durability: bool,
    /// Which volume this is, and where it stands in the windows.
    pub room: Room,
}

/// A whole appliance.
#[derive(Clone, Debug)]
pub struct World {
    /// What never changes.
    pub setting: Arc<Setting>,
    /// True time, in nanoseconds.
    pub now_ns: u64,
    /// The controllers.
    pub controllers: [Controller; CONTROLLERS],
    /// The links between them.
    pub links: Vec<Link>,
    /// The disk that they share.
    pub disk: Disk<Cookie>,
    /// Their session.
    pub session: Session,
    /// What clients saw.
    pub history: History,
    /// Who acted.
    pub owner: Owner,
    /// Which life of which controller was the first to write a record of each generation.
    pub authors: BTreeMap<u64, Actor>,
    /// What controllers have asked of the target and were not answered.
    asked: Vec<Asked>,
    /// Registrations that were said to have failed and are not done yet: of whom, in which life.
    registering: Vec<(u8, u32)>,
    /// The newest record on the disk rests on memories that are all gone.
    memory_lost: bool,
    /// Lives that a fault has stopped, and that a person has ended since. What they had in memory is no excuse.
    stopped: Vec<(Actor, Incarnation)>,
    /// Messages get lost.
    pub lossy: bool,
    /// What has happened that the other volumes have not been told.
    pub news: Vec<News>,
    /// What became possible since this was last emptied.
    pub fresh: Vec<Fresh>,
    /// What happened, for people.
    pub trace: Trace,
    /// What happened, counted.
    pub stats: Stats,
    /// What the checkers found first.
    pub violation: Option<Violation>,
    /// Every number that must be new is drawn from this and from who draws it how often.
    numbers: u64,
    /// How often each controller, and then each link, has drawn one: what one of them does gives the same numbers,
    /// whatever the others have done before.
    drawn: [u32; SOURCES],
    /// The stamp of the last write.
    stamps: u64,
}

/// How long a time may take by the slowest clock. Clocks drift apart by half of the bound at most, each.
fn by_slowest_clock(scenario: &Scenario, time_ns: u64) -> u64 {
    time_ns + time_ns * u64::from(scenario.drift_ppm) / 1_000_000 + 1
}

impl std::hash::Hash for World {
    /// Everything that decides what can happen from here on, and nothing else.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.now_ns.hash(state);
        self.controllers.hash(state);
        self.links.hash(state);
        self.disk.hash(state);
        self.session.hash(state);
        self.history.hash(state);
        self.owner.hash(state);
        self.authors.hash(state);
        self.asked.hash(state);
        self.registering.hash(state);
        self.memory_lost.hash(state);
        self.stopped.hash(state);
        self.lossy.hash(state);
        self.violation.is_some().hash(state);
        self.numbers.hash(state);
        self.drawn.hash(state);
        self.stamps.hash(state);
    }
}

impl World {
    /// A formatted disk, connected links, and both controllers off.
    pub fn new(setting: Setting, seed: u64) -> Self {
        let scenario = &setting.scenario;
        let controllers = [0, 1].map(|at| {
            let node = NodeId::new(at as u8).unwrap_or_else(|| unreachable!("two nodes"));
            Controller::new(node, Clock::new(0, 0, setting.drift_ppm[at]))
        });
        World {
            now_ns: 0,
            controllers,
            links: vec![Link::new(scenario.latches); scenario.links],
            disk: Disk::new(
                node_blocks::format(&setting.room.identity(), scenario.bytes),
                scenario.blocks as usize,
                scenario.volatile_cache,
                scenario.target,
            ),
            session: Session {
                number: 0,
                open: [false; CONTROLLERS],
                closed: [false; CONTROLLERS],
            },
            history: History::new(scenario.blocks, setting.durability),
            owner: Owner::new(by_slowest_clock(scenario, scenario.longest_link_lease_ns())),
            authors: BTreeMap::new(),
            asked: Vec::new(),
            registering: Vec::new(),
            memory_lost: false,
            stopped: Vec::new(),
            lossy: false,
            news: Vec::new(),
            fresh: Vec::new(),
            trace: Trace::off(),
            stats: Stats::default(),
            violation: None,
            numbers: seed,
            drawn: [0; SOURCES],
            stamps: u64::from(setting.room.volume) * STAMPS,
            setting: Arc::new(setting),
        }
    }

    /// Takes a step. An event whose time has passed changes nothing.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Arrive { link, at, count } => self.arrive(link, at, count),
            Event::Land(command) => self.land(command, false),
            Event::LandPart(command) => self.land(command, true),
            Event::Complete { command, bad } => self.complete(command, bad),
            Event::Job { at, job } => self.step_job(at, job),
            Event::Act { at, lane } => self.act(at, lane),
            Event::Notice { at } => self.deliver_notice(at),
            Event::Message { at } => self.deliver_message(at),
            Event::Poll { at } => self.poll(at),
            Event::Destage { at } => self.destage(at),
            Event::Handshake { link } => self.handshake(link),
            Event::Silent { link, at } => self.silent(link, at),
            Event::Linger { at } => self.linger(at),
            Event::Submit { at, ask } => self.submit(at, ask),
            Event::Tell { at, command } => self.tell(at, command),
            Event::Crash { at, keep } => self.crash(at, keep),
            Event::Start { at } => self.start(at),
            Event::Restart { at } => self.restart(at),
            Event::Reopen { at } => self.reopen(at),
            Event::Disown { command } => self.disown(command),
            Event::Pause { at } => self.pause(at),
            Event::Resume { at } => self.resume(at),
            Event::Cut { link, keep } => self.cut(link, keep),
            Event::Mend { link } => self.mend(link),
            Event::Swap { link, at, index } => {
                self.links[link as usize].swap(at as usize, index.into());
            }
            Event::CacheLoss { pick } => self.cache_loss(pick),
            Event::PowerLoss { pick } => self.power_loss(pick),
            Event::Told { at } => self.told(at),
            Event::Register { at, life } => self.register_late(at, life),
            Event::ForgetReservation => self.forget_reservation(),
        }
    }

    /// The place of the volume's region in every window.
    pub fn place(&self) -> Place {
        self.setting.room.place
    }

    /// The clock of a controller, now.
    pub fn clock(&self, at: u8) -> u64 {
        self.controllers[at as usize].clock.show(self.now_ns)
    }

    /// A number that was never used before, for a controller.
    fn number(&mut self, at: u8) -> u64 {
        self.draw(at.into())
    }

    /// A number that was never used before, for a link.
    fn link_number(&mut self, link: u8) -> u64 {
        self.draw(CONTROLLERS + usize::from(link))
    }

    fn draw(&mut self, source: usize) -> u64 {
        self.drawn[source] += 1;
        let mut state = self.numbers ^ (source as u64) << 32 ^ u64::from(self.drawn[source]);
        splitmix64(&mut state) >> 1 | 1
    }

    fn soon(&mut self, event: Event) {
        self.fresh.push(Fresh {
            event,
            due_ns: None,
        });
    }

    fn later(&mut self, event: Event, due_ns: u64) {
        self.fresh.push(Fresh {
            event,
            due_ns: Some(due_ns),
        });
    }

    /// Puts everything that the machines know into the trace.
    pub fn trace_machines(&mut self) {
        for (at, controller) in self.controllers.iter().enumerate() {
            if let Some(live) = &controller.live {
                self.trace.line(self.now_ns, || {
                    format!("controller {at}: {:?}", live.machine)
                });
            }
        }
    }

    /// Something is wrong. What was wrong first is kept.
    pub fn violated(&mut self, kind: Kind, words: impl Into<String>) {
        self.judge(Err(Violation::new(kind, words)));
    }

    #[inline]
    fn judge(&mut self, judgement: Result<(), Violation>) {
        if let Err(violation) = judgement {
            self.condemn(violation);
        }
    }

    #[cold]
    fn condemn(&mut self, violation: Violation) {
        self.trace
            .line(self.now_ns, || format!("VIOLATION: {violation}"));
        self.violation.get_or_insert(violation);
    }
}
