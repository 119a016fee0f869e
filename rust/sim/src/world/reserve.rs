// SPDX-License-Identifier: GPL-2.0
//! Controllers and the disk's reservation.

use yoke_core::disk::Key;
use yoke_core::volume::{Errand, Input, Token};

use super::{World, CONTROLLERS};
use crate::disk::target::Preempted;
use crate::event::Event;

/// What a controller has asked of the target, which has done it, or has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    /// Who, in which life.
    pub(super) at: u8,
    life: u32,
    token: Token,
    /// It is told that nothing was done.
    failed: bool,
    preempted: Option<Preempted>,
}

impl World {
    /// The target is asked for something.
    pub(super) fn reserve(&mut self, at: u8, token: Token, errand: Errand) {
        let life = self.controllers[at as usize].life;
        let rate = if self.lossy {
            u64::from(self.setting.scenario.faults.errand_fails)
        } else {
            0
        };
        let number = if rate > 0 { self.number(at) >> 1 } else { 0 };
        let failed = rate > 0 && number % 1000 < rate;
        let cuts = u64::from(matches!(errand, Errand::CutOff { .. }));
        self.stats.preempts += cuts;
        self.stats.preempts_failed += cuts * u64::from(failed);
        let mut preempted = None;
        if !failed || number & 1 << 20 != 0 {
            preempted = self.target_does(at, errand);
        } else if errand == Errand::Register {
            // It may come to be there for as long as a command lives.
            self.registering.push((at, life));
            self.soon(Event::Register { at, life });
        }
        self.asked.push(Asked {
            at,
            life,
            token,
            failed,
            preempted,
        });
        self.soon(Event::Told { at });
    }

    /// The key of a controller that is alive.
    fn key(&self, at: u8) -> Option<Key> {
        let controller = &self.controllers[at as usize];
        let live = controller.live.as_ref()?;
        let config = live.machine.config();
        Some(Key::of(&config.volume, config.node, config.incarnation))
    }

    fn target_does(&mut self, at: u8, errand: Errand) -> Option<Preempted> {
        let mine = self.key(at)?;
        let preempted = self.disk.target.take(at.into(), mine, errand)?;
        self.trace.line(self.now_ns, || {
            format!("target: controller {at} has preempted {preempted:?}")
        });
        for command in self.disk.abort(preempted.victim, preempted.aborted) {
            self.soon(Event::Complete { command, bad: true });
        }
        Some(preempted)
    }

    /// A registration that was said to have failed is done, if whoever wanted it lives.
    pub(super) fn register_late(&mut self, at: u8, life: u32) {
        self.registering.retain(|one| *one != (at, life));
        if self.controllers[at as usize].life == life {
            self.target_does(at, Errand::Register);
        }
    }

    /// What a controller, in this life, has asked and can be told now.
    fn answerable(&self, at: u8) -> Option<usize> {
        let life = self.controllers[at as usize].life;
        let waits = |asked: &Asked| {
            let preempted = asked.preempted.filter(|preempted| preempted.waits);
            preempted.is_some_and(|preempted| self.disk.has_under_way(preempted.victim))
        };
        self.asked
            .iter()
            .position(|asked| asked.at == at && asked.life == life && !waits(asked))
    }

    /// Appends the answers that the target could give now.
    pub(super) fn enabled_answers(&self, events: &mut Vec<Event>) {
        for at in 0..CONTROLLERS as u8 {
            if self.controllers[at as usize].runs() && self.answerable(at).is_some() {
                events.push(Event::Told { at });
            }
        }
    }

    /// The target answers what it was asked by a controller, if it can: if not, it does when a command has landed.
    pub(super) fn told(&mut self, at: u8) {
        let Some(index) = self.answerable(at) else {
            return;
        };
        let asked = self.asked.remove(index);
        let Some(mine) = self.key(at) else { return };
        let ended = asked.preempted.is_some_and(|preempted| preempted.ended);
        let told = self.disk.target.look(at.into(), mine, ended);
        let (token, told) = (asked.token, Some(told).filter(|_| !asked.failed));
        self.handle(at, Input::Reservation { token, told });
    }

    /// A command has come to its end: an answer may wait for that.
    pub(super) fn target_moves(&mut self) {
        for index in 0..self.asked.len() {
            let at = self.asked[index].at;
            if self.asked[index].preempted.is_some_and(|p| p.waits) {
                self.soon(Event::Told { at });
            }
        }
    }

    /// The target is started again: it forgets who was registered. What was in its queue and is not let in any more has
    /// landed before, or never does: a controller that is deposed *and* a target that is started again within T_io are two
    /// faults at a time, see docs/limits.md.
    pub(super) fn forget_reservation(&mut self) {
        self.trace.line(self.now_ns, || "target: IT FORGETS".into());
        for at in 0..CONTROLLERS {
            if !self.disk.target.takes(at) {
                for command in self.disk.forget_writes(at) {
                    self.soon(Event::Complete { command, bad: true });
                }
            }
        }
        self.disk.target.forget();
    }
}
