// SPDX-License-Identifier: GPL-2.0
//! `yokectl volume`: open, close, list. (`create` is in format.rs.)

use crate::alive;
use crate::attr::{self, Roots};
use crate::cli::VolumeOpenArgs;
use crate::output::{self, Failure};
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// An open volume as sysfs shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) disk: String,
    pub(crate) device: String,
    pub(crate) role: String,
    pub(crate) state: String,
    pub(crate) owner: String,
    pub(crate) generation: u64,
    pub(crate) mirror: bool,
    pub(crate) dirty_blocks: u64,
    pub(crate) adopted_blocks: u64,
    pub(crate) corrupt_blocks: u64,
    pub(crate) slots: u64,
    pub(crate) slots_free: u64,
    pub(crate) stateless: bool,
    pub(crate) takeover_possible: bool,
    pub(crate) takeover_reason: String,
    /// `at once: WHY` or `after MS ms: WHY`: when whoever took over would write.
    pub(crate) takeover_writes: String,
    pub(crate) reservation: String,
    pub(crate) reservation_holder: String,
    /// How often this controller has registered itself since the volume was opened.
    pub(crate) registrations: u64,
    pub(crate) dropped: u64,
    pub(crate) reason: String,
}

impl Volume {
    /// That a takeover is possible, and when whoever took over would write.
    fn takeover_in_words(&self) -> String {
        match self.takeover_writes.split_once(": ") {
            Some((when, _)) => format!("yes, writes {when}"),
            None => "yes".into(),
        }
    }

    /// What of it would not survive the next failure, or costs speed until it is mended; a sentence.
    pub(crate) fn weakness(&self) -> Option<String> {
        if !self.takeover_possible {
            let why = &self.takeover_reason;
            let here = Some(&self.reason).filter(|reason| !reason.is_empty() && *reason != why);
            let here = here.map_or_else(String::new, |reason| format!("; here: {reason}"));
            return Some(format!("could not be taken over now: {why}{here}"));
        }
        (self.role == "owner" && !self.mirror)
            .then(|| format!("is {}, not mirrored: {}", self.state, self.reason))
    }
}

