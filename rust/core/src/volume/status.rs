// SPDX-License-Identifier: GPL-2.0
//! What people are told.

use core::fmt;

use crate::disk::node_block::Record;
use crate::ids::{Generation, NodeId};

/// What this controller is to the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The own block is being read and written for the first time. Nothing is served, nothing was promised.
    Opening,
    /// Somebody else owns the volume, or nobody. Nothing is served; a shadow that was granted is kept.
    Standby,
    /// A takeover is under way. Nothing is served, and nobody is disturbed before the claim has landed.
    Taking,
    /// This controller is the owner by its record on the disk.
    Owner(Mode),
    /// Stopped by a fault. Nothing is served and nothing is written; the record stays as it is for the partner.
    Stopped,
    /// Closed. Nothing will happen any more.
    Closed,
}

/// How an owner makes writes safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The record names a shadow at the partner. A write is acknowledged when a fence has proved it there; the right
    /// to answer is the link lease.
    Mirrored,
    /// The record names, or may name, a shadow that cannot be reached any more. Nothing is answered. Proved entries
    /// are destaged; then the record becomes `disk`.
    Holding,
    /// The record says `disk`. A write is acknowledged when it is on the disk; the right to answer is the disk lease.
    Solo,
    /// As `Solo`, and the log is being copied to a fresh region of the partner; new writes are posted as well.
    Joining,
    /// The record names this controller as the holder of the shadow that it adopted. Reads come from it; a write is
    /// acknowledged when it is on the disk; the right to answer is the disk lease. When all adopted slots are on the
    /// disk the record becomes `disk`.
    Degraded,
}

/// Why something cannot be, in words that a person understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The volume is still being opened.
    Opening,
    /// Another controller owns the volume.
    NotOwner,
    /// The ownership was lost while the I/O waited.
    Deposed,
    /// The volume is being, or was, given back or closed.
    Leaving,
    /// The range does not lie in the volume, or is too long.
    Range,
    /// The disk reports errors.
    Disk,
    /// The disk does not know the operation, though it said that it does.
    Unsupported,
    /// An adopted slot changed after it was adopted.
    Corrupt,
    /// Somebody else writes this controller's own block.
    Identity,
    /// The node blocks could not be read.
    Unreadable,
    /// The acknowledged data is in the memory of this controller's partner, which has to take over.
    ShadowElsewhere(NodeId),
    /// The acknowledged data was in the memory of this node, which was restarted since; owner and holder are both gone.
    ShadowLost(NodeId),
    /// Acknowledged writes are in the memory of this controller alone: it may take over, not close.
    ShadowHere,
    /// The record names this controller, but the region with that epoch is not there any more.
    EpochUnknown,
    /// The partner granted an epoch that another of its regions, or one of ours, has.
    EpochTwice,
    /// The owner is alive: its lease moves, or the session with it stands.
    OwnerAlive,
    /// Another controller's claim is pending.
    ClaimPending(NodeId),
    /// The link lease has run out and no link has answered since.
    NoLinkLease,
    /// There is no session with the partner.
    NoPartner,
    /// The partner has not said yet whether it could take over.
    PartnerSilent,
    /// The partner is still opening the volume.
    PartnerOpening,
    /// The partner says that it could not take over.
    PartnerBlocked,
    /// The partner was stopped by a fault.
    PartnerStopped,
    /// The partner is closing the volume.
    PartnerCloses,
    /// No link has a region.
    NoRegion,
    /// Adopted or unproved entries are still on their way to the disk.
    Destaging,
    /// A record or lease is being written.
    Recording,
    /// The disk lease has run out and could not be renewed.
    NoDiskLease,
    /// A pass over the disk takes so long that no lease can be renewed in time.
    DiskSlow,
    /// Commands of the old owner may still be in the disk's queue.
    OldCommands,
    /// The log is being copied to the partner.
    Copying,
    /// The generations are used up.
    Exhausted,
    /// This controller owns the volume.
    IsOwner,
    /// There is no giveback and no close that could be taken back.
    NotLeaving,
    /// The disk does nothing of what this controller asks it, by whatever path.
    DiskIll,
    /// The disk has not answered for long, neither well nor badly. The machine does not say this, but its environment.
    DiskSilent,
    /// Somebody who is no controller of the volume has reserved the disk.
    Reserved,
    /// This controller is registering itself for the disk's reservation.
    Registering,
    /// This controller is not registered for the disk's reservation, so that the disk refuses its writes.
    NotRegistered,
    /// The I/O has waited for as long as anything may.
    TooLong,
}

