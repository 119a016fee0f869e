// SPDX-License-Identifier: GPL-2.0
//! The command line: what a person can say.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use uuid::Uuid;

/// Administer the yoke of this controller.
///
/// Exit status: 0 done; 1 refused or failed; 2 wrong usage; 3 done, and something is degraded; 4 yoke is not loaded.
#[derive(Parser, Debug)]
#[command(name = "yokectl", version, propagate_version = true)]
pub(crate) struct Cli {
    /// Print JSON for a program instead of text for a person.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One subcommand each.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Show links, sessions and volumes, and whether a takeover would work right now.
    Status,
    /// Say who this controller is: its appliance and node number.
    Node(NodeArgs),
    /// Add, remove and list links.
    #[command(subcommand)]
    Link(LinkCommand),
    /// Create, open, close and list volumes.
    #[command(subcommand)]
    Volume(VolumeCommand),
    /// Make this controller the owner of a volume.
    Takeover(OwnershipArgs),
    /// Give a volume that this controller owns to its partner; refused while somebody holds its disk here. One that takes
    /// too long is taken back.
    Giveback(GivebackArgs),
    /// Follow state changes as they happen.
    Events {
        /// Stop after so many events.
        #[arg(long)]
        count: Option<u64>,
    },
    /// Look for what is wrong, and say what to do.
    Doctor,
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the man page.
    Man,
}

/// Who this controller is.
#[derive(Args, Debug)]
pub(crate) struct NodeArgs {
    /// The appliance's uuid; the same on all its controllers.
    #[arg(long)]
    pub(crate) appliance: Uuid,
    /// This controller's number.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..64))]
    pub(crate) node: u8,
    /// How often links send a heartbeat, in microseconds.
    #[arg(long, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    pub(crate) beat_interval_us: Option<u32>,
    /// After how many missing heartbeats a link is down.
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) beats_missed: Option<u32>,
}

/// What can be done to links.
#[derive(Subcommand, Debug)]
pub(crate) enum LinkCommand {
    /// Add a link and enable it.
    Add(LinkAddArgs),
    /// Disable a link and remove it.
    Remove {
        /// The link's name.
        name: String,
    },
    /// List links with their state.
    List,
}

/// A new link.
#[derive(Args, Debug)]
pub(crate) struct LinkAddArgs {
    /// A name of 1 to 31 of [A-Za-z0-9_.-].
    pub(crate) name: String,
    /// The kind of link: ntb or loopback.
    #[arg(long, default_value = "ntb")]
    pub(crate) interconnect: String,
    /// The device; for ntb a name in /sys/bus/ntb/devices.
    #[arg(long)]
    pub(crate) device: String,
}

/// What can be done to volumes.
#[derive(Subcommand, Debug)]
pub(crate) enum VolumeCommand {
    /// Write a new volume's superblock on a shared disk.
    Create(VolumeCreateArgs),
    /// Open a volume on this controller.
    Open(VolumeOpenArgs),
    /// Close a volume on this controller.
    Close {
        /// The volume's name.
        name: String,
        /// Lose acknowledged writes that only this controller's memory has: for a disk that is dead for good.
        #[arg(long)]
        abandon: bool,
    },
    /// Give up blocks whose only copy is corrupt: from then on they read as the disk has them, which may be old.
    ForgetCorrupt {
        /// The volume's name.
        name: String,
        /// How many there are (corrupt_blocks in `yokectl --json volume list`), so that no more are given up than you know of.
        #[arg(long)]
        blocks: u64,
    },
    /// List open volumes.
    List,
}

/// A new volume.
#[derive(Args, Debug)]
pub(crate) struct VolumeCreateArgs {
    /// The volume's name.
    pub(crate) name: String,
    /// The shared disk.
    #[arg(long)]
    pub(crate) device: PathBuf,
    /// The appliance that it shall belong to; by default that of this controller (yokectl node).
    #[arg(long)]
    pub(crate) appliance: Option<Uuid>,
    /// Overwrite whatever the disk holds, but for a volume that somebody serves at this moment: takes two leases to see.
    #[arg(long)]
    pub(crate) force: bool,
    /// With --force: also a volume whose acknowledged writes may be in the memories of two controllers. If these live, it
    /// is destroyed under them.
    #[arg(long, requires = "force")]
    pub(crate) discard_shadow: bool,
}

/// A volume to open.
#[derive(Args, Debug)]
pub(crate) struct VolumeOpenArgs {
    /// The volume's name.
    pub(crate) name: String,
    /// The shared disk.
    #[arg(long)]
    pub(crate) device: PathBuf,
    /// The node that claims the volume when nobody owns it.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..64))]
    pub(crate) home: Option<u32>,
    /// Log slots of 4 KiB.
    #[arg(long, value_parser = clap::value_parser!(u32).range(64..=65536))]
    pub(crate) slots: Option<u32>,
    /// Bound on the life of a command in the disk's queue, in milliseconds.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=600_000))]
    pub(crate) t_io_ms: Option<u32>,
    /// How much longer than that a read or write may wait before it is answered with an error, in
    /// milliseconds.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1_000..=600_000))]
    pub(crate) patience_ms: Option<u32>,
    /// How long a good fence is a right to answer, in milliseconds; a takeover waits for it.
    #[arg(long, value_parser = clap::value_parser!(u32).range(5..=10_000))]
    pub(crate) link_lease_ms: Option<u32>,
    /// How long a renewed lease on the disk is a right to answer, in milliseconds.
    #[arg(long, value_parser = clap::value_parser!(u32).range(50..=60_000))]
    pub(crate) disk_lease_ms: Option<u32>,
    /// How long this controller's disk may do nothing of what it is asked, as an owner, before the other one takes over, if its
    /// disk is well, in milliseconds; 0: never.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=600_000))]
    pub(crate) handover_ms: Option<u32>,
    /// What to do after both memories are lost: refuse or start-from-disk.
    #[arg(long)]
    pub(crate) power_loss: Option<String>,
    /// Who opens the disk keeps nothing of what it reads, as a target's export: it survives a change of the owner.
    #[arg(long)]
    pub(crate) stateless: bool,
}

/// A change of owner.
#[derive(Args, Debug)]
pub(crate) struct OwnershipArgs {
    /// The volume's name.
    pub(crate) name: String,
    /// Say whether it would work, and why not; change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Longest wait for it to finish, in seconds.
    #[arg(long, default_value_t = 60)]
    pub(crate) timeout: u64,
}

/// A giveback.
#[derive(Args, Debug)]
pub(crate) struct GivebackArgs {
    #[command(flatten)]
    pub(crate) ownership: OwnershipArgs,
    /// Although somebody holds the disk: what they have written is kept, and from then on they get errors for good.
    #[arg(long)]
    pub(crate) force: bool,
    /// Take back a giveback, or a close, that is not done yet: this controller goes on serving.
    #[arg(long, conflicts_with_all = ["force", "dry_run"])]
    pub(crate) abort: bool,
}
