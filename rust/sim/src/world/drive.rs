// SPDX-License-Identifier: GPL-2.0
//! Calls of the machine, and what it asks for in return.

use yoke_core::openers::Tenure;
use yoke_core::volume::{Action, Command, DestageEnd, Input, Mode, Role, Source};

use super::{node_blocks, World};
use crate::check::Kind;
use crate::disk::{Cell, Cookie, Place, Verb};
use crate::event::Event;
use crate::job::Stage;
use crate::machine::Machine;
use yoke_core::disk::NodeBlock;

/// More actions in a row than any machine in order asks for.
const ACTIONS_MAX: usize = 10_000;

/// Destage runs that the disk has room for.
pub(super) const DESTAGE_DEPTH: u32 = 2;

impl World {
    /// Calls the machine of a controller that runs, with its clock.
    pub(super) fn tell_machine<T>(
        &mut self,
        at: u8,
        call: impl FnOnce(&mut Machine, u64) -> T,
    ) -> Option<T> {
        let now = self.clock(at);
        let live = self.controllers[at as usize].live.as_mut()?;
        Some(call(&mut live.machine, now))
    }

    /// Tells the machine what happened, and takes what it asks for.
    pub(super) fn handle(&mut self, at: u8, input: Input<'_>) {
        self.tell_machine(at, |machine, now| machine.handle(input, now));
        self.drain(at);
    }

    /// Takes every action that the machine has.
    pub(super) fn drain(&mut self, at: u8) {
        let now = self.clock(at);
        for _ in 0..ACTIONS_MAX {
            let Some(live) = &mut self.controllers[at as usize].live else {
                return;
            };
            match live.machine.poll_action(now) {
                Some(action) => self.take_action(at, &action),
                None => return self.drained(at),
            }
        }
        let words = format!("controller {at} asks for something without end");
        self.violated(Kind::Disorder, words);
    }

    fn drained(&mut self, at: u8) {
        let controller = &self.controllers[at as usize];
        let Some(live) = &controller.live else {
            return;
        };
        if let Some(local) = live.machine.next_deadline() {
            let due = controller.clock.when(local);
            self.later(Event::Poll { at }, due.max(self.now_ns));
        }
        self.perhaps_destage(at);
    }

    /// After a call that is no poll: as in the module, the machine is polled only if it says that it wants to be. One
    /// that does not say so waits for its deadline, or for ever.
    pub(super) fn follow(&mut self, at: u8) {
        let live = self.controllers[at as usize].live.as_ref();
        if live.is_some_and(|l| l.machine.wants_poll()) {
            self.drain(at);
        } else {
            self.perhaps_destage(at);
        }
    }

    fn perhaps_destage(&mut self, at: u8) {
        let live = self.controllers[at as usize].live.as_ref();
        if live.is_some_and(|l| l.machine.is_owner() && l.destaging < DESTAGE_DEPTH) {
            self.soon(Event::Destage { at });
        }
    }

    fn take_action(&mut self, at: u8, action: &Action) {
        match *action {
            Action::Complete(ticket) => self.ticket_done(at, ticket, None),
            Action::Fail(ticket, reason) => self.ticket_done(at, ticket, Some(reason)),
            Action::Wake => self.wake(at),
            Action::Yield => {}
            Action::Send(message) => self.send(at, message),
            // At once, as a destage: the lease was checked just now.
            Action::PassDown { .. } => self.carry_out(at, action),
            Action::Notify(role) => self.note_role(at, role),
            Action::PostSlot { to, .. }
            | Action::PostInvalid { to, .. }
            | Action::Fence { to, .. } => {
                self.queue_action(at, Some(to.link.index()), action);
            }
            Action::SetWord { link, .. }
            | Action::ClearRegion { link, .. }
            | Action::ScanRegion { link, .. } => {
                self.queue_action(at, Some(link.index()), action);
            }
            _ => self.queue_action(at, None, action),
        }
    }

    fn queue_action(&mut self, at: u8, link: Option<usize>, action: &Action) {
        let links = self.links.len();
        let Some(live) = &mut self.controllers[at as usize].live else {
            return;
        };
        let lane = match link.and_then(|l| Some((l, live.lanes.get_mut(l)?))) {
            Some((link, lane)) => {
                lane.push_back(*action);
                if lane.len() > 1 && !self.setting.scenario.fine {
                    // The step that does the first of them does the others, too.
                    return;
                }
                link
            }
            None => {
                live.loose.0.push(*action);
                links + live.loose.0.len() - 1
            }
        };
        self.soon(Event::Act {
            at,
            lane: lane as u8,
        });
    }

    fn wake(&mut self, at: u8) {
        let Some(live) = &mut self.controllers[at as usize].live else {
            return;
        };
        let mut woken = Vec::new();
        for (index, job) in live.jobs.iter_mut().enumerate() {
            if let Some(job) = job.as_mut().filter(|j| j.stage == Stage::Parked) {
                job.stage = if job.written {
                    Stage::Flush
                } else {
                    Stage::Begin
                };
                woken.push(index as u8);
            }
        }
        for job in woken {
            self.soon(Event::Job { at, job });
        }
    }

