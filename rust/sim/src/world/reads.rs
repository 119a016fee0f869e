// SPDX-License-Identifier: GPL-2.0
//! Reads of clients: from the log, from adopted slots, from the disk.

use yoke_core::volume::{ReadEnd, ReadPlan, Source};

use super::posts::block_crc;
use super::World;
use crate::disk::{Block, Cookie, Place, Verb};
use crate::event::Event;
use crate::job::Stage;

impl World {
    /// Copies a block from where the plan says.
    pub(super) fn fetch(
        &mut self,
        at: u8,
        job: u8,
        plan: Box<ReadPlan>,
        block: u32,
        mut data: Vec<Block>,
    ) {
        if block >= plan.range.count {
            return self.fetch_disk(at, job, plan, data);
        }
        let mut bad = false;
        match plan.sources[block as usize] {
            Source::Disk => self.stats.from_disk += 1,
            Source::Zero => data[block as usize] = [0; 2],
            Source::Log { slot } => {
                self.stats.from_log += 1;
                data[block as usize] = self.log_block(at, slot);
            }
            Source::Adopted { link, slot, crc } => {
                self.stats.from_adopted += 1;
                data[block as usize] = self.adopted_block(at, link.index(), slot);
                bad = block_crc(data[block as usize]) != crc;
            }
        }
        let next = if bad {
            Stage::Check { plan, data, bad }
        } else {
            Stage::Fetch {
                plan,
                block: block + 1,
                data,
            }
        };
        self.advance(at, job, next);
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
                    bad: false,
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
        bad: bool,
    ) {
        let corrupt = bad
            && plan
                .sources
                .iter()
                .any(|s| matches!(s, Source::Adopted { .. }));
        let end = self.tell_machine(at, |machine, now| match bad {
            true => machine.read_failed(plan, corrupt, now),
            false => machine.read_finish(plan, now),
        });
        match end {
            Some(ReadEnd::Complete) => self.answered(at, job, data),
            Some(ReadEnd::Again) => {
                self.set_stage(at, job, Stage::Begin);
                self.soon(Event::Job { at, job });
            }
            Some(ReadEnd::Park) => self.park(at, job),
            Some(ReadEnd::Fail(reason)) => self.failed(at, job, reason),
            None => {}
        }
        self.follow(at);
    }
}
