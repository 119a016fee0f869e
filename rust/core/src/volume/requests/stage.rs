// SPDX-License-Identifier: GPL-2.0
//! Where one I/O stands, as a table. What is done in each stage stands in write.rs, flush.rs and passing.rs.

use crate::ids::{Epoch, LinkId};
use crate::volume::states::Step;
use crate::volume::status::Reason;

/// Where one I/O stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Not in use.
    Free,
    /// A write whose slots the environment is filling or posting.
    Filling {
        /// The grant that it posts to.
        to: Option<(LinkId, Epoch)>,
    },
    /// A write whose data is in the log, and that is not safe, or cannot be answered yet.
    Waiting,
    /// A flush that waits for everything up to a stamp to be on the disk. It stands in a line.
    Draining {
        /// The stamp.
        bound: u64,
    },
    /// A flush that waits for a flush of the disk. It stands in a line.
    Flushing {
        /// The number that this flush has at least.
        number: u64,
    },
    /// A discard or write-zeroes: where it stands, [`crate::volume::pass::PassStage`] says.
    Passing,
    /// Done; waits for the right to answer.
    Answer,
    /// The ownership ended while the environment was filling or posting: fails when it is handed back.
    Orphan {
        /// The grant that it posts to.
        to: Option<(LinkId, Epoch)>,
    },
    /// To be failed.
    Doomed(Reason),
}

/// What can happen to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StageEvent {
    /// A write has come in, and slots for it.
    Write {
        /// The grant that it posts to.
        to: Option<(LinkId, Epoch)>,
    },
    /// A flush has come in.
    Flush {
        /// The stamp of the newest entry.
        bound: u64,
    },
    /// A discard or write-zeroes has come in.
    Pass,
    /// The environment has handed the slots of a write back, and it cannot be answered yet.
    HandedBack,
    /// It has, and is to post them once more.
    Again {
        /// The grant that it posts to now.
        to: Option<(LinkId, Epoch)>,
    },
    /// Everything that a flush waits for is in the disk's cache.
    Drained {
        /// The number of the next flush of the disk.
        number: u64,
    },
    /// The flush of the disk that it waited for is not enough.
    Later {
        /// The number of the next one.
        number: u64,
    },
    /// What was in the disk's cache is written once more: a flush waits for that.
    Anew {
        /// The stamp of the newest entry.
        bound: u64,
    },
    /// All of it is done but the answer.
    Done,
    /// It has failed, or nobody waits for it any more.
    Failed(Reason),
    /// The ownership is over.
    Ended(Reason),
    /// It was answered, or failed.
    Released,
}

impl Stage {
    /// The transition function.
    #[inline(always)]
    pub const fn on(self, event: StageEvent) -> Step<Self> {
        use Stage as S;
        use StageEvent as E;
        use Step::{Invalid, NoOp, To};

        match (self, event) {
            (S::Free, E::Write { to }) | (S::Filling { .. }, E::Again { to }) => {
                To(S::Filling { to })
            }
            (S::Free, E::Flush { bound })
            | (S::Draining { .. } | S::Flushing { .. }, E::Anew { bound }) => {
                To(S::Draining { bound })
            }
            (S::Free, E::Pass) => To(S::Passing),
            (S::Filling { .. }, E::HandedBack) => To(S::Waiting),
            (S::Draining { .. }, E::Drained { number })
            | (S::Flushing { .. }, E::Later { number }) => To(S::Flushing { number }),
            (S::Draining { .. } | S::Flushing { .. } | S::Passing, E::Done) => To(S::Answer),
            (S::Draining { .. } | S::Flushing { .. } | S::Passing, E::Failed(reason)) => {
                To(S::Doomed(reason))
            }
            (S::Free | S::Orphan { .. } | S::Doomed(_), E::Ended(_)) => NoOp,
            (S::Filling { to }, E::Ended(_)) => To(S::Orphan { to }),
            (_, E::Ended(reason)) => To(S::Doomed(reason)),
            (
                S::Filling { .. } | S::Waiting | S::Answer | S::Orphan { .. } | S::Doomed(_),
                E::Released,
            ) => To(S::Free),
            _ => Invalid,
        }
    }
}
