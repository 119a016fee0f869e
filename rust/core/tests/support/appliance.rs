// SPDX-License-Identifier: GPL-2.0
//! Two controllers, one volume, one disk, some links: everything happens at once and in order, unless a test holds
//! something back. For the basic flows; the simulator is for the rest.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use yoke_core::crc::crc32c;
use yoke_core::disk::node_block::NodeBlock;
use yoke_core::guards::Guards;
use yoke_core::ids::{Epoch, Incarnation, LinkEpoch, LinkId, NodeId, Uuid};
use yoke_core::mirror::header::{Content, SlotHeader, HEADER_SIZE};
use yoke_core::mirror::message::Message;
use yoke_core::volume::log::entry::Entry;
use yoke_core::volume::*;
use yoke_core::window::Place;

pub const MS: u64 = 1_000_000;
pub const SLOTS: u32 = 8;
pub const BLOCKS: u64 = 64;
pub const VOLUME: Uuid = Uuid::from_bytes([3; 16]);

pub type Machine = Volume<Entries, Vec<u32>, Vec<Ticket>>;

thread_local! {
    /// How often an entry of a log was looked at.
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// The entries of a log, which count how often one is looked at.
#[derive(Clone, Debug)]
pub struct Entries(Vec<Entry>);

impl Deref for Entries {
    type Target = [Entry];
    fn deref(&self) -> &[Entry] {
        LOOKS.set(LOOKS.get() + 1);
        &self.0
    }
}

impl DerefMut for Entries {
    fn deref_mut(&mut self) -> &mut [Entry] {
        LOOKS.set(LOOKS.get() + 1);
        &mut self.0
    }
}

/// How often an entry was looked at in a call.
pub fn looks<R>(call: impl FnOnce() -> R) -> (R, u64) {
    let before = LOOKS.get();
    let result = call();
    (result, LOOKS.get() - before)
}
/// Who hears of tickets that are ended.
pub type Ear = Box<dyn FnMut(&mut Machine, TicketId, Result<(), Reason>, u64)>;

/// A region of a controller's window.
#[derive(Clone)]
pub struct Window {
    pub word: u64,
    pub headers: Vec<[u8; HEADER_SIZE]>,
    pub data: Vec<u64>,
}

pub struct Controller {
    pub volume: Machine,
    pub log: Vec<u64>,
    pub windows: Vec<Window>,
    pub answers: BTreeMap<String, Result<(), Reason>>,
    pub incarnation: Incarnation,
    pub wakes: u32,
}

#[derive(Clone, Copy)]
pub struct Wire {
    pub up: bool,
    pub life: u64,
    pub downs: u64,
}

pub struct Appliance {
    pub now: u64,
    pub nodes: [Option<Controller>; 2],
    pub blocks: Vec<NodeBlock>,
    pub disk: BTreeMap<u64, u64>,
    pub wires: Vec<Wire>,
    pub session: bool,
    /// Destage runs are not executed while this is set.
    pub hold_destage: bool,
    /// Writes of data fail while this is set.
    pub fail_writes: bool,
    /// Writes of node blocks fail, and are not done, while this is set.
    pub fail_blocks: bool,
    /// How long a write or a read of node blocks takes, at each controller.
    pub slow: [u64; 2],
    under_way: Vec<(u64, usize, Incarnation, Action)>,
    /// Node blocks cannot be read while this is set.
    pub unreadable: bool,
    /// Flushes of the disk, and what goes past the log, are not executed while this is set, but kept here.
    pub hold_disk: bool,
    pub held: Vec<(usize, Action)>,
    /// Hears of the tickets that node 0 ends, at once.
    pub ear: Option<Ear>,
    pub flushes: u32,
    /// Slots that the machines themselves posted, not the writers.
    pub copies: u32,
    pub passed: Vec<(PassOp, LongRange)>,
    /// Somebody else writes the own block of this controller.
    pub other_writer: Option<usize>,
    /// Every grant names this epoch.
    pub forge_epoch: Option<Epoch>,
    /// The most looks at entries in one call of a machine.
    pub most_looks: u64,
    /// The next messages are lost: how many.
    pub lose_messages: u32,
    /// What is passed down stays in the disk's queue while this is set.
    pub hold_passes: bool,
    /// What is in that queue, and whose it is.
    pub queued: Vec<(usize, PassId, LongRange)>,
    pub yields: u32,
    lives: u64,
    tune: fn(&mut Config),
}

/// All guards, but the one that the environment names (a number in `Guard::ALL`).
#[cfg(feature = "guards")]
fn guards() -> Guards {
    match std::env::var("YOKE_GUARD") {
        Ok(number) => {
            Guards::ALL.without(yoke_core::guards::Guard::ALL[number.parse::<usize>().unwrap()])
        }
        Err(_) => Guards::ALL,
    }
}

#[cfg(not(feature = "guards"))]
fn guards() -> Guards {
    Guards::ALL
}

pub fn crc_of(value: u64) -> u32 {
    crc32c(&value.to_le_bytes())
}

pub fn link(index: usize) -> LinkId {
    LinkId::new(index as u8).unwrap()
}

pub fn one(block: u64) -> Range {
    Range { block, count: 1 }
}

impl Appliance {
    pub fn new(links: usize, tune: fn(&mut Config)) -> Self {
        let node = |n| NodeId::new(n).unwrap();
        let mut appliance = Self {
            now: 1_000 * MS,
            nodes: [None, None],
            blocks: vec![NodeBlock::blank(node(0), 1), NodeBlock::blank(node(1), 1)],
            disk: BTreeMap::new(),
            wires: vec![
                Wire {
                    up: false,
                    life: 0,
                    downs: 0
                };
                links
            ],
            session: false,
            hold_destage: false,
            fail_writes: false,
            fail_blocks: false,
            slow: [0; 2],
            under_way: Vec::new(),
            unreadable: false,
            hold_disk: false,
            held: Vec::new(),
            ear: None,
            flushes: 0,
            copies: 0,
            passed: Vec::new(),
            other_writer: None,
            forge_epoch: None,
            most_looks: 0,
            lose_messages: 0,
            hold_passes: false,
            queued: Vec::new(),
            yields: 0,
            lives: 0,
            tune,
        };
        appliance.start(0);
        appliance.start(1);
        appliance
    }

    pub fn start(&mut self, n: usize) {
        self.start_quiet(n);
        self.settle();
    }

    pub fn start_quiet(&mut self, n: usize) {
        self.open_in(n, Incarnation::new(self.lives + 1).unwrap());
    }

    /// Opens the volume anew, in a life that may have had it open before.
    pub fn open_in(&mut self, n: usize, incarnation: Incarnation) {
        self.lives += 1;
        let mut config = Config {
            volume: VOLUME,
            node: NodeId::new(n as u8).unwrap(),
            incarnation,
            partner: NodeId::new(1 - n as u8).unwrap(),
            blocks: BLOCKS,
            slots: SLOTS,
            dirty_limit: SLOTS,
            link_lease_ns: 50 * MS,
            disk_lease_ns: 900 * MS,
            io_life_ns: 500 * MS,
            drift_ppm: 200,
            poll_ns: 100 * MS,
            backoff_ns: 50 * MS,
            giveback_ns: 2_000 * MS,
            volatile_cache: true,
            reservations: false,
            power_loss: PowerLoss::Refuse,
            auto_takeover: true,
            waits_in_doubt: true,
            home: n == 0,
            seed: self.lives * 77,
        };
        (self.tune)(&mut config);
        let slots = config.slots as usize;
        let volume = Volume::new(
            config,
            guards(),
            Entries(vec![Entry::EMPTY; 2 * slots]),
            vec![0; buckets_for(config.slots)],
            vec![Ticket::EMPTY; 6],
            self.now,
        )
        .unwrap();
        let window = Window {
            word: 0,
            headers: vec![[0; HEADER_SIZE]; slots],
            data: vec![0; slots],
        };
        let mut controller = Controller {
            volume,
            log: vec![0; slots],
            windows: vec![window; self.wires.len()],
            answers: BTreeMap::new(),
            incarnation,
            wakes: 0,
        };
        for index in 0..self.wires.len() {
            let place = Place {
                epoch_word: index as u8,
                offset: 4096 * index as u64,
                slots: slots as u32,
            };
            let input = Input::Room {
                link: link(index),
                place: Some(place),
            };
            controller.volume.handle(input, self.now);
        }
        self.nodes[n] = Some(controller);
    }

    pub fn node(&mut self, n: usize) -> &mut Controller {
        self.nodes[n].as_mut().unwrap()
    }

    pub fn status(&mut self, n: usize) -> Status {
        let now = self.now;
        self.node(n).volume.status(now)
    }

    pub fn role(&mut self, n: usize) -> Role {
        self.node(n).volume.role()
    }

    pub fn tell(&mut self, n: usize, input: Input<'_>) {
        let now = self.now;
        if let Some(node) = &mut self.nodes[n] {
            let ((), looks) = looks(|| node.volume.handle(input, now));
            self.most_looks = self.most_looks.max(looks);
        }
    }

    pub fn kill(&mut self, n: usize) {
        self.nodes[n] = None;
        for wire in &mut self.wires {
            wire.up = false;
            wire.downs += 1;
        }
        self.part(1 - n);
    }

    fn part(&mut self, n: usize) {
        for index in 0..self.wires.len() {
            self.tell(n, Input::LinkDown { link: link(index) });
        }
        self.tell(n, Input::SessionGone);
        self.session = false;
        self.settle();
    }

    pub fn cut(&mut self, index: usize) {
        let wire = &mut self.wires[index];
        wire.up = false;
        wire.downs += 1;
        for n in 0..2 {
            self.tell(n, Input::LinkDown { link: link(index) });
        }
        if self.wires.iter().all(|wire| !wire.up) {
            self.tell(0, Input::SessionGone);
            self.tell(1, Input::SessionGone);
            self.session = false;
        }
        self.settle();
    }

    /// The handshake of a link has run.
    pub fn mend(&mut self, index: usize) {
        self.mend_quiet(index);
        self.settle();
    }

    pub fn mend_quiet(&mut self, index: usize) {
        self.lives += 1;
        let wire = &mut self.wires[index];
        (wire.up, wire.life) = (true, self.lives);
        let (life, downs) = (LinkEpoch::new(wire.life).unwrap(), wire.downs);
        if !self.session {
            self.session = true;
            for n in 0..2 {
                let peer = self.nodes[1 - n].as_ref().unwrap();
                let (incarnation, terms) = (peer.incarnation, peer.volume.config().terms());
                self.tell(n, Input::SessionUp { incarnation, terms });
            }
        }
        for n in 0..2 {
            self.tell(
                n,
                Input::LinkUp {
                    link: link(index),
                    life,
                    downs,
                },
            );
        }
    }

    pub fn command(&mut self, n: usize, command: Command) {
        self.tell(n, Input::Command(command));
        self.settle();
    }

    /// Runs both until nothing is left to do now.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            if !(self.disk_is_done() | self.step(0) | self.step(1)) {
                return;
            }
        }
        panic!("never quiet");
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: u64) {
        let end = self.now + time;
        loop {
            self.settle();
            let due = |node: &Option<Controller>| node.as_ref()?.volume.next_deadline();
            let disk = self.under_way.iter().map(|(due, ..)| *due);
            let next = self.nodes.iter().filter_map(due).chain(disk).min();
            match next.filter(|next| *next <= end) {
                Some(next) => self.now = next.max(self.now + 1),
                None => break,
            }
        }
        self.now = end;
        self.settle();
    }

    /// Lets time pass until something holds.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        for _ in 0..2_000 {
            if holds(self) {
                return;
            }
            self.pass(5 * MS);
        }
        panic!("not within ten seconds: {what}");
    }

    /// One action of a controller. Says whether there was one.
    pub fn step(&mut self, n: usize) -> bool {
        let now = self.now;
        let Some(node) = &mut self.nodes[n] else {
            return false;
        };
        let (action, looked) = looks(|| node.volume.poll_action(now));
        self.most_looks = self.most_looks.max(looked);
        if let Some(action) = action {
            self.act(n, action);
            return true;
        }
        if self.hold_destage {
            return false;
        }
        let (plan, looked) = looks(|| node.volume.next_destage(now, 4));
        self.most_looks = self.most_looks.max(looked);
        let Some(plan) = plan else {
            return false;
        };
        let blocks = (plan.range.block..)
            .zip(plan.sources)
            .take(plan.range.count as usize);
        let mut end = DestageEnd::Written;
        for (at, (block, source)) in (0..).zip(blocks.clone()) {
            let value = node.get(source, &self.disk, block);
            if matches!(source, Source::Adopted { crc, .. } if crc != crc_of(value)) {
                end = DestageEnd::Corrupt { at };
            }
        }
        if self.fail_writes {
            end = DestageEnd::Failed;
        }
        if end == DestageEnd::Written {
            for (block, source) in blocks {
                let value = node.get(source, &self.disk, block);
                self.disk.insert(block, value);
            }
        }
        let ((), looked) = looks(|| node.volume.destage_finish(plan.run, end, now));
        self.most_looks = self.most_looks.max(looked);
        true
    }

    /// Whether a post of `n` arrives.
    fn arrives(&self, n: usize, to: &PostTo) -> bool {
        let wire = &self.wires[to.link.index()];
        wire.up && wire.life == to.life.get() && self.nodes[1 - n].is_some()
    }

    pub fn fence(&self, n: usize, to: &PostTo) -> FenceSample {
        let word = match &self.nodes[1 - n] {
            Some(peer) if self.arrives(n, to) => peer.windows[to.link.index()].word,
            _ => u64::MAX,
        };
        FenceSample {
            issued_ns: self.now,
            word,
            downs: self.wires[to.link.index()].downs,
        }
    }

    pub fn post(&mut self, n: usize, to: &PostTo, slot: u32, header: Option<SlotHeader>) {
        if !self.arrives(n, to) {
            return;
        }
        let value = self.node(n).log[slot as usize];
        let window = &mut self.node(1 - n).windows[to.link.index()];
        window.headers[slot as usize] = match header {
            Some(header) => {
                let mut header = header;
                if let Content::Data { crc } = &mut header.content {
                    window.data[slot as usize] = value;
                    *crc = crc_of(value);
                }
                header.encode(to.epoch)
            }
            None => [0; HEADER_SIZE],
        };
    }

    /// Does what a controller asks for; what its disk is slow with, later.
    pub fn act(&mut self, n: usize, action: Action) {
        let blocks = matches!(
            action,
            Action::ReadNodeBlocks { .. } | Action::WriteNodeBlock { .. }
        );
        if blocks && self.slow[n] > 0 {
            let life = self.node(n).incarnation;
            self.under_way
                .push((self.now + self.slow[n], n, life, action));
        } else {
            self.act_now(n, action);
        }
    }

    /// The disk is done with what has taken its time.
    fn disk_is_done(&mut self) -> bool {
        let now = self.now;
        let Some(at) = self.under_way.iter().position(|(due, ..)| *due <= now) else {
            return false;
        };
        let (_, n, life, action) = self.under_way.remove(at);
        if self.nodes[n]
            .as_ref()
            .is_some_and(|node| node.incarnation == life)
        {
            self.act_now(n, action);
        }
        true
    }

    fn act_now(&mut self, n: usize, action: Action) {
        match action {
            Action::FlushDisk { .. } | Action::PassDown { .. } if self.hold_disk => {
                self.held.push((n, action));
            }
            Action::ReadNodeBlocks { token } => {
                let mut blocks = self.blocks.clone();
                if self.other_writer == Some(n) {
                    blocks[n].sequence += 2;
                }
                let blocks = Some(blocks.as_slice()).filter(|_| !self.unreadable);
                self.tell(n, Input::NodeBlocks { token, blocks });
            }
            Action::WriteNodeBlock { token, .. } if self.fail_blocks => {
                self.tell(n, Input::NodeBlockWritten { token, ok: false });
            }
            Action::WriteNodeBlock { token, block } => {
                let old = &mut self.blocks[block.node.index()];
                assert_eq!(block.node.index(), n);
                assert!(block.sequence > old.sequence);
                *old = block;
                self.tell(n, Input::NodeBlockWritten { token, ok: true });
            }
            Action::PostSlot { to, slot, header } => {
                self.copies += 1;
                self.post(n, &to, slot, Some(header));
            }
            Action::PostInvalid { to, slot } => self.post(n, &to, slot, None),
            Action::Fence { token, to } => {
                let sample = self.fence(n, &to);
                self.tell(n, Input::Fenced { token, sample });
            }
            Action::SetWord { token, link, word } => {
                self.node(n).windows[link.index()].word = word;
                self.tell(n, Input::WordSet { token });
            }
            Action::ClearRegion { token, link } => {
                self.node(n).windows[link.index()]
                    .headers
                    .fill([0; HEADER_SIZE]);
                self.tell(n, Input::Cleared { token });
            }
            Action::ScanRegion { token, link, .. } => self.scan(n, token, link),
            Action::FlushDisk { token } => {
                self.flushes += 1;
                self.tell(n, Input::DiskFlushed { token, ok: true });
            }
            Action::Preempt { token, .. } => self.tell(n, Input::Preempted { token, ok: true }),
            Action::PassDown {
                pass, op, range, ..
            } => {
                self.passed.push((op, range));
                self.queued.push((n, pass, range));
                if !self.hold_passes {
                    self.end_pass(self.queued.len() - 1, PassEnd::Done);
                }
            }
            Action::Send(message) => {
                let raw = message.encode(&VOLUME);
                let mut message = Message::decode(&raw).unwrap();
                if let (Message::Grant { epoch, .. }, Some(forged)) =
                    (&mut message, self.forge_epoch)
                {
                    *epoch = forged;
                }
                if self.lose_messages > 0 {
                    self.lose_messages -= 1;
                } else if self.session {
                    self.tell(1 - n, Input::Message(message));
                }
            }
            Action::Complete(ticket) => self.answer(n, ticket, Ok(())),
            Action::Fail(ticket, reason) => self.answer(n, ticket, Err(reason)),
            Action::Wake => self.node(n).wakes += 1,
            Action::Yield => self.yields += 1,
            Action::Notify(_) => (),
        }
    }

    /// What is in the disk's queue at this place lands.
    pub fn land_pass(&mut self, at: usize) {
        let range = self.queued[at].2;
        self.disk
            .retain(|block, _| *block < range.block || *block >= range.block + range.count);
    }

    /// What is in the disk's queue at this place ends, and is done if that is what is said.
    pub fn end_pass(&mut self, at: usize, end: PassEnd) {
        if end == PassEnd::Done {
            self.land_pass(at);
        }
        let (n, pass, _) = self.queued.remove(at);
        self.tell(n, Input::PassedDown { pass, end });
    }

    fn answer(&mut self, n: usize, ticket: TicketId, answer: Result<(), Reason>) {
        let now = self.now;
        if let (0, Some(mut ear)) = (n, self.ear.take()) {
            ear(&mut self.node(0).volume, ticket, answer, now);
            self.ear = Some(ear);
        }
        let old = self.node(n).answers.insert(format!("{ticket:?}"), answer);
        assert_eq!(old, None);
    }

    fn scan(&mut self, n: usize, token: Token, link: LinkId) {
        let window = self.node(n).windows[link.index()].clone();
        for (slot, raw) in window.headers.iter().enumerate() {
            let crc = crc_of(window.data[slot]);
            let slot = slot as u32;
            self.tell(
                n,
                Input::Slot {
                    token,
                    slot,
                    raw,
                    crc,
                },
            );
        }
        self.tell(n, Input::Scanned { token });
    }

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
                    match self.node(n).volume.read_finish(&plan, now) {
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

impl Controller {
    pub fn get(&self, source: Source, disk: &BTreeMap<u64, u64>, block: u64) -> u64 {
        match source {
            Source::Zero => 0,
            Source::Disk => disk.get(&block).copied().unwrap_or(0),
            Source::Log { slot } => self.log[slot as usize],
            Source::Adopted { link, slot, .. } => self.windows[link.index()].data[slot as usize],
        }
    }
}
