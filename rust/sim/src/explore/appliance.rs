// SPDX-License-Identifier: GPL-2.0
//! The appliance as a model: the real machines, in a world small enough to visit
//! every state of it.

use yoke_core::volume::Command;

use super::settle::{can_tick, come_to_rest, run_until, Choices};
use super::Model;
use crate::check::history::Request;
use crate::event::{Ask, Event};
use crate::plan::settle::{healthy, serving};
use crate::scenario::{Scenario, MS};
use crate::world::beside::Room;
use crate::world::{Setting, World, CONTROLLERS};

/// How much may happen in one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Ticks of time.
    pub ticks: u8,
    /// Deaths of controllers.
    pub crashes: u8,
    /// Starts of dead controllers.
    pub starts: u8,
    /// Downs of links.
    pub cuts: u8,
    /// Links that come back.
    pub mends: u8,
    /// Pauses of controllers.
    pub pauses: u8,
    /// Givebacks.
    pub givebacks: u8,
    /// Losses of all power.
    pub power: u8,
}

/// A small appliance to be explored.
#[derive(Clone, Debug)]
pub struct Appliance {
    /// The kind of appliance.
    pub scenario: Scenario,
    /// What clients ask, in this order, of whoever says it owns the volume.
    pub script: Vec<Ask>,
    /// What is left to the explorer.
    pub choices: Choices,
    /// How much may happen.
    pub budget: Budget,
    /// Length of a tick, in nanoseconds.
    pub tick_ns: u64,
    /// After every state: kill these, let the rest come to rest, and read every
    /// block. One bit for each controller; none: no such probes.
    pub probes: &'static [u8],
    /// Which states are counted.
    pub counts: fn(&World) -> bool,
}

/// A state of an appliance.
#[derive(Clone, Debug, Hash)]
pub struct Situation {
    /// The appliance.
    pub world: World,
    asked: u8,
    left: Budget,
    /// A probe has ended this path.
    over: bool,
}

/// A step of an appliance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something happens.
    Happen(Event),
    /// Time passes.
    Tick,
    /// A client asks for the next thing on the list.
    Ask(u8),
    /// These die for good, the rest comes to rest, and every block is read.
    Probe(u8),
}

/// A scenario for exploring: everything on the grid of ticks, no drift.
pub fn small(tick_ns: u64) -> Scenario {
    let mut s = Scenario::calm();
    s.links = 1;
    s.blocks = 1;
    s.slots = 2;
    s.dirty_limit = 2;
    s.link_lease_ns = tick_ns;
    s.disk_lease_ns = 3 * tick_ns.max(MS);
    s.io_life_ns = tick_ns;
    s.poll_ns = tick_ns;
    s.backoff_ns = 1;
    s.giveback_ns = 4 * tick_ns;
    s.drift_ppm = 0;
    s.fine = false;
    s
}

impl Appliance {
    fn owner(&self, world: &World) -> Option<u8> {
        serving(world).or_else(|| {
            (0..CONTROLLERS as u8).find(|at| {
                let live = world.controllers[*at as usize].live.as_ref();
                live.is_some_and(|l| l.machine.is_owner())
            })
        })
    }

    fn probe(&self, world: &mut World, dead: u8) {
        for at in (0..CONTROLLERS as u8).filter(|at| dead & (1 << at) != 0) {
            world.take(Event::Crash {
                at,
                keep: [u8::MAX; 4],
            });
        }
        for at in 0..CONTROLLERS as u8 {
            world.take(Event::Resume { at });
        }
        for link in 0..world.links.len() as u8 {
            world.take(Event::Mend { link });
        }
        if !run_until(world, self.tick_ns, 40, |w| serving(w).is_some()) {
            return;
        }
        for block in 0..self.scenario.blocks {
            let Some(at) = serving(world) else { return };
            let request = Request::Read { block, count: 1 };
            world.take(Event::Submit {
                at,
                ask: Ask::Io(request),
            });
            run_until(world, self.tick_ns, 10, |w| {
                w.controllers
                    .iter()
                    .flat_map(|c| &c.live)
                    .all(|l| l.busy() == 0)
            });
        }
    }

