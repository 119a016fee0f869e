// SPDX-License-Identifier: GPL-2.0
//! The event loop that owns everything.
//!
//! A machine never holds another machine's eventfds: it rings bells of its own
//! that the server listens to, and the server rings the other's ears. That costs
//! one wake-up a doorbell (docs/lab.md has the figure) and lets the server cut,
//! drop and delay; and what a machine that was replaced still holds rings nobody.

mod machines;
mod requests;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use anyhow::{ensure, Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventFlags};
use rustix::io::Errno;
use rustix::time::Timespec;

use crate::args::Args;
use crate::command::{Answer, SideStatus, Status};
use crate::control::Clients;
use crate::cut::{Cable, Change};
use crate::doorbell::{Doorbells, Ring};
use crate::layout;
use crate::listener::Listener;
use crate::memory::SharedMemory;
use crate::peer::{self, Peer};
use crate::token::Token;

/// Events handled for each look at the clock.
const EVENTS_MAX: usize = 64;

/// One side: its socket, and the machine on it.
#[derive(Debug)]
struct Side {
    listener: Listener,
    machine: Option<Peer>,
    connects: u64,
}

/// The server of one link.
#[derive(Debug)]
pub struct Server {
    epoll: OwnedFd,
    memory: SharedMemory,
    cable: Cable,
    doorbells: Doorbells,
    /// Index = side number = peer id.
    sides: Vec<Side>,
    control: Listener,
    clients: Clients,
    /// Held open: its other end is the signal handler's.
    _signals: UnixStream,
    vectors: u16,
    min_down_ms: u32,
}

