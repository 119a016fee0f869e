// SPDX-License-Identifier: GPL-2.0
//! What the machine asks for, and what it is told.

use super::plan::{FenceSample, PassOp, PostTo, Range, TicketId};
use super::status::{Reason, Role};
use crate::disk::key::Key;
use crate::disk::node_block::NodeBlock;
use crate::ids::{Epoch, Incarnation, LinkEpoch, LinkId};
use crate::mirror::header::SlotHeader;
use crate::mirror::message::Message;
use crate::terms::Terms;
use crate::volume::requests::pass::{PassEnd, PassId};
use crate::window::Place;

/// Names one action whose result the machine waits for. An input with another token than the awaited one changes
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub(crate) u32);

/// One thing for the environment to do, outside the lock.
///
/// Actions that name the same link are done in the order in which they were polled: a fence is issued when all posts
/// polled before it have been stored (or dropped). Others may be done in any order, and late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read the blocks of all nodes from the shared disk, then [`Input::NodeBlocks`]. Never served from a cache.
    ReadNodeBlocks {
        /// To be given back.
        token: Token,
    },
    /// Write the own block, PREFLUSH|FUA, to the copy that its sequence names, then [`Input::NodeBlockWritten`].
    WriteNodeBlock {
        /// To be given back.
        token: Token,
        /// What to write.
        block: NodeBlock,
    },
    /// Post own log slot `slot`: data, barrier, then `header` (put the data's CRC into it, and encode it for
    /// `to.epoch`). Of a tombstone ([`crate::mirror::header::Content`]) the header alone, as it is. No result: the next
    /// [`Action::Fence`] to the same region answers for it.
    PostSlot {
        /// Where to.
        to: PostTo,
        /// Own slot and region's slot.
        slot: u32,
        /// The header, without the data's CRC.
        header: SlotHeader,
    },
    /// Post a header of zeroes. No result: the next [`Action::Fence`] to the same region answers for it.
    PostInvalid {
        /// Where to.
        to: PostTo,
        /// The region's slot.
        slot: u32,
    },
    /// Read the epoch word through the link, then [`Input::Fenced`].
    Fence {
        /// To be given back.
        token: Token,
        /// The region.
        to: PostTo,
    },
    /// Store `word` in the epoch word of the volume's region of our own window, so that every later read of the peer
    /// sees it; then [`Input::WordSet`]. 0: no grant.
    SetWord {
        /// To be given back.
        token: Token,
        /// Whose window.
        link: LinkId,
        /// The word.
        word: u64,
    },
    /// Zero all slot headers of the volume's region of our own window, then [`Input::Cleared`].
    ClearRegion {
        /// To be given back.
        token: Token,
        /// Whose window.
        link: LinkId,
    },
    /// Read the slots of the volume's region of our own window: copy each header, decode it with `epoch`
    /// ([`SlotHeader::decode`]), and call [`super::Volume::scan_slot`] for those that decode; at last
    /// [`Input::Scanned`].
    ScanRegion {
        /// To be given back with every slot.
        token: Token,
        /// Whose window.
        link: LinkId,
        /// The grant whose slots count.
        epoch: Epoch,
    },
    /// Flush the disk's cache, then [`Input::DiskFlushed`].
    FlushDisk {
        /// To be given back.
        token: Token,
    },
    /// Do something to the disk's reservation, look at what it is then, and [`Input::Reservation`].
    Reserve {
        /// To be given back.
        token: Token,
        /// What.
        errand: Errand,
    },
    /// Issue the operation to the backing disk, then [`Input::PassedDown`]. Now, as a destage: the lease was checked at
    /// `now_ns`, and the bound on a command's life counts from here. If it cannot be issued at once, ask
    /// [`super::Volume::issue_pass`] when it can.
    PassDown {
        /// To be given back.
        pass: PassId,
        /// The I/O that waits for it: all of what it asked for. `None`: the machine wants zeroes to be written, at most
        /// [`super::BLOCKS_MAX`] blocks; the disk may know no write-zeroes.
        ticket: Option<TicketId>,
        /// What.
        op: PassOp,
        /// Where: may be longer than [`super::config::BLOCKS_MAX`].
        range: LongRange,
    },
    /// Send to the partner through the session.
    Send(Message),
    /// Complete the bio of this ticket: now, before anything else is asked of the machine.
    Complete(TicketId),
    /// Fail the bio of this ticket.
    Fail(TicketId, Reason),
    /// Begin all parked I/O again.
    Wake,
    /// Nothing to do. Let go of the lock, and poll again: the machine has taken one piece of something long.
    Yield,
    /// For people: the role, or the reason in [`super::Status`], has changed.
    Notify(Role),
}

/// Something to do to the disk's reservation: of the type that lets all who are registered write, and nobody else. The key
/// of this controller is [`Key::of`] its life. Whatever a command reports, what counts is what is found afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Errand {
    /// Nothing but the look.
    Look,
    /// Register this controller, over every path, whatever key an earlier life of it has left.
    Register,
    /// Reserve the disk.
    Reserve,
    /// Release it, and stay registered.
    Release,
    /// Preempt this key and abort the commands of whose it is.
    CutOff {
        /// The key.
        victim: Key,
    },
}