    fn note_role(&mut self, at: u8, role: Role) {
        match role {
            Role::Taking => self.stats.taking += 1,
            Role::Owner(Mode::Mirrored) => self.stats.mirrored += 1,
            Role::Owner(Mode::Holding) => self.stats.holding += 1,
            Role::Owner(Mode::Solo) => self.stats.solo += 1,
            Role::Owner(Mode::Joining) => self.stats.joining += 1,
            Role::Owner(Mode::Degraded) => self.stats.degraded += 1,
            Role::Stopped => self.stats.stopped += 1,
            Role::Closed => self.part(at),
            Role::Opening | Role::Standby => {}
        }
        self.trace
            .line(self.now_ns, || format!("controller {at} is now {role:?}"));
    }

    /// The machine's deadline has passed.
    pub(super) fn poll(&mut self, at: u8) {
        if self.controllers[at as usize].runs() {
            self.drain(at);
        }
    }

    /// A person asks for something.
    pub(super) fn tell(&mut self, at: u8, command: Command) {
        if self.controllers[at as usize].runs() {
            self.stats.commands += 1;
            self.trace.line(self.now_ns, || {
                format!("controller {at} is told {command:?}")
            });
            self.handle(at, Input::Command(command));
        }
    }

    /// Asks the machine for something to destage, and issues it at once.
    pub(super) fn destage(&mut self, at: u8) {
        let controller = &self.controllers[at as usize];
        let room = controller
            .live
            .as_ref()
            .is_some_and(|l| l.destaging < DESTAGE_DEPTH);
        if !controller.runs() || !room {
            return;
        }
        let max = self.setting.scenario.workload.blocks_max.max(1);
        let now = self.clock(at);
        let Some(live) = &mut self.controllers[at as usize].live else {
            return;
        };
        let Some(plan) = live.machine.next_destage(now, max) else {
            return;
        };
        let mut cells = Vec::with_capacity(plan.range.count as usize);
        let mut corrupt = None;
        for (i, source) in plan
            .sources
            .iter()
            .take(plan.range.count as usize)
            .enumerate()
        {
            let block = match *source {
                Source::Log { slot } => self.log_block(at, slot),
                Source::Adopted { link, slot, crc } => {
                    let block = self.adopted_block(at, link.index(), slot);
                    if super::posts::block_crc(block) != crc {
                        corrupt = corrupt.or(Some(i as u32));
                    }
                    self.stats.destaged_adopted += 1;
                    block
                }
                Source::Disk | Source::Zero => {
                    self.violated(Kind::Disorder, "a destage from the disk to the disk");
                    return;
                }
            };
            cells.push((
                Place::Data((plan.range.block + i as u64) as u32),
                Cell::Block(block),
            ));
        }
        self.trace.line(self.now_ns, || {
            format!("controller {at} destages {cells:?}")
        });
        if let Some(first) = corrupt {
            self.stats.dropped += 1;
            let end = DestageEnd::Corrupt { at: first };
            self.tell_machine(at, |machine, now| {
                machine.destage_finish(plan.run, end, now)
            });
        } else {
            if let Some(live) = &mut self.controllers[at as usize].live {
                live.destaging += 1;
                let may = live.machine.may_issue(plan.run, now);
                debug_assert!(may, "the time of the plan is that of the issue");
            }
            let verb = Verb::Write {
                cells,
                preflush: false,
                fua: false,
            };
            self.issue(at, verb, Cookie::Destage(plan.run));
        }
        self.follow(at);
    }

    /// The generation in which a controller owns the volume, by its own record.
    pub(super) fn generation(&self, at: u8) -> u64 {
        let live = self.controllers[at as usize].live.as_ref();
        live.map_or(0, |l| l.machine.own_generation().get())
    }

    /// The generation in which its ownership began, if it owns the volume.
    pub(super) fn began(&self, at: u8) -> Option<u64> {
        let live = self.controllers[at as usize].live.as_ref();
        match live?.machine.tenure() {
            Tenure::Owner { generation, .. } => Some(generation.get()),
            Tenure::Unknown | Tenure::None => None,
        }
    }

    /// Whether a controller is an owner that holds.
    pub(super) fn holds(&self, at: u8) -> bool {
        let live = self.controllers[at as usize].live.as_ref();
        live.is_some_and(|l| l.machine.role() == Role::Owner(Mode::Holding))
    }

    /// The blocks of all nodes as they stand on the disk.
    pub(super) fn node_blocks(&self) -> impl Iterator<Item = NodeBlock> + '_ {
        (0..super::CONTROLLERS as u8).filter_map(|node| {
            let [first, second] = node_blocks::places(node).map(|p| self.disk.peek(p));
            node_blocks::written([&first, &second])
        })
    }
}
