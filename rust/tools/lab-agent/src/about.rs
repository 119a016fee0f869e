// SPDX-License-Identifier: GPL-2.0
//! What the lab tells a machine, and how the machine talks back through the kernel log.

use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Where the lab's words are mounted.
pub(crate) const LAB: &str = "/run/lab";

/// A network card of the machine.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Card {
    /// Its hardware address.
    pub(crate) mac: String,
    /// Its IPv4 address, in a /24.
    pub(crate) address: String,
}

/// A machine that this one can reach by name.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Host {
    /// Where it is.
    pub(crate) address: String,
    /// How it is called.
    pub(crate) name: String,
}

/// `node.json`, written by the lab for each boot.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct About {
    /// Number among the machines of the lab; of a controller, its node number.
    pub(crate) node: u16,
    /// Name of the machine, and host name.
    pub(crate) name: String,
    /// Name of the other controller; of a machine that is none, empty.
    pub(crate) peer: String,
    /// Its network cards.
    pub(crate) cards: Vec<Card>,
    /// Who is there, itself too.
    pub(crate) hosts: Vec<Host>,
    /// TCP port of the agent.
    pub(crate) agent_port: u16,
    /// Where the tree is.
    pub(crate) tree: String,
}

impl About {
    /// Reads it.
    pub(crate) fn read() -> Result<Self> {
        let path = format!("{LAB}/node.json");
        let text = fs::read(&path).with_context(|| format!("cannot read {path}"))?;
        serde_json::from_slice(&text).with_context(|| format!("{path} makes no sense"))
    }
}

/// The secret that a client must know.
pub(crate) fn token() -> Result<String> {
    let path = format!("{LAB}/token");
    Ok(fs::read_to_string(&path)
        .with_context(|| format!("cannot read {path}"))?
        .trim()
        .to_owned())
}

/// Writes a line to the kernel log, which is the console. The lab looks for some of these lines.
pub(crate) fn log(text: &str) {
    // There is nowhere else to complain.
    let _ = fs::write("/dev/kmsg", format!("yoke-lab: {text}\n"));
}
