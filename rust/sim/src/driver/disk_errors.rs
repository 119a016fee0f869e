// SPDX-License-Identifier: GPL-2.0
//! Disk commands that fail: not done, done all the same, or done later.

use super::Driver;
use crate::disk::{CommandId, Cookie};
use crate::event::Event;
use crate::scenario::{MS, US};

/// What becomes of a command that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done, and said to have failed.
    Done,
    /// It is done, and said to have failed only when no command lives any more that was issued with it.
    DoneInTime,
}

impl Driver {
    /// Whether a command of this controller fails now.
    fn fails(&mut self, at: usize) -> bool {
        let rate = self.scenario.faults.disk_error;
        if self.world.now_ns < self.path_bad_ns[at] {
            return true;
        }
        self.fault_ns != u64::MAX && rate > 0 && self.rng.chance(rate)
    }

    /// A command is in the queue: when it lands, if it does.
    pub(super) fn admit_landing(&mut self, id: CommandId) {
        let mut queue = self.world.disk.queue().iter();
        let Some(command) = queue.find(|c| c.id == id) else {
            return;
        };
        let (at, cookie) = (command.issuer.controller, command.cookie);
        self.fates.retain(|(other, _)| *other != id);
        let land = Event::Land(id);
        if self.fails(at) {
            let early = matches!(cookie, Cookie::Pass(_) | Cookie::Destage(_));
            match self.rng.below(3) {
                0 => {
                    let delay = self.rng.delay(5 * US, 2 * MS);
                    return self.schedule(
                        Event::Complete {
                            command: id,
                            bad: true,
                        },
                        delay,
                    );
                }
                1 => self.fates.push((id, Fate::Done)),
                // Who writes data, or passes something down, is told at once. For what else is under way the environment
                // waits, as it has promised, until it can tell.
                _ if early && self.scenario.faults.late_failures => {
                    let delay = self.rng.delay(5 * US, MS);
                    self.schedule(Event::Disown { command: id }, delay);
                    let life = self.scenario.longest_io_life_ns();
                    let later = self.rng.range(delay, life);
                    return self.schedule(land, later.min(life));
                }
                _ => self.fates.push((id, Fate::DoneInTime)),
            }
        }
        let delay = self.delay(land);
        self.schedule(land, delay);
    }

    /// A command has landed, or never will: when that is answered.
    pub(super) fn admit_answer(&mut self, command: CommandId, bad: bool) {
        let place = self.fates.iter().position(|(id, _)| *id == command);
        let fate = place.map(|place| self.fates.swap_remove(place).1);
        let mut delay = self.rng.delay(US, 50 * US);
        if fate == Some(Fate::DoneInTime) {
            let mut queue = self.world.disk.queue().iter();
            let issued = queue.find(|c| c.id == command).map(|c| c.issued_ns);
            let over = issued.unwrap_or(0) + self.scenario.longest_io_life_ns();
            delay += over.saturating_sub(self.world.now_ns);
        }
        let bad = bad || fate.is_some();
        self.schedule(Event::Complete { command, bad }, delay);
    }

    /// The path of a controller to the disk fails for a while; of what is under way much fails at once.
    pub(super) fn hiccup(&mut self, at: u8) {
        let broken = self.rng.delay(MS, self.scenario.faults.broken_ns);
        self.path_bad_ns[at as usize] = self.world.now_ns + broken;
        self.each(|driver| {
            driver.fail_queued(at);
            true
        });
    }

    /// The path of a controller to the disk fails until all is mended, or `false`: works again.
    pub fn lose_path(&mut self, at: u8, lost: bool) {
        self.path_bad_ns[at as usize] = if lost { u64::MAX } else { 0 };
        self.each(|driver| {
            if lost {
                driver.fail_queued(at);
            }
            true
        });
    }

    fn fail_queued(&mut self, at: u8) {
        let queue = self.world.disk.queue().iter();
        let mine = queue.filter(|c| c.issuer.controller == at as usize && !c.landed && !c.aborted);
        for command in mine.map(|c| c.id).collect::<Vec<_>>() {
            if self.rng.chance(700) {
                let delay = self.rng.delay(US, MS);
                self.schedule(Event::Complete { command, bad: true }, delay);
            }
        }
    }
}
