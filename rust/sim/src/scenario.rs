// SPDX-License-Identifier: GPL-2.0
//! What kind of appliance is simulated, what its clients want, and what goes
//! wrong with it. A scenario and a seed give one run, always the same.

use yoke_core::guards::Guards;
use yoke_core::volume::{PowerLoss, NEVER_NS};

use crate::disk::target::Kind;

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;
/// Nanoseconds in a microsecond.
pub const US: u64 = 1_000;

/// How likely each kind of request is, relative to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Reads.
    pub read: u32,
    /// Writes.
    pub write: u32,
    /// Writes with FUA.
    pub fua: u32,
    /// FLUSHes.
    pub flush: u32,
    /// Discards.
    pub discard: u32,
    /// Write-zeroes.
    pub zeroes: u32,
    /// Most blocks in one request.
    pub blocks_max: u32,
    /// Most requests under way at a time.
    pub depth: u32,
    /// Longest pause between two requests, in nanoseconds.
    pub pause_ns: u64,
    /// Requests in a thousand that go to whichever controller, owner or not.
    pub stray: u32,
}

/// How likely each kind of fault is, relative to the others; and how often there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Shortest and longest time between two faults, in nanoseconds.
    pub every_ns: (u64, u64),
    /// A controller dies, and may come back.
    pub crash: u32,
    /// A controller stops for a while: its clock, its memory and its disk commands go on.
    pub pause: u32,
    /// A link goes down and comes back at once.
    pub flap: u32,
    /// A link goes down for a while.
    pub cut: u32,
    /// All power is lost.
    pub power: u32,
    /// The owner is told to give the volume back.
    pub giveback: u32,
    /// Some controller is told to take the volume over.
    pub takeover: u32,
    /// A controller is told to close, and is started again later.
    pub close: u32,
    /// A volume that was closed is opened again in the same life, not only after a restart.
    pub reopens: bool,
    /// The enclosure of a mirrored owner fails: it dies, and what is only in the disk's cache is gone.
    pub enclosure: u32,
    /// The path of a controller to the disk fails every command, for a while.
    pub hiccup: u32,
    /// Disk commands in a thousand that fail: not done, done all the same, or done later.
    pub disk_error: u32,
    /// Of the discards and write-zeroes that fail, some are done after they were said to have failed.
    pub late_failures: bool,
    /// From then on the disk refuses discards and write-zeroes, and can only be written; never: `u64::MAX`.
    pub refuses_from_ns: u64,
    /// Of what is asked of the disk's reservation, so much in a thousand is said to have failed: not done, done, or done
    /// later.
    pub errand_fails: u32,
    /// The target is started again, and forgets who was registered.
    pub forgets: u32,
    /// Messages in a thousand that get lost, as with an outbox that is full.
    pub message_loss: u32,
    /// Longest time that something stays broken, in nanoseconds.
    pub broken_ns: u64,
}

/// What a run consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// Faults at any time, several at once; then everything is mended.
    Storm,
    /// One fault at a time: the survivor must serve in time, and the pair must be mirrored again in time.
    Single,
    /// One situation, brought about on purpose; then the death that shows what became of it.
    Script(Script),
}

/// Situations that chance hardly ever finds: `plan::script` brings them about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Script {
    /// A link flaps between a post and its fence.
    LostPost,
    /// A block's older version is in the region of one link, its newer one in that of another, which dies.
    TwoRegions,
    /// The same, while both versions are being freed.
    FreedInTwo,
    /// A link dies under a write that is not on the disk; the record is narrowed.
    Narrowed,
    /// The owner stands still while its partner dies and comes back.
    Orphaned,
    /// A region is retired when only one of two copies has arrived elsewhere.
    HalfCopied,
    /// What was posted before a link went down arrives after it came back.
    LatePost,
    /// A region is retired with a version in it, and newer ones come and go in another.
    Retired,
    /// A region is granted again, with what the last grant has left in it, under the same epoch.
    Leftover,
    /// A log that is not on the disk is copied to a partner that came back.
    Rejoin,
    /// The owner dies when a header has arrived before its data.
    HeaderFirst,
    /// The same, with an older version of the block in the log.
    NewerTorn,
    /// Stores of several posts arrive in any order, and not all of them.
    HalfArrived,
    /// A write that reached nobody is in the disk's queue when its owner dies.
    Unproved,
    /// A `shadow` record lands after the partner has looked for the last time.
    LateShadow,
    /// A link is lost while the `shadow` record is in flight.
    Hasty,
    /// The owner dies while a write-zeroes is in the disk's queue.
    PassedDown,
    /// A survivor gives the volume back before the commands of the owner before are out of the disk's queue.
    Laundered,
    /// A write-zeroes, or a discard, of a dead owner lands when the survivor has read under it.
    UnderRead,
    /// A person forces a takeover from an owner that lives.
    Forced,
    /// The owner's path to the disk fails, and its links are whole.
    Pathless,
}

