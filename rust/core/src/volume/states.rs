// SPDX-License-Identifier: GPL-2.0
//! The three state machines of a volume: its role, a region that the partner grants to it, and a region that it grants
//! to the partner. One transition function each; the whole tables stand in tests/snapshots, drawn in
//! docs/protocol-mirror.md. What each state guarantees stands at the enums.

use super::status::{Mode, Role};
pub use crate::volume::mirror::regions::{HeldState, LentState};

/// What an event does to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step<S> {
    /// It moves to this state.
    To(S),
    /// It changes nothing, and may happen.
    NoOp,
    /// It cannot happen here: only a mistake in this program brings it about.
    Invalid,
}

impl<S: Copy> Step<S> {
    /// The state afterwards. What cannot happen changes nothing where it does happen.
    pub(crate) fn after(self, before: S) -> S {
        debug_assert!(!matches!(self, Self::Invalid));
        match self {
            Self::To(next) => next,
            Self::NoOp | Self::Invalid => before,
        }
    }
}

/// What can happen to a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoleEvent {
    /// The own block names this incarnation.
    Opened,
    /// A takeover is wanted, and the rules allow it.
    Begin,
    /// The takeover is not to be, or not yet.
    GiveUp,
    /// The takeover is done; the record names this controller as the holder.
    Adopted,
    /// The takeover is done; the record says `disk`.
    Taken,
    /// No region answers that the record names, or none is to be used any more.
    Alone,
    /// The record says `disk`, and a read of all blocks has shown nothing above it.
    DiskStands,
    /// The partner has granted a region, and it answers.
    RegionReady,
    /// The region that was copied to does not answer any more, and the record never named it.
    RegionLost,
    /// The record names the partner, and a read of all blocks has shown nothing above it.
    ShadowStands,
    /// A record above the own one was seen.
    Outranked,
    /// The `released` record has landed.
    Released,
    /// Nothing of the volume is needed here any more, and it is to be closed.
    Ended,
    /// A fault that only a person can mend.
    Fault,
}

impl RoleEvent {
    /// All events.
    pub const ALL: [Self; 14] = [
        Self::Opened,
        Self::Begin,
        Self::GiveUp,
        Self::Adopted,
        Self::Taken,
        Self::Alone,
        Self::DiskStands,
        Self::RegionReady,
        Self::RegionLost,
        Self::ShadowStands,
        Self::Outranked,
        Self::Released,
        Self::Ended,
        Self::Fault,
    ];
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 10] = [
        Self::Opening,
        Self::Standby,
        Self::Taking,
        Self::Owner(Mode::Mirrored),
        Self::Owner(Mode::Holding),
        Self::Owner(Mode::Solo),
        Self::Owner(Mode::Joining),
        Self::Owner(Mode::Degraded),
        Self::Stopped,
        Self::Closed,
    ];

    /// The transition function.
    pub const fn on(self, event: RoleEvent) -> Step<Self> {
        use Mode::{Degraded, Holding, Joining, Mirrored, Solo};
        use Role::{Closed, Opening, Owner, Standby, Stopped, Taking};
        use RoleEvent as E;
        use Step::{Invalid, NoOp, To};

        match (self, event) {
            (Closed | Stopped, E::Fault) => NoOp,
            (_, E::Fault) => To(Stopped),
            (Opening, E::Opened) => To(Standby),
            (Standby, E::Begin) => To(Taking),
            (Taking, E::GiveUp) => To(Standby),
            (Taking, E::Adopted) => To(Owner(Degraded)),
            (Taking, E::Taken) => To(Owner(Solo)),
            (Taking | Owner(_), E::Outranked) => To(Standby),
            (Owner(Mirrored), E::Alone) => To(Owner(Holding)),
            (Owner(Holding | Degraded), E::DiskStands) => To(Owner(Solo)),
            (Owner(Solo), E::RegionReady) => To(Owner(Joining)),
            (Owner(Joining), E::RegionLost) => To(Owner(Solo)),
            (Owner(Joining), E::ShadowStands) => To(Owner(Mirrored)),
            (Owner(Solo), E::Released) => To(Standby),
            (Owner(Solo) | Opening | Standby | Stopped, E::Ended) => To(Closed),
            _ => Invalid,
        }
    }
}

/// What can happen to a region that the partner grants to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeldEvent {
    /// The partner is asked.
    Ask,
    /// The partner has granted it.
    Granted,
    /// A fence was good.
    Answered,
    /// The record names it, confirmed.
    Named,
    /// It does not answer, or is not to be used any more; the record names it, or may.
    LostNamed,
    /// The same; no record names it.
    LostUnnamed,
    /// This controller owns the volume no more.
    Dropped,
    /// Nobody posts to it any more, and a last fence has been read.
    Drained,
}

