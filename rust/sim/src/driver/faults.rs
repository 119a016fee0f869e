// SPDX-License-Identifier: GPL-2.0
//! Faults: what goes wrong, and when it is mended.

use yoke_core::volume::{Command, Role};

use super::Driver;
use crate::event::Event;
use crate::plan::settle;
use crate::scenario::MS;
use crate::world::CONTROLLERS;

impl Driver {
    /// Something goes wrong, and the time of the next fault is set.
    pub(super) fn fault(&mut self) {
        self.turn_to_any();
        let f = self.scenario.faults;
        self.fault_ns = self.world.now_ns + self.rng.delay(f.every_ns.0, f.every_ns.1);
        let at = self.rng.below(CONTROLLERS as u64) as u8;
        let link = self.rng.below(self.scenario.links as u64) as u8;
        let kinds = [
            f.crash,
            f.pause,
            f.flap,
            f.cut,
            f.power,
            f.giveback,
            f.takeover,
            f.close,
            f.enclosure,
            f.hiccup,
            f.forgets,
        ];
        if kinds.iter().sum::<u32>() == 0 {
            return;
        }
        match self.rng.weighted(&kinds) {
            0 => self.crash(at),
            1 => self.pause(at),
            2 => self.cut(link, 50_000),
            3 => self.cut(link, f.broken_ns),
            4 => self.lose_power(),
            5 => {
                let at = self.path();
                self.take(Event::Tell {
                    at,
                    command: Command::GiveBack,
                });
                if self.rng.chance(300) {
                    let delay = self.rng.delay(MS, 200 * MS);
                    self.schedule(
                        Event::Tell {
                            at,
                            command: Command::AbortGiveBack,
                        },
                        delay,
                    );
                }
            }
            6 => self.take(Event::Tell {
                at,
                command: Command::TakeOver,
            }),
            7 => self.close(at),
            8 => self.enclosure(),
            9 => self.hiccup(at),
            _ => self.take(Event::ForgetReservation),
        }
    }

    /// A controller dies, and comes back later.
    pub fn crash(&mut self, at: u8) {
        let mut keep = [0; 4];
        for (link, keep) in keep.iter_mut().enumerate().take(self.scenario.links) {
            let under_way = self.world.links[link].under_way(at as usize) as u64;
            *keep = self.rng.range(0, under_way) as u8;
        }
        self.take(Event::Crash { at, keep });
        let delay = self.rng.delay(MS, self.scenario.faults.broken_ns);
        self.schedule(Event::Start { at }, delay);
    }

    /// A controller stops, and goes on later.
    pub fn pause(&mut self, at: u8) {
        self.take(Event::Pause { at });
        let delay = self.rng.delay(MS, self.scenario.faults.broken_ns);
        self.schedule(Event::Resume { at }, delay);
    }

    /// A link goes down, and comes back after at most `longest_ns`.
    pub fn cut(&mut self, link: u8, longest_ns: u64) {
        let keep = [0, 1].map(|at| {
            let under_way = self.world.links[link as usize].under_way(at) as u64;
            self.rng.range(0, under_way) as u8
        });
        self.take(Event::Cut { link, keep });
        let delay = self.rng.delay(1_000, longest_ns);
        self.schedule(Event::Mend { link }, delay);
    }

    /// A mirrored owner dies together with the cache of its disk. (Alone it has nothing but the disk.)
    fn enclosure(&mut self) {
        if let Some(at) = settle::mirrored(&self.world) {
            self.each(|driver| {
                if settle::mirrored(&driver.world) == Some(at) {
                    let pick = driver.rng.next();
                    driver.take(Event::CacheLoss { pick });
                }
                true
            });
            self.crash(at);
        }
    }

    fn lose_power(&mut self) {
        let pick = self.rng.next();
        self.take(Event::PowerLoss { pick });
        for at in 0..CONTROLLERS as u8 {
            let delay = self.rng.delay(MS, self.scenario.faults.broken_ns);
            self.schedule(Event::Start { at }, delay);
        }
    }

    fn close(&mut self, at: u8) {
        self.take(Event::Tell {
            at,
            command: Command::Close,
        });
        let delay = self.rng.delay(50 * MS, 2 * self.scenario.faults.broken_ns);
        if self.scenario.faults.reopens && self.rng.chance(700) {
            for delay in [delay / 4, delay / 2, delay] {
                self.schedule(Event::Reopen { at }, delay);
            }
        } else {
            self.schedule(Event::Crash { at, keep: [0; 4] }, delay);
            self.schedule(Event::Start { at }, delay + MS);
        }
    }

    /// Mends everything: links, pauses, dead controllers, and machines that have closed or were stopped by a fault.
    /// Faults that were to come do not come.
    pub fn mend_all(&mut self) {
        self.forget_faults();
        self.world.lossy = false;
        self.path_bad_ns = [0; CONTROLLERS];
        for link in 0..self.scenario.links as u8 {
            if !self.world.links[link as usize].is_up() {
                self.take(Event::Mend { link });
            }
        }
        for at in 0..CONTROLLERS as u8 {
            self.take(Event::Resume { at });
            self.each(|driver| {
                driver.restart_if_stopped(at);
                true
            });
            self.take(Event::Start { at });
        }
    }

    /// A machine that was closed, or stopped by a fault, goes on only after a restart.
    pub fn restart_if_stopped(&mut self, at: u8) {
        match settle::role(&self.world, at) {
            // A restart would end the other volumes, too.
            Some(Role::Closed) if self.has_others() => self.take(Event::Reopen { at }),
            Some(Role::Closed) if self.scenario.faults.reopens && self.rng.chance(500) => {
                self.take(Event::Reopen { at });
            }
            Some(Role::Closed) => self.take(Event::Restart { at }),
            // A person does not end what may have the only copy.
            Some(Role::Stopped) if self.each(|driver| driver.keeps_nothing(at)) => {
                self.take(Event::Restart { at });
            }
            _ => {}
        }
    }

    /// Whether a controller says that the volume needs nothing of it.
    fn keeps_nothing(&self, at: u8) -> bool {
        settle::status(&self.world, at).is_some_and(|s| s.keep.is_none())
    }
}
