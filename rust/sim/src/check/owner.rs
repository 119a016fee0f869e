// SPDX-License-Identifier: GPL-2.0
//! One owner (DESIGN rule 2): a generation belongs to one life of one
//! controller, and once a later generation has acted, no earlier one does.
//!
//! To *act* is to decide that a read, write or FLUSH is complete, and to have a
//! data write land on the disk. A write of an earlier generation that is still
//! in the disk's queue may land until a later one first writes data, or serves
//! reads from the disk, itself: PROTOCOL P7.5. And an owner that *holds* (P8) sends what the shadow has to the disk for
//! L after a look at all blocks that showed no claim: until L after the claim has landed, however fast its partner
//! serves reads from that shadow.

use std::collections::BTreeMap;

use super::{Kind, Violation};

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
    /// The generation in which the ownership began that has written in this one: an owner that outbids a claim which leads
    /// to nothing goes on in a later generation, and its commands with it.
    began: BTreeMap<u64, u64>,
    /// When the claim of each generation landed.
    claims: BTreeMap<u64, u64>,
    /// How long after that an owner that holds may issue data writes, in true nanoseconds.
    window_ns: u64,
}

impl Owner {
    /// Nobody has acted yet. `window_ns`: L by the slowest clock.
    pub fn new(window_ns: u64) -> Self {
        Self {
            window_ns,
            ..Self::default()
        }
    }

    /// A claim has landed on the disk.
    pub fn claimed(&mut self, generation: u64, now_ns: u64) {
        self.claims.entry(generation).or_insert(now_ns);
    }

    /// Of the claims only those are left that `stand`, or have won: a generation that was given up may be claimed anew.
    pub fn keep_claims(&mut self, stand: impl Fn(u64) -> bool) {
        self.claims.retain(|generation, _| stand(*generation));
    }

    /// Whether an owner of `generation` that holds cannot have seen yet that it is claimed.
    fn may_hold(&self, generation: u64, now_ns: u64) -> bool {
        let later = self.claims.range(generation + 1..);
        let first = later.map(|(_, at)| *at).min();
        first.is_some_and(|at| now_ns <= at + self.window_ns)
    }

    /// `actor` completes a request as the owner of `generation`.
    ///
    /// # Errors
    /// If it is not (any more) the owner.
    pub fn completes(&mut self, actor: Actor, generation: u64) -> Result<(), Violation> {
        self.belongs(actor, generation)?;
        let newest = self.completed.max(self.wrote);
        if generation < newest {
            return Err(two_owners(format!(
                "two owners: controller {} completes a request in generation {generation}, \
                 but generation {newest} has acted",
                actor.controller
            )));
        }
        self.completed = generation;
        Ok(())
    }

    /// What is written in `generation` belongs to an ownership that began in that one.
    pub fn belongs_to(&mut self, generation: u64, began: u64) {
        self.began.entry(generation).or_insert(began);
    }

    /// `actor` issues a data write to the disk as the owner of `generation`, `holding` or not.
    ///
    /// # Errors
    /// If it is not (any more) the owner.
    pub fn writes(
        &mut self,
        actor: Actor,
        generation: u64,
        holding: bool,
        now_ns: u64,
    ) -> Result<(), Violation> {
        self.belongs(actor, generation)?;
        let newest = self.completed.max(self.wrote);
        let holds = holding && generation >= self.wrote && self.may_hold(generation, now_ns);
        if generation < newest && !holds {
            return Err(two_owners(format!(
                "two owners: controller {} writes to the disk in generation {generation}, \
                 but generation {newest} has acted",
                actor.controller
            )));
        }
        self.wrote = generation;
        Ok(())
    }

    /// A data write of `generation` lands on the disk.
    ///
    /// # Errors
    /// If a later owner has begun to write by then.
    pub fn lands(&self, actor: Actor, generation: u64) -> Result<(), Violation> {
        let goes_on = self.began.contains_key(&generation)
            && self.began.get(&generation) == self.began.get(&self.wrote);
        if generation < self.wrote && !goes_on {
            return Err(two_owners(format!(
                "two owners: a write of controller {} from generation {generation} lands on the \
                 disk after generation {} has begun to write",
                actor.controller, self.wrote
            )));
        }
        Ok(())
    }

