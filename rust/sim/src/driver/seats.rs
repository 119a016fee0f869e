// SPDX-License-Identifier: GPL-2.0
//! Several volumes: one of them has the turn, the others keep their seats. With one volume all of this is idle.

use std::mem::swap;

use yoke_core::volume::Role;

use super::{Driver, Fate, Held};
use crate::disk::CommandId;
use crate::event::Event;
use crate::plan::settle;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::stats::Stats;
use crate::world::beside::Room;
use crate::world::{Setting, World, CONTROLLERS};

/// A volume that has not the turn, and what the driver remembers for it.
#[derive(Debug)]
pub(super) struct Seat {
    world: World,
    parked: [Vec<Event>; CONTROLLERS],
    poll_ns: [u64; CONTROLLERS],
    destaging: [bool; CONTROLLERS],
    fates: Vec<(CommandId, Fate)>,
    held: Option<Held>,
}

/// The worlds of the volumes of an appliance.
pub(super) fn worlds(scenario: &Scenario, rng: &mut Rng) -> Vec<World> {
    let drift = u64::from(scenario.drift_ppm) / 2;
    let mut draw = || rng.range(0, 2 * drift) as i32 - drift as i32;
    let drift_ppm = [draw(), draw()];
    let home = match rng.below(4) {
        0 => [true, true],
        1 => [false, true],
        _ => [true, false],
    };
    let rooms = Room::carve(scenario.slots, scenario.volumes);
    let several = rooms.len() > 1;
    rooms
        .into_iter()
        .map(|room| {
            // The homes are apart, so that each controller has something to lose.
            let home = match room.volume {
                0 => home,
                1 if home[0] && home[1] => [false, true],
                1 => home.map(|is| !is),
                _ => [rng.chance(500), rng.chance(500)],
            };
            let home = if home == [false; 2] { [true; 2] } else { home };
            // Every scenario is judged for what survives.
            let setting = Setting {
                scenario: *scenario,
                home,
                drift_ppm,
                durability: true,
                room,
            };
            let mut world = World::new(setting, rng.next());
            world.disk.name_anew();
            world.trace.volume = several.then_some(room.volume);
            world
        })
        .collect()
}

impl Seat {
    pub(super) fn new(world: World) -> Self {
        Seat {
            world,
            parked: [Vec::new(), Vec::new()],
            poll_ns: [u64::MAX; CONTROLLERS],
            destaging: [false; CONTROLLERS],
            fates: Vec::new(),
            held: None,
        }
    }
}

impl Driver {
    /// The volume that has the turn: `world` is it.
    pub fn volume(&self) -> u8 {
        self.world.setting.room.volume
    }

    /// Whether there is more than one.
    pub(super) fn has_others(&self) -> bool {
        !self.seats.is_empty()
    }

    /// Gives the turn to a volume. One that is wrong keeps it, so that it is the one that is spoken of.
    #[inline]
    pub fn turn_to(&mut self, volume: u8) {
        if self.has_others() && self.volume() != volume && self.world.violation.is_none() {
            self.take_seat(volume);
        }
    }

    fn take_seat(&mut self, volume: u8) {
        let mut seats = self.seats.iter_mut();
        let Some(seat) = seats.find(|s| s.world.setting.room.volume == volume) else {
            return;
        };
        self.world.hand_over(&mut seat.world);
        swap(&mut self.world, &mut seat.world);
        swap(&mut self.parked, &mut seat.parked);
        swap(&mut self.poll_ns, &mut seat.poll_ns);
        swap(&mut self.destaging, &mut seat.destaging);
        swap(&mut self.fates, &mut seat.fates);
        swap(&mut self.held, &mut seat.held);
    }

    /// Gives the turn to one of the volumes, by chance.
    pub(super) fn turn_to_any(&mut self) {
        if self.has_others() {
            let volume = self.rng.below(self.scenario.volumes.into()) as u8;
            self.turn_to(volume);
        }
    }

    /// Does something with each volume, and gives the turn back. Whether all of them say yes, and none is wrong.
    pub fn each(&mut self, mut act: impl FnMut(&mut Driver) -> bool) -> bool {
        let turn = self.volume();
        let good = (0..self.scenario.volumes).all(|volume| {
            self.turn_to(volume);
            self.world.violation.is_none() && act(self)
        });
        self.turn_to(turn);
        good
    }

    /// An event that all volumes share, where there are several: it happens in the first, and the others hear of it.
    pub(super) fn take_shared(&mut self, event: Event) {
        let turn = self.volume();
        if let Event::Restart { at } = event {
            self.each(|driver| {
                driver.world.note_stopped(at);
                true
            });
            self.take(Event::Crash { at, keep: [0; 4] });
            return self.take(Event::Start { at });
        }
        if matches!(event, Event::Crash { .. } | Event::Pause { .. }) {
            self.world.stats.both_owned += u64::from(self.both_own());
        }
        self.turn_to(0);
        self.world.take(event);
        self.follow(event);
        if let Event::Start { at } = event {
            for seat in &mut self.seats {
                seat.world.start_beside(at, &self.world);
            }
        }
        let news = std::mem::take(&mut self.world.news);
        for volume in 1..self.scenario.volumes {
            self.turn_to(volume);
            if self.world.violation.is_some() {
                return;
            }
            self.world.take_beside(event, &news);
            self.follow(event);
        }
        self.turn_to(turn);
    }

    /// Whether each of the controllers owns a volume.
    fn both_own(&mut self) -> bool {
        let mut owns = [false; CONTROLLERS];
        self.each(|driver| {
            for (at, owns) in (0..).zip(&mut owns) {
                *owns |= matches!(settle::role(&driver.world, at), Some(Role::Owner(_)));
            }
            true
        });
        owns == [true; CONTROLLERS]
    }

    /// What happened in all volumes, counted.
    pub fn stats(&self) -> Stats {
        let mut stats = self.world.stats;
        for seat in &self.seats {
            stats.add(&seat.world.stats);
        }
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use crate::plan;
    use std::sync::Arc;

    /// Runs until one fails, after `spoil` has been at work on the worlds.
    fn search(seeds: u64, spoil: impl Fn(&mut World)) -> Option<String> {
        (0..seeds).find_map(|seed| {
            let mut driver = Driver::new(catalogue::owners::several(seed), seed);
            driver.each(|driver| {
                spoil(&mut driver.world);
                true
            });
            plan::storm::run(&mut driver);
            driver.world.violation.map(|violation| violation.words)
        })
    }

    #[test]
    fn nothing_is_wrong_with_several() {
        assert_eq!(search(40, |_| ()), None);
    }

    #[test]
    fn planted_volumes_in_one_region_are_seen() {
        let first = |world: &mut World| {
            let room = &mut Arc::make_mut(&mut world.setting).room;
            room.place = Room::carve(room.place.slots, 2)[0].place;
            // With a word of its own each, so that the fences are good.
            room.place.epoch_word = room.volume;
        };
        // One run in some thirty shows it.
        assert!(search(400, first).is_some());
    }
}
