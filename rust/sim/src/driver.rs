// SPDX-License-Identifier: GPL-2.0
//! The seeded driver: decides when everything that can happen does, in virtual
//! time. The same scenario and seed give the same run, event by event.

mod agenda;
mod delays;
mod disk_errors;
mod faults;
mod seats;
mod workload;

use agenda::Agenda;
use disk_errors::Fate;
use seats::Seat;

use crate::check::Kind;
use crate::disk::CommandId;
use crate::event::Event;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::world::{Fresh, World, CONTROLLERS};

/// Links of an appliance, at most.
const LINKS_MAX: usize = 4;

/// A command that does not land before it must.
#[derive(Clone, Copy, Debug)]
struct Held {
    id: CommandId,
    /// When it must.
    last_ns: u64,
    /// Whether it would have.
    due: bool,
}

/// A world in virtual time; or several, one for each volume.
#[derive(Debug)]
pub struct Driver {
    /// What is driven: the volume that has the turn.
    pub world: World,
    /// The other volumes.
    seats: Vec<Seat>,
    /// The source of all chance.
    pub rng: Rng,
    scenario: Scenario,
    agenda: Agenda,
    /// What a paused controller would do.
    parked: [Vec<Event>; CONTROLLERS],
    /// The earliest poll on the agenda.
    poll_ns: [u64; CONTROLLERS],
    /// Whether a destage is on the agenda.
    destaging: [bool; CONTROLLERS],
    /// Whether an arrival is on the agenda, by link and end.
    arriving: [[bool; CONTROLLERS]; LINKS_MAX],
    /// When the next client request comes; never, if the clients rest.
    client_ns: u64,
    /// When the next fault comes; never, if nothing goes wrong any more.
    fault_ns: u64,
    /// Until when the path of each controller to the disk fails everything.
    path_bad_ns: [u64; CONTROLLERS],
    /// What becomes of commands that fail.
    fates: Vec<(CommandId, Fate)>,
    /// A command that does not land for now.
    held: Option<Held>,
    /// Events that may still be taken before the run counts as endless.
    budget: u64,
}

