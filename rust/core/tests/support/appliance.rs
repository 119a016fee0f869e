// SPDX-License-Identifier: GPL-2.0
//! Two controllers, one volume, one disk, some links: everything happens at once and in order, unless a test holds
//! something back. For the basic flows; the simulator is for the rest.

mod acting;
mod asking;
mod target;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use yoke_core::crc::crc32c;
use yoke_core::disk::node_block::{NodeBlock, RecordState};
use yoke_core::guards::Guards;
use yoke_core::ids::{Epoch, Incarnation, LinkEpoch, LinkId, NodeId, Uuid};
use yoke_core::mirror::header::HEADER_SIZE;
use yoke_core::volume::log::entry::Entry;
use yoke_core::volume::*;
use yoke_core::window::Place;

pub use target::Target;

pub const MS: u64 = 1_000_000;
pub const SLOTS: u32 = 8;
pub const BLOCKS: u64 = 64;
pub const VOLUME: Uuid = Uuid::from_bytes([3; 16]);

pub type Machine = Volume<Counted<Entry>, Vec<u32>, Counted<Ticket>>;

thread_local! {
    /// How often an entry of a log, or a ticket, was looked at.
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// The entries of a log, or the tickets, which count how often one is looked at.
#[derive(Clone, Debug)]
pub struct Counted<T>(Vec<T>);

impl<T> Deref for Counted<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        LOOKS.set(LOOKS.get() + 1);
        &self.0
    }
}

impl<T> DerefMut for Counted<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        LOOKS.set(LOOKS.get() + 1);
        &mut self.0
    }
}

/// How often an entry or a ticket was looked at in a call.
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
    /// A controller whose paths to the disk are gone: all that it asks the disk fails, and is not done.
    pub pathless: Option<usize>,
    /// The same, and what it asks is not even answered: its destage runs never, all else when `held` is done.
    pub silent: Option<usize>,
    /// A controller that may read the disk: all that it writes fails, and is not done.
    pub unwritable: Option<usize>,
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
    /// The most looks at entries and tickets in one call of a machine.
    pub most_looks: u64,
    /// The next messages are lost: how many.
    pub lose_messages: u32,
    /// What is passed down stays in the disk's queue while this is set.
    pub hold_passes: bool,
    /// What is in that queue, and whose it is.
    pub queued: Vec<(usize, PassId, LongRange)>,
    pub yields: u32,
    /// Slots whose data was looked at in a scan.
    pub looked_at: u32,
    /// Who is registered at the disk, and who holds it.
    pub target: Target,
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
    /// Node 0 owns the volume, mirrored over so many links.
    pub fn mirrored(links: usize, tune: fn(&mut Config)) -> Self {
        let mut a = Self::new(links, tune);
        a.until("node 0 owns the volume", |a| {
            a.role(0) == Role::Owner(Mode::Solo)
        });
        for index in 0..links {
            a.mend(index);
        }
        a.until("mirrored", |a| {
            a.role(0) == Role::Owner(Mode::Mirrored) && usize::from(a.status(0).regions) == links
        });
        a
    }

    /// Node 1 has taken over from a dead owner, with so many blocks that are nowhere but in its memory. They are far apart,
    /// so that each is a run of its own. It writes nothing to the disk.
    pub fn survivor(blocks: u64) -> Self {
        let mut a = Self::mirrored(1, |_| ());
        a.hold_destage = true;
        for block in 0..blocks {
            a.write(0, 2 * block, 10 + block);
        }
        a.kill(0);
        a.until("degraded", |a| a.role(1) == Role::Owner(Mode::Degraded));
        a
    }

    /// The write of the record by which a controller that gives its volume back releases it; it is not done. `each` comes
    /// before each of its steps.
    pub fn release_of(&mut self, n: usize, mut each: impl FnMut(&mut Self)) -> Action {
        for _ in 0..10_000 {
            each(self);
            let now = self.now;
            match self.node(n).volume.poll_action(now) {
                Some(action @ Action::WriteNodeBlock { block, .. })
                    if block.record.state == RecordState::Released =>
                {
                    return action;
                }
                Some(action) => self.act(n, action),
                None if self.step(n) || self.step(1 - n) => (),
                None => self.now += MS,
            }
        }
        panic!("it does not release the volume");
    }

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
            pathless: None,
            silent: None,
            unwritable: None,
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
            looked_at: 0,
            target: Target {
                ends: true,
                ..Target::default()
            },
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
            handover_ns: NEVER_NS,
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
            Counted(vec![Entry::EMPTY; 2 * slots]),
            vec![0; buckets_for(config.slots)],
            Counted(vec![Ticket::EMPTY; 6.max(slots / 16)]),
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
