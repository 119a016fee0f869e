// SPDX-License-Identifier: GPL-2.0
//! Two controllers under a random environment: actions late and out of order, crashes, cuts, pauses. No acknowledged
//! write is lost, no overwritten value comes back. A small one, next to the code; the simulator does this in earnest.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use std::collections::BTreeMap;

use appliance::{one, Appliance, MS};
use yoke_core::disk::node_block::RecordState;
use yoke_core::ids::LinkId;
use yoke_core::mirror::header::{Content, SlotHeader};
use yoke_core::volume::*;

const BLOCKS: u64 = 3;

struct Rng(u64);

impl Rng {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.next(n) == 0
    }
}

/// A write as its issuer saw it: when it began, and when it was certainly there.
#[derive(Clone, Copy, Debug)]
struct Write {
    block: u64,
    begun: u64,
    there: Option<u64>,
}

struct PendingRead {
    plan: ReadPlan,
    value: Option<u64>,
    begun: u64,
}

#[derive(Default)]
struct Outside {
    actions: Vec<Action>,
    writes: Vec<(WritePlan, Option<PostTo>, u8)>,
    fences: BTreeMap<u64, Option<FenceSample>>,
    reads: Vec<PendingRead>,
    runs: Vec<(DestagePlan, Vec<u64>, u64)>,
    asleep_until: u64,
}

struct Chaos {
    a: Appliance,
    rng: Rng,
    out: [Outside; 2],
    /// Writes to the disk of dead controllers, and until when they land.
    late: Vec<(u64, Vec<(u64, u64)>)>,
    late_blocks: Vec<(u64, yoke_core::disk::node_block::NodeBlock)>,
    writes: BTreeMap<u64, Write>,
    tickets: BTreeMap<(usize, String), u64>,
    clock: u64,
    acked: u64,
    reads: u64,
    trace: bool,
}

