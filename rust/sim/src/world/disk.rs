// SPDX-License-Identifier: GPL-2.0
//! Commands of controllers to the shared disk, and their answers.

use yoke_core::disk::NodeBlock;
use yoke_core::ids::NodeId;
use yoke_core::volume::desk::Sampled;
use yoke_core::volume::{DestageEnd, Input, PassEnd, RunId, Token};

use super::{node_blocks, World, CONTROLLERS};
use crate::check::owner::Actor;
use crate::controller::Gathering;
use crate::disk::{Block, Cell, Command, CommandId, Cookie, Issuer, Place, Verb};
use crate::event::Event;
use crate::job::Stage;

/// Whether it is a node's own block that is there.
fn is_head(place: Place) -> bool {
    matches!(place, Place::Head(_))
}

impl World {
    /// Queues a command of a controller.
    pub(super) fn issue(&mut self, at: u8, verb: Verb, cookie: Cookie) {
        let life = self.controllers[at as usize].life;
        let writes_data = verb.writes_data();
        let generation = if writes_data { self.generation(at) } else { 0 };
        let let_in = !verb.writes() || self.disk.target.takes(at.into());
        let late = verb.writes() && self.arrives_late(at);
        let rejected = !let_in && !late;
        let refused = matches!(cookie, Cookie::Refused(_));
        if writes_data && let_in {
            let actor = Actor {
                controller: at.into(),
                life,
            };
            let holding = self.holds(at);
            if let Some(began) = self.began(at) {
                self.owner.belongs_to(generation, began);
            }
            let judgement = self.owner.writes(actor, generation, holding, self.now_ns);
            self.judge(judgement);
        }
        let parts = matches!(&verb, Verb::Write { cells, preflush: false, .. } if cells.len() > 1);
        let issuer = Issuer {
            controller: at.into(),
            life,
            generation,
        };
        let id = self.disk.submit(issuer, verb, cookie, self.now_ns);
        if rejected || refused {
            if parts && !rejected {
                self.land(id, true);
            }
            self.disk.reject(id);
            return self.soon(Event::Complete {
                command: id,
                bad: true,
            });
        }
        if late {
            self.disk.arrives_late(id);
        }
        if parts {
            self.soon(Event::LandPart(id));
        }
        self.soon(Event::Land(id));
    }

    /// Whether a command stays in its host's queue for a while.
    fn arrives_late(&mut self, at: u8) -> bool {
        let rate = u64::from(self.setting.scenario.late);
        rate > 0 && self.setting.scenario.reservations && (self.number(at) >> 1) % 1000 < rate
    }

    /// The effect of a command, or of its first cell only, happens.
    pub(super) fn land(&mut self, id: CommandId, part: bool) {
        let Some(command) = self
            .disk
            .queue()
            .iter()
            .find(|c| c.id == id && !c.landed && !c.aborted)
        else {
            return;
        };
        let issuer = command.issuer;
        if command.late && !self.disk.target.takes(issuer.controller) {
            self.disk.reject(id);
            return self.soon(Event::Complete {
                command: id,
                bad: true,
            });
        }
        let mut head = false;
        if let Verb::Write { cells, .. } = &command.verb {
            head = cells.iter().any(|(place, _)| is_head(*place));
            if !cells.iter().all(|(place, _)| is_head(*place)) {
                let actor = Actor {
                    controller: issuer.controller,
                    life: issuer.life,
                };
                let judgement = self.owner.lands(actor, issuer.generation);
                self.trace.line(self.now_ns, || {
                    format!(
                        "disk: write of controller {} lands: {cells:?}",
                        issuer.controller
                    )
                });
                self.judge(judgement);
            }
        }
        if part {
            self.disk.land_part(id, 1);
        } else {
            self.disk.land(id);
            self.soon(Event::Complete {
                command: id,
                bad: false,
            });
        }
        self.target_moves();
        if head {
            self.head_landed();
        }
    }