impl HeldEvent {
    /// All events.
    pub const ALL: [Self; 8] = [
        Self::Ask,
        Self::Granted,
        Self::Answered,
        Self::Named,
        Self::LostNamed,
        Self::LostUnnamed,
        Self::Dropped,
        Self::Drained,
    ];
}

impl HeldState {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Asked,
        Self::Fresh,
        Self::Ready,
        Self::Live,
        Self::Dying,
        Self::Closing,
    ];

    /// The transition function.
    pub const fn on(self, event: HeldEvent) -> Step<Self> {
        use HeldEvent as E;
        use HeldState as S;
        use Step::{Invalid, NoOp, To};

        match (self, event) {
            (S::None, E::Ask) => To(S::Asked),
            (S::None, E::LostNamed | E::LostUnnamed | E::Dropped) => NoOp,
            (S::Asked, E::Granted) => To(S::Fresh),
            (S::Asked, E::LostNamed | E::LostUnnamed | E::Dropped) => To(S::None),
            (S::Fresh, E::Answered) => To(S::Ready),
            (S::Ready | S::Live, E::Answered) => NoOp,
            (S::Ready, E::Named) => To(S::Live),
            (S::Fresh | S::Ready | S::Live, E::LostNamed) => To(S::Dying),
            (S::Dying, E::LostNamed) => NoOp,
            (S::Fresh | S::Ready | S::Live | S::Dying, E::LostUnnamed | E::Dropped) => {
                To(S::Closing)
            }
            (S::Closing, E::LostNamed | E::LostUnnamed | E::Dropped) => NoOp,
            (S::Closing, E::Drained) => To(S::None),
            _ => Invalid,
        }
    }
}

/// What can happen to a region of our own window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LentEvent {
    /// A question of the partner is taken up: it says that no record names the old grant.
    Asked,
    /// The owner says that its record does not name the grant any more.
    Retired,
    /// The word is changed, the headers are cleared, or the new word is set.
    Done,
    /// The word is changed, and nobody waits for a grant.
    DoneForNobody,
    /// As `Done`, where a test leaves the clearing out.
    DoneUncleared,
    /// A takeover, or a close, begins.
    Void,
    /// A takeover adopts the slots: the record names the grant.
    Adopt,
    /// What is in it does not count any more.
    Forget,
    /// It was adopted, and the record of another owner names the grant.
    Outranked,
    /// The window is made anew.
    WindowGone,
}

impl LentEvent {
    /// All events.
    pub const ALL: [Self; 10] = [
        Self::Asked,
        Self::Retired,
        Self::Done,
        Self::DoneForNobody,
        Self::DoneUncleared,
        Self::Void,
        Self::Adopt,
        Self::Forget,
        Self::Outranked,
        Self::WindowGone,
    ];
}

impl LentState {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Idle,
        Self::Voiding,
        Self::Clearing,
        Self::Setting,
        Self::Live,
        Self::Fencing,
        Self::Fenced,
        Self::Adopted,
    ];

    /// The transition function.
    pub const fn on(self, event: LentEvent) -> Step<Self> {
        use LentEvent as E;
        use LentState as S;
        use Step::{Invalid, NoOp, To};

        match (self, event) {
            (_, E::WindowGone) => To(S::Idle),
            (S::Idle | S::Live | S::Fenced, E::Asked) => To(S::Voiding),
            (S::Live | S::Fencing | S::Fenced, E::Retired) => To(S::Voiding),
            (_, E::Retired) => NoOp,
            (S::Voiding, E::Done) => To(S::Clearing),
            (S::Voiding, E::DoneForNobody) => To(S::Idle),
            (S::Voiding, E::DoneUncleared) => To(S::Setting),
            (S::Clearing, E::Done) => To(S::Setting),
            (S::Setting, E::Done) => To(S::Live),
            (S::Fencing, E::Done) => To(S::Fenced),
            (S::Live, E::Void) => To(S::Fencing),
            (_, E::Void) => NoOp,
            (S::Live | S::Fencing | S::Fenced, E::Adopt) => To(S::Adopted),
            (S::Live | S::Fencing | S::Fenced | S::Adopted, E::Forget) => To(S::Idle),
            (_, E::Forget) => NoOp,
            (S::Adopted, E::Outranked) => To(S::Fenced),
            _ => Invalid,
        }
    }
}
