// SPDX-License-Identifier: GPL-2.0
//! Requests of clients, step by step, as a controller's threads carry them.

use yoke_core::mirror::header::{Content, SlotHeader};
use yoke_core::volume::{
    FenceSample, LongBegin, LongRange, PostTo, Range, ReadBegin, WriteBegin, WriteEnd, WritePlan,
};

use super::World;
use crate::check::history::Request;
use crate::event::{Ask, Event};
use crate::job::{Job, Stage};

impl World {
    /// A client asks for something.
    pub(super) fn submit(&mut self, at: u8, ask: Ask) {
        if !self.controllers[at as usize].runs() {
            return;
        }
        let (request, stamp) = match ask {
            Ask::Io(Request::Write {
                block, count, fua, ..
            }) => {
                self.stamps += 1;
                let value = self.stamps;
                (
                    Request::Write {
                        block,
                        count,
                        value,
                        fua,
                    },
                    value,
                )
            }
            Ask::Io(request) => (request, 0),
            Ask::Pass { block, count, .. } => (
                Request::Write {
                    block,
                    count,
                    value: 0,
                    fua: false,
                },
                0,
            ),
        };
        let op = self.history.submit(request);
        self.trace.line(self.now_ns, || {
            format!("client asks controller {at}: #{op} {request:?}")
        });
        let job = Job {
            op,
            ask,
            stamp,
            stage: Stage::Begin,
            written: false,
        };
        let Some(live) = &mut self.controllers[at as usize].live else {
            return;
        };
        let job = live.add_job(job);
        if self.setting.scenario.fine {
            self.soon(Event::Job { at, job });
        } else {
            self.step_job(at, job);
        }
    }

    /// A thread takes its next step.
    pub(super) fn step_job(&mut self, at: u8, job: u8) {
        if !self.controllers[at as usize].runs() {
            return;
        }
        let Some(state) = self.job(at, job) else {
            return;
        };
        if matches!(
            state.stage,
            Stage::Parked | Stage::Wait(_) | Stage::Disk { .. }
        ) {
            return;
        }
        match std::mem::replace(&mut state.stage, Stage::Begin) {
            Stage::Parked | Stage::Wait(_) | Stage::Disk { .. } => {}
            Stage::Begin => self.begin(at, job),
            Stage::Flush => self.begin_flush(at, job),
            Stage::Store {
                plan,
                to,
                block,
                part,
            } => self.store(at, job, plan, to, block, part),
            Stage::Fence {
                plan,
                to,
                issued_ns,
            } => {
                let word = self.read_word(at, &to);
                self.stats.bad_fences += u64::from(word != to.epoch.get());
                let sample = FenceSample {
                    issued_ns,
                    word,
                    downs: 0,
                };
                let next = Stage::Counter { plan, to, sample };
                self.advance(at, job, next);
            }
            Stage::Counter {
                plan,
                to,
                mut sample,
            } => {
                sample.downs = self.downs(at, &to);
                let next = Stage::Finish {
                    plan,
                    sample: Some(sample),
                };
                self.advance(at, job, next);
            }
            Stage::Finish { plan, sample } => self.finish_write(at, job, plan, sample),
            Stage::Fetch {
                plan,
                block,
                data,
                laid,
            } => self.fetch(at, job, plan, block, data, laid),
            Stage::Lay { plan, data, bad } => self.lay(at, job, plan, data, bad),
            Stage::Check {
                plan,
                data,
                sampled,
            } => self.finish_read(at, job, &plan, &data, sampled),
        }
    }

    pub(super) fn job(&mut self, at: u8, job: u8) -> Option<&mut Job> {
        self.controllers[at as usize]
            .live
            .as_mut()?
            .jobs
            .get_mut(job as usize)?
            .as_mut()
    }

    pub(super) fn set_stage(&mut self, at: u8, job: u8, stage: Stage) {
        if let Some(job) = self.job(at, job) {
            job.stage = stage;
        }
    }

    /// Goes on to a stage: at once, or as a step of its own.
    pub(super) fn advance(&mut self, at: u8, job: u8, stage: Stage) {
        let own_step = match stage {
            Stage::Fence { .. } | Stage::Finish { .. } | Stage::Check { .. } => true,
            _ => self.setting.scenario.fine,
        };
        self.set_stage(at, job, stage);
        if own_step {
            self.soon(Event::Job { at, job });
        } else {
            self.step_job(at, job);
        }
    }

