// SPDX-License-Identifier: GPL-2.0
//! Every I/O that comes in leaves, in bounded time, whatever happens: each operation is brought to each of its awaits,
//! and there the ownership ends, the machine stops, the desk is closed, or the disk never answers again.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;
#[path = "support/scanning.rs"]
#[allow(dead_code, unreachable_pub)]
mod scanning;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use appliance::{Appliance, MS};
use yoke_core::mirror::header::{Content, SlotHeader};
use yoke_core::volume::desk::*;
use yoke_core::volume::*;

const MIRRORED: Role = Role::Owner(Mode::Mirrored);
const SOLO: Role = Role::Owner(Mode::Solo);
/// No I/O may wait for longer.
const BOUND: u64 = 4_000 * MS;
/// How much longer it takes until somebody looks.
const SLACK: u64 = 100 * MS;
const TICKETS: usize = 6;

struct Caller {
    id: usize,
    ask: Ask,
    born: u64,
    ended: bool,
}

impl Io for Caller {
    fn ask(&self) -> Ask {
        self.ask
    }

    fn age_ns(&self, now: u64) -> u64 {
        now - self.born
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if !self.ended && !std::thread::panicking() {
            panic!("I/O {} was dropped, not answered", self.id);
        }
    }
}

#[derive(Default)]
struct Row(VecDeque<Caller>);

impl Line<Caller> for Row {
    fn push(&mut self, io: Caller) {
        self.0.push_back(io);
    }

