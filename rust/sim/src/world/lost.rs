// SPDX-License-Identifier: GPL-2.0
//! Memories that are lost, with what the newest record says is only there: what that excuses, and what it does not.

use yoke_core::disk::{NodeBlock, RecordState};
use yoke_core::ids::Generation;
use yoke_core::volume::{PowerLoss, Role};

use super::World;
use crate::check::owner::Actor;

impl World {
    /// A person is about to end a life. If a fault has stopped the volume in it, that is no excuse for a loss.
    pub fn note_stopped(&mut self, at: u8) {
        let index = at as usize;
        let actor = Actor {
            controller: index,
            life: self.controllers[index].life,
        };
        let live = self.controllers[index].live.as_ref();
        let stopped = live.filter(|l| l.machine.role() == Role::Stopped);
        let stopped = stopped.map(|l| (actor, l.incarnation));
        self.stopped.extend(stopped);
    }

    /// Whether the newest record on the disk rests on memories that are all gone.
    pub fn shadow_is_lost(&self) -> bool {
        let newest = self.node_blocks().max_by_key(|b| b.record.generation);
        newest.is_some_and(|newest| self.is_lost(&newest))
    }

    /// Whether this record, the newest one, rests on memories that are all gone.
    pub(super) fn is_lost(&self, newest: &NodeBlock) -> bool {
        let RecordState::Shadow(shadow) = newest.record.state else {
            return false;
        };
        let lives = |incarnation| {
            self.controllers
                .iter()
                .flat_map(|c| &c.live)
                .any(|l| l.incarnation == incarnation)
        };
        let author = self.authors.get(&newest.record.generation.get());
        let given_up = self.stopped.iter().any(|(actor, incarnation)| {
            *incarnation == shadow.holder_incarnation || Some(actor) == author
        });
        !given_up
            && !lives(shadow.holder_incarnation)
            && !self.author_lives(newest.record.generation)
    }

    /// Whether the life of a controller that became the owner in `generation` goes on.
    fn author_lives(&self, generation: Generation) -> bool {
        self.authors.get(&generation.get()).is_some_and(|author| {
            let controller = &self.controllers[author.controller];
            controller.live.is_some() && controller.life == author.life
        })
    }

    /// If both memories that the newest record rests on are gone, clients were
    /// promised no more than after a loss of power. With the policy `refuse`
    /// nobody may serve then: nothing needs to be allowed.
    ///
    /// That may come about by a death, and by a record of the dead that lands late.
    pub(super) fn note_lost_memory(&mut self, lost: bool) {
        let was = std::mem::replace(&mut self.memory_lost, lost);
        let starts = self.setting.scenario.power_loss == PowerLoss::StartFromDisk;
        if starts && self.memory_lost && !was {
            self.stats.lost_both += 1;
            self.trace
                .line(self.now_ns, || "both memories are lost".into());
            self.history.power_loss();
        }
    }
}
