// SPDX-License-Identifier: GPL-2.0
//! What one I/O is to do outside the lock, and what becomes of it.

use super::config::BLOCKS_MAX;
use super::log::readers::Sides;
use super::requests::tickets::TicketIndex;
use super::status::Reason;
use crate::ids::{Epoch, Generation, LinkEpoch, LinkId};
pub use crate::mirror::header::PassOp;
use crate::window::Place;

/// A run of 1 to [`BLOCKS_MAX`] blocks. Atomic by the block only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// The first block.
    pub block: u64,
    /// How many blocks.
    pub count: u32,
}

/// One I/O that the machine knows. Stale ones are told from current ones by the serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TicketId {
    pub(crate) index: TicketIndex,
    pub(crate) serial: u32,
}

/// Where, in the partner's window, slots are posted: one grant of one region, through one life of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PostTo {
    /// Our number of the link.
    pub link: LinkId,
    /// The life of the link. On a later life nothing is to be posted: the post is dropped, the fence reads all ones.
    pub life: LinkEpoch,
    /// The grant: goes into each header's CRC, and is what the fence read has to find.
    pub epoch: Epoch,
    /// Where the region stands in the partner's window.
    pub place: Place,
}

/// What a fence read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FenceSample {
    /// The clock *before* the read was issued, and after the posts it is to prove.
    pub issued_ns: u64,
    /// The word that was read.
    pub word: u64,
    /// The local link-down counter, read *after* the word.
    pub downs: u64,
}

/// A write that has its slots: copy block `i` of it into log slot `slots[i]`; if `post` is given also into the
/// partner's slot of the same number (data, barrier, header of sequence `sequence + i`), then fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WritePlan {
    /// Names this write.
    pub ticket: TicketId,
    /// What is written.
    pub range: Range,
    /// The owner generation: goes into the headers.
    pub generation: Generation,
    /// Sequence of the first block.
    pub sequence: u64,
    /// The log slots; only the first `range.count` count.
    pub slots: [u32; BLOCKS_MAX],
    /// Where to post them, if anywhere.
    pub post: Option<PostTo>,
}

/// The answer to `write_begin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // Lives on the stack of the caller for one call; there is no allocator here.
pub enum WriteBegin {
    /// Do this, then call `write_finish`. It must be called, also after an error.
    Plan(WritePlan),
    /// Not now: begin again after [`super::Action::Wake`].
    Park,
    /// Fail the bio, retryably if [`Reason::is_retryable`].
    Fail(Reason),
}

/// The answer to `write_finish`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteEnd {
    /// Safe. Complete the bio now.
    Complete,
    /// The data is in the log. An [`super::Action::Complete`] or [`super::Action::Fail`] with the ticket will come.
    Wait,
    /// Post the slots here, as the plan said, fence, and call `write_finish` again.
    Again(PostTo),
    /// Fail the bio.
    Fail(Reason),
}

/// Where the current version of one block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// On the backing disk.
    Disk,
    /// Nowhere: it reads as zero. In reads only.
    Zero,
    /// In this slot of the own log.
    Log {
        /// The slot.
        slot: u32,
    },
    /// In a slot that the old owner posted into *our* window, adopted at takeover. Copy it to private memory, compare
    /// the CRC-32C of the copy, use the copy. Another CRC: [`super::Volume::read_failed`], [`DestageEnd::Corrupt`].
    Adopted {
        /// Whose region of our window.
        link: LinkId,
        /// The slot.
        slot: u32,
        /// The CRC-32C of its data.
        crc: u32,
    },
}

/// A read that was begun. Must be handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadTicket {
    pub(crate) term: u32,
    pub(crate) sides: Sides,
    /// Blocks that read as zero: one bit for each. Whoever lets the disk read all of it does not keep the plan.
    pub(crate) zeroed: u64,
    /// What the disk gave was found good by [`super::Volume::read_lay`].
    pub(crate) laid: bool,
}

const _: () = assert!(BLOCKS_MAX <= u64::BITS as usize);

/// A read: get block `i` from `sources[i]`, then call `read_finish`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadPlan {
    /// Names this read.
    pub ticket: ReadTicket,
    /// What is read.
    pub range: Range,
    /// Where it is; only the first `range.count` count.
    pub sources: [Source; BLOCKS_MAX],
}

impl ReadPlan {
    /// Its adopted slots.
    pub(crate) fn adopted(&self) -> impl Iterator<Item = u32> + '_ {
        let blocks = self.sources.iter().take(self.range.count as usize);
        blocks.filter_map(|source| match source {
            Source::Adopted { slot, .. } => Some(*slot),
            Source::Disk | Source::Zero | Source::Log { .. } => None,
        })
    }
}

/// The answer to `read_begin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // As WriteBegin.
pub enum ReadBegin {
    /// Do this, then call `read_finish`. It must be called, also after an error.
    Plan(ReadPlan),
    /// Not now: begin again after [`super::Action::Wake`].
    Park,
    /// Fail the bio.
    Fail(Reason),
}

/// The answer to `read_finish`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// The data that was sampled is right. Complete the bio now.
    Complete,
    /// Something moved: begin again, at once.
    Again,
    /// Not now: begin again after [`super::Action::Wake`].
    Park,
    /// Fail the bio.
    Fail(Reason),
}

/// The answer to `flush` and `pass_down`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongBegin {
    /// An [`super::Action::Complete`] or [`super::Action::Fail`] with the ticket will come.
    Wait(TicketId),
    /// Not now: begin again after [`super::Action::Wake`].
    Park,
    /// Fail the bio.
    Fail(Reason),
}

/// A destage in flight. Must be handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId {
    pub(crate) index: u8,
    pub(crate) serial: u32,
}

/// Blocks to write to the backing disk, one after the other there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestagePlan {
    /// Names it.
    pub run: RunId,
    /// Where on the volume.
    pub range: Range,
    /// Where the data is; never [`Source::Disk`] or [`Source::Zero`]. Only the first `range.count` count.
    pub sources: [Source; BLOCKS_MAX],
}

/// How a destage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DestageEnd {
    /// All blocks were written.
    Written,
    /// The disk reported an error: some blocks may have been written, and the rest may be, until T_io has passed since its
    /// issue. Until then no other version of them is issued.
    Failed,
    /// It could not be issued, or the disk has refused it for certain: nothing was written, and nothing will be. It is tried
    /// again after a rest.
    Refused,
    /// It was not issued, since the right to it was gone by then. Nothing was written.
    NotIssued,
    /// An adopted slot no longer has the CRC that it was adopted with. Nothing was written.
    Corrupt {
        /// Which block of the plan it is, counted from 0.
        at: u32,
    },
}