    fn pop(&mut self) -> Option<Caller> {
        self.0.pop_front()
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

/// What a thread, or the disk, has in its hands between two holds of the lock.
enum Hand {
    Job(Job<Caller>),
    Begin(Caller, Step),
    Post(Caller, WritePlan, Option<PostTo>),
    Finish(Caller, WritePlan, Option<FenceSample>),
    Landed(Caller, ReadPlan),
    Sampled(Caller, ReadPlan),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The partner takes over while everything that is under way stays under way.
    Deposed,
    /// Somebody else writes this controller's block.
    Stopped,
    /// The volume is taken down.
    Closed,
    /// The disk never answers again, and the partner is gone.
    Hangs,
    /// The disk never answers again, the partner is there.
    DiskHangs,
    /// The volume is given back.
    GivenBack,
    None,
}

type Counter = Desk<Caller, Vec<Seat<Caller>>, Row>;

struct World {
    a: Appliance,
    desk: Rc<RefCell<Counter>>,
    /// What the machine has ended.
    ended: Rc<RefCell<Vec<Job<Caller>>>>,
    hands: VecDeque<Hand>,
    /// The plan of the write in a thread's hands, by I/O.
    plans: BTreeMap<usize, WritePlan>,
    done: BTreeMap<usize, (Result<(), Reason>, u64)>,
    born: u64,
    wakes: u32,
    hung: bool,
    /// Writes that were begun.
    writes: usize,
}

impl World {
    fn new(mirrored: bool, asks: &[Ask]) -> Self {
        let mut a = Appliance::new(1, |config| config.io_life_ns = 200 * MS);
        a.until("an owner", |a| a.role(0) == SOLO);
        if mirrored {
            a.mend(0);
            a.until("mirrored", |a| a.role(0) == MIRRORED);
            // Something in the log, something on the disk.
            a.write(0, 2, 20);
            a.pass(100 * MS);
            a.hold_destage = true;
            a.write(0, 1, 10);
        }
        (a.hold_destage, a.hold_disk) = (true, true);
        let born = a.now;
        let seats = (0..TICKETS).map(|_| Seat::EMPTY).collect();
        let desk = Rc::new(RefCell::new(Desk::new(seats, TICKETS, BOUND).unwrap()));
        let ended = Rc::new(RefCell::new(Vec::new()));
        let (counter, jobs) = (desk.clone(), ended.clone());
        a.ear = Some(Box::new(move |core, ticket, end, now| {
            let mut desk: std::cell::RefMut<'_, Counter> = counter.borrow_mut();
            jobs.borrow_mut().push(match end {
                Ok(()) => desk.complete(core, ticket, now),
                Err(reason) => desk.fail(ticket, reason),
            });
        }));
        let begin = |(id, ask): (usize, &Ask)| {
            let ask = *ask;
            let ended = false;
            let io = Caller {
                id,
                ask,
                born,
                ended,
            };
            Hand::Begin(io, Step::Start)
        };
        Self {
            wakes: a.node(0).wakes,
            a,
            desk,
            ended,
            hands: asks.iter().enumerate().map(begin).collect(),
            plans: BTreeMap::new(),
            done: BTreeMap::new(),
            born,
            hung: false,
            writes: 0,
        }
    }

    fn hand(&mut self, hand: Hand) {
        let now = self.a.now;
        let desk = self.desk.clone();
        let mut desk = desk.borrow_mut();
        match hand {
            Hand::Begin(io, step) => {
                let core = &mut self.a.nodes[0].as_mut().unwrap().volume;
                let job = desk.begin(core, io, step, now);
                self.hands.push_back(Hand::Job(job));
            }
            Hand::Job(Job::Kept) => (),
            Hand::Job(Job::End(mut io, result)) => {
                io.ended = true;
                let old = self.done.insert(io.id, (result, now));
                assert_eq!(old, None, "answered twice");
            }
            Hand::Job(Job::Write(io, plan)) => {
                self.writes += 1;
                for slot in plan.slots.iter().take(plan.range.count as usize) {
                    self.a.node(0).log[*slot as usize] = 77;
                }
                self.plans.insert(io.id, plan);
                self.hands.push_back(Hand::Post(io, plan, plan.post));
            }
            Hand::Job(Job::Again(io, to)) => {
                let plan = self.plans[&io.id];
                self.hands.push_back(Hand::Post(io, plan, Some(to)));
            }
            Hand::Job(Job::Read(io, plan)) => self.hands.push_back(Hand::Landed(io, plan)),
            Hand::Post(io, plan, to) => {
                let fence = to.map(|to| self.post(&plan, &to));
                self.hands.push_back(Hand::Finish(io, plan, fence));
            }
            Hand::Finish(io, plan, fence) => {
                let core = &mut self.a.nodes[0].as_mut().unwrap().volume;
                let job = desk.wrote(core, io, plan.ticket, fence, now);
                self.hands.push_back(Hand::Job(job));
            }
            Hand::Landed(io, mut plan) => {
                let core = &mut self.a.nodes[0].as_mut().unwrap().volume;
                let next = match core.read_lay(&mut plan, now) {
                    Ok(()) => Hand::Sampled(io, plan),
                    Err(end) => Hand::Job(desk.end_read(io, end)),
                };
                self.hands.push_back(next);
            }
            Hand::Sampled(io, plan) => {
                let core = &mut self.a.nodes[0].as_mut().unwrap().volume;
                let job = desk.sampled(core, io, &plan, Sampled::Good, now);
                self.hands.push_back(Hand::Job(job));
            }
        }
    }

    fn post(&mut self, plan: &WritePlan, to: &PostTo) -> FenceSample {
        for at in 0..plan.range.count {
            let slot = plan.slots[at as usize];
            let header = SlotHeader {
                volume: appliance::VOLUME,
                generation: plan.generation,
                sequence: plan.sequence + u64::from(at),
                block: plan.range.block + u64::from(at),
                slot,
                content: Content::Data { crc: 0 },
            };
            self.a.post(0, to, slot, Some(header));
        }
        self.a.fence(0, to)
    }

    /// Tells the desk what the machine said.
    fn hear(&mut self) {
        let ended = std::mem::take(&mut *self.ended.borrow_mut());
        self.hands.extend(ended.into_iter().map(Hand::Job));
        let wakes = self.a.node(0).wakes;
        if wakes != self.wakes {
            self.wakes = wakes;
            self.desk.borrow_mut().wake();
        }
    }

    fn again(&mut self) {
        for step in Step::ALL {
            let mut row = self.desk.borrow_mut().take_parked(step);
            while let Some(io) = row.pop() {
                self.hands.push_back(Hand::Begin(io, step));
            }
        }
    }

    /// The disk answers one thing.
    fn answer(&mut self) -> bool {
        if self.hung {
            return false;
        }
        if !self.a.held.is_empty() {
            let (n, action) = self.a.held.remove(0);
            self.a.hold_disk = false;
            self.a.act(n, action);
            self.a.hold_disk = true;
            return true;
        }
        if self.a.hold_destage {
            self.a.hold_destage = false;
            self.a.settle();
            self.a.hold_destage = true;
        }
        false
    }

    /// One thing happens; false: nothing is left.
    fn step(&mut self) -> bool {
        self.a.settle();
        self.hear();
        if let Some(hand) = self.hands.pop_front() {
            self.hand(hand);
            return true;
        }
        let restart = self.desk.borrow_mut().take_restart();
        if restart {
            self.again();
            return true;
        }
        if self.desk.borrow().waiting() == 0 {
            return false;
        }
        if !self.answer() {
            self.a.pass(10 * MS);
            self.look();
        }
        true
    }

    /// What the worker does once a round.
    fn look(&mut self) {
        let now = self.a.now;
        let core = &mut self.a.nodes[0].as_mut().unwrap().volume;
        while let Some(job) = self.desk.borrow_mut().expired(core, TICKETS, now) {
            self.hands.push_back(Hand::Job(job));
        }
        self.again();
    }

    fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::None => (),
            Fault::Deposed => {
                // The record of another says so, which this one learns when it reads all blocks.
                self.a.blocks[1].record.generation = yoke_core::ids::Generation::new(99);
                self.a.blocks[1].sequence += 1;
                self.a.kill(1);
                self.a
                    .until("deposed", |a| !matches!(a.role(0), Role::Owner(_)));
            }
            Fault::Stopped => {
                // What it reads is not what it wrote.
                self.a.other_writer = Some(0);
                self.a.kill(1);
                self.a.until("stopped", |a| a.role(0) == Role::Stopped);
            }
            Fault::Closed => loop {
                let job = self.desk.borrow_mut().close();
                match job {
                    Job::Kept => break,
                    job => self.hand(Hand::Job(job)),
                }
            },
            Fault::Hangs => {
                self.hung = true;
                self.a.unreadable = true;
                if self.a.wires[0].up {
                    self.a.cut(0);
                }
            }
            Fault::DiskHangs => (self.hung, self.a.unreadable) = (true, true),
            Fault::GivenBack => self.a.command(0, Command::GiveBack),
        }
    }