    /// A node block has landed: it may hold a claim, or name a memory that is gone.
    fn head_landed(&mut self) {
        let blocks: Vec<NodeBlock> = self.node_blocks().collect();
        for claim in blocks.iter().filter_map(|block| block.claim) {
            self.owner.claimed(claim.get(), self.now_ns);
        }
        self.owner.keep_claims(|generation| {
            blocks.iter().any(|block| {
                block.record.generation.get() >= generation
                    || block.claim.is_some_and(|claim| claim.get() == generation)
            })
        });
        let newest = blocks.iter().max_by_key(|block| block.record.generation);
        let lost = newest.is_some_and(|newest| self.is_lost(newest));
        self.note_lost_memory(lost);
    }

    /// A command is answered.
    pub(super) fn complete(&mut self, id: CommandId, bad: bool) {
        let Some(command) = self.disk.queue().iter().find(|c| c.id == id) else {
            return;
        };
        let at = command.issuer.controller;
        let controller = &self.controllers[at];
        let alive = controller.live.is_some() && controller.life == command.issuer.life;
        if alive && controller.paused {
            return;
        }
        self.stats.disk_errors += u64::from(bad);
        let Some(command) = self.disk.complete(id, bad) else {
            return;
        };
        if alive && !command.disowned {
            self.answer(at as u8, command, bad);
        }
    }

    /// A destage, a discard or a write-zeroes is said to have failed, and stays in the queue.
    pub(super) fn disown(&mut self, id: CommandId) {
        let mut queue = self.disk.queue().iter();
        let Some(command) = queue.find(|c| c.id == id && !c.landed && !c.aborted) else {
            return;
        };
        let (at, life) = (command.issuer.controller, command.issuer.life);
        let cookie = command.cookie;
        if !matches!(cookie, Cookie::Pass(_) | Cookie::Destage(_)) {
            return;
        }
        self.disk.disown(id);
        self.stats.late_landings += 1;
        let controller = &self.controllers[at];
        if controller.runs() && controller.life == life {
            self.trace.line(self.now_ns, || {
                format!("disk: a command of controller {at} is said to have failed")
            });
            match cookie {
                Cookie::Pass(pass) => {
                    let end = PassEnd::Failed;
                    self.handle(at as u8, Input::PassedDown { pass, end });
                }
                Cookie::Destage(run) => self.destaged(at as u8, run, DestageEnd::Failed),
                _ => (),
            }
        }
    }

    /// A run is handed back.
    fn destaged(&mut self, at: u8, run: RunId, end: DestageEnd) {
        if let Some(live) = &mut self.controllers[at as usize].live {
            live.destaging = live.destaging.saturating_sub(1);
        }
        self.stats.destaged += 1;
        self.tell_machine(at, |machine, now| machine.destage_finish(run, end, now));
        self.follow(at);
    }

    fn answer(&mut self, at: u8, command: Command<Cookie>, bad: bool) {
        match command.cookie {
            Cookie::Job(job, first) => {
                self.tell_machine(at, |machine, now| machine.disk_read_ended(!bad, now));
                self.disk_read(at, job, first, &command.data, bad)
            }
            Cookie::NodeRead(token, node) => self.gathered(at, token, node, &command.data, bad),
            Cookie::NodeWrite(token) => {
                self.handle(at, Input::NodeBlockWritten { token, ok: !bad });
            }
            Cookie::Destage(run) => {
                let end = if bad {
                    DestageEnd::Failed
                } else {
                    DestageEnd::Written
                };
                self.destaged(at, run, end);
            }
            Cookie::Flush(token) => self.handle(at, Input::DiskFlushed { token, ok: !bad }),
            Cookie::Pass(pass) => {
                let end = if bad { PassEnd::Failed } else { PassEnd::Done };
                self.handle(at, Input::PassedDown { pass, end });
            }
            Cookie::Refused(pass) => {
                self.stats.refused += 1;
                let end = PassEnd::Refused;
                self.handle(at, Input::PassedDown { pass, end });
            }
        }
    }

