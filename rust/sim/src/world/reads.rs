// SPDX-License-Identifier: GPL-2.0
//! Reads of clients: from the log, from adopted slots, from the disk.

use yoke_core::volume::{ReadEnd, ReadPlan, Source};

use super::posts::block_crc;
use super::World;
use crate::disk::{Block, Cookie, Place, Verb};
use crate::event::Event;
use crate::job::Stage;

impl World {
    /// Copies blocks from where the plan says, from `block` on. Where every step is to be seen, each block is one.
    pub(super) fn fetch(
        &mut self,
        at: u8,
        job: u8,
        plan: Box<ReadPlan>,
        mut block: u32,
        mut data: Vec<Block>,
    ) {
        while block < plan.range.count {
            let good =
                self.fetch_block(at, plan.sources[block as usize], &mut data[block as usize]);
            block += 1;
            if !good {
                let bad = true;
                return self.advance(at, job, Stage::Check { plan, data, bad });
            }
            if self.setting.scenario.fine {
                return self.advance(at, job, Stage::Fetch { plan, block, data });
            }
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
