// SPDX-License-Identifier: GPL-2.0
//! Controllers that start, stop, pause and die; and losses of all power.

use std::collections::VecDeque;

use yoke_core::ids::{Incarnation, LinkId};
use yoke_core::volume::{Config, Input, Role};

use super::{World, CONTROLLERS};
use crate::controller::{Life, Live, Loose};
use crate::event::Event;
use crate::machine;
use crate::memory::Memory;
use crate::rng::splitmix64;
use crate::scenario::MS;

/// Requests that may wait in a machine at a time.
const TICKETS: usize = 8;

impl World {
    /// A controller starts: a new life, with nothing in its memory.
    pub(super) fn start(&mut self, at: u8) {
        let index = at as usize;
        if self.controllers[index].live.is_some() {
            return;
        }
        let (incarnation, seed, base) = (self.number(at), self.number(at), self.number(at));
        self.controllers[index].life += 1;
        self.controllers[index].paused = false;
        // CLOCK_BOOTTIME starts anew, somewhere.
        let drift = self.setting.drift_ppm[index];
        let base_ns = if self.setting.scenario.fine {
            base % (1000 * MS)
        } else {
            0
        };
        self.controllers[index].clock = crate::clock::Clock::new(self.now_ns, base_ns, drift);
        let incarnation = Incarnation::new(incarnation).unwrap_or_else(|| unreachable!("odd"));
        let (scenario, room) = (self.setting.scenario, self.setting.room);
        let memory = vec![Memory::new(room.base, room.pages); scenario.links];
        self.boot(at, incarnation, seed, (memory, vec![None; scenario.links]));
        self.trace.line(self.now_ns, || {
            format!("controller {at} starts as {incarnation}")
        });
        self.tell_room(at);
        for link in 0..scenario.links as u8 {
            self.soon(Event::Handshake { link });
        }
    }

    /// The volume is opened by a controller that has just started, with these windows and lives of its links.
    pub(super) fn boot(
        &mut self,
        at: u8,
        incarnation: Incarnation,
        seed: u64,
        (memory, lives): (Vec<Memory>, Vec<Option<Life>>),
    ) {
        let index = at as usize;
        let now = self.clock(at);
        self.session.closed[index] = false;
        let scenario = self.setting.scenario;
        let config = self.config(at, incarnation, seed);
        let live = Live {
            machine: machine::open(config, scenario.guards, TICKETS, now),
            incarnation,
            log: vec![[0; 2]; scenario.slots as usize],
            memory,
            lanes: vec![VecDeque::new(); scenario.links],
            loose: Loose::default(),
            jobs: Vec::new(),
            notices: VecDeque::new(),
            inbox: VecDeque::new(),
            session: None,
            lives,
            destaging: 0,
            gathering: Vec::new(),
        };
        self.controllers[index].live = Some(Box::new(live));
    }

    /// A machine that was just opened hears where its regions stand.
    fn tell_room(&mut self, at: u8) {
        let place = Some(self.place());
        for link in (0..self.links.len() as u8).filter_map(LinkId::new) {
            self.tell_machine(at, |machine, now| {
                machine.handle(Input::Room { link, place }, now);
            });
        }
        self.drain(at);
    }

    /// A volume that was closed is opened again in the same life of its controller, if nothing of it is under way. Its
    /// window stays as it is, and so do the lives of the links.
    ///
    /// Apart from `World::take`, whose stack would have room for a whole machine otherwise, in each step.
    #[inline(never)]
    pub(super) fn reopen(&mut self, at: u8) {
        let index = at as usize;
        let (runs, life) = (self.controllers[index].runs(), self.controllers[index].life);
        let mut queue = self.disk.queue().iter();
        let below = queue.any(|c| c.issuer.controller == index && c.issuer.life == life)
            || self.registering.contains(&(at, life));
        let Some(live) = self.controllers[index].live.as_ref().filter(|_| runs) else {
            return;
        };
        let over = live.machine.role() == Role::Closed && live.busy() == 0;
        let idle = live.gathering.is_empty() && live.loose.0.is_empty();
        if below || !over || !idle || live.lanes.iter().any(|lane| !lane.is_empty()) {
            return;
        }
        let incarnation = live.incarnation;
        let seed = self.number(at);
        let config = self.config(at, incarnation, seed);
        let (scenario, now) = (self.setting.scenario, self.clock(at));
        self.asked.retain(|asked| asked.at != at);
        if let Some(live) = &mut self.controllers[index].live {
            live.machine = machine::open(config, scenario.guards, TICKETS, now);
            live.log = vec![[0; 2]; scenario.slots as usize];
            live.notices.clear();
            live.session = None;
            (live.jobs, live.destaging) = (Vec::new(), 0);
        }
        self.stats.reopened += 1;
        self.trace
            .line(self.now_ns, || format!("controller {at} opens again"));
        self.session.closed[index] = false;
        self.tell_room(at);
        self.join(at);
    }