impl Driver {
    /// A world of this kind. Everything about it that varies depends on `seed`.
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut worlds = seats::worlds(&scenario, &mut rng);
        let world = worlds.remove(0);
        let seats = worlds.into_iter().map(Seat::new).collect();
        Driver {
            world,
            seats,
            rng,
            scenario,
            agenda: Agenda::default(),
            parked: [Vec::new(), Vec::new()],
            poll_ns: [u64::MAX; CONTROLLERS],
            destaging: [false; CONTROLLERS],
            arriving: [[false; CONTROLLERS]; LINKS_MAX],
            client_ns: u64::MAX,
            fault_ns: u64::MAX,
            path_bad_ns: [0; CONTROLLERS],
            fates: Vec::new(),
            held: None,
            budget: 300_000 * u64::from(scenario.volumes),
        }
    }

    /// Puts an event on the agenda, `delay_ns` from now.
    pub fn schedule(&mut self, event: Event, delay_ns: u64) {
        let at_ns = self.world.now_ns.saturating_add(delay_ns);
        self.put(event, at_ns);
    }

    fn put(&mut self, event: Event, at_ns: u64) {
        let volume = if self.seats.is_empty() || event.is_shared() {
            0
        } else {
            self.volume()
        };
        self.agenda.put(event, volume, at_ns);
    }

    /// Takes every fault off the agenda.
    pub(crate) fn forget_faults(&mut self) {
        self.agenda.retain(|event| {
            !matches!(
                event,
                Event::Crash { .. }
                    | Event::Pause { .. }
                    | Event::Cut { .. }
                    | Event::PowerLoss { .. }
                    | Event::Tell { .. }
            )
        });
    }

    /// Clients begin to ask, or rest.
    pub fn set_clients(&mut self, on: bool) {
        self.client_ns = if on { self.world.now_ns } else { u64::MAX };
    }

    /// Things begin to go wrong, or nothing new does.
    pub fn set_faults(&mut self, on: bool) {
        let (low, high) = self.scenario.faults.every_ns;
        self.world.lossy = on;
        self.fault_ns = if on {
            self.world.now_ns + self.rng.delay(low, high)
        } else {
            u64::MAX
        };
    }

    /// Runs until `done` says so or the true time is `until_ns`, whichever is
    /// first. Whether it was `done`, which is asked of the volume that has the turn. Stops at a violation.
    pub fn run(&mut self, until_ns: u64, mut done: impl FnMut(&mut World) -> bool) -> bool {
        let turn = self.volume();
        loop {
            if self.world.violation.is_some() {
                return false;
            }
            self.turn_to(turn);
            if done(&mut self.world) {
                return true;
            }
            let soonest = self.agenda.next_ns().min(self.client_ns).min(self.fault_ns);
            if soonest > until_ns {
                self.world.now_ns = self.world.now_ns.max(until_ns);
                return false;
            }
            self.world.now_ns = self.world.now_ns.max(soonest);
            if self.client_ns <= soonest {
                self.client();
            } else if self.fault_ns <= soonest {
                self.fault();
            } else if let Some((at_ns, event, volume)) = self.agenda.pop() {
                self.turn_to(volume);
                // An earlier deadline has taken the place of a later one.
                let stale = match event {
                    Event::Poll { at } => self.poll_ns[at as usize] != at_ns,
                    _ => false,
                };
                if !stale {
                    self.take(event);
                }
            }
            if self.budget == 0 {
                self.world.trace_machines();
                self.world
                    .violated(Kind::Endless, "the run does not come to an end");
            }
        }
    }

    /// Takes an event now, and gives everything that it makes possible a time.
    pub fn take(&mut self, event: Event) {
        self.budget = self.budget.saturating_sub(1);
        self.world.stats.events += 1;
        match event {
            Event::Poll { at } => self.poll_ns[at as usize] = u64::MAX,
            Event::Destage { at } => self.destaging[at as usize] = false,
            Event::Arrive { link, at, .. } => *self.arriving(link, at) = false,
            _ => {}
        }
        if self.is_held(event) {
            return;
        }
        if let Some(at) = self.stopped(event) {
            self.parked[at].push(event);
            return;
        }
        if self.has_others() && event.is_shared() {
            return self.take_shared(event);
        }
        self.world.take(event);
        self.follow(event);
    }

    /// What an event that a world has taken means for the agenda.
    #[inline(always)]
    fn follow(&mut self, event: Event) {
        if let Event::Arrive { link, at, .. } = event {
            let left = self.world.links[link as usize].under_way(at as usize) > 0;
            if left && !std::mem::replace(self.arriving(link, at), left) {
                self.schedule_arrival(link, at);
            }
        } else if event.moves_controllers() {
            self.sort_parked(event);
        }
        // None of them makes another one possible.
        for index in 0..self.world.fresh.len() {
            let Fresh { event, due_ns } = self.world.fresh[index];
            self.admit(event, due_ns);
        }
        self.world.fresh.clear();
    }

    /// A controller goes on, or is not there any more: what it would have done is done, or never.
    #[inline(never)]
    fn sort_parked(&mut self, event: Event) {
        match event {
            Event::Resume { at } => self.unpark(at),
            Event::Crash { at, .. } | Event::Restart { at } => self.parked[at as usize].clear(),
            Event::PowerLoss { .. } => self.parked.iter_mut().for_each(Vec::clear),
            _ => {}
        }
    }

    /// From now on this command of the disk does not land, for as long as a command may live; the one before lands at
    /// once, if its time has come.
    pub fn hold_command(&mut self, command: Option<CommandId>) {
        let mut queue = self.world.disk.queue().iter();
        let found = queue.find(|c| Some(c.id) == command);
        let life_ns = self.scenario.longest_io_life_ns();
        let last_ns = found.map_or(0, |c| c.issued_ns + life_ns);
        let held = command.map(|id| Held {
            id,
            last_ns,
            due: false,
        });
        if let Some(held) = &held {
            self.put(Event::Land(held.id), held.last_ns);
        }
        if let Some(before) = std::mem::replace(&mut self.held, held).filter(|h| h.due) {
            self.take(Event::Land(before.id));
        }
    }

    fn is_held(&mut self, event: Event) -> bool {
        let Some(held) = &mut self.held else {
            return false;
        };
        let (Event::Land(id) | Event::LandPart(id)) = event else {
            return false;
        };
        let holds = id == held.id && self.world.now_ns < held.last_ns;
        held.due |= holds && matches!(event, Event::Land(_));
        holds
    }

    /// The paused controller whose processors would have to take this step.
    fn stopped(&self, event: Event) -> Option<usize> {
        if !self.world.controllers.iter().any(|c| c.paused) {
            return None;
        }
        let at = match event {
            Event::Job { at, .. }
            | Event::Act { at, .. }
            | Event::Notice { at }
            | Event::Message { at }
            | Event::Poll { at }
            | Event::Destage { at }
            | Event::Told { at }
            | Event::Silent { at, .. }
            | Event::Linger { at } => at as usize,
            Event::Complete { command, .. } | Event::Disown { command } => {
                let queue = self.world.disk.queue();
                queue
                    .iter()
                    .find(|c| c.id == command)
                    .map(|c| c.issuer.controller)?
            }
            _ => return None,
        };
        self.world.controllers[at].paused.then_some(at)
    }

    fn unpark(&mut self, at: u8) {
        for event in std::mem::take(&mut self.parked[at as usize]) {
            if matches!(event, Event::Poll { .. } | Event::Destage { .. }) {
                self.admit(event, None);
            } else {
                let delay = self.rng.delay(100, 100_000);
                self.schedule(event, delay);
            }
        }
    }
}
