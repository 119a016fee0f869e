// SPDX-License-Identifier: GPL-2.0
//! Whether this controller is registered for the disk's reservation, as a table. How it comes to be stands in reserving.rs.
//!
//! A preemption proves that nothing of its victim lands any more, for as long as the victim is not registered: the target
//! refuses what it sends. So nobody registers anew while a command of its own is alive, or of an earlier life of it: a target
//! knows controllers, not lives. And whoever has registered issues
//! none before it has seen that it still owns the volume.
//!
//! ```text
//! Off    Unknown -> Absent -> Quieting -> Registering -> Proving -> Registered
//!                     ^                        |            |           |
//!                     '------------------------+------------+-----------'
//! ```

use crate::volume::states::Step;

/// What is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Registration {
    /// The disk has no reservations, or they are not used.
    Off,
    /// Nobody has heard of it. As long as the first look has come to nothing no command is issued by this opening.
    Unknown,
    /// It is not there. Commands go to the disk as far as that takes them; no preemption of ours or of another's proves
    /// anything of them.
    Absent,
    /// It is wanted. No command is issued, and those under way are waited for.
    Quieting,
    /// It is asked for. No command of ours is alive, and none is issued.
    Registering,
    /// It is there. No command is issued until a read of all blocks that was begun since has shown who owns the volume.
    Proving,
    /// It is there, and was before the ownership was last seen to stand.
    Registered,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegistrationEvent {
    /// It is wanted: no command that failed may still land.
    Wanted,
    /// No command of ours is alive.
    Quiet,
    /// The target has it.
    Present,
    /// The target does not have it.
    Missing,
    /// All blocks were read since it is there.
    Proved,
}

impl RegistrationEvent {
    /// All events.
    pub const ALL: [Self; 5] = [
        Self::Wanted,
        Self::Quiet,
        Self::Present,
        Self::Missing,
        Self::Proved,
    ];
}

impl Registration {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::Off,
        Self::Unknown,
        Self::Absent,
        Self::Quieting,
        Self::Registering,
        Self::Proving,
        Self::Registered,
    ];

    /// The transition function.
    pub const fn on(self, event: RegistrationEvent) -> Step<Self> {
        use RegistrationEvent as E;
        use Step::{Invalid, NoOp, To};

        match (self, event) {
            (Self::Off, E::Proved) => NoOp,
            (Self::Off, _) => Invalid,
            // An opening before this one, in the same life. The key was there all along, so nobody has been told that its
            // commands are over.
            (Self::Unknown, E::Present) => To(Self::Registered),
            (Self::Unknown | Self::Registering | Self::Proving | Self::Registered, E::Missing) => {
                To(Self::Absent)
            }
            (Self::Absent | Self::Quieting, E::Missing) => NoOp,
            (Self::Absent, E::Wanted) => To(Self::Quieting),
            (Self::Quieting, E::Quiet) => To(Self::Registering),
            // One that was reported as failed may be there all the same.
            (Self::Absent | Self::Quieting | Self::Registering, E::Present) => To(Self::Proving),
            (Self::Proving | Self::Registered, E::Present) => NoOp,
            (Self::Proving, E::Proved) => To(Self::Registered),
            (_, E::Proved) => NoOp,
            (_, E::Wanted | E::Quiet) => Invalid,
        }
    }

    /// Whether the target has it, for all that is known.
    pub const fn is_there(self) -> bool {
        matches!(self, Self::Proving | Self::Registered)
    }

    /// Whether commands to the disk's data are held back.
    pub(super) const fn holds_commands(self) -> bool {
        matches!(self, Self::Quieting | Self::Registering | Self::Proving)
    }
}