    /// Begins to read all node blocks: one command for each node, or one for all.
    pub(super) fn read_node_blocks(&mut self, at: u8, token: Token) {
        let Some(live) = &mut self.controllers[at as usize].live else {
            return;
        };
        let whole = !self.setting.scenario.apart_reads;
        live.gathering.push(Gathering {
            token,
            blocks: [None; CONTROLLERS],
            missing: if whole { 1 } else { CONTROLLERS as u8 },
            bad: false,
        });
        if whole {
            let all = (0..CONTROLLERS as u8).flat_map(node_blocks::places);
            self.issue(at, Verb::Read(all.collect()), Cookie::NodeRead(token, 0));
            return;
        }
        for node in 0..CONTROLLERS as u8 {
            let places = node_blocks::places(node).to_vec();
            self.issue(at, Verb::Read(places), Cookie::NodeRead(token, node));
        }
    }

    /// The blocks of `first`, and of those after it that came with it, have been read.
    fn gathered(&mut self, at: u8, token: Token, first: u8, data: &[Cell], bad: bool) {
        let Some(live) = &mut self.controllers[at as usize].live else {
            return;
        };
        let Some(index) = live.gathering.iter().position(|g| g.token == token) else {
            return;
        };
        let identity = self.setting.room.identity();
        let gathering = &mut live.gathering[index];
        gathering.bad |= bad;
        for (node, copies) in (first..).zip(data.chunks_exact(2)) {
            let id = NodeId::new(node).filter(|_| !bad);
            let block =
                id.and_then(|id| node_blocks::newest(&identity, id, [&copies[0], &copies[1]]));
            gathering.blocks[node as usize] = block;
            gathering.bad |= block.is_none();
        }
        gathering.missing -= 1;
        if gathering.missing > 0 {
            return;
        }
        let gathering = live.gathering.remove(index);
        let all: Vec<_> = gathering.blocks.into_iter().flatten().collect();
        self.trace.line(self.now_ns, || {
            format!("controller {at} has read the node blocks")
        });
        let blocks = (!gathering.bad).then_some(&all[..]);
        self.handle(at, Input::NodeBlocks { token, blocks });
    }

    /// A disk read of a job is answered.
    fn disk_read(&mut self, at: u8, job: u8, first: u32, data: &[Cell], bad: bool) {
        let Some(live) = &mut self.controllers[at as usize].live else {
            return;
        };
        let Some(Some(job_state)) = live.jobs.get_mut(job as usize) else {
            return;
        };
        let Stage::Disk {
            data: blocks,
            missing,
            bad: failed,
            ..
        } = &mut job_state.stage
        else {
            return;
        };
        for (to, cell) in blocks.iter_mut().skip(first as usize).zip(data) {
            if let Cell::Block(block) = cell {
                *to = *block;
            }
        }
        *failed |= bad;
        *missing -= 1;
        if *missing > 0 {
            return;
        }
        let stage = std::mem::replace(&mut job_state.stage, Stage::Begin);
        if let Stage::Disk {
            plan, data, bad, ..
        } = stage
        {
            job_state.stage = if self.setting.scenario.lays {
                Stage::Lay { plan, data, bad }
            } else {
                let sampled = match bad {
                    true => Sampled::Unreadable,
                    false => Sampled::Good,
                };
                Stage::Check {
                    plan,
                    data,
                    sampled,
                }
            };
        }
        self.soon(Event::Job { at, job });
    }

    /// Where a block of the log, or an adopted one, is now: its data.
    pub(super) fn log_block(&self, at: u8, slot: u32) -> Block {
        let live = self.controllers[at as usize].live.as_ref();
        live.and_then(|l| l.log.get(slot as usize).copied())
            .unwrap_or([0; 2])
    }

    /// The data of an adopted slot in the own window.
    pub(super) fn adopted_block(&self, at: u8, link: usize, slot: u32) -> Block {
        let live = self.controllers[at as usize].live.as_ref();
        let offset = self.place().data_at(slot);
        match (live, offset) {
            (Some(live), Some(offset)) => live.memory[link].data(offset),
            _ => [0; 2],
        }
    }
}
