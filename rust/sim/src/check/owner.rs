// SPDX-License-Identifier: GPL-2.0
//! One owner (DESIGN rule 2): a generation belongs to one life of one
//! controller, and once a later generation has acted, no earlier one does.
//!
//! To *act* is to decide that a read, write or FLUSH is complete, and to have a
//! data write land on the disk. A write of an earlier generation that is still
//! in the disk's queue may land until a later one first writes data, or serves
//! reads from the disk, itself: PROTOCOL P7.5.

use std::collections::BTreeMap;

/// One life of one controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    /// Index of the controller.
    pub controller: usize,
    /// Which of its lives.
    pub life: u32,
}

/// Who may act.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Whose each generation is.
    actors: BTreeMap<u64, Actor>,
    /// The highest generation that has completed a request.
    completed: u64,
    /// The highest generation that has issued a data write to the disk.
    wrote: u64,
}

impl Owner {
    /// Nobody has acted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// `actor` completes a request as the owner of `generation`.
    ///
    /// # Errors
    /// If it is not (any more) the owner.
    pub fn completes(&mut self, actor: Actor, generation: u64) -> Result<(), String> {
        self.belongs(actor, generation)?;
        let newest = self.completed.max(self.wrote);
        if generation < newest {
            return Err(format!(
                "two owners: controller {} completes a request in generation {generation}, \
                 but generation {newest} has acted",
                actor.controller
            ));
        }
        self.completed = generation;
        Ok(())
    }

    /// `actor` issues a data write to the disk as the owner of `generation`.
    ///
    /// # Errors
    /// If it is not (any more) the owner.
    pub fn writes(&mut self, actor: Actor, generation: u64) -> Result<(), String> {
        self.belongs(actor, generation)?;
        let newest = self.completed.max(self.wrote);
        if generation < newest {
            return Err(format!(
                "two owners: controller {} writes to the disk in generation {generation}, \
                 but generation {newest} has acted",
                actor.controller
            ));
        }
        self.wrote = generation;
        Ok(())
    }

    /// A data write of `generation` lands on the disk.
    ///
    /// # Errors
    /// If a later owner has begun to write by then.
    pub fn lands(&self, actor: Actor, generation: u64) -> Result<(), String> {
        if generation < self.wrote {
            return Err(format!(
                "two owners: a write of controller {} from generation {generation} lands on the \
                 disk after generation {} has begun to write",
                actor.controller, self.wrote
            ));
        }
        Ok(())
    }

    fn belongs(&mut self, actor: Actor, generation: u64) -> Result<(), String> {
        if generation == 0 {
            return Err(format!(
                "controller {} acts without a generation",
                actor.controller
            ));
        }
        let owner = *self.actors.entry(generation).or_insert(actor);
        if owner != actor {
            return Err(format!(
                "two owners: generation {generation} belongs to controller {} (life {}), and \
                 controller {} (life {}) acts in it",
                owner.controller, owner.life, actor.controller, actor.life
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Actor = Actor {
        controller: 0,
        life: 1,
    };
    const B: Actor = Actor {
        controller: 1,
        life: 1,
    };

    #[test]
    fn owners_by_turns_are_fine() {
        let mut o = Owner::new();
        assert!(o.completes(A, 1).is_ok());
        assert!(o.writes(A, 1).is_ok());
        assert!(o.completes(B, 2).is_ok());
        assert!(o.lands(A, 1).is_ok(), "the new owner has not written yet");
        assert!(o.writes(B, 2).is_ok());
        assert!(o.completes(A, 5).is_ok());
    }

    #[test]
    fn planted_two_owners_are_seen() {
        let mut o = Owner::new();
        assert!(o.completes(A, 1).is_ok());
        assert!(o.completes(B, 1).is_err(), "the same generation");
        assert!(
            o.completes(Actor { life: 2, ..A }, 1).is_err(),
            "another life"
        );
        assert!(o.completes(B, 2).is_ok());
        assert!(o.completes(A, 1).is_err(), "an old generation");
        assert!(o.writes(A, 1).is_err());
        assert!(o.completes(A, 0).is_err());
        assert!(o.writes(B, 2).is_ok());
        assert!(o.lands(A, 1).is_err(), "a late command");
    }
}
