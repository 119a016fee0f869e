// SPDX-License-Identifier: GPL-2.0
//! What this controller may do for the volume at this moment (PROTOCOL P3, P7.5, P8).
//!
//! Everything that serves, writes to the disk or frees asks the permit, and nothing else; everything that releases or
//! closes asks for the obligations. Both are issued in one place, from what is known there and then, and are not kept:
//! between two looks the world may have changed. They stand apart since every request asks for a permit, and hardly
//! anything for what is owed.

use super::leaving::Leaving;
use crate::ids::{Generation, NodeId};
use crate::volume::status::{Mode, Reason};

/// Until when something may be done: before both of these times. `u64::MAX` where that lease is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseEnd {
    pub(super) link: u64,
    pub(super) disk: u64,
}

impl LeaseEnd {
    pub(super) const ALWAYS: Self = Self {
        link: u64::MAX,
        disk: u64::MAX,
    };

    /// No link lease stands behind it, and none comes.
    pub(super) const NEVER: Self = Self {
        link: 0,
        disk: u64::MAX,
    };

    fn check(self, now_ns: u64) -> Result<(), Reason> {
        if now_ns >= self.link {
            Err(Reason::NoLinkLease)
        } else if now_ns >= self.disk {
            Err(Reason::NoDiskLease)
        } else {
            Ok(())
        }
    }
}

/// What this controller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permit {
    /// Of the record under which it acts.
    pub(super) generation: Generation,
    /// How it serves; if it does not, why.
    pub(super) mode: Result<Mode, Reason>,
    pub(super) leaving: Leaving,
    pub(super) claimant: Option<NodeId>,
    /// A record that stands on the disk is not confirmed: nothing is acknowledged.
    pub(super) recording: bool,
    /// New writes are let in, as far as the mode is concerned.
    pub(super) open: bool,
    pub(super) answers_from_ns: u64,
    pub(super) answers_until: Result<LeaseEnd, Reason>,
    pub(super) commands_from_ns: u64,
    pub(super) commands_until: Result<LeaseEnd, Reason>,
}

impl Permit {
    /// The generation that goes into what is written now.
    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether what was sampled before `now_ns` may be told.
    pub(crate) fn may_read(&self, now_ns: u64) -> Result<(), Reason> {
        self.mode?;
        if self.leaving.is_releasing() {
            return Err(Reason::Leaving);
        }
        if now_ns < self.answers_from_ns {
            return Err(Reason::OldCommands);
        }
        self.answers_until?.check(now_ns)
    }

    /// Whether a safe write may be acknowledged. While a record is being changed nothing is.
    pub(crate) fn may_acknowledge(&self, now_ns: u64) -> Result<(), Reason> {
        self.may_read(now_ns)?;
        if self.recording {
            return Err(Reason::Recording);
        }
        Ok(())
    }

    /// Whether a command to the disk's data may be issued.
    pub(crate) fn may_command(&self, now_ns: u64) -> Result<(), Reason> {
        self.mode?;
        if now_ns < self.commands_from_ns {
            return Err(Reason::OldCommands);
        }
        self.commands_until?.check(now_ns)
    }

    /// Whether a write may be begun.
    pub(crate) fn may_begin_write(&self, now_ns: u64) -> bool {
        self.open
            && self.claimant.is_none()
            && !self.leaving.is_under_way()
            && now_ns >= self.answers_from_ns
    }

    /// Whether anything may be thrown away that is done: never with a claim pending, nor while nobody else has it.
    pub(crate) fn may_free(&self, now_ns: u64) -> bool {
        self.mode.is_ok_and(|mode| mode != Mode::Holding) && self.may_read(now_ns).is_ok()
    }

    /// Whether there is a right; where its guard is off (`enforced` is false) an expired lease counts for nothing.
    pub(crate) fn is_granted(&self, right: Result<(), Reason>, enforced: bool) -> bool {
        match right {
            Ok(()) => true,
            Err(Reason::NoLinkLease | Reason::NoDiskLease) => {
                !enforced && self.mode != Ok(Mode::Holding)
            }
            Err(_) => false,
        }
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_permit))]
mod tests {
    use super::*;