impl Server {
    /// Makes the memory and listens on every socket.
    ///
    /// # Errors
    ///
    /// A setting that makes no sense, or what the system refuses.
    pub fn new(args: &Args) -> Result<Self> {
        let mut asked = args.sides.clone();
        asked.sort_by_key(|side| side.number);
        ensure!(
            asked
                .iter()
                .enumerate()
                .all(|(index, side)| usize::from(side.number) == index),
            "the sides must be numbered 0, 1, 2 ... with each number once"
        );
        ensure!(
            asked.len() >= usize::from(layout::SIDES_MIN),
            "a link has at least {} sides: give --side again",
            layout::SIDES_MIN
        );
        let count = asked.len() as u16;
        reserve_descriptors(u64::from(count) * u64::from(count) * u64::from(args.vectors) + 128)?;

        let memory = SharedMemory::new(args.size, count, args.min_down_ms.saturating_mul(1000))?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let (signals, signal_sender) = UnixStream::pair()?;
        signals.set_nonblocking(true)?;
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::low_level::pipe::register(signal, signal_sender.try_clone()?)?;
        }
        epoll::add(&epoll, &signals, Token::Signal.pack(), EventFlags::IN)?;
        let control = Listener::bind(&args.control)?;
        epoll::add(
            &epoll,
            &control,
            Token::ControlListener.pack(),
            EventFlags::IN,
        )?;
        let mut sides = Vec::new();
        for side in &asked {
            let listener = Listener::bind(&side.path)?;
            epoll::add(
                &epoll,
                &listener,
                Token::SideListener(side.number).pack(),
                EventFlags::IN,
            )?;
            sides.push(Side {
                listener,
                machine: None,
                connects: 0,
            });
        }
        Ok(Self {
            epoll,
            memory,
            cable: Cable::new(args.min_down()),
            doorbells: Doorbells::default(),
            sides,
            control,
            clients: Clients::default(),
            _signals: signals,
            vectors: args.vectors,
            min_down_ms: args.min_down_ms,
        })
    }

    /// Serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    ///
    /// Only what leaves no server: epoll itself.
    pub fn run(mut self) -> Result<()> {
        eprintln!(
            "ready: {} sides, {} bytes, {} vectors",
            self.sides.len(),
            self.memory.size(),
            self.vectors
        );
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            events.clear();
            let timeout = self.timeout(Instant::now());
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot wait for events"),
            }
            for event in &events {
                match Token::unpack(event.data) {
                    Token::Signal => {
                        eprintln!("told to end");
                        return Ok(());
                    }
                    Token::ControlListener => self.admit_client(),
                    Token::Client(number) => self.serve_client(number, event.flags),
                    Token::SideListener(side) => self.admit_machine(side),
                    Token::Machine(side) => self.look_at_machine(side),
                    Token::Bell(ring) => self.hear(ring),
                }
            }
            self.tick(Instant::now());
        }
    }

    fn timeout(&self, now: Instant) -> Option<Timespec> {
        let due = [self.cable.deadline(), self.doorbells.deadline()]
            .into_iter()
            .flatten()
            .min()?;
        Timespec::try_from(due.saturating_duration_since(now)).ok()
    }

    fn tick(&mut self, now: Instant) {
        let change = self.cable.tick(now);
        self.apply(change);
        while let Some(ring) = self.doorbells.pop_due(now) {
            self.ring_ears(ring);
        }
    }

    // ---- doorbells ----

    fn hear(&mut self, ring: Ring) {
        // The event may be of a machine that was replaced a moment ago: then nothing is found, or not rung.
        let bell = self
            .machine(ring.from)
            .and_then(|machine| machine.bells.get(&ring.to)?.get(usize::from(ring.vector)));
        if !bell.is_some_and(peer::take_ring) {
            return;
        }
        let lost = self.cable.is_cut() || self.machine(ring.to).is_none();
        if self.doorbells.ring(Instant::now(), ring, lost) {
            self.ring_ears(ring);
        }
    }

    fn ring_ears(&self, ring: Ring) {
        if let Some(ear) = self
            .machine(ring.to)
            .and_then(|machine| machine.ears.get(usize::from(ring.vector)))
        {
            peer::ring(ear);
        }
    }

    // ---- the cable ----

    fn apply(&mut self, change: Change) {
        match change {
            Change::None => return,
            Change::ShowCut(count) => {
                self.memory.page().show_cut(count);
                self.doorbells.forget(|_| true);
                eprintln!("cut, number {count}");
            }
            Change::ShowMend => {
                self.memory.page().show_mend();
                eprintln!("mended");
            }
        }
        for machine in self.sides.iter().filter_map(|side| side.machine.as_ref()) {
            if let Some(ear) = machine.ears.get(usize::from(layout::VECTOR_LINK)) {
                peer::ring(ear);
            }
        }
        if change == Change::ShowMend {
            let answer = Answer::done(self.status());
            self.answer_mends(&answer);
        }
    }

    fn status(&self) -> Status {
        let counts = self.doorbells.counts();
        Status {
            cut: self.cable.is_cut(),
            down_count: self.cable.down_count(),
            size: self.memory.size(),
            vectors: self.vectors,
            min_down_ms: self.min_down_ms,
            drop_doorbells: self.doorbells.drop_setting().into(),
            delay_doorbells_ms: self.doorbells.delay_setting().as_millis() as u64,
            doorbells_passed: counts.passed,
            doorbells_dropped: counts.dropped,
            doorbells_held: self.doorbells.held(),
            sides: (0u16..)
                .zip(&self.sides)
                .map(|(side, slot)| SideStatus {
                    side,
                    connected: slot.machine.is_some(),
                    pid: slot.machine.as_ref().and_then(Peer::pid),
                    connects: slot.connects,
                })
                .collect(),
        }
    }
}

/// Makes sure that so many descriptors can be open.
fn reserve_descriptors(count: u64) -> Result<()> {
    use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    ensure!(
        limit.maximum.is_none_or(|maximum| maximum >= count),
        "{count} file descriptors are needed, more than the hard limit: fewer --vectors, or raise `ulimit -Hn`"
    );
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(count),
            maximum: limit.maximum,
        },
    )
    .context("cannot raise the limit of open files")
}
