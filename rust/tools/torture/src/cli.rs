// SPDX-License-Identifier: GPL-2.0
//! The command line.

mod verify;
mod write;

use std::ops::Range;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use yoke_torture::record::Recorder;

/// Writes stamped 4 KiB blocks and proves afterwards what the volume kept.
#[derive(Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write stamped blocks and stream a record of every acknowledgement.
    Write(write::WriteArgs),
    /// Read the volume and hold it against the records: lost, torn, misplaced, resurrected, foreign.
    Verify(verify::VerifyArgs),
}

/// `FIRST..END` or `COUNT`, in blocks of 4 KiB.
fn parse_blocks(text: &str) -> Result<Range<u64>, String> {
    let number = |part: &str| {
        part.parse::<u64>()
            .map_err(|e| format!("{part:?} is no number of blocks: {e}"))
    };
    let range = match text.split_once("..") {
        Some((first, end)) => number(first)?..number(end)?,
        None => 0..number(text)?,
    };
    match range.is_empty() {
        true => {
            Err("the range is empty; write FIRST..END, END being the first block behind it".into())
        }
        false => Ok(range),
    }
}

/// A share, 0 to 1.
fn parse_ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("a number from 0 to 1 is wanted, such as 0.1".into()),
    }
}

/// Opens a new record at `path`, or on standard output if that is `-`.
fn open_record(path: &Path) -> Result<Recorder> {
    let file = match path.as_os_str() == "-" {
        // The bare descriptor: each push is one write, and nothing stays in a buffer of ours.
        true => std::io::stdout().as_fd().try_clone_to_owned()?.into(),
        false => std::fs::File::create_new(path).with_context(|| {
            format!(
                "cannot create the record {} (an existing record is never overwritten)",
                path.display()
            )
        })?,
    };
    Ok(Recorder::new(Box::new(file)))
}

/// A random identity, never 0.
fn random_run() -> u64 {
    rand::random::<u64>().max(1)
}
