// SPDX-License-Identifier: GPL-2.0
//! The steps of a takeover (PROTOCOL P7), as a table. What is done in each stands in taking.rs and
//! scanning.rs.
//!
//! ```text
//! Idle -> Voiding -> Observing <-> Resting
//!   ^                    |
//!   |                 Claiming --> Withdrawing
//!   |                    |
//!   |                Recording
//!   |                    |
//!   '--- owner <---- Scanning
//! ```

use crate::volume::states::Step;

/// Where a takeover stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Takeover {
    /// None is under way.
    Idle,
    /// The words of all regions are being changed. The old owner may still acknowledge.
    Voiding,
    /// The blocks are being read. From L after the words were changed the old owner does not acknowledge under its
    /// link lease.
    Observing,
    /// As `Observing`, later.
    Resting,
    /// The claim is being written, then all blocks are read. Until the claim has landed nobody is disturbed.
    Claiming,
    /// The record with the claimed generation is being written, then all blocks are read. Whoever was confirmed alone
    /// writes it; whoever sees a higher claim afterwards waits.
    Recording,
    /// We are the owner by the record. The slots of our regions are being looked at.
    Scanning,
    /// The claim is being taken back.
    Withdrawing,
}

/// What can happen to a takeover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TakeoverEvent {
    /// It begins.
    Begin,
    /// All words are changed.
    Voided,
    /// What was observed does not allow a claim yet.
    NotYet,
    /// It is time to look again.
    Due,
    /// What was observed allows a claim.
    Allowed,
    /// With the claim on the disk, what was observed still stands, and nobody else claims.
    Confirmed,
    /// It does not, or somebody does.
    Contested,
    /// The record stands: the slots come next.
    Scan,
    /// All slots were looked at.
    Scanned,
    /// It is not to be, or somebody has won, or a fault has ended it.
    End,
}

impl TakeoverEvent {
    /// All events.
    pub const ALL: [Self; 10] = [
        Self::Begin,
        Self::Voided,
        Self::NotYet,
        Self::Due,
        Self::Allowed,
        Self::Confirmed,
        Self::Contested,
        Self::Scan,
        Self::Scanned,
        Self::End,
    ];
}

impl Takeover {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Idle,
        Self::Voiding,
        Self::Observing,
        Self::Resting,
        Self::Claiming,
        Self::Recording,
        Self::Scanning,
        Self::Withdrawing,
    ];

    /// The transition function.
    pub const fn on(self, event: TakeoverEvent) -> Step<Self> {
        use Step::{Invalid, NoOp, To};
        use TakeoverEvent as E;

        match (self, event) {
            (Self::Idle, E::Begin) => To(Self::Voiding),
            (Self::Voiding, E::Voided) => To(Self::Observing),
            (Self::Observing, E::NotYet) => To(Self::Resting),
            (Self::Resting, E::Due) => To(Self::Observing),
            (Self::Observing, E::Allowed) => To(Self::Claiming),
            (Self::Claiming, E::Confirmed) => To(Self::Recording),
            (Self::Claiming, E::Contested) => To(Self::Withdrawing),
            (Self::Recording, E::Scan) => To(Self::Scanning),
            (Self::Scanning, E::Scan) => NoOp,
            (Self::Scanning, E::Scanned) => To(Self::Idle),
            (Self::Idle, E::End) => NoOp,
            (_, E::End) => To(Self::Idle),
            _ => Invalid,
        }
    }
}