impl Reason {
    /// Whether a bio is refused at once, by a controller that does not serve the volume, or that cannot be meant.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::NotOwner | Self::Opening | Self::Range)
    }

    /// Whether the bio may succeed elsewhere or later, so that a path failover is the right answer.
    pub const fn is_retryable(self) -> bool {
        !matches!(
            self,
            Self::Range | Self::Corrupt | Self::Disk | Self::Unsupported | Self::TooLong
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShadowElsewhere(node) => {
                return write!(f, "acknowledged writes are in the memory of {node}: it has to take over")
            }
            Self::ShadowLost(node) => {
                return write!(f, "acknowledged writes were in the memory of {node}, which was restarted: they are lost; \
                    the policy start-from-disk, or a forced takeover, serves what the disk has")
            }
            Self::ClaimPending(node) => return write!(f, "{node} has claimed the volume"),
            _ => (),
        }
        f.write_str(match self {
            Self::Opening => "the volume is still being opened",
            Self::NotOwner => "another controller owns the volume",
            Self::Deposed => "another controller has taken the volume over",
            Self::Leaving => "the volume is being given back or closed",
            Self::NotLeaving => "the volume is neither being given back nor closed",
            Self::Range => "the range does not lie in the volume",
            Self::Disk => "the backing disk reports errors",
            Self::Unsupported => "the backing disk does not know the operation",
            Self::Corrupt => "blocks adopted from the old owner changed since: they cannot be read until they are written anew or given up",
            Self::Identity => "somebody else writes the block of this node: are two controllers configured as the same node?",
            Self::Unreadable => "the node blocks on the backing disk cannot be read",
            Self::ShadowHere => "acknowledged writes are in this controller's memory: it can take over, but not close",
            Self::EpochUnknown => "the region that the record names is not in this controller's memory",
            Self::EpochTwice => "the partner granted one epoch twice: the region is not used",
            Self::OwnerAlive => "the owner is alive",
            Self::NoLinkLease => "no link to the partner has answered in time",
            Self::NoPartner => "there is no session with the partner",
            Self::PartnerSilent => "the partner has not said yet whether it could take over",
            Self::PartnerOpening => "the partner is still opening the volume",
            Self::PartnerBlocked => "the partner says that it could not take over: ask there why",
            Self::PartnerStopped => "the partner was stopped by a fault: ask there why",
            Self::PartnerCloses => "the partner is closing the volume",
            Self::NoRegion => "the partner has granted no region",
            Self::Destaging => "the log is on its way to the disk",
            Self::Recording => "the record on the disk is being changed",
            Self::NoDiskLease => "the disk lease has run out and could not be renewed",
            Self::DiskSlow => "the backing disk is too slow for a lease: its commands take longer than t_io_ms says",
            Self::OldCommands => "commands of the old owner may still be in the disk's queue",
            Self::Copying => "the log is being copied to the partner",
            Self::Exhausted => "the generations are used up",
            Self::DiskIll => "this controller does not reach the backing disk, or that does nothing",
            Self::DiskSilent => "the backing disk does not answer",
            Self::Reserved => "somebody else has reserved the backing disk",
            Self::Registering => "this controller is being registered for the backing disk's reservation",
            Self::NotRegistered => "this controller is not registered for the backing disk's reservation",
            Self::TooLong => "it could not be answered in time",
            _ => "this controller owns the volume",
        })
    }
}

/// Why a volume is not to be closed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keep {
    /// Acknowledged writes are, or may be, in this memory and nowhere else.
    OnlyCopy,
    /// A takeover is under way. Its claim may stand on the disk, and would hold up whoever owns the volume.
    Claiming,
    /// The owner's record names this memory, or may name it: if the owner died, what it has acknowledged would be here
    /// alone. It records something else before it lets this memory go, as soon as it can write to the disk; and who is to
    /// be closed looks whether it has.
    Named,
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnlyCopy => "it has acknowledged writes that are nowhere else",
            Self::Claiming => "a takeover is under way, and its claim would hold up the owner",
            Self::Named => {
                "the owner's record names its memory, or may name it, and would need it if the owner died"
            }
        })
    }
}

/// A look at the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    /// What this controller is to the volume.
    pub role: Role,
    /// The own record as it stands on the disk.
    pub record: Record,
    /// The highest generation seen on the disk, whose node is the owner.
    pub generation: Generation,
    /// The owner, if there ever was one.
    pub owner: Option<NodeId>,
    /// Whether I/O would be answered now; if not, why.
    pub serving: Result<(), Reason>,
    /// Whether the volume would survive the loss of one controller right now: on the owner, whether its partner could
    /// take over without losing anything; on another, whether this one could. If not, why.
    pub takeover: Result<(), Reason>,
    /// Entries of the log that are not on the disk, adopted slots included.
    pub dirty: u32,
    /// Those of them that are adopted slots.
    pub adopted: u32,
    /// Blocks whose only copy is corrupt: they cannot be read until they are written anew, or given up.
    pub condemned: u32,
    /// Slots that the last takeover found and dropped, then or when they were first used: their data was not what their
    /// header says. It had not arrived when the old owner died, so nobody was told that it is safe; or this controller's
    /// memory is bad.
    pub dropped: u32,
    /// Adopted slots of the last takeover.
    pub adopted_total: u32,
    /// Free slots of the log.
    pub free: u32,
    /// Regions granted to us that the record names.
    pub regions: u8,
    /// Why the volume is not to be closed now, if it is not.
    pub keep: Option<Keep>,
    /// Why it was stopped, or why the last takeover was refused.
    pub reason: Option<Reason>,
}