/// One kind of appliance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scenario {
    /// What a run consists of.
    pub plan: Plan,
    /// Volumes on the two controllers, up to [`VOLUMES_MAX`].
    ///
    /// [`VOLUMES_MAX`]: crate::world::beside::VOLUMES_MAX
    pub volumes: u8,
    /// Links between the controllers, 1 to 4.
    pub links: usize,
    /// Whether links latch: stay closed after a down until the handshake.
    pub latches: bool,
    /// Blocks of the volume.
    pub blocks: u32,
    /// Slots of each log.
    pub slots: u32,
    /// Entries not on the disk before writes have to wait.
    pub dirty_limit: u32,
    /// The disk has a volatile cache.
    pub volatile_cache: bool,
    /// The disk has reservations.
    pub reservations: bool,
    /// What its target does with the commands of one that is preempted.
    pub target: Kind,
    /// With reservations: writes in a thousand that are in their host's queue until they land.
    pub late: u32,
    /// After both memories were lost.
    pub power_loss: PowerLoss,
    /// L, in nanoseconds.
    pub link_lease_ns: u64,
    /// The disk lease, in nanoseconds.
    pub disk_lease_ns: u64,
    /// Stated bound on a disk command's life, in nanoseconds.
    pub io_life_ns: u64,
    /// L and the stated bound of the second controller, if its settings are others. The longer one is the true one.
    pub other_terms: Option<(u64, u64)>,
    /// How often one who waits looks at the disk, in nanoseconds.
    pub poll_ns: u64,
    /// Longest back-off after a withdrawn claim, in nanoseconds.
    pub backoff_ns: u64,
    /// How long a released volume waits for a claim, in nanoseconds.
    pub giveback_ns: u64,
    /// How long the disk of an owner may do nothing before it lets its partner take over; never: `NEVER_NS`.
    pub handover_ns: u64,
    /// Stated bound on the drift between two clocks, in parts per million.
    pub drift_ppm: u32,
    /// Longest disk command, in nanoseconds; up to `io_life_ns`.
    pub disk_slow_ns: u64,
    /// Disk commands in a thousand that take that long.
    pub disk_slow: u32,
    /// Longest time a posted store is under way, in nanoseconds.
    pub post_slow_ns: u64,
    /// Longest time between two steps of one thread, in nanoseconds.
    pub step_slow_ns: u64,
    /// Steps in a thousand that take that long.
    pub step_slow: u32,
    /// Longest time before the machine is asked for something to destage, in nanoseconds; 0: soon.
    pub lazy_ns: u64,
    /// Posts in a thousand at which two stores under way change places, as no bridge should let them.
    pub swaps: u32,
    /// Stores and copies are steps of their own, not one step for a whole request.
    pub fine: bool,
    /// A read of which something is on the disk is read from there as a whole, and what is in memory laid over it in the end;
    /// not each block from where it is.
    pub lays: bool,
    /// The blocks of the nodes are read by commands of their own, one before, one after whatever happens in between.
    pub apart_reads: bool,
    /// Node blocks go through their bytes.
    pub bytes: bool,
    /// What clients do.
    pub workload: Workload,
    /// What goes wrong.
    pub faults: Faults,
    /// How long it does, in nanoseconds.
    pub storm_ns: u64,
    /// The rules in force.
    pub guards: Guards,
}

impl Scenario {
    /// L and the stated bound on a disk command's life, as a controller has them set.
    pub fn terms_of(&self, at: u8) -> (u64, u64) {
        let own = (self.link_lease_ns, self.io_life_ns);
        self.other_terms.filter(|_| at == 1).unwrap_or(own)
    }

    /// The longer link lease of both, which counts.
    pub fn longest_link_lease_ns(&self) -> u64 {
        self.terms_of(0).0.max(self.terms_of(1).0)
    }

    /// The longest that any command lives.
    pub fn longest_io_life_ns(&self) -> u64 {
        self.terms_of(0).1.max(self.terms_of(1).1)
    }

    /// A small appliance with two links and nothing going wrong.
    pub const fn calm() -> Self {
        Scenario {
            plan: Plan::Storm,
            volumes: 1,
            links: 2,
            latches: true,
            blocks: 4,
            slots: 4,
            dirty_limit: 4,
            volatile_cache: false,
            reservations: false,
            target: Kind::Aborts,
            late: 0,
            power_loss: PowerLoss::Refuse,
            link_lease_ns: 50 * MS,
            disk_lease_ns: 200 * MS,
            io_life_ns: 100 * MS,
            other_terms: None,
            poll_ns: 20 * MS,
            backoff_ns: 20 * MS,
            giveback_ns: 500 * MS,
            handover_ns: NEVER_NS,
            drift_ppm: 500,
            disk_slow_ns: 20 * MS,
            disk_slow: 50,
            post_slow_ns: 200 * US,
            step_slow_ns: 10 * MS,
            step_slow: 10,
            lazy_ns: 0,
            swaps: 0,
            fine: false,
            lays: false,
            apart_reads: true,
            bytes: false,
            workload: Workload {
                read: 30,
                write: 60,
                fua: 0,
                flush: 0,
                discard: 0,
                zeroes: 0,
                blocks_max: 1,
                depth: 3,
                pause_ns: 20 * MS,
                stray: 20,
            },
            faults: Faults {
                every_ns: (50 * MS, 500 * MS),
                crash: 0,
                pause: 0,
                flap: 0,
                cut: 0,
                power: 0,
                giveback: 0,
                takeover: 0,
                close: 0,
                reopens: false,
                enclosure: 0,
                hiccup: 0,
                disk_error: 0,
                late_failures: false,
                refuses_from_ns: u64::MAX,
                errand_fails: 0,
                forgets: 0,
                message_loss: 0,
                broken_ns: 400 * MS,
            },
            storm_ns: 1000 * MS,
            guards: Guards::ALL,
        }
    }
}