    fn spend(left: &mut Budget, event: Event) {
        let purse = match event {
            Event::Crash { .. } => &mut left.crashes,
            Event::Start { .. } => &mut left.starts,
            Event::Cut { .. } => &mut left.cuts,
            Event::Mend { .. } => &mut left.mends,
            Event::Pause { .. } => &mut left.pauses,
            Event::Tell { .. } => &mut left.givebacks,
            Event::PowerLoss { .. } => &mut left.power,
            _ => return,
        };
        *purse = purse.saturating_sub(1);
    }

    fn faults(&self, state: &Situation, steps: &mut Vec<Step>) {
        let world = &state.world;
        let left = &state.left;
        for at in 0..CONTROLLERS as u8 {
            let controller = &world.controllers[at as usize];
            let alive = controller.live.is_some();
            if alive && left.crashes > 0 {
                let all = [u8::MAX; 4];
                steps.push(Step::Happen(Event::Crash { at, keep: all }));
                if world.links.iter().any(|l| l.under_way(at as usize) > 0) {
                    steps.push(Step::Happen(Event::Crash { at, keep: [0; 4] }));
                }
            }
            if !alive && left.starts > 0 {
                steps.push(Step::Happen(Event::Start { at }));
            }
            if controller.runs() && left.pauses > 0 {
                steps.push(Step::Happen(Event::Pause { at }));
            }
            if controller.paused {
                steps.push(Step::Happen(Event::Resume { at }));
            }
            if left.givebacks > 0 && controller.runs() && self.owner(world) == Some(at) {
                let command = Command::GiveBack;
                steps.push(Step::Happen(Event::Tell { at, command }));
            }
        }
        for (link, hardware) in (0..).zip(&world.links) {
            if hardware.is_up() && left.cuts > 0 {
                steps.push(Step::Happen(Event::Cut {
                    link,
                    keep: [u8::MAX; 2],
                }));
                if (0..2).any(|end| hardware.under_way(end) > 0) {
                    steps.push(Step::Happen(Event::Cut { link, keep: [0; 2] }));
                }
            }
            if !hardware.is_up() && left.mends > 0 {
                steps.push(Step::Happen(Event::Mend { link }));
            }
        }
        if left.power > 0 {
            for pick in 0..2 {
                steps.push(Step::Happen(Event::PowerLoss { pick }));
            }
        }
    }
}

impl Model for Appliance {
    type State = Situation;
    type Step = Step;

    fn start(&self) -> Situation {
        let setting = Setting {
            scenario: self.scenario,
            home: [true, false],
            drift_ppm: [0; CONTROLLERS],
            durability: self.budget.power > 0,
            room: Room::alone(self.scenario.slots),
        };
        let mut world = World::new(setting, 1);
        for at in 0..CONTROLLERS as u8 {
            world.take(Event::Start { at });
        }
        run_until(&mut world, self.tick_ns, 200, healthy);
        Situation {
            world,
            asked: 0,
            left: self.budget,
            over: false,
        }
    }

    fn steps(&self, state: &Situation, steps: &mut Vec<Step>) {
        if state.over {
            return;
        }
        let mut events = Vec::new();
        state.world.enabled(&mut events);
        steps.extend(
            events
                .into_iter()
                .filter(|e| self.choices.chooses(&state.world, *e))
                .map(Step::Happen),
        );
        if (state.asked as usize) < self.script.len() {
            if let Some(at) = self.owner(&state.world) {
                steps.push(Step::Ask(at));
            }
        }
        if state.left.ticks > 0 && can_tick(&state.world, self.tick_ns) {
            steps.push(Step::Tick);
        }
        self.faults(state, steps);
        steps.extend(self.probes.iter().map(|dead| Step::Probe(*dead)));
    }

    fn take(&self, state: &mut Situation, step: Step) -> Result<(), String> {
        match step {
            Step::Happen(event) => {
                Self::spend(&mut state.left, event);
                state.world.take(event);
            }
            Step::Tick => {
                state.left.ticks -= 1;
                state.world.now_ns += self.tick_ns;
            }
            Step::Ask(at) => {
                let ask = self.script[state.asked as usize];
                state.asked += 1;
                state.world.take(Event::Submit { at, ask });
            }
            Step::Probe(dead) => {
                state.over = true;
                self.probe(&mut state.world, dead);
            }
        }
        if !state.over {
            come_to_rest(&mut state.world, &self.choices);
        }
        match &state.world.violation {
            Some(violation) => Err(violation.words.clone()),
            None => Ok(()),
        }
    }

    fn counts(&self, state: &Situation) -> bool {
        (self.counts)(&state.world)
    }
}