fn link_of(action: &Action) -> Option<LinkId> {
    match action {
        Action::PostSlot { to, .. } | Action::PostInvalid { to, .. } | Action::Fence { to, .. } => {
            Some(to.link)
        }
        Action::SetWord { link, .. }
        | Action::ClearRegion { link, .. }
        | Action::ScanRegion { link, .. } => Some(*link),
        _ => None,
    }
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let links = 1 + (seed % 2) as usize;
        let a = Appliance::new(links, |config| {
            config.slots = appliance::SLOTS;
            config.io_life_ns = 60 * MS;
            config.disk_lease_ns = 90 * MS;
            config.link_lease_ns = 20 * MS;
            config.poll_ns = 10 * MS;
            config.giveback_ns = 300 * MS;
        });
        let mut chaos = Self {
            a,
            rng: Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1),
            out: Default::default(),
            late: Vec::new(),
            late_blocks: Vec::new(),
            writes: BTreeMap::new(),
            tickets: BTreeMap::new(),
            clock: 0,
            acked: 0,
            reads: 0,
            trace: std::env::var("TRACE").is_ok(),
        };
        chaos
            .a
            .until("an owner", |a| a.role(0) == Role::Owner(Mode::Solo));
        for index in 0..links {
            chaos.a.mend(index);
        }
        chaos
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:8} {} {}", self.clock, self.a.now / 1000, what());
        }
    }

    fn awake(&self, n: usize) -> bool {
        self.a.nodes[n].is_some() && self.a.now >= self.out[n].asleep_until
    }

    /// One step of one controller.
    fn step(&mut self, n: usize) {
        if !self.awake(n) {
            return;
        }
        let now = self.a.now;
        match self.rng.next(14) {
            0..=3 => {
                if let Some(action) = self.a.node(n).volume.poll_action(now) {
                    self.polled(n, action);
                }
            }
            4..=6 => self.execute(n),
            7 => {
                if let Some(plan) = self.a.node(n).volume.next_destage(now, 3) {
                    let blocks = plan.range.block..;
                    let values: Vec<_> = blocks
                        .zip(plan.sources)
                        .take(plan.range.count as usize)
                        .map(|(block, source)| {
                            self.a.nodes[n]
                                .as_ref()
                                .unwrap()
                                .get(source, &self.a.disk, block)
                        })
                        .collect();
                    self.say(|| format!("{n} destages {:?} {values:?}", plan.range));
                    self.out[n].runs.push((plan, values, now));
                }
            }
            8 => self.finish_run(n),
            9 => self.begin_write(n),
            10 | 11 => self.go_on_writing(n),
            _ => self.read(n),
        }
    }

    fn polled(&mut self, n: usize, action: Action) {
        match action {
            Action::Complete(ticket) => {
                let value = self.tickets.remove(&(n, format!("{ticket:?}")));
                if let Some(value) = value {
                    self.ack(value);
                }
            }
            Action::Fail(ticket, _) => {
                self.tickets.remove(&(n, format!("{ticket:?}")));
            }
            Action::Wake => (),
            Action::Notify(role) => self.say(|| format!("{n} is {role:?}")),
            other => self.out[n].actions.push(other),
        }
    }

    /// Executes some action that may be executed now.
    fn execute(&mut self, n: usize) {
        let count = self.out[n].actions.len() as u64;
        if count == 0 {
            return;
        }
        let at = self.rng.next(count) as usize;
        let link = link_of(&self.out[n].actions[at]);
        let at = match link {
            Some(_) => self.out[n]
                .actions
                .iter()
                .position(|a| link_of(a) == link)
                .unwrap(),
            None => match self.out[n].actions[at] {
                Action::Send(_) => {
                    let send = |a: &Action| matches!(a, Action::Send(_));
                    self.out[n].actions.iter().position(send).unwrap()
                }
                _ => at,
            },
        };
        let action = self.out[n].actions.remove(at);
        self.say(|| format!("{n} {action:?}"));
        self.a.act(n, action);
    }

    fn finish_run(&mut self, n: usize) {
        let count = self.out[n].runs.len() as u64;
        if count == 0 {
            return;
        }
        let at = self.rng.next(count) as usize;
        let (plan, values, _) = self.out[n].runs.remove(at);
        for (block, value) in (plan.range.block..).zip(values) {
            self.a.disk.insert(block, value);
        }
        let now = self.a.now;
        self.say(|| format!("{n} destaged {:?}", plan.range));
        self.a
            .node(n)
            .volume
            .destage_finish(plan.run, DestageEnd::Written, now);
    }

    /// A command lives for at most T_io, also while its issuer sleeps.
    fn land_old(&mut self) {
        let old = self.a.now.saturating_sub(50 * MS);
        for out in &mut self.out {
            for (plan, values, _) in out.runs.iter_mut().filter(|run| run.2 < old) {
                self.a
                    .disk
                    .extend((plan.range.block..).zip(values.drain(..)));
            }
        }
    }

    fn begin_write(&mut self, n: usize) {
        if self.out[n].writes.len() > 2 {
            return;
        }
        let block = self.rng.next(BLOCKS);
        let value = self.clock;
        if let Ok(plan) = self.a.begin(n, block, value) {
            self.say(|| format!("{n} writes {value} to {block}, slot {}", plan.slots[0]));
            let write = Write {
                block,
                begun: self.clock,
                there: None,
            };
            self.writes.insert(value, write);
            self.tickets
                .insert((n, format!("{:?}", plan.ticket)), value);
            self.out[n].writes.push((plan, plan.post, 0));
        }
    }

    fn ack(&mut self, value: u64) {
        self.say(|| format!("acknowledged {value}"));
        self.acked += 1;
        let clock = self.clock;
        let write = self.writes.get_mut(&value).unwrap();
        write.there.get_or_insert(clock);
    }

    fn go_on_writing(&mut self, n: usize) {
        let count = self.out[n].writes.len() as u64;
        if count == 0 {
            return;
        }
        let at = self.rng.next(count) as usize;
        let (plan, post, stage) = self.out[n].writes[at];
        let now = self.a.now;
        if let (Some(to), 0) = (post, stage) {
            let header = SlotHeader {
                volume: appliance::VOLUME,
                generation: plan.generation,
                sequence: plan.sequence,
                block: plan.range.block,
                slot: plan.slots[0],
                content: Content::Data { crc: 0 },
            };
            self.a.post(n, &to, plan.slots[0], Some(header));
            self.out[n].writes[at].2 = 1;
            return;
        }
        if let (Some(to), 1) = (post, stage) {
            let sample = self.a.fence(n, &to);
            self.out[n]
                .fences
                .insert(u64::from(plan.slots[0]), Some(sample));
            self.out[n].writes[at].2 = 2;
            return;
        }
        let fence = self.out[n]
            .fences
            .remove(&u64::from(plan.slots[0]))
            .flatten();
        let fence = fence.filter(|_| post.is_some());
        self.out[n].writes.remove(at);
        let key = (n, format!("{:?}", plan.ticket));
        match self.a.node(n).volume.write_finish(plan.ticket, fence, now) {
            WriteEnd::Complete => {
                let value = self.tickets.remove(&key).unwrap();
                self.ack(value);
            }
            WriteEnd::Wait => (),
            WriteEnd::Again(to) => self.out[n].writes.push((plan, Some(to), 0)),
            WriteEnd::Fail(_) => {
                self.tickets.remove(&key);
            }
        }
    }

    fn read(&mut self, n: usize) {
        let now = self.a.now;
        if self.out[n].reads.len() < 2 && self.rng.one_in(2) {
            let block = self.rng.next(BLOCKS);
            if let ReadBegin::Plan(plan) = self.a.node(n).volume.read_begin(one(block), now) {
                self.out[n].reads.push(PendingRead {
                    plan,
                    value: None,
                    begun: self.clock,
                });
            }
            return;
        }
        let count = self.out[n].reads.len() as u64;
        if count == 0 {
            return;
        }
        let at = self.rng.next(count) as usize;
        let block = self.out[n].reads[at].plan.range.block;
        if self.out[n].reads[at].value.is_none() {
            let source = self.out[n].reads[at].plan.sources[0];
            let value = self.a.nodes[n]
                .as_ref()
                .unwrap()
                .get(source, &self.a.disk, block);
            self.out[n].reads[at].value = Some(value);
            return;
        }
        let read = self.out[n].reads.remove(at);
        if self.a.node(n).volume.read_finish(&read.plan, now) == ReadEnd::Complete {
            let value = read.value.unwrap();
            self.say(|| format!("{n} reads {value} from {block} {:?}", read.plan.sources[0]));
            self.reads += 1;
            self.check(block, value, read.begun);
        }
    }

    /// A value that was read must not have been overwritten before the read began.
    fn check(&mut self, block: u64, value: u64, begun: u64) {
        let own = self.writes.get(&value).copied();
        if value != 0 {
            assert_eq!(own.unwrap().block, block, "misplaced");
        }
        let there = own.map_or(Some(0), |own| own.there);
        for (other, write) in &self.writes {
            let later = there.is_some_and(|there| write.begun > there);
            let before = write.there.is_some_and(|there| there < begun);
            assert!(
                !(write.block == block && later && before),
                "block {block}: read {value}, overwritten by {other}"
            );
        }
        let clock = self.clock;
        if let Some(write) = self.writes.get_mut(&value) {
            write.there.get_or_insert(clock);
        }
    }

    fn kill(&mut self, n: usize) {
        self.say(|| format!("kill {n}"));
        let now = self.a.now;
        let out = std::mem::take(&mut self.out[n]);
        for (plan, values, issued) in out.runs {
            let blocks = (plan.range.block..).zip(values).collect();
            self.late.push((issued + 60 * MS, blocks));
        }
        for action in out.actions {
            if let Action::WriteNodeBlock { block, .. } = action {
                self.late_blocks.push((now + 60 * MS, block));
            }
        }
        self.tickets.retain(|(node, _), _| *node != n);
        self.a.nodes[n] = None;
        for wire in &mut self.a.wires {
            wire.up = false;
            wire.downs += 1;
        }
        for index in 0..self.a.wires.len() {
            let link = appliance::link(index);
            self.a.tell(1 - n, Input::LinkDown { link });
        }
        self.a.tell(1 - n, Input::SessionGone);
        self.a.session = false;
    }

    fn land_late(&mut self) {
        let now = self.a.now;
        let mut at = 0;
        while at < self.late.len() {
            if self.late[at].0 <= now || self.rng.one_in(20) {
                let (_, blocks) = self.late.remove(at);
                if self.rng.one_in(2) {
                    self.say(|| format!("late {blocks:?}"));
                    self.a.disk.extend(blocks);
                }
            } else {
                at += 1;
            }
        }
        let mut at = 0;
        while at < self.late_blocks.len() {
            if self.late_blocks[at].0 <= now || self.rng.one_in(20) {
                let (_, block) = self.late_blocks.remove(at);
                if self.rng.one_in(2) {
                    self.say(|| format!("late {block:?}"));
                    self.a.blocks[block.node.index()] = block;
                }
            } else {
                at += 1;
            }
        }
    }

    /// Whether the volume has to survive the loss of `n`: not where another controller was lost just before.
    fn survives(&self, n: usize) -> bool {
        if self.a.nodes.iter().any(Option::is_none) {
            return false;
        }
        // Nor while a record is on its way that says what an earlier loss has made untrue.
        let writes = |action: &Action| matches!(action, Action::WriteNodeBlock { .. });
        if self.out.iter().any(|out| out.actions.iter().any(writes)) {
            return false;
        }
        let top = self
            .a
            .blocks
            .iter()
            .max_by_key(|block| block.record.generation);
        let top = top.unwrap();
        let lives = |node: usize, incarnation| {
            self.a.nodes[node].as_ref().unwrap().incarnation == incarnation
        };
        match top.record.state {
            RecordState::Shadow(shadow) => {
                let (owner, holder) = (top.node.index(), shadow.holder.index());
                let serves = self.a.nodes[owner].as_ref().unwrap().volume.is_owner();
                let whole = serves && lives(holder, shadow.holder_incarnation);
                whole && (owner != holder || n != owner)
            }
            _ => true,
        }
    }

    fn fault(&mut self) {
        let n = self.rng.next(2) as usize;
        match self.rng.next(8) {
            0 if self.survives(n) => self.kill(n),
            1 => {
                let until = self.a.now + self.rng.next(80) * MS;
                self.out[n].asleep_until = until;
                self.say(|| format!("{n} sleeps until {}", until / 1000));
            }
            2 | 3 => {
                let index = self.rng.next(self.a.wires.len() as u64) as usize;
                if self.a.wires[index].up {
                    self.say(|| format!("cut {index}"));
                    self.cut(index);
                }
            }
            _ => (),
        }
    }

    fn cut(&mut self, index: usize) {
        let wire = &mut self.a.wires[index];
        wire.up = false;
        wire.downs += 1;
        for n in 0..2 {
            self.a.tell(
                n,
                Input::LinkDown {
                    link: appliance::link(index),
                },
            );
        }
        if self.a.wires.iter().all(|wire| !wire.up) {
            self.a.tell(0, Input::SessionGone);
            self.a.tell(1, Input::SessionGone);
            self.a.session = false;
        }
    }

    fn repair(&mut self) {
        for n in 0..2 {
            if self.a.nodes[n].is_none() && self.rng.one_in(40) {
                self.say(|| format!("start {n}"));
                let other = self.a.nodes[1 - n].take();
                self.a.start_quiet(n);
                self.a.nodes[1 - n] = other;
            }
        }
        if self.a.nodes.iter().all(Option::is_some) && self.rng.one_in(15) {
            let index = self.rng.next(self.a.wires.len() as u64) as usize;
            if !self.a.wires[index].up && self.awake(0) && self.awake(1) {
                self.say(|| format!("mend {index}"));
                self.a.mend_quiet(index);
            }
        }
    }

    fn run(&mut self, steps: u64, faults: bool) {
        for _ in 0..steps {
            self.clock += 1;
            if self.rng.one_in(25) {
                self.a.now += self.rng.next(2 * MS);
            }
            let n = self.rng.next(2) as usize;
            self.step(n);
            self.land_late();
            self.land_old();
            if faults && self.rng.one_in(600) {
                self.fault();
            }
            if self.rng.one_in(8) {
                self.repair();
            }
        }
    }
}

