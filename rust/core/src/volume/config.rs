// SPDX-License-Identifier: GPL-2.0
//! What a volume is told once, when it is opened.

use crate::ids::{Incarnation, NodeId, Uuid};
use crate::terms::Terms;

/// The most blocks that one I/O, or one destage run, may have. The environment splits what is longer.
pub const BLOCKS_MAX: usize = 64;

/// For [`Config::handover_ns`]: an owner keeps the volume, whatever becomes of its disk.
pub const NEVER_NS: u64 = u64::MAX;

/// What to do when the acknowledged data was in two memories and both are gone (PROTOCOL P11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PowerLoss {
    /// Refuse to serve, and say why.
    Refuse,
    /// Serve what the disk has, loudly, once owner and holder are both proved dead.
    StartFromDisk,
}

/// The settings of one volume on one controller. They hold until it is closed. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The volume: stands in every slot header and message.
    pub volume: Uuid,
    /// This controller.
    pub node: NodeId,
    /// This life of this controller.
    pub incarnation: Incarnation,
    /// The controller that mirrors for this one, and the other way round.
    pub partner: NodeId,
    /// Length of the volume in blocks of 4096 bytes.
    pub blocks: u64,
    /// Slots of the own log, and of each region of the partner: 1 to 65,536.
    pub slots: u32,
    /// More entries than this that are not on the disk park new writes; 1 to `slots`. Bounds every stall that has to
    /// empty the log.
    pub dirty_limit: u32,
    /// L: how long a good fence read is a right to answer. The longer one of both controllers counts.
    pub link_lease_ns: u64,
    /// How long a renewal of the disk lease is a right to answer, at least; a whole number of milliseconds, at least 3.
    /// Where the disk is slow it gets longer, up to eight times T_io.
    pub disk_lease_ns: u64,
    /// T_io: the longest life of a command in the disk's queue, from its issue. The longer one of both counts.
    pub io_life_ns: u64,
    /// How far the clocks of two controllers may drift apart, in parts per million.
    pub drift_ppm: u32,
    /// How often one who waits reads the node blocks; the wait after a failed disk command.
    pub poll_ns: u64,
    /// The longest random back-off after a withdrawn claim.
    pub backoff_ns: u64,
    /// How long a released volume may stay unclaimed before this controller, which released it, takes it back.
    pub giveback_ns: u64,
    /// How long the disk may do nothing of what it is asked before a mirrored owner lets its partner take over, if that one's
    /// disk is well; never before a disk lease. [`NEVER_NS`]: it never does.
    pub handover_ns: u64,
    /// The disk has a volatile cache.
    pub volatile_cache: bool,
    /// The disk has persistent reservations, as far as it is known: [`super::Action::Reserve`] is carried out.
    pub reservations: bool,
    /// What to do after a total power loss.
    pub power_loss: PowerLoss,
    /// Take over without being told when the owner is dead and the rules allow it.
    pub auto_takeover: bool,
    /// I/O that comes in while nobody knows whether the owner lives waits for that; otherwise it fails at once, which is
    /// what a path to another controller is for.
    pub waits_in_doubt: bool,
    /// Claim a released volume without being told.
    pub home: bool,
    /// A random number, never used before by this controller. Epochs and back-offs are derived from it.
    pub seed: u64,
}

impl Config {
    /// `time` by a clock that may be the fastest, against one that may be the slowest: what one must wait on the own
    /// clock so that `time` has certainly passed on the other's.
    pub(crate) fn stretch(&self, time: u64) -> u64 {
        // In two parts: a kernel has no division of 128 bits.
        let ppm = u64::from(self.drift_ppm);
        let whole = (time / 1_000_000).saturating_mul(ppm);
        let rest = (time % 1_000_000).saturating_mul(ppm) / 1_000_000;
        time.saturating_add(whole)
            .saturating_add(rest)
            .saturating_add(1)
    }

    /// Whether an owner whose disk fails it lets its partner take over.
    pub(crate) fn hands_over(&self) -> bool {
        self.handover_ns != NEVER_NS
    }

    /// The times that are to be agreed on with the partner.
    pub fn terms(&self) -> Terms {
        Terms::new(self.link_lease_ns, self.io_life_ns)
    }

    /// Whether the settings can work.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.node == self.partner {
            return Err("a controller cannot be its own partner");
        }
        if self.blocks == 0 {
            return Err("the volume has no blocks");
        }
        if self.slots == 0 || self.slots > 65_536 {
            return Err("the log has 1 to 65,536 slots");
        }
        if self.dirty_limit == 0 || self.dirty_limit > self.slots {
            return Err("the dirty limit is 1 to the number of slots");
        }
        if self.disk_lease_ns < 3_000_000 || self.disk_lease_ns % 1_000_000 != 0 {
            return Err("the disk lease is a whole number of milliseconds, at least 3");
        }
        if self.disk_lease_ns / 1_000_000 > u64::from(u32::MAX) {
            return Err("the disk lease is too long");
        }
        if self.link_lease_ns == 0 || self.poll_ns == 0 {
            return Err("link lease and poll time are at least 1");
        }
        Ok(())
    }
}
