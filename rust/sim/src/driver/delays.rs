// SPDX-License-Identifier: GPL-2.0
//! How long everything takes.

use yoke_core::volume::Role;

use super::Driver;
use crate::event::Event;
use crate::scenario::{MS, US};

impl Driver {
    /// Gives something that has become possible its time.
    pub(super) fn admit(&mut self, event: Event, due_ns: Option<u64>) {
        let now = self.world.now_ns;
        match event {
            Event::Poll { at } => {
                let due_ns = due_ns.unwrap_or(now).max(now);
                if due_ns < self.poll_ns[at as usize] {
                    let at_ns = due_ns + self.step_delay();
                    if at_ns < self.poll_ns[at as usize] {
                        self.poll_ns[at as usize] = at_ns;
                        self.put(event, at_ns);
                    }
                }
            }
            Event::Destage { at } => {
                if self.may_destage(at) {
                    self.destaging[at as usize] = true;
                    let lazy = self.scenario.lazy_ns;
                    let delay = if lazy > 0 {
                        self.rng.range(lazy / 2, lazy)
                    } else if self.rng.chance(100) {
                        self.rng.delay(US, 20 * MS)
                    } else {
                        self.rng.delay(US, 100 * US)
                    };
                    self.schedule(event, delay);
                }
            }
            Event::Arrive { link, at, .. } => {
                self.perhaps_swap(link, at);
                if !std::mem::replace(self.arriving(link, at), true) {
                    self.schedule_arrival(link, at);
                }
            }
            Event::LandPart(_) => {
                if self.rng.chance(200) {
                    let delay = self.rng.delay(US, 100 * US);
                    self.schedule(event, delay);
                }
            }
            Event::Land(command) => self.admit_landing(command),
            Event::Complete { command, bad } => self.admit_answer(command, bad),
            _ => {
                let delay = self.delay(event);
                self.schedule(event, delay);
            }
        }
    }

    /// Whether an arrival is on the agenda.
    pub(super) fn arriving(&mut self, link: u8, at: u8) -> &mut bool {
        &mut self.arriving[link as usize][at as usize]
    }

    /// Some of the stores under way, mostly all, are to arrive.
    pub(super) fn schedule_arrival(&mut self, link: u8, at: u8) {
        let count = if self.rng.chance(300) {
            let under_way = self.world.links[link as usize].under_way(at as usize) as u64;
            self.rng.range(1, under_way) as u8
        } else {
            u8::MAX
        };
        let delay = self.rng.delay(200, self.scenario.post_slow_ns);
        self.schedule(Event::Arrive { link, at, count }, delay);
    }

    /// Whether a machine may have something to destage: it is asked after each of its steps.
    fn may_destage(&self, at: u8) -> bool {
        !self.destaging[at as usize]
            && self.world.controllers[at as usize]
                .live
                .as_ref()
                .is_some_and(|l| {
                    matches!(l.machine.role(), Role::Owner(_)) && l.machine.dirty() > 0
                })
    }

    fn perhaps_swap(&mut self, link: u8, at: u8) {
        if self.scenario.swaps > 0 && self.rng.chance(self.scenario.swaps) {
            let under_way = self.world.links[link as usize].under_way(at as usize) as u64;
            let index = self.rng.below(under_way) as u8;
            self.world.take(Event::Swap { link, at, index });
        }
    }

    pub(super) fn delay(&mut self, event: Event) -> u64 {
        match event {
            Event::Land(_) => {
                let slow = self.rng.chance(self.scenario.disk_slow);
                let high = if slow {
                    self.scenario.disk_slow_ns
                } else {
                    200 * US
                };
                self.rng
                    .delay(5 * US, high.min(self.scenario.longest_io_life_ns()))
            }
            Event::Complete { .. } => self.rng.delay(US, 50 * US),
            Event::Told { .. } => self.rng.delay(10 * US, 5 * MS),
            Event::Register { .. } => {
                let life_ns = self.scenario.longest_io_life_ns();
                self.rng.delay(US, life_ns)
            }
            Event::Notice { .. } | Event::Message { .. } => self.rng.delay(2 * US, 2 * MS),
            Event::Handshake { .. } => self.rng.delay(500 * US, 30 * MS),
            Event::Silent { .. } => self.rng.delay(200 * US, 60 * MS),
            Event::Linger { .. } => self.rng.delay(MS, 300 * MS),
            _ => self.step_delay(),
        }
    }

    /// The time between two steps of one processor.
    pub(super) fn step_delay(&mut self) -> u64 {
        if self.rng.chance(self.scenario.step_slow) {
            self.rng.delay(5 * US, self.scenario.step_slow_ns)
        } else {
            self.rng.delay(100, 5 * US)
        }
    }
}
