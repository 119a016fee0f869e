// SPDX-License-Identifier: GPL-2.0
//! Who holds a disk on this controller: mounts, swap, devices on top of it, processes.

use crate::attr::{self, Roots};
use std::fs;
use std::path::Path;

/// Those who hold `/dev/DISK`, a phrase each. Empty: nobody whom user space can name, or nobody at all.
pub(crate) fn of(roots: &Roots, disk: &str) -> Vec<String> {
    let proc = roots.sys.with_file_name("proc");
    let block = roots.sys.join("block").join(disk);
    let mut all = mounts(&proc, &attr::read(&block, "dev"));
    all.extend(swap(&proc, disk));
    all.extend(devices(&block));
    all.extend(processes(&proc, disk));
    all
}

/// Mounts of the device `MAJOR:MINOR`.
fn mounts(proc: &Path, dev: &str) -> Vec<String> {
    // ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAGS...] - TYPE SOURCE OPTIONS
    attr::read(proc, "self/mountinfo")
        .lines()
        .filter_map(|line| {
            let (mount, kind) = line.split_once(" - ")?;
            let mut words = mount.split(' ');
            let ours = words.nth(2)? == dev;
            let place = words.nth(1)?;
            let kind = kind.split(' ').next()?;
            ours.then(|| format!("mounted on {place} ({kind})"))
        })
        .collect()
}

fn swap(proc: &Path, disk: &str) -> Option<String> {
    let device = format!("/dev/{disk}");
    attr::read(proc, "swaps")
        .lines()
        .any(|line| line.split_whitespace().next() == Some(&device))
        .then(|| "used as swap".to_string())
}

/// Devices on top of it: dm, md.
fn devices(block: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(block.join("holders")) else {
        return Vec::new();
    };
    let mut all: Vec<String> = entries
        .flatten()
        .map(|entry| format!("held by {}", entry.file_name().to_string_lossy()))
        .collect();
    all.sort();
    all
}

/// Processes that have it open. One whose device died has another one open, of which the link says `(deleted)`.
fn processes(proc: &Path, disk: &str) -> Vec<String> {
    let device = Path::new("/dev").join(disk);
    let mut pids: Vec<u32> = fs::read_dir(proc)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    let has_it = |pid: &u32| {
        fs::read_dir(proc.join(pid.to_string()).join("fd"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == device))
    };
    pids.into_iter()
        .filter(has_it)
        .map(|pid| {
            let name = attr::read(&proc.join(pid.to_string()), "comm");
            format!("open in process {pid} ({name})")
        })
        .collect()
}
