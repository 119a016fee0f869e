// SPDX-License-Identifier: GPL-2.0
//! One name for every rule of PROTOCOL.md that was paid for, so that a test can leave the rule out and find the loss.
//!
//! In production builds [`Guards`] is a constant of no size in which every guard is on. With the feature `guards`, and
//! in tests, they can be switched off one by one.

/// A rule. Each says where it stands, and what goes wrong without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Guard {
    /// P1: each node writes its own block only. Without it: a node also writes what it believes of the owner's record
    /// into the shared place, and two owners arise.
    OwnBlock,
    /// P1: the `shadow` record lands before the first acknowledgement that rests on it. Without it: a restarted owner
    /// finds `disk` and serves an old disk.
    ShadowBeforeAck,
    /// P1: the `disk` record lands before the first write-through acknowledgement. Without it: the partner takes over
    /// with a shadow that lacks the write.
    DiskBeforeThrough,
    /// P1: the record says positively where the data is. Without it: the owner lists void epochs only, and after a
    /// restart serves an old disk.
    PositiveRecord,
    /// P1: while a record write is in flight nothing is acknowledged.
    QuietWhileRecording,
    /// P2: an epoch is never used again. Without it: slots of an old grant count in a new one.
    FreshEpoch,
    /// P2: only the right epoch is a good fence. Without it: all ones of a dead link prove a write.
    FenceValue,
    /// P2: the link must have lived from post to read. Without it: lost posts count as proved.
    LinkLived,
    /// P3: a disk lease is renewed only by write, *then* read of all blocks that shows no higher generation or claim.
    /// Without it: two owners.
    RenewByRead,
    /// P3: sample the data, then check the lease, then complete: reads. Without it: a paused owner answers from a past.
    LeaseAfterRead,
    /// P3: the same for writes.
    LeaseAfterWrite,
    /// P3: the same for FLUSH.
    LeaseAfterFlush,
    /// P3: no backing I/O without a valid lease.
    LeaseForIo,
    /// P4: reads are served from acknowledgeable versions only. Without it: a read shows what a takeover takes back.
    ReadAcknowledged,
    /// P5: versions reach the disk in order, or the older is dropped. Without it: an old version overwrites a new one.
    DestageOrder,
    /// P5: mirrored or holding, only proved entries are destaged. Without it: the disk shows what the shadow takes back.
    DestageProved,
    /// P5: the disk's volatile cache is flushed before anything is freed, and before a `disk` record.
    FlushBeforeFree,
    /// P5: older versions are freed before newer ones. Without it: a scan finds the older one, and it comes back.
    FreeOrder,
    /// P5: a version counts as gone only when its invalidation is proved. Without it: as `FreeOrder`.
    FreeProved,
    /// P6: before a region is retired, what is not proved invalid in it is copied over another link. Without it: lost.
    CopyBeforeRetire,
    /// P6: destaged slots are copied too. Without it: an older version in another region comes back.
    CopyDestaged,
    /// P6: newer versions are copied before older ones. Without it: an older version comes back.
    CopyOrder,
    /// P6: a retired region's word is changed, and it is never scanned again. Without it: old versions come back.
    NeverScanRetired,
    /// P6: a region is granted on a link whose handshake has run since, so that old posts have arrived.
    GrantAfterHandshake,
    /// P6: a region is cleared before it is granted. Without it: leftovers of the last grant.
    ClearBeforeGrant,
    /// P7: only the named incarnation of the holder, with its epochs intact, takes a shadow over.
    OnlyHolder,
    /// P7.1: the epoch words are changed first. Without it: the old owner goes on acknowledging.
    VoidBeforeClaim,
    /// P7.2: `shadow`: L plus drift passes. Without it: the old owner still answers under its link lease.
    WaitLinkLease,
    /// P7.2: `disk`: the lease is watched for a whole expiry. Without it: two owners.
    WatchDiskLease,
    /// P7.3: after the claim has landed all blocks are read again, and what was observed must stand unchanged.
    ConfirmClaim,
    /// P7.4: a header or data that fails its CRC is dropped.
    ScanChecks,
    /// P7.4: an older version goes only for a newer one whose data was looked at. Without it: the newer one turns out not
    /// to have arrived, and the older one is gone.
    CheckBeforeDrop,
    /// P7.5: the old owner's commands are cut off, or T_io passes, before the disk is written.
    OldCommands,
    /// P8: holding: acknowledgements, and reads of such blocks, are held.
    HoldWhileAlone,
    /// P8: all proved entries are destaged before the `disk` record. Without it: a restarted owner lacks them.
    DestageBeforeDisk,
    /// P8: after the `disk` record all blocks are read and must show no claim. Without it: two owners.
    ReadAfterDisk,
    /// P8: a degraded survivor names itself as holder until everything adopted is on the disk.
    DegradedRecord,
    /// P9: a partner keeps its shadow until the record says `disk` or names a later epoch. Without it: HELLO wipes it.
    KeepShadow,
    /// P9: rejoin copies the newest version, or all, destaged ones included whenever an older one is copied.
    JoinCopies,
    /// P9: the copies are fenced before the `shadow` record. Without it: the record names what did not arrive.
    JoinFence,
    /// P9: after the `shadow` record all blocks are read and must show no higher claim.
    ReadAfterShadow,
    /// P9: until the `shadow` record stands, writes are written through *and* posted.
    JoinBoth,
    /// P10: FLUSH waits for everything acknowledged, adopted slots included, and flushes the disk.
    FlushDestages,
    /// P10: what goes past the log completes only when no older version of its blocks is valid in any shadow.
    PassAfterFree,
    /// P12: what goes past the log is in the shadow first, as a tombstone. Without it: the survivor's blocks become
    /// zero under its clients when the dead owner's command lands.
    TombstoneFirst,
    /// P11: `start-from-disk` needs owner and holder incarnations both proved dead.
    BothDead,
    /// P12: nothing is released while commands of the owner before may be in the disk's queue. Without it: the next
    /// owner, who waits for nobody, writes, and one of them lands on that.
    ReleaseAfterCommands,
    /// P7.5: nobody registers for the disk's reservation anew while a command of its own is alive. Without it: who was
    /// preempted is let in again, and what it had sent before lands on the new owner's writes.
    RegisterWhenQuiet,
    /// P7.5: the reservation is kept for as long as commands that were cut off may live. Without it: it is released, and
    /// they land.
    KeepReservation,
}