    /// Runs with a fault after `at` steps. Whether there were as many.
    fn run(&mut self, fault: Fault, at: usize, ios: usize, what: &str) -> bool {
        let mut steps = 0;
        while steps < at && self.step() {
            steps += 1;
        }
        let reached = steps == at;
        self.inject(fault);
        let then = self.a.now;
        while self.a.now < self.born + 3 * BOUND && self.step() {}
        assert_eq!(self.done.len(), ios, "{what}: not all were answered");
        assert_eq!(self.desk.borrow().waiting(), 0, "{what}");
        for (id, (end, when)) in &self.done {
            assert!(
                *when <= self.born + BOUND + SLACK,
                "{what}: {id} took too long: {end:?}"
            );
            // A disk that is taken away waits for nobody.
            assert!(
                fault != Fault::Closed || *when <= then,
                "{what}: {id} was kept: {end:?}"
            );
        }
        reached
    }
}

fn range(block: u64, count: u32) -> Range {
    Range { block, count }
}

fn write(block: u64, count: u32, preflush: bool, fua: bool) -> Ask {
    Ask::Write {
        range: range(block, count),
        preflush,
        fua,
    }
}

fn pass(op: PassOp, block: u64, count: u64) -> Ask {
    Ask::Pass(op, LongRange { block, count })
}

fn operations() -> Vec<(&'static str, Vec<Ask>)> {
    let zeroes = pass(PassOp::WriteZeroes, 0, 4);
    vec![
        ("write", vec![write(3, 2, false, false)]),
        ("fua", vec![write(3, 1, false, true)]),
        ("preflush", vec![write(3, 1, true, false)]),
        ("preflush and fua", vec![write(3, 1, true, true)]),
        ("read from the log", vec![Ask::Read(range(1, 1))]),
        ("read from the disk", vec![Ask::Read(range(9, 2))]),
        ("read from both", vec![Ask::Read(range(0, 4))]),
        ("flush", vec![Ask::Flush]),
        ("discard", vec![pass(PassOp::Discard, 0, 4)]),
        ("write-zeroes", vec![zeroes]),
        (
            "read of a write",
            vec![write(1, 1, false, false), Ask::Read(range(0, 3))],
        ),
        (
            "write into a write-zeroes",
            vec![zeroes, write(2, 1, true, true), zeroes],
        ),
        (
            "more than there are tickets",
            (0..9)
                .map(|block| write(block, 1, block % 2 == 0, block % 3 == 0))
                .collect(),
        ),
    ]
}

