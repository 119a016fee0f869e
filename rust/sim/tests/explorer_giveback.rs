// SPDX-License-Identifier: GPL-2.0
//! Givebacks in every order of their steps, within bounds: they complete, and nothing is lost; and the explorer finds what
//! leaving a rule out costs.

#[allow(dead_code, unreachable_pub)]
mod support;

use support::explorer::{appliance, explore, write, NONE, STATES, TICK};
use yoke_core::guards::{Guard, Guards};
use yoke_core::volume::{Mode, PassOp, Role};
use yoke_sim::controller::Controller;
use yoke_sim::event::{Ask, Event};
use yoke_sim::explore::appliance::{Appliance, Budget, Situation, Step};
use yoke_sim::explore::settle::{can_tick, come_to_rest, Choices};
use yoke_sim::explore::Model;
use yoke_sim::plan::settle::role;
use yoke_sim::world::World;

/// A giveback at any step, and a death: as far as the bound goes.
#[test]
fn a_giveback_at_any_step_loses_nothing() {
    let choices = Choices {
        jobs: true,
        disk: true,
        destage: true,
        ..Choices::default()
    };
    let budget = Budget {
        givebacks: 1,
        crashes: 1,
        ticks: 3,
        ..NONE
    };
    let mut model = appliance(choices, budget, &[write(0), write(0)]);
    // Nobody has died: then it is by a giveback that controller 1 owns the volume.
    model.counts = |world| {
        let first = |c: &Controller| c.live.is_some() && c.life == 1;
        world.controllers.iter().all(first) && owns(world, 1)
    };
    let report = explore("a giveback", &model, STATES);
    assert!(report.violation().is_none(), "{:?}", report.violation());
    assert!(report.counted > 0, "no giveback completes");
}

fn owns(world: &World, at: u8) -> bool {
    matches!(role(world, at), Some(Role::Owner(_)))
}

/// An appliance that the explorer finds with a write-zeroes in the disk's queue, which lands when the explorer says so. Who
/// asked for it, controller 0, has stood still until controller 1 owned the volume.
struct Laundered(Appliance);

/// Everything happens that does by itself, but for what moves data on the disk.
fn settle(world: &mut World, what: &str, done: impl Fn(&World) -> bool) {
    let choices = Choices {
        disk: true,
        ..Choices::default()
    };
    for _ in 0..20 {
        come_to_rest(world, &choices);
        assert_eq!(world.violation, None, "{what}");
        if done(world) {
            return;
        }
        assert!(can_tick(world, TICK), "{what}");
        world.now_ns += TICK;
    }
    panic!("never: {what}");
}

impl Model for Laundered {
    type State = Situation;
    type Step = Step;

    fn start(&self) -> Situation {
        let mut state = self.0.start();
        let world = &mut state.world;
        world.take(Event::Cut {
            link: 0,
            keep: [0; 2],
        });
        let solo = Some(Role::Owner(Mode::Solo));
        settle(world, "alone", |world| role(world, 0) == solo);
        let ask = Ask::Pass {
            op: PassOp::WriteZeroes,
            block: 0,
            count: 1,
        };
        world.take(Event::Submit { at: 0, ask });
        let queued = |world: &World| world.disk.queue().len() == 1;
        settle(world, "a write-zeroes in the queue", queued);
        world.take(Event::Pause { at: 0 });
        settle(world, "a takeover", |world| owns(world, 1));
        world.take(Event::Resume { at: 0 });
        world.take(Event::Mend { link: 0 });
        settle(world, "a standby", |world| {
            role(world, 0) == Some(Role::Standby) && queued(world)
        });
        state
    }

    fn steps(&self, state: &Situation, steps: &mut Vec<Step>) {
        self.0.steps(state, steps);
    }

    fn take(&self, state: &mut Situation, step: Step) -> Result<(), String> {
        self.0.take(state, step)
    }

    fn counts(&self, state: &Situation) -> bool {
        self.0.counts(state)
    }
}

/// A volume is given back while a command of the owner before may be in the disk's queue: not before that is over. Without
/// this rule the explorer finds the write that it lands on, by a shortest way.
#[test]
fn a_giveback_outlasts_the_commands_of_the_owner_before() {
    let choices = Choices {
        disk: true,
        destage: true,
        ..Choices::default()
    };
    let budget = Budget {
        givebacks: 1,
        ticks: 30,
        ..NONE
    };
    let mut model = appliance(choices, budget, &[write(0)]);
    model.scenario.io_life_ns = 20 * TICK;
    model.probes = &[0b00];
    model.counts = |world| owns(world, 0);
    let with = explore(
        "a giveback with an old command",
        &Laundered(model.clone()),
        STATES,
    );
    assert!(with.violation().is_none(), "{:?}", with.violation());
    assert!(with.counted > 0, "no giveback completes");
    model.scenario.guards = Guards::ALL.without(Guard::ReleaseAfterCommands);
    let without = explore("a hasty giveback", &Laundered(model), STATES);
    let (words, path) = without.violation().expect("two owners");
    assert!(words.starts_with("two owners"), "{words}");
    // Give it back, ask, and look.
    assert!(path.len() <= 3, "{path:#?}");
}
