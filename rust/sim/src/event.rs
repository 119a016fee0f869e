// SPDX-License-Identifier: GPL-2.0
//! Everything that can happen to a simulated appliance, one small step each.

use yoke_core::volume::{Command, PassOp};

use crate::check::history::Request;
use crate::disk::CommandId;

/// What a client asks of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// A read, a write or a FLUSH.
    Io(Request),
    /// A discard or write-zeroes.
    Pass {
        /// Which of them.
        op: PassOp,
        /// First block.
        block: u32,
        /// How many.
        count: u32,
    },
}

/// One step. `at` is always the index of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The next `count` stores that were posted at this end of a link arrive.
    Arrive {
        /// The link.
        link: u8,
        /// Whose stores.
        at: u8,
        /// How many.
        count: u8,
    },
    /// The effect of a disk command happens.
    Land(CommandId),
    /// The effect of the first cell of a disk write happens.
    LandPart(CommandId),
    /// A disk command is answered, with an error if `bad`.
    Complete {
        /// The command.
        command: CommandId,
        /// With an error.
        bad: bool,
    },
    /// A discard or write-zeroes is said to have failed. It lands all the same, later.
    Disown {
        /// The command.
        command: CommandId,
    },
    /// A thread that carries a request takes its next step.
    Job {
        /// Where.
        at: u8,
        /// Which.
        job: u8,
    },
    /// The next action for this link (`lane` below the number of links), or the one at `lane - links` of the others,
    /// is carried out.
    Act {
        /// Where.
        at: u8,
        /// Which.
        lane: u8,
    },
    /// The oldest piece of news of links and sessions reaches the machine.
    Notice {
        /// Where.
        at: u8,
    },
    /// The oldest message of the partner reaches the machine.
    Message {
        /// Where.
        at: u8,
    },
    /// The machine is polled, because its deadline has passed.
    Poll {
        /// Where.
        at: u8,
    },
    /// The machine is asked for something to destage.
    Destage {
        /// Where.
        at: u8,
    },
    /// A link shakes hands.
    Handshake {
        /// The link.
        link: u8,
    },
    /// One end finds that a link is silent, if it is.
    Silent {
        /// The link.
        link: u8,
        /// Which end.
        at: u8,
    },
    /// One end ends the session, if it has had no link since.
    Linger {
        /// Which end.
        at: u8,
    },
    /// A client asks for something.
    Submit {
        /// Of whom.
        at: u8,
        /// What.
        ask: Ask,
    },
    /// A person asks for something.
    Tell {
        /// Of whom.
        at: u8,
        /// What.
        command: Command,
    },
    /// A controller dies. Of the stores that it has under way on each link, this many survive.
    Crash {
        /// Which.
        at: u8,
        /// How many.
        keep: [u8; 4],
    },
    /// A controller starts.
    Start {
        /// Which.
        at: u8,
    },
    /// A person starts a controller again whose machine was closed, or was stopped by a fault.
    Restart {
        /// Which.
        at: u8,
    },
    /// A volume that was closed is opened again, in the same life of its controller, if nothing of it is left.
    Reopen {
        /// Where.
        at: u8,
    },
    /// A controller stops, but for its clock and its memory.
    Pause {
        /// Which.
        at: u8,
    },
    /// It goes on.
    Resume {
        /// Which.
        at: u8,
    },
    /// A link goes down; of the stores under way at each end this many survive.
    Cut {
        /// Which.
        link: u8,
        /// How many, for each end.
        keep: [u8; 2],
    },
    /// It is connected again.
    Mend {
        /// Which.
        link: u8,
    },
    /// Two neighbours among the stores under way at this end change places, unless they go to the same place.
    Swap {
        /// The link.
        link: u8,
        /// Whose stores.
        at: u8,
        /// The first of them.
        index: u8,
    },
    /// What the disk's cache was told is done, and was not flushed, is gone. `pick` decides what is left of it.
    CacheLoss {
        /// A random number.
        pick: u64,
    },
    /// The target answers what a controller has asked about the reservation, if it can.
    Told {
        /// Whom.
        at: u8,
    },
    /// A registration that was said to have failed is done.
    Register {
        /// Whose.
        at: u8,
        /// In which life.
        life: u32,
    },
    /// The target is started again, and knows of no registration.
    ForgetReservation,
    /// All power is lost. `pick` decides what survives in the disk's cache.
    PowerLoss {
        /// A random number.
        pick: u64,
    },
}

impl Event {
    /// Whether a controller is gone after it, or goes on: what was parked for it is to be looked at.
    pub fn moves_controllers(self) -> bool {
        matches!(
            self,
            Event::Resume { .. }
                | Event::Crash { .. }
                | Event::Restart { .. }
                | Event::PowerLoss { .. }
        )
    }

    /// Whether it happens to a controller or to a link, and so to all volumes.
    pub fn is_shared(self) -> bool {
        match self {
            Event::Land(_)
            | Event::LandPart(_)
            | Event::Complete { .. }
            | Event::Disown { .. }
            | Event::Job { .. }
            | Event::Act { .. }
            | Event::Notice { .. }
            | Event::Message { .. }
            | Event::Poll { .. }
            | Event::Destage { .. }
            | Event::Submit { .. }
            | Event::Tell { .. }
            | Event::Reopen { .. }
            | Event::Told { .. }
            | Event::Register { .. }
            | Event::ForgetReservation
            | Event::CacheLoss { .. } => false,
            Event::Arrive { .. }
            | Event::Handshake { .. }
            | Event::Silent { .. }
            | Event::Linger { .. }
            | Event::Crash { .. }
            | Event::Start { .. }
            | Event::Restart { .. }
            | Event::Pause { .. }
            | Event::Resume { .. }
            | Event::Cut { .. }
            | Event::Mend { .. }
            | Event::Swap { .. }
            | Event::PowerLoss { .. } => true,
        }
    }
}
