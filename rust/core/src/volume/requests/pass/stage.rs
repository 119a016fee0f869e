// SPDX-License-Identifier: GPL-2.0
//! Where a discard or write-zeroes stands, as a table. What it does stands in `passing.rs`.

use crate::volume::states::Step;

/// Where one stands. In every state writes to its range wait: until it is gone no other version of its blocks comes
/// into the log or into a shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassStage {
    /// It waits until its range is gone from the log and from every shadow. Nothing of it is anywhere, unless it was
    /// adopted.
    Clearing,
    /// Its range is clear. It waits for a slot.
    Logging,
    /// Its tombstone is in the log, or was adopted. It waits for the proof that a shadow has it, where one is needed,
    /// and for the right to touch the disk.
    Logged,
    /// As `Logged`, and its tombstone was posted; the fence is not read yet.
    Posted,
    /// A command of it is in the disk's queue.
    Passing,
    /// A command of it has failed, and may still land.
    Doubtful,
    /// No command of it is under way, and none comes any more. Its tombstone is being freed.
    Done,
}

/// What can happen to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassEvent {
    /// Nothing of its range is left in the log.
    Cleared,
    /// The same, of one that was adopted: it has a slot.
    ClearedAdopted,
    /// It has a slot.
    Taken,
    /// Its tombstone was posted.
    Posted,
    /// The fence after that was read, good or not.
    Fenced,
    /// A command was issued.
    Issued,
    /// A piece of an adopted one is done, and it is not the last.
    Part,
    /// All of it is done.
    Landed,
    /// The command failed.
    Failed,
    /// The disk refuses it for certain.
    Refused,
    /// The command was never issued.
    NotIssued,
    /// The failed command has landed by now, or never will: the client's is over.
    Expired,
    /// The same; an adopted one is tried again.
    Retry,
    /// What was done may be lost with the disk's cache: it is done again.
    Lost,
}

impl PassEvent {
    /// All events.
    pub const ALL: [Self; 14] = [
        Self::Cleared,
        Self::ClearedAdopted,
        Self::Taken,
        Self::Posted,
        Self::Fenced,
        Self::Issued,
        Self::Part,
        Self::Landed,
        Self::Failed,
        Self::Refused,
        Self::NotIssued,
        Self::Expired,
        Self::Retry,
        Self::Lost,
    ];
}

impl PassStage {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::Clearing,
        Self::Logging,
        Self::Logged,
        Self::Posted,
        Self::Passing,
        Self::Doubtful,
        Self::Done,
    ];

    /// The transition function.
    pub const fn on(self, event: PassEvent) -> Step<Self> {
        use PassEvent as E;
        use PassStage as S;
        use Step::{Invalid, To};

        match (self, event) {
            (S::Clearing, E::Cleared) => To(S::Logging),
            (S::Clearing, E::ClearedAdopted) | (S::Logging, E::Taken) => To(S::Logged),
            (S::Logged, E::Posted) => To(S::Posted),
            (S::Posted, E::Fenced) => To(S::Logged),
            (S::Logged, E::Issued) => To(S::Passing),
            (S::Passing, E::Part | E::NotIssued) => To(S::Logged),
            (S::Passing, E::Landed | E::Refused) => To(S::Done),
            (S::Passing, E::Failed) => To(S::Doubtful),
            (S::Doubtful, E::Expired) => To(S::Done),
            (S::Doubtful, E::Retry) | (S::Done, E::Lost) => To(S::Logged),
            _ => Invalid,
        }
    }
}
