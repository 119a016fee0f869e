// SPDX-License-Identifier: GPL-2.0
//! `yokectl link`: add, remove, list.

use crate::attr::{self, Roots};
use crate::cli::LinkAddArgs;
use crate::output::{self, Failure};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// A link as sysfs shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) interconnect: String,
    pub(crate) device: String,
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) peer: String,
    pub(crate) down_count: u64,
    pub(crate) latency_us: u64,
}

/// All links of this controller.
pub(crate) fn all(roots: &Roots) -> Vec<Link> {
    roots
        .class("yoke_link")
        .iter()
        .map(|dir| from_dir(dir))
        .collect()
}

fn from_dir(dir: &Path) -> Link {
    Link {
        name: dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        interconnect: attr::read(dir, "interconnect"),
        device: attr::read(dir, "device"),
        state: attr::read(dir, "state"),
        reason: attr::read(dir, "reason"),
        peer: attr::read(dir, "peer"),
        down_count: attr::read_u64(dir, "down_count"),
        latency_us: attr::read_u64(dir, "latency_us"),
    }
}

/// Make, set and enable a link; when a step is refused, nothing of it stays.
pub(crate) fn add(roots: &Roots, args: &LinkAddArgs, json: bool) -> anyhow::Result<ExitCode> {
    let dir = roots.item("links", &args.name)?;
    attr::make_dir(&dir)?;
    let set = || -> Result<(), Failure> {
        attr::write(&dir, "interconnect", &args.interconnect)?;
        attr::write(&dir, "device", &args.device)?;
        attr::write(&dir, "enable", "1")
    };
    if let Err(failure) = set() {
        attr::remove_dir(&dir)?;
        return Err(failure.undone("the link was not added").into());
    }
    Ok(output::done(&format!("link {} added", args.name), json))
}

/// Disable and remove a link.
pub(crate) fn remove(roots: &Roots, name: &str, json: bool) -> anyhow::Result<ExitCode> {
    attr::remove_dir(&roots.item("links", name)?)?;
    Ok(output::done(&format!("link {name} removed"), json))
}

/// List links.
pub(crate) fn list(roots: &Roots, json: bool) -> anyhow::Result<ExitCode> {
    roots.yoke()?;
    let links = all(roots);
    if json {
        output::print_json(&links);
    } else {
        print(&links);
    }
    Ok(ExitCode::SUCCESS)
}

/// Print links as a table.
pub(crate) fn print(links: &[Link]) {
    let row = |link: &Link| {
        vec![
            link.name.clone(),
            link.interconnect.clone(),
            link.device.clone(),
            link.state.clone(),
            link.peer.clone(),
            format!("{} us", link.latency_us),
            link.down_count.to_string(),
            link.reason.clone(),
        ]
    };
    output::table(
        &[
            "LINK", "KIND", "DEVICE", "STATE", "PEER", "LATENCY", "DOWNS", "REASON",
        ],
        &links.iter().map(row).collect::<Vec<_>>(),
    );
}
