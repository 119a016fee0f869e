// SPDX-License-Identifier: GPL-2.0
//! The disk's reservation: who is registered, and who holds it. Of the type that lets all who are registered write.

use yoke_core::disk::Key;
use yoke_core::volume::{Errand, Told};

use crate::world::CONTROLLERS;

/// What a target does with the commands under way of one whose key is preempted by "preempt and abort", if that one held
/// the reservation. If it did not, all of them let them land.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// They never land.
    Aborts,
    /// It answers when they have landed.
    Waits,
    /// It answers at once, and they land.
    Forgets,
    /// It answers at once; some of them never land, and others do. So does LIO, which ends what came while the victim held.
    Partly,
    /// As `Forgets`, and it is taken for one that waits.
    Lies,
}

/// What the target knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    kind: Kind,
    /// By controller: a life that begins has no other place than the one before it.
    keys: [Option<Key>; CONTROLLERS],
    holder: Option<usize>,
}

/// Which commands of one that is preempted never land.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aborted {
    /// None.
    None,
    /// Every other one.
    Some,
    /// All.
    All,
}

/// What becomes of the commands of one that is preempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Preempted {
    /// Whose they are.
    pub victim: usize,
    /// Which of them never land.
    pub aborted: Aborted,
    /// The answer comes when none is under way any more.
    pub waits: bool,
    /// Whoever preempted takes them for over, then.
    pub ended: bool,
}

impl Target {
    /// Nobody is registered.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            keys: [None; CONTROLLERS],
            holder: None,
        }
    }

    /// Whether a write of this controller is let in.
    pub fn takes(&self, at: usize) -> bool {
        self.holder.is_none() || self.keys[at].is_some()
    }

    /// It was started again, and knows nothing.
    pub fn forget(&mut self) {
        *self = Self::new(self.kind);
    }

    /// Does what a controller wants, whose key is `mine`. Whom it has preempted, if it has.
    pub fn take(&mut self, at: usize, mine: Key, errand: Errand) -> Option<Preempted> {
        let registered = self.keys[at] == Some(mine);
        match errand {
            Errand::Look => {}
            Errand::Register => self.keys[at] = Some(mine),
            Errand::Reserve if registered => {
                self.holder.get_or_insert(at);
            }
            Errand::Release if registered => self.holder = self.holder.filter(|held| *held != at),
            Errand::CutOff { victim } if registered => {
                return self.preempt(at, victim);
            }
            Errand::Reserve | Errand::Release | Errand::CutOff { .. } => {}
        }
        None
    }

    fn preempt(&mut self, at: usize, victim: Key) -> Option<Preempted> {
        let victim = self.keys.iter().position(|key| *key == Some(victim))?;
        let held = self.holder == Some(victim);
        self.keys[victim] = None;
        if held || self.holder.is_none() {
            self.holder = Some(at);
        }
        Some(Preempted {
            victim,
            aborted: match self.kind {
                Kind::Aborts if held => Aborted::All,
                Kind::Partly if held => Aborted::Some,
                _ => Aborted::None,
            },
            waits: held && self.kind == Kind::Waits,
            ended: held && !matches!(self.kind, Kind::Forgets | Kind::Partly),
        })
    }

    /// What a controller finds, whose key is `mine`.
    pub fn look(&self, at: usize, mine: Key, ended: bool) -> Told {
        Told {
            registered: self.keys[at] == Some(mine),
            holder: self.holder.and_then(|held| self.keys[held]),
            nodes: (0..CONTROLLERS)
                .filter(|at| self.keys[*at].is_some())
                .fold(0, |nodes, at| nodes | 1 << at),
            ended,
        }
    }
}