    /// A person ends a life that was stopped by a fault, or whose volume is closed, and starts the next one.
    pub(super) fn restart(&mut self, at: u8) {
        self.note_stopped(at);
        self.crash(at, [0; 4]);
        self.start(at);
    }

    fn config(&self, at: u8, incarnation: Incarnation, seed: u64) -> Config {
        let s = &self.setting.scenario;
        Config {
            volume: self.setting.room.identity().volume,
            node: self.controllers[at as usize].node,
            incarnation,
            partner: self.controllers[1 - at as usize].node,
            blocks: s.blocks.into(),
            slots: s.slots,
            dirty_limit: s.dirty_limit,
            link_lease_ns: s.terms_of(at).0,
            disk_lease_ns: s.disk_lease_ns,
            io_life_ns: s.terms_of(at).1,
            drift_ppm: s.drift_ppm,
            poll_ns: s.poll_ns,
            backoff_ns: s.backoff_ns,
            giveback_ns: s.giveback_ns,
            handover_ns: s.handover_ns,
            volatile_cache: s.volatile_cache,
            reservations: s.reservations,
            power_loss: s.power_loss,
            auto_takeover: true,
            waits_in_doubt: true,
            home: self.setting.home[at as usize],
            seed,
        }
    }

    /// A controller dies. Its memory is gone; what it has posted or queued is not.
    pub(super) fn crash(&mut self, at: u8, keep: [u8; 4]) {
        if !self.forget(at) {
            return;
        }
        let index = at as usize;
        self.stats.crashes += 1;
        self.trace
            .line(self.now_ns, || format!("controller {at} DIES"));
        self.session.open[index] = false;
        for (link, keep) in keep.into_iter().enumerate().take(self.links.len()) {
            self.links[link].lose_end(index, keep.into());
            self.soon(Event::Silent {
                link: link as u8,
                at: 1 - at,
            });
        }
        self.note_lost_memory(self.shadow_is_lost());
    }

    /// What a controller knew of the volume is gone, and what it was asked. Whether there was anything.
    pub(super) fn forget(&mut self, at: u8) -> bool {
        let index = at as usize;
        let Some(live) = self.controllers[index].live.take() else {
            return false;
        };
        self.controllers[index].paused = false;
        self.asked.retain(|asked| asked.at != at);
        for job in live.jobs.iter().flatten() {
            self.history.unknown(job.op);
        }
        self.session.closed[index] = false;
        true
    }

    /// A controller stops for a while. Its clock, its memory, its posts and its
    /// disk commands go on.
    pub(super) fn pause(&mut self, at: u8) {
        if !self.controllers[at as usize].runs() {
            return;
        }
        self.stats.pauses += 1;
        self.controllers[at as usize].paused = true;
        self.trace
            .line(self.now_ns, || format!("controller {at} is PAUSED"));
        for link in 0..self.links.len() as u8 {
            self.soon(Event::Silent { link, at: 1 - at });
        }
    }

    /// It goes on, as if nothing had happened.
    pub(super) fn resume(&mut self, at: u8) {
        if !self.controllers[at as usize].paused {
            return;
        }
        self.controllers[at as usize].paused = false;
        self.trace
            .line(self.now_ns, || format!("controller {at} goes on"));
        for link in 0..self.links.len() as u8 {
            self.soon(Event::Handshake { link });
        }
    }

    /// All power is lost: both controllers die, and the disk forgets.
    pub(super) fn power_loss(&mut self, pick: u64) {
        self.stats.power_losses += 1;
        self.trace.line(self.now_ns, || "ALL POWER IS LOST".into());
        for at in 0..CONTROLLERS as u8 {
            self.crash(at, [0; 4]);
        }
        self.power_is_gone(pick);
    }

    /// The disk forgets, and clients were promised no more than what it has kept.
    pub(super) fn power_is_gone(&mut self, pick: u64) {
        let mut state = pick;
        self.disk.target.forget();
        self.asked.clear();
        self.disk
            .power_loss(|n| (splitmix64(&mut state) % n as u64) as usize);
        self.history.power_loss();
    }

    /// The disk's cache is lost, and nothing else of the disk.
    pub(super) fn cache_loss(&mut self, pick: u64) {
        self.stats.cache_losses += 1;
        self.trace
            .line(self.now_ns, || "the disk's cache is LOST".into());
        let mut state = pick;
        self.disk
            .cache_loss(|n| (splitmix64(&mut state) % n as u64) as usize);
    }
}
