// SPDX-License-Identifier: GPL-2.0
//! Time and order for the explorer: what it does not choose happens at once, in
//! a fixed order; time moves in ticks, and only when it is told to.

use crate::check::Kind;
use crate::disk::Cookie;
use crate::event::Event;
use crate::world::World;

/// More events than any world in order needs to come to rest.
const EVENTS_MAX: usize = 100_000;

/// Kinds of events whose order the explorer chooses. The others happen at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Posted stores arrive.
    pub posts: bool,
    /// Disk commands land and are answered; but for those on nodes' own blocks.
    pub disk: bool,
    /// And those too.
    pub node_blocks: bool,
    /// Threads of requests take steps.
    pub jobs: bool,
    /// Actions of machines are carried out.
    pub acts: bool,
    /// News of links and sessions, and messages.
    pub news: bool,
    /// Machines are polled.
    pub polls: bool,
    /// Machines are asked for something to destage.
    pub destage: bool,
    /// Links shake hands; ends find them silent; sessions end.
    pub links: bool,
}

impl Choices {
    /// Everything is chosen.
    pub const ALL: Self = Choices {
        posts: true,
        disk: true,
        node_blocks: true,
        jobs: true,
        acts: true,
        news: true,
        polls: true,
        destage: true,
        links: true,
    };

    /// Whether the explorer chooses when this happens.
    pub fn chooses(&self, world: &World, event: Event) -> bool {
        match event {
            Event::Arrive { .. } => self.posts,
            Event::Land(id) | Event::LandPart(id) | Event::Complete { command: id, .. } => {
                let command = world.disk.queue().iter().find(|c| c.id == id);
                match command.map(|c| c.cookie) {
                    Some(Cookie::NodeRead(..) | Cookie::NodeWrite(_)) => self.node_blocks,
                    _ => self.disk,
                }
            }
            Event::Job { .. } => self.jobs,
            Event::Act { .. } => self.acts,
            Event::Notice { .. } | Event::Message { .. } => self.news,
            Event::Poll { .. } | Event::Told { .. } => self.polls,
            Event::Destage { .. } => self.destage,
            Event::Handshake { .. } | Event::Silent { .. } | Event::Linger { .. } => self.links,
            _ => true,
        }
    }
}

/// Takes every event that is not chosen, until none is left or a checker objects.
pub fn come_to_rest(world: &mut World, choices: &Choices) {
    let mut events = Vec::new();
    for _ in 0..EVENTS_MAX {
        if world.violation.is_some() {
            return;
        }
        events.clear();
        world.enabled(&mut events);
        let Some(event) = events.iter().find(|e| !choices.chooses(world, **e)) else {
            world.fresh.clear();
            return;
        };
        world.take(*event);
        world.fresh.clear();
    }
    world.violated(Kind::Endless, "the appliance does not come to rest");
}

/// Time passes, by one tick. Not while a disk command would outlive its bound.
pub fn can_tick(world: &World, tick_ns: u64) -> bool {
    let bound = world.setting.scenario.longest_io_life_ns();
    let then = world.now_ns + tick_ns;
    world
        .disk
        .queue()
        .iter()
        .all(|c| c.landed || c.aborted || then - c.issued_ns <= bound)
}

/// Runs by ticks until `done`, for at most `ticks`. Whether it was.
pub fn run_until(
    world: &mut World,
    tick_ns: u64,
    ticks: u32,
    mut done: impl FnMut(&World) -> bool,
) -> bool {
    let nothing = Choices::default();
    for _ in 0..=ticks {
        come_to_rest(world, &nothing);
        if world.violation.is_some() {
            return false;
        }
        if done(world) {
            return true;
        }
        world.now_ns += tick_ns;
    }
    false
}
