// SPDX-License-Identifier: GPL-2.0
//! What users ask of controllers: reads, writes and all else.

use yoke_core::mirror::header::{Content, SlotHeader};
use yoke_core::volume::*;

use super::{crc_of, looks, one, Appliance, Machine, MS, VOLUME};

impl Appliance {
    /// Begins a write, and does what its plan says but finish it.
    pub fn begin(&mut self, n: usize, block: u64, value: u64) -> Result<WritePlan, Option<Reason>> {
        let now = self.now;
        let node = self.node(n);
        let (begun, looked) = looks(|| node.volume.write_begin(one(block), now));
        self.most_looks = self.most_looks.max(looked);
        match begun {
            WriteBegin::Plan(plan) => {
                self.node(n).log[plan.slots[0] as usize] = value;
                Ok(plan)
            }
            WriteBegin::Park => Err(None),
            WriteBegin::Fail(reason) => Err(Some(reason)),
        }
    }

    /// Posts, fences and finishes a write that was begun.
    pub fn finish(&mut self, n: usize, plan: &WritePlan) -> WriteEnd {
        let mut post = plan.post;
        for _ in 0..9 {
            let fence = post.map(|to| {
                let header = SlotHeader {
                    volume: VOLUME,
                    generation: plan.generation,
                    sequence: plan.sequence,
                    block: plan.range.block,
                    slot: plan.slots[0],
                    content: Content::Data { crc: 0 },
                };
                self.post(n, &to, plan.slots[0], Some(header));
                self.fence(n, &to)
            });
            let now = self.now;
            let node = self.node(n);
            let (end, looked) = looks(|| node.volume.write_finish(plan.ticket, fence, now));
            self.most_looks = self.most_looks.max(looked);
            match end {
                WriteEnd::Again(to) => post = Some(to),
                end => return end,
            }
        }
        panic!("again and again");
    }

    /// A write that has to be acknowledged, now or soon.
    pub fn write(&mut self, n: usize, block: u64, value: u64) {
        let mut plan = self.begin(n, block, value);
        for _ in 0..1_000 {
            if plan != Err(None) {
                break;
            }
            self.pass(5 * MS);
            plan = self.begin(n, block, value);
        }
        let plan = plan.unwrap();
        match self.finish(n, &plan) {
            WriteEnd::Complete => (),
            WriteEnd::Wait => {
                let key = format!("{:?}", plan.ticket);
                self.until("the write is answered", |a| {
                    a.node(n).answers.contains_key(&key)
                });
                assert_eq!(self.node(n).answers.get(&key), Some(&Ok(())));
            }
            other => panic!("{other:?}"),
        }
        self.settle();
    }

    /// A read that has to be answered, now or soon; 0 where nothing was written.
    pub fn read(&mut self, n: usize, block: u64) -> u64 {
        for _ in 0..1_000 {
            let now = self.now;
            match self.node(n).volume.read_begin(one(block), now) {
                ReadBegin::Plan(plan) => {
                    let value =
                        self.nodes[n]
                            .as_ref()
                            .unwrap()
                            .get(plan.sources[0], &self.disk, block);
                    let wrong = matches!(plan.sources[0],
                        Source::Adopted { crc, .. } if crc != crc_of(value));
                    let volume = &mut self.node(n).volume;
                    let end = match wrong {
                        true => volume.read_failed(&plan, Some(0), now),
                        false => volume.read_finish(&plan, now),
                    };
                    match end {
                        ReadEnd::Complete => return value,
                        ReadEnd::Again | ReadEnd::Park => (),
                        ReadEnd::Fail(reason) => panic!("{reason}"),
                    }
                }
                ReadBegin::Park => (),
                ReadBegin::Fail(reason) => panic!("{reason}"),
            }
            self.pass(5 * MS);
        }
        panic!("no answer");
    }

    /// A flush, or a discard, that has to be answered.
    pub fn long(&mut self, n: usize, begin: impl Fn(&mut Machine, u64) -> LongBegin) {
        let now = self.now;
        let LongBegin::Wait(ticket) = begin(&mut self.node(n).volume, now) else {
            panic!("not begun");
        };
        let key = format!("{ticket:?}");
        self.until("it is answered", |a| a.node(n).answers.contains_key(&key));
        assert_eq!(self.node(n).answers.get(&key), Some(&Ok(())));
    }
}
