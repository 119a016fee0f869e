// SPDX-License-Identifier: GPL-2.0
//! Reads of clients: from the log, from adopted slots, from the disk.

use yoke_core::volume::desk::Sampled;
use yoke_core::volume::{ReadEnd, ReadPlan, Source, BLOCKS_MAX};

use super::posts::block_crc;
use super::World;
use crate::disk::{Block, Cookie, Place, Verb};
use crate::event::Event;
use crate::job::Stage;

impl World {
    /// A read was begun: gets its blocks.
    pub(super) fn get(&mut self, at: u8, job: u8, mut plan: Box<ReadPlan>) {
        let count = plan.range.count as usize;
        let data = vec![[0; 2]; count];
        let on_disk = plan.sources[..count].contains(&Source::Disk);
        if on_disk && self.setting.scenario.lays {
            // The plan is not kept: all of it is read.
            plan.sources = [Source::Disk; BLOCKS_MAX];
            return self.fetch_disk(at, job, plan, data);
        }
        self.fetch_next(at, job, plan, data, false);
    }

    fn fetch_next(&mut self, at: u8, job: u8, plan: Box<ReadPlan>, data: Vec<Block>, laid: bool) {
        let next = Stage::Fetch {
            plan,
            block: 0,
            data,
            laid,
        };
        self.advance(at, job, next);
    }

    /// The disk has given a read, all of it, or has not.
    pub(super) fn lay(
        &mut self,
        at: u8,
        job: u8,
        mut plan: Box<ReadPlan>,
        data: Vec<Block>,
        bad: bool,
    ) {
        let laid = self.tell_machine(at, |machine, now| machine.read_lay(&mut plan, now));
        match laid {
            Some(Ok(())) => {}
            Some(Err(end)) => return self.end_read(at, job, &data, end),
            None => return,
        }
        self.stats.laid += 1;
        let count = plan.range.count as usize;
        if bad && plan.sources[..count].contains(&Source::Disk) {
            let sampled = Sampled::Unreadable;
            let next = Stage::Check {
                plan,
                data,
                sampled,
            };
            return self.advance(at, job, next);
        }
        self.fetch_next(at, job, plan, data, true);
    }

    /// Copies blocks from where the plan says, from `block` on. Where every step is to be seen, each block is one.
    pub(super) fn fetch(
        &mut self,
        at: u8,
        job: u8,
        plan: Box<ReadPlan>,
        mut block: u32,
        mut data: Vec<Block>,
        laid: bool,
    ) {
        while block < plan.range.count {
            let good =
                self.fetch_block(at, plan.sources[block as usize], &mut data[block as usize]);
            block += 1;
            if !good {
                let sampled = Sampled::Corrupt { at: block - 1 };
                let next = Stage::Check {
                    plan,
                    data,
                    sampled,
                };
                return self.advance(at, job, next);
            }
            if self.setting.scenario.fine {
                let next = Stage::Fetch {
                    plan,
                    block,
                    data,
                    laid,
                };
                return self.advance(at, job, next);
            }
        }
        if laid {
            let sampled = Sampled::Good;
            let next = Stage::Check {
                plan,
                data,
                sampled,
            };
            return self.advance(at, job, next);
        }
        self.fetch_disk(at, job, plan, data);
    }

    /// Copies a block, if it is not on the disk. Whether it is what it should be.
    fn fetch_block(&mut self, at: u8, source: Source, to: &mut Block) -> bool {
        match source {
            Source::Disk => self.stats.from_disk += 1,
            Source::Zero => *to = [0; 2],
            Source::Log { slot } => {
                self.stats.from_log += 1;
                *to = self.log_block(at, slot);
            }
            Source::Adopted { link, slot, crc } => {
                self.stats.from_adopted += 1;
                *to = self.adopted_block(at, link.index(), slot);
                return block_crc(*to) == crc;
            }
        }
        true
    }

    /// Reads from the disk what is there, one command for each run of blocks.
    fn fetch_disk(&mut self, at: u8, job: u8, plan: Box<ReadPlan>, data: Vec<Block>) {
        let mut runs: Vec<(u32, Vec<Place>)> = Vec::new();
        for (i, source) in (0..plan.range.count).zip(&plan.sources) {
            let place = Place::Data((plan.range.block + u64::from(i)) as u32);
            match (source, runs.last_mut()) {
                (Source::Disk, Some((first, run))) if *first + run.len() as u32 == i => {
                    run.push(place);
                }
                (Source::Disk, _) => runs.push((i, vec![place])),
                _ => {}
            }
        }
        if runs.is_empty() {
            return self.advance(
                at,
                job,
                Stage::Check {
                    plan,
                    data,
                    sampled: Sampled::Good,
                },
            );
        }
        let missing = runs.len() as u32;
        self.set_stage(
            at,
            job,
            Stage::Disk {
                plan,
                data,
                missing,
                bad: false,
            },
        );
        for (first, places) in runs {
            self.issue(at, Verb::Read(places), Cookie::Job(job, first));
        }
    }

    pub(super) fn finish_read(
        &mut self,
        at: u8,
        job: u8,
        plan: &ReadPlan,
        data: &[Block],
        sampled: Sampled,
    ) {
        let end = self.tell_machine(at, |machine, now| match sampled {
            Sampled::Corrupt { at } => machine.read_failed(plan, Some(at), now),
            Sampled::Unreadable => machine.read_failed(plan, None, now),
            Sampled::Good | Sampled::Later | Sampled::Again => machine.read_finish(plan, now),
        });
        if let Some(end) = end {
            let bad = matches!(sampled, Sampled::Corrupt { .. });
            self.stats.dropped += u64::from(bad && end == ReadEnd::Again);
            self.end_read(at, job, data, end);
        }
    }

    /// What becomes of a read that was handed back.
    fn end_read(&mut self, at: u8, job: u8, data: &[Block], end: ReadEnd) {
        match end {
            ReadEnd::Complete => self.answered(at, job, data),
            ReadEnd::Again => {
                self.set_stage(at, job, Stage::Begin);
                self.soon(Event::Job { at, job });
            }
            ReadEnd::Park => self.park(at, job),
            ReadEnd::Fail(reason) => self.failed(at, job, reason),
        }
        self.follow(at);
    }
}
