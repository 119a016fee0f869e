// SPDX-License-Identifier: GPL-2.0
//! One simulated controller: the real machine of a volume, and everything of the
//! kernel around it that the machine cannot see.

use std::collections::VecDeque;

use yoke_core::disk::NodeBlock;
use yoke_core::ids::{Incarnation, LinkEpoch, NodeId};
use yoke_core::mirror::message::Message;
use yoke_core::volume::{Action, Token};

use crate::clock::Clock;
use crate::disk::Block;
use crate::explore::fingerprint;
use crate::job::Job;
use crate::machine::Machine;
use crate::memory::Memory;
use crate::world::CONTROLLERS;

/// News of links and sessions on their way to the machine, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// A session with this number has begun.
    SessionUp {
        /// Its number, known to both ends.
        session: u32,
        /// The partner's life.
        incarnation: Incarnation,
    },
    /// The session with this number is over.
    SessionGone {
        /// Its number.
        session: u32,
    },
    /// A link has shaken hands.
    LinkUp {
        /// The link.
        link: u8,
        /// Its new life.
        life: LinkEpoch,
    },
    /// A life of a link is over.
    LinkDown {
        /// The link.
        link: u8,
    },
}

/// A life of a link at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Life {
    /// Its name, the same at both ends.
    pub epoch: LinkEpoch,
    /// This end's count of downs when it began.
    pub downs: u64,
}

/// A read of all node blocks under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gathering {
    /// Whose it is.
    pub token: Token,
    /// What was read so far, by node.
    pub blocks: [Option<NodeBlock>; CONTROLLERS],
    /// How many nodes are missing.
    pub missing: u8,
    /// Something could not be read.
    pub bad: bool,
}

/// Actions that are done in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loose(pub Vec<Action>);

impl std::hash::Hash for Loose {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let mut actions: Vec<u64> = self.0.iter().map(fingerprint).collect();
        actions.sort_unstable();
        actions.hash(state);
    }
}

/// What dies with a controller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Live {
    /// The machine of the volume.
    pub machine: Machine,
    /// This life's number, random and never used before.
    pub incarnation: Incarnation,
    /// The data beside the log, by slot.
    pub log: Vec<Block>,
    /// Its windows, by link.
    pub memory: Vec<Memory>,
    /// Actions that name a link, by link: in order.
    pub lanes: Vec<VecDeque<Action>>,
    /// Other actions: in any order.
    pub loose: Loose,
    /// Threads that carry requests.
    pub jobs: Vec<Option<Job>>,
    /// News on the way to the machine.
    pub notices: VecDeque<Notice>,
    /// Messages on the way to the machine, with the session that they belong to.
    pub inbox: VecDeque<(u32, Message)>,
    /// The session that the machine knows of.
    pub session: Option<u32>,
    /// The life of each link, as this end's link layer knows it.
    pub lives: Vec<Option<Life>>,
    /// Destage runs on their way to the disk.
    pub destaging: u32,
    /// Reads of node blocks under way.
    pub gathering: Vec<Gathering>,
}

/// A controller, dead or alive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Controller {
    /// Its node number.
    pub node: NodeId,
    /// How often it was started.
    pub life: u32,
    /// Whether its processors are stopped.
    pub paused: bool,
    /// Its clock.
    pub clock: Clock,
    /// There when it is alive.
    pub live: Option<Box<Live>>,
}

impl Controller {
    /// A controller that was never started.
    pub fn new(node: NodeId, clock: Clock) -> Self {
        Controller {
            node,
            life: 0,
            paused: false,
            clock,
            live: None,
        }
    }

    /// Whether it can take a step.
    pub fn runs(&self) -> bool {
        self.live.is_some() && !self.paused
    }
}

impl Live {
    /// Puts a job into a free place.
    pub fn add_job(&mut self, job: Job) -> u8 {
        let at = self
            .jobs
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.jobs.len());
        if at == self.jobs.len() {
            self.jobs.push(None);
        }
        self.jobs[at] = Some(job);
        at as u8
    }

    /// How many requests are under way.
    pub fn busy(&self) -> usize {
        self.jobs.iter().flatten().count()
    }
}