    const LEASE: LeaseEnd = LeaseEnd {
        link: 100,
        disk: 80,
    };

    const SOLO: Permit = Permit {
        generation: Generation::NONE,
        mode: Ok(Mode::Solo),
        leaving: Leaving::Stays,
        claimant: None,
        recording: false,
        open: true,
        answers_from_ns: 20,
        answers_until: Ok(LEASE),
        commands_from_ns: 40,
        commands_until: Ok(LEASE),
    };

    #[test]
    fn a_lease_ends_before_its_time_and_names_the_one_that_is_over() {
        assert_eq!(LEASE.check(79), Ok(()));
        assert_eq!(LEASE.check(80), Err(Reason::NoDiskLease));
        assert_eq!(LEASE.check(100), Err(Reason::NoLinkLease));
        assert_eq!(LeaseEnd::NEVER.check(0), Err(Reason::NoLinkLease));
        assert_eq!(LeaseEnd::ALWAYS.check(u64::MAX - 1), Ok(()));
    }

    #[test]
    fn nothing_is_answered_and_no_command_issued_before_its_time() {
        assert_eq!(SOLO.may_read(19), Err(Reason::OldCommands));
        assert_eq!(SOLO.may_read(20), Ok(()));
        assert!(!SOLO.may_begin_write(19) && SOLO.may_begin_write(20));
        assert_eq!(SOLO.may_command(39), Err(Reason::OldCommands));
        assert_eq!(SOLO.may_command(40), Ok(()));
        assert_eq!(SOLO.may_command(80), Err(Reason::NoDiskLease));
    }

    #[test]
    fn who_does_not_own_may_do_nothing() {
        let none = Permit {
            mode: Err(Reason::NotOwner),
            ..SOLO
        };
        assert_eq!(none.may_read(50), Err(Reason::NotOwner));
        assert_eq!(none.may_acknowledge(50), Err(Reason::NotOwner));
        assert_eq!(none.may_command(50), Err(Reason::NotOwner));
        assert!(!none.may_free(50));
    }

    #[test]
    fn a_claim_stops_answers_writes_and_freeing() {
        let why = match NodeId::new(3) {
            Some(node) => Reason::ClaimPending(node),
            None => return,
        };
        let claimed = Permit {
            claimant: NodeId::new(3),
            answers_until: Err(why),
            ..SOLO
        };
        assert_eq!(claimed.may_read(50), Err(why));
        assert!(!claimed.may_begin_write(50) && !claimed.may_free(50));
        assert!(!claimed.is_granted(claimed.may_read(50), false));
    }

    #[test]
    fn while_a_record_is_changed_reads_are_answered_and_writes_are_not() {
        let recording = Permit {
            recording: true,
            ..SOLO
        };
        assert_eq!(recording.may_read(50), Ok(()));
        assert_eq!(recording.may_acknowledge(50), Err(Reason::Recording));
    }

    #[test]
    fn who_gives_the_volume_away_begins_no_write_and_at_last_answers_nothing() {
        let leaving = |leaving| Permit { leaving, ..SOLO };
        let empties = leaving(Leaving::GivingBack);
        assert!(!empties.may_begin_write(50) && empties.may_read(50).is_ok());
        let releases = leaving(Leaving::ReleasingToPartner);
        assert_eq!(releases.may_read(50), Err(Reason::Leaving));
        assert!(!releases.may_begin_write(50));
    }

    #[test]
    fn an_owner_that_holds_frees_nothing_and_no_guard_lets_it_answer() {
        let holding = Permit {
            mode: Ok(Mode::Holding),
            answers_until: Ok(LeaseEnd::NEVER),
            ..SOLO
        };
        assert!(!holding.may_free(50));
        assert!(!holding.is_granted(holding.may_read(50), false));
        let late = SOLO.may_read(90);
        assert!(SOLO.is_granted(late, false) && !SOLO.is_granted(late, true));
    }
}