#[test]
fn every_io_is_answered_whatever_happens_at_whichever_await() {
    let faults = [
        Fault::None,
        Fault::Deposed,
        Fault::Stopped,
        Fault::Closed,
        Fault::Hangs,
        Fault::DiskHangs,
        Fault::GivenBack,
    ];
    for mirrored in [true, false] {
        for (name, asks) in operations() {
            for fault in faults {
                let mut awaits = 0;
                loop {
                    let what =
                        format!("{name}, mirrored {mirrored}, {fault:?} after {awaits} steps");
                    let mut world = World::new(mirrored, &asks);
                    if !world.run(fault, awaits, asks.len(), &what) {
                        break;
                    }
                    awaits += 1;
                }
                assert!(awaits > 2, "{name}, {fault:?}: hardly anything happens");
            }
        }
    }
}

#[test]
fn without_a_fault_everything_is_answered_well() {
    for mirrored in [true, false] {
        for (name, asks) in operations() {
            let mut world = World::new(mirrored, &asks);
            world.run(Fault::None, 0, asks.len(), name);
            for (id, (end, _)) in &world.done {
                assert_eq!(*end, Ok(()), "{name}: {id}");
            }
        }
    }
}

#[test]
fn what_is_done_is_not_done_again_when_a_step_has_to_wait() {
    // More writes than tickets and slots: each of them parks, some of them after their flush or their write.
    let asks: Vec<_> = (0..30).map(|block| write(block, 1, true, true)).collect();
    let mut world = World::new(true, &asks);
    world.run(Fault::None, 0, asks.len(), "many");
    assert!(world.done.values().all(|(end, _)| *end == Ok(())));
    assert_eq!(world.writes, asks.len(), "each is written once");
    let flushes = world.desk.borrow().flushes_total();
    assert_eq!(flushes, 2 * asks.len() as u64, "and flushed for twice");
}

#[test]
fn who_waits_for_a_disk_that_does_not_answer_is_told_in_time() {
    let asks = [
        Ask::Flush,
        write(3, 1, false, true),
        pass(PassOp::Discard, 0, 4),
    ];
    let mut world = World::new(true, &asks);
    world.run(Fault::Hangs, 4, asks.len(), "hung");
    for (end, when) in world.done.values() {
        assert_eq!(*end, Err(Reason::TooLong));
        assert!(*when >= world.born + BOUND, "and not before");
    }
    assert_eq!(world.desk.borrow().expired_total(), 3);
    // What nobody waits for is not done later.
    (world.hung, world.a.unreadable) = (false, false);
    (world.a.hold_disk, world.a.hold_destage) = (false, false);
    world.a.pass(3_000 * MS);
    assert!(world.a.passed.is_empty(), "{:?}", world.a.passed);
}

#[test]
fn a_mirrored_volume_whose_disk_is_silent_goes_on_until_its_log_is_full() {
    let asks: Vec<_> = (0..12).map(|block| write(block, 1, false, false)).collect();
    let mut world = World::new(true, &asks);
    world.run(Fault::DiskHangs, 0, asks.len(), "silent");
    let good = world.done.values().filter(|(end, _)| end.is_ok()).count();
    // One slot is in use from the start.
    assert_eq!(good, appliance::SLOTS as usize - 1);
}

/// A read of a slot that nobody has looked at yet, and that comes back untried, has seen nothing of it.
#[test]
fn a_read_that_nobody_tried_has_seen_nothing() {
    for untried in [Sampled::Later, Sampled::Again] {
        let mut a = scanning::dead_owner(&[(3, 10)]);
        scanning::taken(&mut a);
        let plan = scanning::plan_of(&mut a, 3);
        let now = a.now;
        let seats = (0..TICKETS).map(|_| Seat::EMPTY).collect();
        let mut desk: Counter = Desk::new(seats, TICKETS, BOUND).unwrap();
        let io = Caller {
            id: 0,
            ask: Ask::Read(plan.range),
            born: now,
            ended: true,
        };
        let job = desk.sampled(&mut a.node(1).volume, io, &plan, untried, now);
        assert!(matches!(job, Job::Kept));
        scanning::spoil(&mut a, 10);
        let plan = scanning::plan_of(&mut a, 3);
        assert_eq!(scanning::found_bad(&mut a, &plan), ReadEnd::Again);
    }
}