    fn belongs(&mut self, actor: Actor, generation: u64) -> Result<(), Violation> {
        if generation == 0 {
            return Err(two_owners(format!(
                "controller {} acts without a generation",
                actor.controller
            )));
        }
        let owner = *self.actors.entry(generation).or_insert(actor);
        if owner != actor {
            return Err(two_owners(format!(
                "two owners: generation {generation} belongs to controller {} (life {}), and \
                 controller {} (life {}) acts in it",
                owner.controller, owner.life, actor.controller, actor.life
            )));
        }
        Ok(())
    }
}

fn two_owners(words: String) -> Violation {
    Violation::new(Kind::TwoOwners, words)
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
        let mut o = Owner::new(10);
        assert!(o.completes(A, 1).is_ok());
        assert!(o.writes(A, 1, false, 0).is_ok());
        assert!(o.completes(B, 2).is_ok());
        assert!(o.lands(A, 1).is_ok(), "the new owner has not written yet");
        assert!(o.writes(B, 2, false, 0).is_ok());
        assert!(o.completes(A, 5).is_ok());
    }

    #[test]
    fn who_holds_writes_for_a_while_after_a_claim_only() {
        let mut o = Owner::new(10);
        assert!(o.completes(A, 1).is_ok());
        let mut unclaimed = o.clone();
        assert!(unclaimed.completes(B, 2).is_ok());
        assert!(unclaimed.writes(A, 1, true, 0).is_err(), "nobody claimed");
        o.claimed(2, 100);
        o.claimed(2, 105);
        assert!(o.completes(B, 2).is_ok());
        assert!(o.writes(A, 1, true, 110).is_ok());
        assert!(o.writes(A, 1, true, 111).is_err(), "too late");
        assert!(o.writes(A, 1, false, 110).is_err(), "does not hold");
        assert!(o.completes(A, 1).is_err(), "answers nothing");
        assert!(o.writes(B, 2, false, 105).is_ok());
        assert!(o.writes(A, 1, true, 106).is_err(), "the new owner writes");
    }

    #[test]
    fn a_claim_that_was_given_up_and_made_anew_counts_from_then_on() {
        let mut o = Owner::new(10);
        assert!(o.completes(A, 1).is_ok());
        o.claimed(2, 100);
        o.keep_claims(|generation| generation != 2);
        o.claimed(2, 200);
        o.keep_claims(|_| true);
        o.claimed(2, 205);
        assert!(o.completes(B, 2).is_ok());
        assert!(o.writes(A, 1, true, 210).is_ok());
        assert!(o.writes(A, 1, true, 211).is_err(), "too late");
    }

    #[test]
    fn an_owner_that_outbids_a_claim_goes_on() {
        let mut o = Owner::new(10);
        o.belongs_to(1, 1);
        assert!(o.writes(A, 1, false, 0).is_ok());
        o.belongs_to(3, 1);
        assert!(o.writes(A, 3, false, 5).is_ok());
        assert!(o.lands(A, 1).is_ok(), "it knows of its own commands");
        // It has lost the volume, and has it again.
        o.belongs_to(5, 5);
        assert!(o.writes(A, 5, false, 9).is_ok());
        assert!(o.lands(A, 1).is_err() && o.lands(A, 3).is_err());
    }

    #[test]
    fn planted_two_owners_are_seen() {
        let mut o = Owner::new(10);
        assert!(o.completes(A, 1).is_ok());
        assert!(o.completes(B, 1).is_err(), "the same generation");
        assert!(
            o.completes(Actor { life: 2, ..A }, 1).is_err(),
            "another life"
        );
        assert!(o.completes(B, 2).is_ok());
        assert!(o.completes(A, 1).is_err(), "an old generation");
        assert!(o.writes(A, 1, false, 0).is_err());
        assert!(o.completes(A, 0).is_err());
        assert!(o.writes(B, 2, false, 0).is_ok());
        assert!(o.lands(A, 1).is_err(), "a late command");
    }
}
