// SPDX-License-Identifier: GPL-2.0
//! Everything that can happen next in a world, faults and clients apart.

use super::{World, CONTROLLERS};
use crate::event::Event;
use crate::job::Stage;

impl World {
    /// Appends every event that would change something now, in a fixed order.
    pub fn enabled(&self, events: &mut Vec<Event>) {
        for at in 0..CONTROLLERS as u8 {
            self.enabled_at(at, events);
        }
        for command in self.disk.queue() {
            let issuer = &self.controllers[command.issuer.controller];
            let waits = issuer.paused && issuer.life == command.issuer.life;
            if command.aborted {
                if !waits {
                    events.push(Event::Complete {
                        command: command.id,
                        bad: true,
                    });
                }
            } else if !command.landed {
                events.push(Event::Land(command.id));
            } else if !waits {
                events.push(Event::Complete {
                    command: command.id,
                    bad: false,
                });
            }
        }
        self.enabled_answers(events);
        for link in 0..self.links.len() as u8 {
            for at in 0..CONTROLLERS as u8 {
                if self.links[link as usize].under_way(at as usize) > 0 {
                    events.push(Event::Arrive { link, at, count: 1 });
                }
                if self.is_silent(link, at) {
                    events.push(Event::Silent { link, at });
                }
            }
            if self.can_shake(link) {
                events.push(Event::Handshake { link });
            }
        }
    }

    fn enabled_at(&self, at: u8, events: &mut Vec<Event>) {
        let controller = &self.controllers[at as usize];
        let Some(live) = controller.live.as_ref().filter(|_| controller.runs()) else {
            return;
        };
        for (job, state) in (0..).zip(&live.jobs) {
            let stage = state.as_ref().map(|j| &j.stage);
            let waits = matches!(
                stage,
                None | Some(Stage::Parked | Stage::Wait(_) | Stage::Disk { .. })
            );
            if !waits {
                events.push(Event::Job { at, job });
            }
        }
        for (lane, actions) in (0..).zip(&live.lanes) {
            if !actions.is_empty() {
                events.push(Event::Act { at, lane });
            }
        }
        for loose in 0..live.loose.0.len() {
            events.push(Event::Act {
                at,
                lane: (live.lanes.len() + loose) as u8,
            });
        }
        if !live.notices.is_empty() {
            events.push(Event::Notice { at });
        }
        let carried = (0..self.links.len()).any(|l| self.agreed(l) && self.links[l].answers(0));
        let expected = live
            .inbox
            .front()
            .is_some_and(|m| live.session == Some(m.0));
        if carried && expected {
            events.push(Event::Message { at });
        }
        let now = self.clock(at);
        if live
            .machine
            .next_deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            events.push(Event::Poll { at });
        }
        if live.destaging < super::drive::DESTAGE_DEPTH
            && live.machine.is_owner()
            && live.machine.status(now).dirty > 0
            && live.machine.clone().next_destage(now, 1).is_some()
        {
            events.push(Event::Destage { at });
        }
        if self.session.open[at as usize] && live.lives.iter().all(Option::is_none) {
            events.push(Event::Linger { at });
        }
    }
}
