// SPDX-License-Identifier: GPL-2.0
//! yokectl: the person's face of yoke. This file only wires; it is a library for the program and for the fuzz targets.

mod abort;
mod alive;
mod attr;
mod cli;
mod doctor;
mod errno;
mod events;
mod format;
mod holders;
mod link;
mod output;
mod ownership;
pub mod readers;
mod status;
mod volume;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command, LinkCommand, VolumeCommand};
use output::Failure;
use std::process::ExitCode;

/// The whole program: reads its command line, does it, and says how it went.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(error) => output::report(&error, cli.json),
    }
}

fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let roots = attr::Roots::from_env();
    match &cli.command {
        Command::Status => status::command(&roots, cli.json),
        Command::Link(LinkCommand::Add(args)) => link::add(&roots, args, cli.json),
        Command::Link(LinkCommand::Remove { name }) => link::remove(&roots, name, cli.json),
        Command::Link(LinkCommand::List) => link::list(&roots, cli.json),
        Command::Volume(VolumeCommand::Create(args)) => format::create(&roots, args, cli.json),
        Command::Volume(VolumeCommand::Open(args)) => volume::open(&roots, args, cli.json),
        Command::Volume(VolumeCommand::Close { name, abandon }) => {
            volume::close(&roots, name, *abandon, cli.json)
        }
        Command::Volume(VolumeCommand::ForgetCorrupt { name, blocks }) => {
            volume::forget_corrupt(&roots, name, *blocks, cli.json)
        }
        Command::Volume(VolumeCommand::List) => volume::list(&roots, cli.json),
        Command::Takeover(args) => ownership::takeover(&roots, args, cli.json),
        Command::Giveback(args) => ownership::giveback(&roots, args, cli.json),
        Command::Events { count } => events::follow(*count, cli.json),
        Command::Doctor => doctor::command(&roots, cli.json),
        Command::Node(args) => status::configure(&roots, args, cli.json),
        Command::Completions { shell } => {
            clap_complete::generate(
                *shell,
                &mut Cli::command(),
                "yokectl",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => {
            clap_mangen::Man::new(Cli::command())
                .render(&mut std::io::stdout())
                .map_err(|e| {
                    Failure::refused(
                        format!("cannot write the man page: {e}"),
                        "give it a pipe or a file",
                    )
                })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
