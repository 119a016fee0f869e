// SPDX-License-Identifier: GPL-2.0
//! The simulator and the explorer, for people: see docs/simulation.md.

mod cli;

use clap::Parser;

fn main() -> anyhow::Result<std::process::ExitCode> {
    cli::Cli::parse().run()
}
