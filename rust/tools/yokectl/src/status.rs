// SPDX-License-Identifier: GPL-2.0
//! `yokectl status` and `yokectl node`: who we are, and how we are.

use crate::attr::{self, Roots};
use crate::cli::NodeArgs;
use crate::link::{self, Link};
use crate::output;
use crate::volume::{self, Volume};
use serde::Serialize;
use std::process::ExitCode;

/// A peer as sysfs shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Peer {
    pub(crate) node: String,
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) incarnation: String,
    pub(crate) links: Vec<String>,
}

/// Everything that `status` shows.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    pub(crate) appliance: String,
    pub(crate) node: String,
    pub(crate) degraded: Vec<String>,
    pub(crate) links: Vec<Link>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) volumes: Vec<Volume>,
}

/// Read it all.
pub(crate) fn gather(roots: &Roots) -> Result<Status, output::Failure> {
    let yoke = roots.yoke()?;
    let mut status = Status {
        appliance: attr::read(&yoke, "appliance"),
        node: attr::read(&yoke, "node"),
        degraded: Vec::new(),
        links: link::all(roots),
        peers: peers(roots),
        volumes: volume::all(roots),
    };
    status.degraded = degraded(&status);
    Ok(status)
}

fn peers(roots: &Roots) -> Vec<Peer> {
    let from_dir = |dir: &std::path::PathBuf| Peer {
        node: dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        state: attr::read(dir, "state"),
        reason: attr::read(dir, "reason"),
        incarnation: attr::read(dir, "incarnation"),
        links: attr::read(dir, "links")
            .split_whitespace()
            .map(str::to_string)
            .collect(),
    };
    roots.class("yoke_peer").iter().map(from_dir).collect()
}

/// What keeps this pair from surviving the next failure, a sentence each.
fn degraded(status: &Status) -> Vec<String> {
    let mut all = Vec::new();
    for link in status.links.iter().filter(|link| link.state != "up") {
        all.push(format!(
            "link {} is {}: {}",
            link.name, link.state, link.reason
        ));
    }
    for peer in status.peers.iter().filter(|peer| peer.state != "ready") {
        all.push(format!(
            "peer {} is {}: {}",
            peer.node, peer.state, peer.reason
        ));
    }
    for volume in &status.volumes {
        if let Some(weakness) = volume.weakness() {
            all.push(format!("volume {} {weakness}", volume.name));
        }
    }
    all
}

/// `yokectl status`: exit status 3 when something is degraded.
pub(crate) fn command(roots: &Roots, json: bool) -> anyhow::Result<ExitCode> {
    let status = gather(roots)?;
    if json {
        output::print_json(&status);
    } else {
        print(&status);
    }
    Ok(if status.degraded.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(output::EXIT_DEGRADED)
    })
}

fn print(status: &Status) {
    println!("appliance {}  node {}\n", status.appliance, status.node);
    link::print(&status.links);
    println!();
    let row = |peer: &Peer| {
        vec![
            peer.node.clone(),
            peer.state.clone(),
            peer.incarnation.clone(),
            peer.links.join(" "),
            peer.reason.clone(),
        ]
    };
    output::table(
        &["PEER", "SESSION", "INCARNATION", "LINKS", "REASON"],
        &status.peers.iter().map(row).collect::<Vec<_>>(),
    );
    println!();
    volume::print(&status.volumes);
    if !status.degraded.is_empty() {
        println!("\nDEGRADED:");
        status.degraded.iter().for_each(|line| println!("  {line}"));
    }
}

/// `yokectl node`: set who this controller is.
pub(crate) fn configure(roots: &Roots, args: &NodeArgs, json: bool) -> anyhow::Result<ExitCode> {
    let yoke = roots.yoke()?;
    attr::write(&yoke, "appliance", &args.appliance.to_string())?;
    attr::write(&yoke, "node", &args.node.to_string())?;
    let beats = [
        ("beat_interval_us", args.beat_interval_us),
        ("beats_missed", args.beats_missed),
    ];
    for (file, value) in beats {
        if let Some(value) = value {
            attr::write(&yoke, file, &value.to_string())?;
        }
    }
    Ok(output::done(
        &format!("this is node {} of appliance {}", args.node, args.appliance),
        json,
    ))
}