impl Guard {
    /// All guards.
    pub const ALL: [Self; 49] = [
        Self::OwnBlock,
        Self::ShadowBeforeAck,
        Self::DiskBeforeThrough,
        Self::PositiveRecord,
        Self::QuietWhileRecording,
        Self::FreshEpoch,
        Self::FenceValue,
        Self::LinkLived,
        Self::RenewByRead,
        Self::LeaseAfterRead,
        Self::LeaseAfterWrite,
        Self::LeaseAfterFlush,
        Self::LeaseForIo,
        Self::ReadAcknowledged,
        Self::DestageOrder,
        Self::DestageProved,
        Self::FlushBeforeFree,
        Self::FreeOrder,
        Self::FreeProved,
        Self::CopyBeforeRetire,
        Self::CopyDestaged,
        Self::CopyOrder,
        Self::NeverScanRetired,
        Self::GrantAfterHandshake,
        Self::ClearBeforeGrant,
        Self::OnlyHolder,
        Self::VoidBeforeClaim,
        Self::WaitLinkLease,
        Self::WatchDiskLease,
        Self::ConfirmClaim,
        Self::ScanChecks,
        Self::CheckBeforeDrop,
        Self::OldCommands,
        Self::HoldWhileAlone,
        Self::DestageBeforeDisk,
        Self::ReadAfterDisk,
        Self::DegradedRecord,
        Self::KeepShadow,
        Self::JoinCopies,
        Self::JoinFence,
        Self::ReadAfterShadow,
        Self::JoinBoth,
        Self::FlushDestages,
        Self::PassAfterFree,
        Self::TombstoneFirst,
        Self::BothDead,
        Self::ReleaseAfterCommands,
        Self::RegisterWhenQuiet,
        Self::KeepReservation,
    ];
}

/// Which guards are on.
#[cfg(any(test, feature = "guards"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guards {
    off: u64,
}

/// Which guards are on: all of them.
#[cfg(not(any(test, feature = "guards")))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guards;

#[cfg(any(test, feature = "guards"))]
impl Guards {
    /// Every guard is on.
    pub const ALL: Self = Self { off: 0 };

    /// These guards, without `guard`.
    #[must_use]
    pub const fn without(self, guard: Guard) -> Self {
        Self {
            off: self.off | 1 << guard as u8,
        }
    }

    /// Whether `guard` is on.
    #[inline]
    pub const fn on(self, guard: Guard) -> bool {
        self.off & (1 << guard as u8) == 0
    }
}

#[cfg(not(any(test, feature = "guards")))]
impl Guards {
    /// Every guard is on.
    pub const ALL: Self = Self;

    /// Every guard is on.
    #[inline]
    pub const fn on(self, _guard: Guard) -> bool {
        true
    }
}
