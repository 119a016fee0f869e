// SPDX-License-Identifier: GPL-2.0
//! What a controller owes before it lets go of a volume (PROTOCOL P7.5, P9). Issued as the permit is, and kept no longer.

use crate::volume::status::Keep;

/// Something that this controller has to see through before it lets go of the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obligation {
    /// Entries of the log, I/O or commands to the disk are not done with.
    Unfinished,
    /// A record or a claim, the own or another's, is not decided.
    Undecided,
    /// Commands of the owner that died before us may land until this time. Whoever claims a released volume waits for
    /// nobody's commands.
    OldCommands {
        /// From then on they are over.
        until_ns: u64,
    },
}

/// What this controller owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Obligations {
    /// Until when commands of an earlier owner may land; 0: there are none.
    pub(super) old_commands_until_ns: u64,
    pub(super) unfinished: bool,
    pub(super) undecided: bool,
    /// Acknowledged writes may be in this memory and nowhere else.
    pub(super) only_copy: bool,
    /// A takeover of ours is under way: its claim may stand on the disk.
    pub(super) taking: bool,
    /// The owner's record names what is in this memory, as it was last seen; or may name it, for all that is known.
    pub(super) shadow: bool,
    /// What the owner posted is in this memory still.
    pub(super) holds: bool,
}

impl Obligations {
    /// Nothing.
    #[cfg(any(test, yoke_kunit))]
    pub(super) const NONE: Self = Self {
        old_commands_until_ns: 0,
        unfinished: false,
        undecided: false,
        only_copy: false,
        taking: false,
        shadow: false,
        holds: false,
    };

    /// Whether the volume may be released. What has an end in time comes last: who has nothing else to see through waits.
    pub(crate) fn release(&self, now_ns: u64) -> Result<(), Obligation> {
        if self.unfinished {
            Err(Obligation::Unfinished)
        } else if self.undecided {
            Err(Obligation::Undecided)
        } else if now_ns < self.old_commands_until_ns {
            Err(Obligation::OldCommands {
                until_ns: self.old_commands_until_ns,
            })
        } else {
            Ok(())
        }
    }

    /// Whether what is in this memory may be forgotten at once, by one that does not serve.
    pub(crate) fn forget(&self) -> Result<(), Keep> {
        if self.only_copy {
            Err(Keep::OnlyCopy)
        } else if self.taking {
            Err(Keep::Claiming)
        } else if self.shadow && self.holds {
            Err(Keep::Named)
        } else {
            Ok(())
        }
    }
}

/// What the rest of the volume says of what is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Acknowledged writes may be in this memory and nowhere else.
    pub(crate) only_copy: bool,
    /// Entries of the log, I/O or commands to the disk are not done with.
    pub(crate) unfinished: bool,
    /// What the owner posted is in this memory still.
    pub(crate) holds: bool,
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_core_obligations))]
mod tests {
    use super::*;

    #[test]
    fn whoever_owes_something_does_not_release() {
        assert_eq!(Obligations::NONE.release(0), Ok(()));
        let old = Obligations {
            old_commands_until_ns: 50,
            ..Obligations::NONE
        };
        assert_eq!(
            old.release(49),
            Err(Obligation::OldCommands { until_ns: 50 })
        );
        assert_eq!(old.release(50), Ok(()));
        let undecided = Obligations {
            undecided: true,
            ..old
        };
        assert_eq!(undecided.release(0), Err(Obligation::Undecided));
        let unfinished = Obligations {
            unfinished: true,
            ..undecided
        };
        assert_eq!(unfinished.release(99), Err(Obligation::Unfinished));
    }

    #[test]
    fn whoever_has_the_only_copy_or_a_claim_does_not_forget() {
        assert_eq!(Obligations::NONE.forget(), Ok(()));
        let taking = Obligations {
            taking: true,
            ..Obligations::NONE
        };
        assert_eq!(taking.forget(), Err(Keep::Claiming));
        let only = Obligations {
            only_copy: true,
            ..taking
        };
        assert_eq!(only.forget(), Err(Keep::OnlyCopy));
    }

    #[test]
    fn whoever_has_what_a_record_names_does_not_forget() {
        let named = Obligations {
            shadow: true,
            ..Obligations::NONE
        };
        // The owner has retired it.
        assert_eq!(named.forget(), Ok(()));
        let kept = Obligations {
            holds: true,
            ..named
        };
        assert_eq!(kept.forget(), Err(Keep::Named));
        let unnamed = Obligations {
            shadow: false,
            ..kept
        };
        assert_eq!(unnamed.forget(), Ok(()));
    }
}