/// What was found when the reservation was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    /// Whether the target has this controller's key, over every path.
    pub registered: bool,
    /// Who holds the reservation.
    pub holder: Option<Key>,
    /// Which controllers of the volume have a key there, in whatever life: a bit for each node.
    pub nodes: u64,
    /// After [`Errand::CutOff`]: no command lands any more that the victim had sent, or will have sent, under this
    /// registration. Only of a target that is known to end them before it answers, and only if the victim held the
    /// reservation.
    pub ended: bool,
}

/// A run of blocks of any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LongRange {
    /// The first block.
    pub block: u64,
    /// How many blocks, at least one.
    pub count: u64,
}

impl LongRange {
    /// Whether a block is in it.
    pub(crate) const fn contains(&self, block: u64) -> bool {
        block >= self.block && block - self.block < self.count
    }

    pub(crate) const fn overlaps(&self, other: Self) -> bool {
        self.contains(other.block) || other.contains(self.block)
    }
}

impl From<Range> for LongRange {
    fn from(range: Range) -> Self {
        Self {
            block: range.block,
            count: u64::from(range.count),
        }
    }
}

/// What a person, or a policy, wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Become the owner, if the rules allow it.
    TakeOver,
    /// As `TakeOver` after a total power loss, whatever the policy: what was acknowledged and not on the disk is lost.
    ForceFromDisk,
    /// Empty the log, release the volume, and ask the partner to claim it.
    GiveBack,
    /// As `GiveBack`, on behalf of the partner, which asks for it again and again: forgotten when it has not for as long as
    /// a giveback may take.
    GiveOnRequest,
    /// Forget a `GiveBack` or a `Close` that is not done yet; if the volume is released already, claim it again, unless the
    /// partner has. [`super::Volume::may_abort`] tells whether there is such a thing.
    AbortGiveBack,
    /// Give up the blocks whose only copy is corrupt: from now on they read as the disk has them.
    GiveUpCondemned,
    /// Stop. The owner empties the log and releases the volume, nobody is asked to claim it; a holder first lets the
    /// owner go solo; a takeover that is under way is seen through first. Ends in [`Role::Closed`].
    Close,
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Our own window has room for the volume's region on this link (none: `None`). Told before any other
    /// input of the link, again when there was none and now is, and again when the link's window is made anew (while the
    /// link is down): what was in the old one is gone, so it must not be made anew while
    /// [`super::Status::adopted_total`] slots of it serve.
    Room {
        /// The link.
        link: LinkId,
        /// Where the region stands in our window.
        place: Option<Place>,
    },
    /// There is a session with the partner.
    SessionUp {
        /// Its incarnation.
        incarnation: Incarnation,
        /// What its end of the volume would promise: its [`super::Config::terms`].
        terms: Terms,
    },
    /// The session is over. No message of it will come any more, none that was not delivered will be.
    SessionGone,
    /// This link carries slots: its handshake has just run, so nothing posted before it is under way any more.
    LinkUp {
        /// The link.
        link: LinkId,
        /// This life of the link; the partner calls it by the same number.
        life: LinkEpoch,
        /// The driver's link-down counter, read now.
        downs: u64,
    },
    /// This link carries nothing any more.
    LinkDown {
        /// The link.
        link: LinkId,
    },
    /// The link is taken away, and this is after its [`Input::LinkDown`]: what is in our own window of it is to be
    /// done without as soon as that is safe, which [`super::Volume::needs_window`] tells. A `LinkUp` takes it back.
    LinkGoing {
        /// The link.
        link: LinkId,
    },
    /// From the partner, in order, once.
    Message(Message),
    /// The own block was written, or not, or nobody knows.
    NodeBlockWritten {
        /// From the action.
        token: Token,
        /// Whether it certainly landed.
        ok: bool,
    },
    /// The blocks of all nodes, in any order; nodes that were never in the appliance may be left out. `None`: the
    /// disk reported an error, or a block is damaged in both copies.
    NodeBlocks {
        /// From the action.
        token: Token,
        /// What stands on the disk.
        blocks: Option<&'a [NodeBlock]>,
    },
    /// The fence was read.
    Fenced {
        /// From the action.
        token: Token,
        /// What it found.
        sample: FenceSample,
    },
    /// The word is set.
    WordSet {
        /// From the action.
        token: Token,
    },
    /// The region is cleared.
    Cleared {
        /// From the action.
        token: Token,
    },
    /// All slots were told ([`super::Volume::scan_slot`]).
    Scanned {
        /// From the action.
        token: Token,
    },
    /// The disk's cache was flushed, or not.
    DiskFlushed {
        /// From the action.
        token: Token,
        /// Whether it was.
        ok: bool,
    },
    /// Something was done to the reservation, or was not, and this is what it is now.
    Reservation {
        /// From the action.
        token: Token,
        /// What was found; `None`: it could not be looked at.
        told: Option<Told>,
    },
    /// The operation is over.
    PassedDown {
        /// From the action.
        pass: PassId,
        /// How it ended.
        end: PassEnd,
    },
    /// A person wants something.
    Command(Command),
}