/// One line of `stats`, which are `NAME VALUE`; 0 if it is not there.
fn counter(stats: &str, name: &str) -> u64 {
    let values = stats.lines().filter_map(|line| line.split_once(' '));
    let mut named = values.filter(|(word, _)| *word == name);
    named
        .next()
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

/// All open volumes of this controller.
pub(crate) fn all(roots: &Roots) -> Vec<Volume> {
    roots.volumes().iter().map(|dir| from_dir(dir)).collect()
}

/// One volume from its `/sys/block/yokeN/yoke` directory.
pub(crate) fn from_dir(dir: &Path) -> Volume {
    let takeover = attr::read(dir, "takeover_possible");
    let stats = attr::read(dir, "stats");
    let disk = dir
        .parent()
        .and_then(Path::file_name)
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Volume {
        name: attr::read(dir, "name"),
        disk,
        device: attr::read(dir, "device"),
        role: attr::read(dir, "role"),
        state: attr::read(dir, "state"),
        owner: attr::read(dir, "owner"),
        generation: attr::read_u64(dir, "generation"),
        mirror: attr::read(dir, "mirror") == "yes",
        dirty_blocks: attr::read_u64(dir, "dirty_blocks"),
        adopted_blocks: attr::read_u64(dir, "adopted_blocks"),
        corrupt_blocks: attr::read_u64(dir, "corrupt_blocks"),
        slots: attr::read_u64(dir, "slots"),
        slots_free: attr::read_u64(dir, "slots_free"),
        stateless: attr::read(dir, "stateless") == "yes",
        takeover_possible: takeover == "yes",
        takeover_reason: takeover
            .strip_prefix("no: ")
            .unwrap_or_default()
            .to_string(),
        takeover_writes: attr::read(dir, "takeover_writes"),
        reservation: attr::read(dir, "reservation"),
        reservation_holder: attr::read(dir, "reservation_holder"),
        registrations: counter(&stats, "registrations"),
        dropped: counter(&stats, "dropped"),
        reason: attr::read(dir, "reason"),
    }
}

/// Refuses times that are given in so many words and are shorter than what the volume's owner has promised: the longer
/// one counts for both, so these would never hold. Nothing is said where the disk cannot be read: opening it will.
fn check_promise(roots: &Roots, args: &VolumeOpenArgs) -> Result<(), Failure> {
    // Past this machine's cache: the owner writes its record elsewhere.
    let flags = OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    let disk = rustix::fs::open(&args.device, flags, Mode::empty());
    let owner = disk
        .ok()
        .and_then(|disk| alive::promised(&disk.into()).ok().flatten());
    let Some((owner, terms)) = owner else {
        return Ok(());
    };
    let here = attr::read(&roots.yoke()?, "node");
    if here == owner.get().to_string() {
        return Ok(());
    }
    let given = [
        ("--link-lease-ms", args.link_lease_ms, terms.link_lease_ns()),
        ("--t-io-ms", args.t_io_ms, terms.io_life_ns()),
    ];
    for (option, ms, promised_ns) in given {
        let promised_ms = promised_ns.div_ceil(1_000_000);
        if ms.is_some_and(|ms| u64::from(ms) < promised_ms) {
            return Err(Failure::refused(
                format!(
                    "{option} is shorter than the {promised_ms} ms that the volume's owner, {owner}, has promised"
                ),
                format!("give {promised_ms}, or leave {option} out: the longer one of both controllers counts"),
            ));
        }
    }
    Ok(())
}

/// Make, set and enable a volume; when a step is refused, nothing of it stays.
pub(crate) fn open(roots: &Roots, args: &VolumeOpenArgs, json: bool) -> anyhow::Result<ExitCode> {
    let dir = roots.item("volumes", &args.name)?;
    let device = args.device.to_string_lossy();
    let number = |value: Option<u32>| value.map(|v| v.to_string());
    let optional = [
        ("home", number(args.home)),
        ("slots", number(args.slots)),
        ("t_io_ms", number(args.t_io_ms)),
        ("patience_ms", number(args.patience_ms)),
        ("link_lease_ms", number(args.link_lease_ms)),
        ("disk_lease_ms", number(args.disk_lease_ms)),
        ("handover_ms", number(args.handover_ms)),
        ("power_loss", args.power_loss.clone()),
        ("stateless", args.stateless.then(|| "1".to_string())),
    ];
    check_promise(roots, args)?;
    attr::make_dir(&dir)?;
    let set = || -> Result<(), Failure> {
        attr::write(&dir, "device", &device)?;
        for (file, value) in &optional {
            if let Some(value) = value {
                attr::write(&dir, file, value)?;
            }
        }
        attr::write(&dir, "enable", "1")
    };
    if let Err(failure) = set() {
        attr::remove_dir(&dir)?;
        return Err(failure.undone("the volume was not opened").into());
    }
    let disk = roots
        .volume(&args.name)
        .map(|dir| from_dir(&dir).disk)
        .unwrap_or_default();
    Ok(output::done(
        &format!("volume {} is open as /dev/{disk}", args.name),
        json,
    ))
}

/// Close a volume; refused while it is in use, and while it has the only copy of something, unless that is abandoned.
pub(crate) fn close(
    roots: &Roots,
    name: &str,
    abandon: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let dir = roots.item("volumes", name)?;
    if !dir.is_dir() {
        return Err(Failure::refused(
            format!("there is no volume {name} here"),
            "yokectl volume list shows the open ones",
        )
        .into());
    }
    if attr::read(&dir, "enable") == "1" {
        let (file, word) = if abandon {
            ("command", "abandon")
        } else {
            ("enable", "0")
        };
        attr::write(&dir, file, word)?;
    }
    attr::remove_dir(&dir)?;
    Ok(output::done(&format!("volume {name} is closed"), json))
}

/// Give up what is corrupt, if it is as much as the caller knows of.
pub(crate) fn forget_corrupt(
    roots: &Roots,
    name: &str,
    blocks: u64,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let dir = roots.item("volumes", name)?;
    let Some(open) = roots.volume(name).map(|dir| from_dir(&dir)) else {
        return Err(Failure::refused(
            format!("there is no open volume {name} here"),
            "yokectl volume list shows the open ones",
        )
        .into());
    };
    if open.corrupt_blocks != blocks || blocks == 0 {
        return Err(Failure::refused(
            format!("volume {name} has {} corrupt blocks, not {blocks}; nothing was changed", open.corrupt_blocks),
            "look at what is lost first: reads of these blocks fail, and a new write of a block mends it",
        )
        .into());
    }
    attr::write(&dir, "command", "forget-corrupt")?;
    Ok(output::done(
        &format!("volume {name}: {blocks} corrupt blocks are given up"),
        json,
    ))
}

/// List open volumes.
pub(crate) fn list(roots: &Roots, json: bool) -> anyhow::Result<ExitCode> {
    roots.yoke()?;
    let volumes = all(roots);
    if json {
        output::print_json(&volumes);
    } else {
        print(&volumes);
    }
    Ok(ExitCode::SUCCESS)
}

/// Print volumes as a table.
pub(crate) fn print(volumes: &[Volume]) {
    let row = |v: &Volume| {
        vec![
            v.name.clone(),
            format!("/dev/{}", v.disk),
            v.role.clone(),
            v.state.clone(),
            v.owner.clone(),
            v.generation.to_string(),
            v.dirty_blocks.to_string(),
            if v.takeover_possible {
                v.takeover_in_words()
            } else {
                format!("no: {}", v.takeover_reason)
            },
            v.reason.clone(),
        ]
    };
    output::table(
        &[
            "VOLUME", "DISK", "ROLE", "STATE", "OWNER", "GEN", "DIRTY", "TAKEOVER", "REASON",
        ],
        &volumes.iter().map(row).collect::<Vec<_>>(),
    );
}
