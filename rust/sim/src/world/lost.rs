// SPDX-License-Identifier: GPL-2.0
//! Memories that are lost, with what the newest record says is only there: what that excuses, and what it does not.

use yoke_core::disk::{NodeBlock, RecordState};
use yoke_core::ids::Generation;
use yoke_core::volume::{PowerLoss, Role};

use super::World;
use crate::check::owner::Actor;

impl World {
    /// A person is about to end a life. If a fault has stopped the volume in it, that is no excuse for a loss.
    pub fn note_stopped(&mut self, at: u8) {
        let index = at as usize;
        let actor = Actor {
            controller: index,
            life: self.controllers[index].life,
        };
        let live = self.controllers[index].live.as_ref();
        let stopped = live.filter(|l| l.machine.role() == Role::Stopped);
        let stopped = stopped.map(|l| (actor, l.incarnation));
        self.stopped.extend(stopped);
    }

    /// Whether the newest record on the disk rests on memories that are all gone.
    pub fn shadow_is_lost(&self) -> bool {
        let newest = self.node_blocks().max_by_key(|b| b.record.generation);
        newest.is_some_and(|newest| self.is_lost(&newest))
    }

    /// Whether this record, the newest one, rests on memories that are all gone.
    pub(super) fn is_lost(&self, newest: &NodeBlock) -> bool {
        let RecordState::Shadow(shadow) = newest.record.state else {
            return false;
        };
        let lives = |incarnation| {
            self.controllers
                .iter()
                .flat_map(|c| &c.live)
                .any(|l| l.incarnation == incarnation)
        };
        let author = self.authors.get(&newest.record.generation.get());
        let given_up = self.stopped.iter().any(|(actor, incarnation)| {
            *incarnation == shadow.holder_incarnation || Some(actor) == author
        });
        !given_up
            && !lives(shadow.holder_incarnation)
            && !self.author_lives(newest.record.generation)
    }

    /// Whether the life of a controller that became the owner in `generation` goes on.
    fn author_lives(&self, generation: Generation) -> bool {
        self.authors.get(&generation.get()).is_some_and(|author| {
            let controller = &self.controllers[author.controller];
            controller.live.is_some() && controller.life == author.life
        })
    }

    /// If both memories that the newest record rests on are gone, clients were
    /// promised no more than after a loss of power. With the policy `refuse`
    /// nobody may serve then: nothing needs to be allowed.
    ///
    /// That may come about by a death, and by a record of the dead that lands late.
    pub(super) fn note_lost_memory(&mut self, lost: bool) {
        let was = std::mem::replace(&mut self.memory_lost, lost);
        let starts = self.setting.scenario.power_loss == PowerLoss::StartFromDisk;
        if starts && self.memory_lost && !was {
            self.stats.lost_both += 1;
            self.trace
                .line(self.now_ns, || "both memories are lost".into());
            self.history.power_loss();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::history::Request;
    use crate::check::{Kind, Violation};
    use crate::event::{Ask, Event};
    use crate::explore::appliance::small;
    use crate::explore::settle::{come_to_rest, run_until, Choices};
    use crate::plan::settle::{healthy, role, serving};
    use crate::scenario::MS;
    use crate::world::beside::Room;
    use crate::world::{node_blocks, Setting, CONTROLLERS};

    const TICK: u64 = 10 * MS;

    /// Nothing is destaged: the log stays where it is.
    const KEPT: Choices = Choices {
        posts: false,
        disk: false,
        node_blocks: false,
        jobs: false,
        acts: false,
        news: false,
        polls: false,
        destage: true,
        links: false,
    };

    /// Ticks until `done`, while nothing is destaged.
    fn until(world: &mut World, what: &str, done: impl Fn(&World) -> bool) {
        for _ in 0..200 {
            come_to_rest(world, &KEPT);
            assert_eq!(world.violation, None, "{what}");
            if done(world) {
                return;
            }
            world.now_ns += TICK;
        }
        panic!("never: {what}");
    }

    /// A mirrored pair whose owner, controller 0, has acknowledged what is not on the disk.
    fn acknowledged() -> World {
        let mut scenario = small(TICK);
        scenario.power_loss = PowerLoss::StartFromDisk;
        // Both claim what nobody owns: one of them has to be the first.
        scenario.backoff_ns = 20 * TICK;
        let setting = Setting {
            scenario,
            home: [true, false],
            drift_ppm: [0; CONTROLLERS],
            durability: true,
            room: Room::alone(scenario.slots),
        };
        let mut world = World::new(setting, 1);
        for at in [0, 1] {
            world.take(Event::Start { at });
        }
        until(&mut world, "a healthy pair", healthy);
        let write = Request::Write {
            block: 0,
            count: 1,
            value: 0,
            fua: false,
        };
        let ask = Ask::Io(write);
        world.take(Event::Submit { at: 0, ask });
        until(&mut world, "the write", |world| world.stats.writes == 1);
        world
    }

    /// Somebody else writes the block of a controller: that is a fault, which stops it.
    fn stop(world: &mut World, at: u8) {
        let node = world.controllers[at as usize].node;
        let mine = |block: &NodeBlock| block.node == node;
        let mut block = world.node_blocks().find(mine).expect("its block");
        block.sequence += 1;
        let identity = world.setting.room.identity();
        let cell = node_blocks::cell(&identity, &block, world.setting.scenario.bytes);
        let place = node_blocks::place(node, block.sequence);
        world.disk.store(place, cell);
        until(world, "a stop", |world| {
            role(world, at) == Some(Role::Stopped)
        });
    }

    fn die(world: &mut World, at: u8) {
        let keep = [0; 4];
        world.take(Event::Crash { at, keep });
    }

    /// What the checkers say of the block when the appliance serves again.
    fn serve_again(mut world: World) -> Option<Violation> {
        let serves = |world: &World| serving(world).is_some();
        assert!(run_until(&mut world, TICK, 200, serves), "nobody serves");
        let at = serving(&world).expect("somebody");
        let ask = Ask::Io(Request::Read { block: 0, count: 1 });
        world.take(Event::Submit { at, ask });
        run_until(&mut world, TICK, 10, |world| world.stats.reads > 0);
        world.violation
    }

    /// Both start again, after `ends` is what has become of the one whose memory was all that was left.
    fn go_on_after(mut world: World, ends: Event) -> Option<Violation> {
        assert!(!world.shadow_is_lost(), "one memory is left");
        world.take(ends);
        for at in [0, 1] {
            world.take(Event::Start { at });
        }
        serve_again(world)
    }

    /// A fault has stopped the holder, and the owner is dead.
    fn stopped_holder() -> World {
        let mut world = acknowledged();
        stop(&mut world, 1);
        die(&mut world, 0);
        world
    }

    /// The holder is dead, and a fault has stopped the owner before it could destage.
    fn stopped_owner() -> World {
        let mut world = acknowledged();
        die(&mut world, 1);
        stop(&mut world, 0);
        world
    }

    #[test]
    fn a_loss_after_a_fault_stop_is_not_excused() {
        for (world, at) in [(stopped_holder(), 1), (stopped_owner(), 0)] {
            let violation = go_on_after(world, Event::Restart { at }).expect("a loss");
            assert_eq!(violation.kind, Kind::Lost, "{at}: {violation}");
        }
    }

    #[test]
    fn a_death_of_both_is_an_excuse() {
        let keep = [0; 4];
        for (world, at) in [(stopped_holder(), 1), (stopped_owner(), 0)] {
            assert_eq!(go_on_after(world, Event::Crash { at, keep }), None, "{at}");
        }
    }
}