fn run(seed: u64) -> (u64, u64) {
    let mut chaos = Chaos::new(seed);
    chaos.run(15_000, true);
    // Everything is mended: somebody has to own the volume soon, and to have everything.
    for n in 0..2 {
        chaos.out[n].asleep_until = 0;
    }
    let mut left = 60;
    while left > 0
        && !(0..2).any(|n| {
            matches!(
                chaos.a.nodes[n].as_ref().map(|n| n.volume.role()),
                Some(Role::Owner(Mode::Mirrored))
            )
        })
    {
        chaos.run(2_000, false);
        left -= 1;
    }
    assert!(
        left > 0,
        "never mirrored: {:?} {:?}",
        chaos.a.nodes[0]
            .as_ref()
            .map(|n| n.volume.status(chaos.a.now)),
        chaos.a.nodes[1]
            .as_ref()
            .map(|n| n.volume.status(chaos.a.now))
    );
    chaos.run(4_000, false);
    (chaos.acked, chaos.reads)
}

#[test]
fn nothing_acknowledged_is_lost() {
    let (first, count) = match std::env::var("YOKE_SEED") {
        Ok(seed) => (seed.parse().unwrap(), 1),
        Err(_) => (
            0,
            std::env::var("YOKE_SEEDS").map_or(300, |n| n.parse().unwrap()),
        ),
    };
    let (mut acked, mut reads) = (0, 0);
    for seed in first..first + count {
        let result = std::panic::catch_unwind(|| run(seed));
        match result {
            Ok((a, r)) => (acked, reads) = (acked + a, reads + r),
            Err(_) => panic!("seed {seed}"),
        }
    }
    println!("{acked} writes acknowledged, {reads} reads");
    assert!(
        acked > 100 * count && reads > 100 * count,
        "too little was done"
    );
}