    fn begin(&mut self, at: u8, job: u8) {
        let Some(ask) = self.job(at, job).map(|j| j.ask) else {
            return;
        };
        let now = self.clock(at);
        // Plans are large: they are moved once, into their boxes.
        match ask {
            Ask::Io(Request::Write { block, count, .. }) => {
                let range = Range {
                    block: block.into(),
                    count,
                };
                let Some(live) = &mut self.controllers[at as usize].live else {
                    return;
                };
                match live.machine.write_begin(range, now) {
                    WriteBegin::Plan(plan) => {
                        let (plan, to) = (Box::new(plan), plan.post);
                        self.advance(
                            at,
                            job,
                            Stage::Store {
                                plan,
                                to,
                                block: 0,
                                part: 0,
                            },
                        );
                    }
                    WriteBegin::Park => self.park(at, job),
                    WriteBegin::Fail(reason) => self.refused(at, job, reason),
                }
            }
            Ask::Io(Request::Read { block, count }) => {
                let range = Range {
                    block: block.into(),
                    count,
                };
                let Some(live) = &mut self.controllers[at as usize].live else {
                    return;
                };
                match live.machine.read_begin(range, now) {
                    ReadBegin::Plan(plan) => {
                        self.get(at, job, Box::new(plan));
                    }
                    ReadBegin::Park => self.park(at, job),
                    ReadBegin::Fail(reason) => self.refused(at, job, reason),
                }
            }
            Ask::Io(Request::Flush) => return self.begin_flush(at, job),
            Ask::Pass { op, block, count } => {
                let range = LongRange {
                    block: block.into(),
                    count: count.into(),
                };
                let begin = self.tell_machine(at, |machine, now| machine.pass_down(op, range, now));
                self.begun_long(at, job, begin);
            }
        }
        self.follow(at);
    }

    fn begin_flush(&mut self, at: u8, job: u8) {
        let begin = self.tell_machine(at, |machine, now| machine.flush(now));
        self.begun_long(at, job, begin);
        self.follow(at);
    }

    fn begun_long(&mut self, at: u8, job: u8, begin: Option<LongBegin>) {
        match begin {
            Some(LongBegin::Wait(ticket)) => self.set_stage(at, job, Stage::Wait(ticket)),
            Some(LongBegin::Park) => self.park(at, job),
            Some(LongBegin::Fail(reason)) if self.job(at, job).is_some_and(|j| j.written) => {
                self.failed(at, job, reason);
            }
            Some(LongBegin::Fail(reason)) => self.refused(at, job, reason),
            None => {}
        }
    }

    pub(super) fn park(&mut self, at: u8, job: u8) {
        self.stats.parked += 1;
        self.set_stage(at, job, Stage::Parked);
    }

    /// Copies blocks into the log and posts them, from part `part` of `block` on. Where every step is to be seen, each part
    /// is one.
    fn store(
        &mut self,
        at: u8,
        job: u8,
        plan: Box<WritePlan>,
        to: Option<PostTo>,
        mut block: u32,
        mut part: u8,
    ) {
        while block < plan.range.count {
            self.store_part(at, job, &plan, to, block, part);
            (block, part) = if part == 2 {
                (block + 1, 0)
            } else {
                (block, part + 1)
            };
            if self.setting.scenario.fine {
                return self.advance(
                    at,
                    job,
                    Stage::Store {
                        plan,
                        to,
                        block,
                        part,
                    },
                );
            }
        }
        let issued_ns = self.clock(at);
        let next = match to {
            Some(to) => Stage::Fence {
                plan,
                to,
                issued_ns,
            },
            None => Stage::Finish { plan, sample: None },
        };
        self.advance(at, job, next);
    }

    /// One part of a block.
    fn store_part(
        &mut self,
        at: u8,
        job: u8,
        plan: &WritePlan,
        to: Option<PostTo>,
        block: u32,
        part: u8,
    ) {
        let slot = plan.slots[block as usize];
        let stamp = self.job(at, job).map_or(0, |j| j.stamp);
        if let Some(live) = &mut self.controllers[at as usize].live {
            if let (0 | 1, Some(data)) = (part, live.log.get_mut(slot as usize)) {
                data[part as usize] = stamp;
            }
        }
        match (to, part) {
            (Some(to), 0 | 1) => self.post_half(at, &to, slot, part),
            (Some(to), _) => {
                let header = SlotHeader {
                    volume: self.setting.room.identity().volume,
                    generation: plan.generation,
                    sequence: plan.sequence + u64::from(block),
                    block: plan.range.block + u64::from(block),
                    slot,
                    content: Content::Data { crc: 0 },
                };
                self.post_header(at, &to, header);
            }
            (None, _) => {}
        }
    }

    fn finish_write(&mut self, at: u8, job: u8, plan: Box<WritePlan>, sample: Option<FenceSample>) {
        let ticket = plan.ticket;
        let end = self.tell_machine(at, |machine, now| machine.write_finish(ticket, sample, now));
        match end {
            Some(WriteEnd::Complete) => self.written(at, job),
            Some(WriteEnd::Wait) => self.set_stage(at, job, Stage::Wait(ticket)),
            Some(WriteEnd::Again(to)) => {
                self.stats.again += 1;
                self.advance(
                    at,
                    job,
                    Stage::Store {
                        plan,
                        to: Some(to),
                        block: 0,
                        part: 0,
                    },
                );
            }
            Some(WriteEnd::Fail(reason)) => self.failed(at, job, reason),
            None => {}
        }
        self.follow(at);
    }
}
