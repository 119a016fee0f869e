// SPDX-License-Identifier: GPL-2.0
//! Attribute files of configfs and sysfs: one value a file.

use crate::errno::explain;
use crate::output::Failure;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an open volume may be without its device.
const BETWEEN_DEVICES: Duration = Duration::from_secs(5);

/// Where the attribute trees are mounted.
#[derive(Debug, Clone)]
pub(crate) struct Roots {
    /// `/sys/kernel/config`.
    pub(crate) config: PathBuf,
    /// `/sys`.
    pub(crate) sys: PathBuf,
}

impl Roots {
    /// The mounted trees, or those below `YOKECTL_ROOT`, for tests and for looking at a collected copy of a machine.
    pub(crate) fn from_env() -> Self {
        let root = PathBuf::from(std::env::var_os("YOKECTL_ROOT").unwrap_or_else(|| "/".into()));
        Roots {
            config: root.join("sys/kernel/config"),
            sys: root.join("sys"),
        }
    }

    /// The configfs subsystem; an error with exit status 4 when yoke is not loaded.
    pub(crate) fn yoke(&self) -> Result<PathBuf, Failure> {
        let path = self.config.join("yoke");
        if path.is_dir() {
            return Ok(path);
        }
        if self.config.is_dir() && self.sys.join("module/yoke").is_dir() {
            return Err(Failure::absent(
                "configfs is not mounted",
                "mount -t configfs none /sys/kernel/config",
            ));
        }
        Err(Failure::absent(
            "the yoke module is not loaded",
            "insmod yoke.ko (and yoke_ntb.ko for NTB links)",
        ))
    }

    /// The configfs directory of a link or volume (`kind` is `links` or `volumes`).
    pub(crate) fn item(&self, kind: &str, name: &str) -> Result<PathBuf, Failure> {
        check_name(name)?;
        Ok(self.yoke()?.join(kind).join(name))
    }

    /// Directories below a sysfs class, sorted by name; none when the class does not exist.
    pub(crate) fn class(&self, class: &str) -> Vec<PathBuf> {
        list(&self.sys.join("class").join(class))
    }

    /// The `/sys/block/yokeN/yoke` directories, sorted.
    pub(crate) fn volumes(&self) -> Vec<PathBuf> {
        list(&self.sys.join("block"))
            .into_iter()
            .map(|disk| disk.join("yoke"))
            .filter(|dir| dir.join("name").is_file())
            .collect()
    }

    /// The sysfs directory of the volume called `name`, when it is open. When it has to give up a device that somebody
    /// had open, it has none for a moment (docs/openers.md); that is waited for.
    pub(crate) fn volume(&self, name: &str) -> Option<PathBuf> {
        let until = Instant::now() + BETWEEN_DEVICES;
        loop {
            let found = self
                .volumes()
                .into_iter()
                .find(|dir| read(dir, "name") == name);
            let configured = self.config.join("yoke/volumes").join(name);
            if found.is_some() || read(&configured, "enable") != "1" || Instant::now() > until {
                return found;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Names of links and volumes, as docs/abi.md has them; they become one path component.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if (1..=31).contains(&name.len()) && name.chars().all(good) && !name.starts_with('.') {
        return Ok(());
    }
    Err(Failure::usage(
        format!("{name:?} is not a name"),
        "use 1 to 31 of letters, digits, '_', '.', '-', not beginning with '.'",
    ))
}

/// The value of `dir/file` without its newline; empty when there is none.
pub(crate) fn read(dir: &Path, file: &str) -> String {
    fs::read_to_string(dir.join(file))
        .map(|text| text.trim_end().to_string())
        .unwrap_or_default()
}

/// The number in `dir/file`; 0 when there is none.
pub(crate) fn read_u64(dir: &Path, file: &str) -> u64 {
    read(dir, file).parse().unwrap_or(0)
}

/// Write one attribute. The error names the attribute and what its errno means there.
pub(crate) fn write(dir: &Path, file: &str, value: &str) -> Result<(), Failure> {
    try_write(dir, file, value).map_err(|error| {
        Failure::refused(
            format!("{file} = {value} was refused: {}", explain(file, &error)),
            "the kernel log (dmesg | grep yoke) has the details; nothing was changed by this step",
        )
    })
}

/// As [`write()`], for those who know better what an errno means.
pub(crate) fn try_write(dir: &Path, file: &str, value: &str) -> io::Result<()> {
    fs::write(dir.join(file), format!("{value}\n"))
}

/// Make a configfs directory; the flag says whether it is new.
pub(crate) fn make_dir(dir: &Path) -> Result<(), Failure> {
    fs::create_dir(dir).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::refused(
            format!("{} exists already", tail(dir)),
            "remove it first, or choose another name",
        ),
        _ => Failure::refused(
            format!("cannot make {}: {}", tail(dir), explain("mkdir", &error)),
            "are you root, and is there room for one more (docs/abi.md)?",
        ),
    })
}

/// Remove a configfs directory.
pub(crate) fn remove_dir(dir: &Path) -> Result<(), Failure> {
    fs::remove_dir(dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::refused(
            format!("there is no {}", tail(dir)),
            "yokectl status lists what there is",
        ),
        _ => Failure::refused(
            format!("cannot remove {}: {}", tail(dir), explain("rmdir", &error)),
            "close what uses it first",
        ),
    })
}

fn tail(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let kind = dir
        .parent()
        .and_then(Path::file_name)
        .unwrap_or_default()
        .to_string_lossy();
    format!("{} {name}", kind.trim_end_matches('s'))
}

fn list(dir: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir)
        .map(|all| all.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    entries.sort();
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_path_component() {
        for bad in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(32)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "vol0", "x".repeat(31).as_str(), "A.b-c_d"] {
            assert!(check_name(good).is_ok(), "{good:?}");
        }
    }
}
