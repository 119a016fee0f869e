// SPDX-License-Identifier: GPL-2.0
//! yoke-torture: write stamped blocks, and prove afterwards that every acknowledged one is there.
//!
//! Exit status: 0 nothing wrong; 1 data is wrong, or an I/O error ended the run; 2 it could not be done at all.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let result = match cli::Cli::parse().command {
        cli::Command::Write(args) => args.run(),
        cli::Command::Verify(args) => args.run(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("yoke-torture: {error:#}");
            ExitCode::from(2)
        }
    }
}
