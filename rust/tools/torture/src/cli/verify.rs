// SPDX-License-Identifier: GPL-2.0
//! `yoke-torture verify`.

use std::path::PathBuf;

use anyhow::{bail, Result};
use clap::Args;
use yoke_torture::history::Rule;
use yoke_torture::verify::{verify, Chain, Observer};
use yoke_torture::volume::PathVolume;

#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// The volume.
    #[arg(long)]
    device: PathBuf,
    /// The record; give all records of a chain, oldest first.
    #[arg(long, required = true)]
    record: Vec<PathBuf>,
    /// All power was lost: only what was flushed, or written with FUA, must be there.
    #[arg(long)]
    power_loss: bool,
    /// Write down what was seen, to be given as one more --record to a later verify or as --continue to a later run.
    #[arg(long, value_name = "PATH")]
    observe: Option<PathBuf>,
    /// Accept records in which no write was acknowledged. They prove nothing, so they are refused otherwise.
    #[arg(long)]
    allow_empty: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// How many bad blocks to show.
    #[arg(long, default_value_t = 20)]
    examples: usize,
}

impl VerifyArgs {
    /// Runs it. True if the volume is clean.
    pub(crate) fn run(self) -> Result<bool> {
        let rule = match self.power_loss {
            true => Rule::PowerLoss,
            false => Rule::SingleFailure,
        };
        let chain = Chain::load(&self.record, rule)?;
        if chain.acked_writes() == 0 && !self.allow_empty {
            bail!("the records tell of no acknowledged write, and prove nothing (--allow-empty accepts them)");
        }
        let volume = PathVolume::open(&self.device, false)?;
        let observer = match &self.observe {
            Some(path) => {
                let device = self.device.display().to_string();
                let recorder = super::open_record(path)?;
                Some(Observer::begin(
                    recorder,
                    super::random_run(),
                    device,
                    &chain,
                )?)
            }
            None => None,
        };
        let report = verify(&volume, chain, observer, self.examples)?;
        match self.json {
            true => println!("{}", serde_json::to_string_pretty(&report)?),
            false => println!("{report}"),
        }
        Ok(report.clean)
    }
}
